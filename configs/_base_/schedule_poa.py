"""The paper's schedule for ViT: 346 epochs of 800 iterations at batch 1600 (Sec. 4.1, App. C).

`cosine_fraction` is the part of each cosine that the run goes through. It is 1 in the paper; the
authors' code stops at 0.78 for ViT (0.118 of the learning rate, weight decay 0.36, momentum 0.999).
"""

epoch_length = 800
epochs = 346
warmup_epochs = 10
cosine_fraction = 1.0
max_iters = epochs * epoch_length
warmup_iters = warmup_epochs * epoch_length

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='GuardedAmpOptimWrapper',  # float32 where there is no GPU
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=0.005, betas=(0.9, 0.999), weight_decay=0.04),
    clip_grad=dict(max_norm=1.5),  # backbone and heads apart
    constructor='LayerDecayConstructor',
    paramwise_cfg=dict(layer_decay=0.9, patch_embed_mult=0.2),
)
# 0.004 · sqrt(batch / 1024); --auto-scale-lr applies the rule to any other batch.
auto_scale_lr = dict(base_batch_size=1600, rule='sqrt')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.004,  # 2e-5
        by_epoch=False,
        begin=warmup_iters,
        end=max_iters,
        T_max=(max_iters - warmup_iters) / cosine_fraction,
    ),
    dict(
        type='CosineAnnealingWeightDecay',
        eta_min=0.4,
        by_epoch=False,
        begin=0,
        end=max_iters,
        T_max=max_iters / cosine_fraction,
    ),
]
custom_hooks = [
    dict(
        type='POAHook',
        momentum=(0.992, 0.9999),
        teacher_temp=(0.04, 0.07),
        temp_warmup_epochs=30,
        ibot_start_epoch=30,
        freeze_last_layer_epochs=1,
        cosine_fraction=cosine_fraction,
        epoch_length=epoch_length,
    ),
    dict(type='StepSeedHook'),
    dict(type='SupernetInfoHook'),
    dict(type='ThroughputHook'),
    dict(type='NanGuardHook'),
    dict(type='CollapseHook'),
    # The curve of Fig. 7, on labelled images. Without any, take this hook out.
    dict(type='KnnMonitorHook', interval=10 * epoch_length, subnets=['vit-s', 'vit-b', 'vit-l']),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=3 * epoch_length, max_keep_ckpts=3
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
