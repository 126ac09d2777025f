"""Cascade Mask R-CNN on Swin-T, COCO.

Paper: not in it; rate and stochastic depth of Swin's own recipe for this detector
Command: tools/dist_train.sh configs/det/cascade_poa_swin-t.py 8
Hardware: 8 GPUs × 2 images, float32
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/det/cascade_swin.py',
    '../_base_/det/coco_instance.py',
    '../_base_/det/schedule_3x.py',
]
