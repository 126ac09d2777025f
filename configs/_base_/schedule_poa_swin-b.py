"""The paper's schedule for Swin: 346 epochs of 625 iterations at batch 2048 (App. C)."""

_base_ = './schedule_poa.py'

epoch_length = 625
max_iters = 346 * epoch_length
warmup_iters = 30 * epoch_length
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5.657e-3))  # 0.004 · sqrt(2048 / 1024)
auto_scale_lr = dict(base_batch_size=2048)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].update(
    begin=warmup_iters, end=max_iters, T_max=max_iters - warmup_iters, eta_min_ratio=3.5355e-3
)
param_scheduler[2].update(end=max_iters, T_max=max_iters)
custom_hooks = _base_.custom_hooks
custom_hooks[0].epoch_length = epoch_length
custom_hooks[-1].update(interval=10 * epoch_length, subnets=['swin-t', 'swin-s', 'swin-b'])
default_hooks = dict(checkpoint=dict(interval=3 * epoch_length))
