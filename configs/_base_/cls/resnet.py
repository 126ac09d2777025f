"""Classifier on the means of a ResNet's stages 2 to 4, side by side, as it is fine-tuned.

Norms are GroupNorm. The depth is ResNet-50's.
"""

_base_ = './vit.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        norm_cfg=dict(type='GN', num_groups=32),
        out_indices=[1, 2, 3],
        drop_path_rate=0.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='subnet://resnet-50@work_dirs/poa_resnet-152/iter_692000.pth',
        ),
    ),
    neck=dict(type='ProbeFeatures'),
    head=dict(in_channels=512 + 1024 + 2048),
)
