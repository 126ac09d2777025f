"""demo draft"""

_base_ = ['../_base_/datasets/photo_patches.py', '../_base_/pretrain_runtime.py']

model = dict(
    type='POA',
    backbone=dict(
        type='ElasticVisionTransformer',
        arch=dict(embed_dims=96, num_layers=6, num_heads=6, feedforward_channels=384),
        img_size=32,
        patch_size=8,
        widths=[48, 64, 80, 96],
        depths=[3, 4, 5, 6],
        layer_scale_init_value=1.0,
    ),
    head=dict(type='MultiProjectionHead', num_prototypes=[256, 512], hidden=256, bottleneck=64),
    data_preprocessor={{_base_.data_preprocessor}},
)

train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
max_iters = 800
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.04),
    clip_grad=dict(max_norm=1.5),
    constructor='LayerDecayConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=80),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=80, end=max_iters),
]
custom_hooks = [
    dict(type='POAHook', momentum=(0.97, 0.9999), temp_warmup_epochs=1),
    dict(type='SupernetInfoHook'),
    dict(type='ThroughputHook'),
]
