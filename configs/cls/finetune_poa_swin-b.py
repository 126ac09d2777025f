"""Swin-B fine-tuned on ImageNet-1k.

Paper: Table 10; expected top-1 83.7 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/finetune_poa_swin-b.py 8
Hardware: 8 GPUs × 64 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Official: --cfg-options official=True for the run as the authors' code does it:
    a cosine of 200 epochs, cut off, no drop path, the resize of the test images bilinear
"""

_base_ = [
    '../_base_/cls/swin.py',
    '../_base_/cls/imagenet.py',
    '../_base_/cls/schedule_finetune.py',
    '../_base_/cls/runtime.py',
]

model = dict(
    backbone=dict(
        arch=dict(embed_dims=128, depths=[2, 2, 18, 2], num_heads=[8, 16, 32, 64]),
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='subnet://swin-b@work_dirs/poa_swin-b/iter_216250.pth'),
    ),
    head=dict(in_channels=1024),
)
train_dataloader = dict(batch_size=64)
lr = 7e-4
max_epochs = 50
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.55))
auto_scale_lr = dict(base_batch_size=512)
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = max_epochs // 10
param_scheduler[1].end = max_epochs
param_scheduler[1].eta_min_ratio = 1e-6 / lr
official_settings = {'param_scheduler.1.T_max': 195}
