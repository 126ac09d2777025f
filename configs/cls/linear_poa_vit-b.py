"""Linear classifier on the frozen ViT-B, ImageNet-1k.

Paper: Table 1c; expected top-1 81.7 (the paper's figure; we have not repeated the run), the best of
    52 heads at 13 rates; tools/eval_linear.py trains them all
Command: tools/dist_train.sh configs/cls/linear_poa_vit-b.py 8
Hardware: 8 GPUs × 256 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
"""

_base_ = [
    '../_base_/cls/linear_vit.py',
    '../_base_/cls/imagenet_crops.py',
    '../_base_/cls/schedule_linear.py',
]

model = dict(
    backbone=dict(
        arch=dict(embed_dims=768, num_heads=12, feedforward_channels=3072),
        init_cfg=dict(checkpoint='subnet://vit-b@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    head=dict(in_channels=768),
)
