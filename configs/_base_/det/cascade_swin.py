"""Cascade Mask R-CNN over the four stages of a Swin. The sizes here are Swin-T's.

Heads of 16 channels, as POA pre-trains them.
"""

_base_ = './cascade_vit.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinTransformer',
        arch=dict(embed_dims=96, depths=[2, 2, 6, 2], num_heads=[6, 12, 24, 48]),
        img_size=224,
        window_size=7,
        out_indices=[0, 1, 2, 3],
        drop_path_rate=0.2,
        pad_small_map=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='subnet://swin-t@work_dirs/poa_swin-b/iter_216250.pth'
        ),
    ),
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=[96, 192, 384, 768],
        out_channels=256,
        num_outs=5,
    ),
)
