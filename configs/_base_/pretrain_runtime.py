"""Runtime of all pre-training configs: mmpretrain's scope, counting by iterations, seed."""

default_scope = 'mmpretrain'
custom_imports = dict(imports=['poa_mm'], allow_failed_imports=False)

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
