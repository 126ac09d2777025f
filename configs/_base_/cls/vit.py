"""Classifier on the class token of a ViT, as it is fine-tuned (Sec. D.2). The sizes are ViT-S's.

Batches are mixed, half of them by mixup, half by CutMix, and labels smoothed. Drop path rises
linearly over the blocks, and is drawn for each image.
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
        type='VisionTransformer',
        arch=dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536),
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        layer_scale_init_value=1e-5,
        init_cfg=dict(
            type='Pretrained', checkpoint='subnet://vit-s@work_dirs/poa_vit-l/iter_276800.pth'
        ),
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=384,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
