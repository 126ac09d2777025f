"""Cascade Mask R-CNN on Swin-S, COCO.

Paper: not in it; rate and stochastic depth of Swin's own recipe for this detector
Command: tools/dist_train.sh configs/det/cascade_poa_swin-s.py 8
Hardware: 8 GPUs × 2 images, float32
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/det/cascade_swin.py',
    '../_base_/det/coco_instance.py',
    '../_base_/det/schedule_3x.py',
]

model = dict(
    backbone=dict(
        arch=dict(embed_dims=96, depths=[2, 2, 18, 2], num_heads=[6, 12, 24, 48]),
        init_cfg=dict(checkpoint='subnet://swin-s@work_dirs/poa_swin-b/iter_216250.pth'),
    ),
)
