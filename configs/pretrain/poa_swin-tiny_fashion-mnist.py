"""POA with a tiny Swin on Fashion-MNIST: six sub-networks, no GPU.

Command: python tools/train.py configs/pretrain/poa_swin-tiny_fashion-mnist.py
Hardware: two CPU cores; accuracies: README.md in this folder.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedule_tiny_3500.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='ElasticSwinTransformer',
        arch=dict(embed_dims=16, depths=[1, 1, 3, 1], num_heads=[4, 8, 16, 32]),
        img_size=28,
        patch_size=4,
        window_size=4,
        widths=[8, 12, 16],
        depths=[5, 6],
        pad_small_map=True,
        drop_path_rate=0.0,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    )
)
