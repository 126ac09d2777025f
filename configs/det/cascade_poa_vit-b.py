"""Cascade Mask R-CNN on ViT-B, COCO.

Paper: Table 2; expected box AP 52.4, mask AP 45.4 (the paper's figures, not repeated by us)
Command: tools/dist_train.sh configs/det/cascade_poa_vit-b.py 8
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
        arch=dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072),
        img_size=(672, 1088),  # the authors' 1092 holds 68 whole patches
        out_indices=[3, 5, 7, 11],
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='subnet://vit-b@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    neck=[
        dict(type='mmseg.Feature2Pyramid', embed_dim=768, rescales=[4, 2, 1, 0.5]),
        dict(type='FPN', in_channels=[768, 768, 768, 768], out_channels=256, num_outs=5),
    ],
)
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay=0.65))
