"""Classifier on the means of a ResNet's stages 2 to 4, side by side, as it is fine-tuned.

Norms are GroupNorm, the depth is ResNet-50's; batches and labels as in vit.py.
"""

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
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
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512 + 1024 + 2048,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
