"""3,500 steps as in schedule_tiny.py, for Fashion-MNIST."""

_base_ = './schedule_tiny.py'

max_iters = 3500
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=10))
