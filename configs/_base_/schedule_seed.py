"""The schedule of POA's ViT over 300 epochs of two views, which are 600 effective epochs.

An effective epoch is one view of 224 pixels of each image. Nothing is scheduled but the learning
rate and the weight decay: the teacher is frozen.
"""

_base_ = './schedule_poa.py'

epochs = 300
max_iters = epochs * _base_.epoch_length
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_iters, T_max=max_iters - _base_.warmup_iters)
param_scheduler[2].update(end=max_iters, T_max=max_iters)
# Neither POAHook, which moves POA's teacher, nor CollapseHook, which watches its targets.
custom_hooks = [
    hook for hook in _base_.custom_hooks if hook['type'] not in ('POAHook', 'CollapseHook')
]
