"""POA with a tiny ResNet on Fashion-MNIST: twelve sub-networks, no GPU.

Command: python tools/train.py configs/pretrain/poa_resnet-tiny_fashion-mnist.py
Hardware: two CPU cores; accuracies: README.md in this folder.
"""

_base_ = './poa_vit-tiny_fashion-mnist.py'

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
