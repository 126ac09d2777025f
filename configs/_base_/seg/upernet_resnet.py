"""UPerNet over the four stages of a ResNet with GroupNorm. The sizes here are ResNet-50's."""

_base_ = './upernet_vit.py'

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
    neck=None,
    decode_head=dict(in_channels=[256, 512, 1024, 2048], channels=512),
    auxiliary_head=dict(in_channels=1024),
)
