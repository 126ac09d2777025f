"""Five minutes of two CPU cores: AdamW, warm-up and cosine, a teacher that follows quickly."""

max_iters = 1000
warmup_iters = 100
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=8e-4, betas=(0.9, 0.999), weight_decay=0.04),
    clip_grad=dict(max_norm=1.5),
    constructor='LayerDecayConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        eta_min=8e-6,
        by_epoch=False,
        begin=warmup_iters,
        end=max_iters,
    ),
]
custom_hooks = [
    # A hundred steps, 1 / (1 − 0.99), is what an average over so few can afford to remember.
    dict(
        type='POAHook',
        momentum=(0.95, 0.99),
        teacher_temp=(0.04, 0.04),
        temp_warmup_epochs=0,
        freeze_last_layer_epochs=0,
    ),
    dict(type='StepSeedHook'),
    dict(type='SupernetInfoHook'),
    dict(type='ThroughputHook'),
    dict(type='CollapseHook'),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=max_iters, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
