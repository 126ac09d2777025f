"""Cascade Mask R-CNN on ViT-L, COCO.

Paper: not in it; rates between those of ViT-B and of common practice with ViT-L, not tuned
Command: tools/dist_train.sh configs/det/cascade_poa_vit-l.py 8
Hardware: 8 GPUs × 2 images, float32
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/det/cascade_vit.py',
    '../_base_/det/coco_instance.py',
    '../_base_/det/schedule_3x.py',
]

model = dict(
    backbone=dict(
        arch=dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
        img_size=(672, 1088),
        out_indices=[7, 11, 15, 23],
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint='subnet://vit-l@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    neck=[
        dict(type='mmseg.Feature2Pyramid', embed_dim=1024, rescales=[4, 2, 1, 0.5]),
        dict(type='FPN', in_channels=[1024, 1024, 1024, 1024], out_channels=256, num_outs=5),
    ],
)
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay=0.75))
