"""SGD over 12,500 iterations, the rate a cosine to zero; runtime (Sec. 4.2).

The rate is one of the 13 that the authors try, 0.01 for a batch of 256. tools/eval_linear.py trains
their 52 heads at once and picks the best one.
"""

_base_ = './runtime.py'

max_iters = 12_500
val_interval = 1250
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=val_interval)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='GuardedAmpOptimWrapper',  # float32 where there is no GPU
    dtype='bfloat16',
    optimizer=dict(type='SGD', lr=0.08, momentum=0.9, weight_decay=0.0),
    constructor='LayerDecayConstructor',  # which leaves out what is frozen
)
auto_scale_lr = dict(enable=False, base_batch_size=2048)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
custom_hooks = [
    dict(type='PretrainedCheckHook'),
    dict(type='ClassifierCheckHook'),
    # With PositionSampler and SeedByPosition a resumed run goes on as if it had not stopped.
    dict(type='StepSeedHook'),
]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=val_interval),
)
log_processor = dict(by_epoch=False)
results = dict(protocol='linear')  # of tools/test.py, for the paper's tables
