custom_hooks = [
    dict(type='POAHook'),
    dict(type='SupernetInfoHook'),
    dict(type='ThroughputHook'),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=3, type='CheckpointHook'),
    logger=dict(interval=1, type='LoggerHook'))
default_scope = 'mmpretrain'
experiment_name = 'b'
log_level = 'WARNING'
log_processor = dict(by_epoch=False)
model = dict(
    backbone=dict(
        arch=dict(
            embed_dims=32, feedforward_channels=64, num_heads=4, num_layers=3),
        depths=[
            2,
            3,
        ],
        img_size=16,
        norm_cfg=dict(eps=1e-05, type='LN'),
        patch_cfg=dict(padding=0),
        patch_size=4,
        type='ElasticVisionTransformer',
        widths=[
            16,
            24,
            32,
        ]),
    head=dict(
        bottleneck=8,
        hidden=16,
        num_prototypes=[
            6,
            8,
        ],
        type='MultiProjectionHead'),
    type='POA')
optim_wrapper = dict(
    constructor='LayerDecayConstructor',
    optimizer=dict(lr=0.001, type='AdamW', weight_decay=0.04),
    type='OptimWrapper')
randomness = dict(seed=0)
train_cfg = dict(max_iters=3, type='IterBasedTrainLoop')
train_dataloader = dict(
    batch_size=2,
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='DS'),
    num_workers=0,
    sampler=dict(shuffle=True, type='InfiniteSampler'))
work_dir = 'w'
