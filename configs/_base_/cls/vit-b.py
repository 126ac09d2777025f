"""Classifier on the class token of ViT-B; see vit.py."""

_base_ = './vit.py'

model = dict(
    backbone=dict(
        arch=dict(embed_dims=768, num_heads=12, feedforward_channels=3072),
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='subnet://vit-b@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    head=dict(in_channels=768),
)
