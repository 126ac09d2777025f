"""POA with a Swin-B as the intact network: 39 sub-networks, Swin-T to Swin-B (App. A).

Heads of 16 channels, as in the authors' code, so that a width of 112 holds a whole number of them;
a stock Swin has half as many heads of 32.
"""

_base_ = './poa_vit-l.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ElasticSwinTransformer',
        arch=dict(embed_dims=128, depths=[2, 2, 18, 2], num_heads=[8, 16, 32, 64]),
        img_size=224,
        window_size=7,
        widths=[96, 112, 128],
        depths=list(range(12, 25)),
        gamma=2.0,
        drop_path_rate=0.2,  # rises linearly over the blocks
        pad_small_map=True,  # local crops end in maps of 3 × 3
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
    mask_ratio=(0.1, 0.3),
)
