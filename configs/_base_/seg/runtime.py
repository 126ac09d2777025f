"""Runtime of all segmentation configs: mmseg's scope, iterations, one checkpoint an evaluation."""

default_scope = 'mmseg'
custom_imports = dict(
    imports=['poa_mm', 'poa_mm.segmentation.mmseg_modules'], allow_failed_imports=False
)

custom_hooks = [
    dict(type='PretrainedCheckHook'),
    dict(type='LabelCheckHook'),
    # With PositionSampler and SeedByPosition a resumed run goes on as if it had not stopped.
    dict(type='mmpretrain.StepSeedHook'),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=16000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),  # draws with tools/test.py --show-dir
)
log_processor = dict(by_epoch=False)
visualizer = dict(
    type='SegLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)
log_level = 'INFO'
tta_model = dict(type='SegTTAModel')  # averages the probabilities of scales and flips
