"""Linear classifier on the frozen Swin-T, ImageNet-1k.

Paper: Table 1b; expected top-1 78.9 (the paper's figure; we have not repeated the run), the best of
    52 heads at 13 rates; tools/eval_linear.py trains them all
Command: tools/dist_train.sh configs/cls/linear_poa_swin-t.py 8
Hardware: 8 GPUs × 256 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/cls/linear_swin.py',
    '../_base_/cls/imagenet_crops.py',
    '../_base_/cls/schedule_linear.py',
]
