"""Classifier on the mean of the last map of a Swin, as it is fine-tuned. The sizes are Swin-T's.

Heads of 16 channels, as POA pre-trains them.
"""

_base_ = './vit.py'

model = dict(
    backbone=dict(
        _delete_=True,
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
    head=dict(in_channels=768),
)
