"""Cascade Mask R-CNN over the four stages of a ResNet with GroupNorm. The sizes are ResNet-50's."""

_base_ = './cascade_vit.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ResNet',
        depth=50,
        norm_cfg=dict(type='GN', num_groups=32),
        out_indices=[0, 1, 2, 3],
        init_cfg=dict(
            type='Pretrained',
            checkpoint='subnet://resnet-50@work_dirs/poa_resnet-152/iter_692000.pth',
        ),
    ),
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=5,
    ),
)
