"""Cascade Mask R-CNN on ViT-S, COCO.

Paper: Table 2; expected box AP 50.6, mask AP 43.8 (the paper's figures, not repeated by us)
Command: tools/dist_train.sh configs/det/cascade_poa_vit-s.py 8
Hardware: 8 GPUs × 2 images, float32
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/det/cascade_vit.py',
    '../_base_/det/coco_instance.py',
    '../_base_/det/schedule_3x.py',
]

optim_wrapper = dict(optimizer=dict(lr=3e-4), paramwise_cfg=dict(layer_decay=0.7))
