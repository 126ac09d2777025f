"""ResNet's schedule: 692 epochs of 1000 iterations at batch 1280 (App. C and authors' config)."""

_base_ = './schedule_poa.py'

epoch_length = 1000
max_iters = 692 * epoch_length
warmup_iters = 30 * epoch_length
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(
    optimizer=dict(lr=4.472e-3),  # 0.004 · sqrt(1280 / 1024)
    paramwise_cfg=dict(layer_decay=0.95),
)
auto_scale_lr = dict(base_batch_size=1280)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].update(
    begin=warmup_iters, end=max_iters, T_max=max_iters - warmup_iters, eta_min_ratio=4.472e-3
)
param_scheduler[2].update(end=max_iters, T_max=max_iters)
custom_hooks = _base_.custom_hooks
custom_hooks[0].epoch_length = epoch_length
custom_hooks[-1].update(
    interval=10 * epoch_length, subnets=['resnet-50', 'resnet-101', 'resnet-152']
)
default_hooks = dict(checkpoint=dict(interval=3 * epoch_length))
