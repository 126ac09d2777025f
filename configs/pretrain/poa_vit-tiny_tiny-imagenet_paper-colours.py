"""POA on 50 classes of Tiny-ImageNet with the colour changes of Table 6, no GPU.

Paper: the method of Sec. 3 at a hundredth of its size; see ../_base_/models/poa_vit-tiny.py.
Command: TINY_IMAGENET=/my/tiny_imagenet python tools/train.py \
    configs/pretrain/poa_vit-tiny_tiny-imagenet_paper-colours.py
Data: train/CLASS/* and val/CLASS/*; see ../_base_/datasets/tiny_imagenet.py
Hardware: two CPU cores. For comparisons; poa_vit-tiny_tiny-imagenet.py learns more. Short runs of
it: README.md in this folder.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/tiny_imagenet.py',
    '../_base_/schedule_tiny.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(img_size=48),
    head=dict(bottleneck=256),  # the paper's, so that prototypes start as long as the paper's
    koleo_weight=0.1,
)

max_iters = 3000
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=1000, max_keep_ckpts=3))
