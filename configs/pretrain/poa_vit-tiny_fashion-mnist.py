"""POA on the 60,000 training images of Fashion-MNIST, no GPU.

Paper: the method of Sec. 3 at a hundredth of its size; see ../_base_/models/poa_vit-tiny.py.
Command: python tools/train.py configs/pretrain/poa_vit-tiny_fashion-mnist.py
Hardware: two CPU cores, 26 minutes beside other work; accuracies: README.md in this folder.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedule_tiny.py',
]

model = dict(backbone=dict(img_size=28, patch_size=7))

max_iters = 3500
warmup_iters = 100
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        eta_min=8e-6,
        by_epoch=False,
        begin=warmup_iters,
        end=max_iters,
    ),
]
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=10))
