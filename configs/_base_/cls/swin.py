"""Classifier on the mean of the last map of a Swin, as it is fine-tuned. The sizes are Swin-T's.

Heads of 16 channels, as POA pre-trains them; batches and labels as in vit.py.
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
        type='SwinTransformer',
        arch=dict(embed_dims=96, depths=[2, 2, 6, 2], num_heads=[6, 12, 24, 48]),
        img_size=224,
        window_size=7,
        drop_path_rate=0.1,
        pad_small_map=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='subnet://swin-t@work_dirs/poa_swin-b/iter_216250.pth'
        ),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
