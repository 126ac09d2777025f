"""POA with a supernet of nine sub-networks (0.03 M to 0.2 M parameters) that trains on a CPU.

What differs from the paper's recipe is scale: as few images and steps as these call for fewer
prototypes, a sharper teacher from the start, and LayerScale that starts at 1, because from 1e-5 it
would not open in so few steps.
"""

model = dict(
    type='POA',
    backbone=dict(
        type='ElasticVisionTransformer',
        arch=dict(embed_dims=64, num_layers=4, num_heads=4, feedforward_channels=256),
        img_size=32,
        patch_size=8,
        widths=[32, 48, 64],
        depths=[2, 3, 4],
        layer_scale_init_value=1.0,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
    head=dict(type='MultiProjectionHead', num_prototypes=[64, 128], hidden=256, bottleneck=64),
    # One sub-network for all ranks: two processes then do what one does with twice the batch.
    sampler=dict(per_rank=False),
    koleo_weight=0.0,
    ibot_weight=0.0,
)
