"""Linear classifier on the frozen ResNet-152, ImageNet-1k.

Paper: Table 1a; expected top-1 79.9 (the paper's figure; we have not repeated the run), the best of
    52 heads at 13 rates; tools/eval_linear.py trains them all
Command: tools/dist_train.sh configs/cls/linear_poa_resnet-152.py 8
Hardware: 8 GPUs × 256 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/cls/linear_resnet.py',
    '../_base_/cls/imagenet_crops.py',
    '../_base_/cls/schedule_linear.py',
]

model = dict(
    backbone=dict(
        depth=152,
        init_cfg=dict(checkpoint='subnet://resnet-152@work_dirs/poa_resnet-152/iter_692000.pth'),
    )
)
