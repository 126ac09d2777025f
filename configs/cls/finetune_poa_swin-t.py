"""Swin-T fine-tuned on ImageNet-1k.

Paper: Table 10; expected top-1 81.0 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/finetune_poa_swin-t.py 8
Hardware: 8 GPUs × 128 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Distillation: --cfg-options model.type=DistilledImageClassifier model.teacher=CHECKPOINT, that of a
    larger network, fine-tuned before
Official: --cfg-options official=True for the run as the authors' code does it:
    no drop path, the resize of the test images bilinear
"""

_base_ = [
    '../_base_/cls/swin.py',
    '../_base_/cls/imagenet.py',
    '../_base_/cls/schedule_finetune.py',
    '../_base_/cls/runtime.py',
]

lr = 1.4e-3
max_epochs = 200
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.6))
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = max_epochs // 10
param_scheduler[1].end = max_epochs
param_scheduler[1].eta_min_ratio = 1e-6 / lr
