"""Runtime of all pre-training configs: an iteration-based loop and POA's hooks."""

default_scope = 'mmpretrain'
custom_imports = dict(imports=['poa_mm'], allow_failed_imports=False)

custom_hooks = [
    dict(type='POAHook'),
    dict(type='StepSeedHook'),
    dict(type='SupernetInfoHook'),
    dict(type='ThroughputHook'),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
log_processor = dict(by_epoch=False, window_size=50)
visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)  # StepSeedHook tells the ranks apart
log_level = 'INFO'
