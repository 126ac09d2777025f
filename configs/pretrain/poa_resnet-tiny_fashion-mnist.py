"""POA with a tiny ResNet on Fashion-MNIST: twelve sub-networks, no GPU.

Command: python tools/train.py configs/pretrain/poa_resnet-tiny_fashion-mnist.py
Hardware: two CPU cores; accuracies: README.md in this folder.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedule_tiny_3500.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='ElasticResNet',
        arch=dict(stage_blocks=(1, 2, 3, 1), mid_channels=16, out_channels=32),
        stem_channels=16,
        widths=[8, 12, 16],
        depths=[(1, second, third, 1) for second in (1, 2) for third in (2, 3)],
        norm_cfg=dict(type='GN', num_groups=4),
    )
)
