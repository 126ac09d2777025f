"""POA with ViT-B/16 as the intact network: ViT-S to ViT-B, seven widths at depth 12.

More sub-networks: `depths=list(range(8, 13))` has 35 of them, down to 14 M parameters.
"""

_base_ = './poa_vit-l.py'

model = dict(
    backbone=dict(
        arch=dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072),
        widths=list(range(384, 769, 64)),
        depths=[12],
        drop_path_rate=0.1,
    ),
)
