"""Cascade Mask R-CNN on ResNet-152 with GroupNorm, COCO.

Paper: not in it; optimiser and rate as for Swin
Command: tools/dist_train.sh configs/det/cascade_poa_resnet-152.py 8
Hardware: 8 GPUs × 2 images, float32
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/det/cascade_resnet.py',
    '../_base_/det/coco_instance.py',
    '../_base_/det/schedule_3x.py',
]

model = dict(
    backbone=dict(
        depth=152,
        init_cfg=dict(checkpoint='subnet://resnet-152@work_dirs/poa_resnet-152/iter_692000.pth'),
    ),
)
