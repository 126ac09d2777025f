"""POA with ViT-L/16 as the intact network: 143 sub-networks, ViT-S to ViT-L (Sec. 4.1).

LayerScale starts at 1e-5 in every block, as in the authors' config; the paper does not mention it.
λ of Eq. 10 is POA's default, 0.8: POA-V1 and V2, which are built on this file, have none.
"""

model = dict(
    type='POA',
    backbone=dict(
        type='ElasticVisionTransformer',
        arch=dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
        img_size=224,
        patch_size=16,
        widths=list(range(384, 1025, 64)),
        depths=list(range(12, 25)),
        gamma=3.0,
        drop_path_rate=0.2,
        drop_path_uniform=True,
        layer_scale_init_value=1e-5,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
    head=dict(
        type='MultiProjectionHead',
        num_prototypes=[8192, 16384, 32768, 65536],
        hidden=2048,
        bottleneck=256,
    ),
    student_temp=0.1,
    koleo_weight=0.1,
    ibot_weight=1.0,
    mask_ratio=(0.1, 0.5),
    mask_prob=0.5,
    sampler=dict(order='shuffled', per_rank=True),
)
