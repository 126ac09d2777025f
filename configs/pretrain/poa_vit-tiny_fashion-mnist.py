"""POA on the 60,000 training images of Fashion-MNIST, no GPU.

Paper: the method of Sec. 3 at a hundredth of its size; see ../_base_/models/poa_vit-tiny.py.
Command: python tools/train.py configs/pretrain/poa_vit-tiny_fashion-mnist.py
Hardware: two CPU cores, 10 to 20 minutes; accuracies: README.md in this folder.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedule_tiny.py',
]

model = dict(backbone=dict(img_size=28, patch_size=7))

max_iters = 3500
train_cfg = dict(max_iters=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=10))
