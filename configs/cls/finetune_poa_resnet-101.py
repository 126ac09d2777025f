"""ResNet-101 fine-tuned on ImageNet-1k.

Paper: Table 10; expected top-1 80.0 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/finetune_poa_resnet-101.py 8
Hardware: 8 GPUs × 128 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Distillation: --cfg-options model.type=DistilledImageClassifier model.teacher=CHECKPOINT, that of a
    larger network, fine-tuned before
Official: --cfg-options official=True for the run as the authors' code does it:
    a cosine of 200 epochs, cut off, the resize of the test images bilinear
"""

_base_ = [
    '../_base_/cls/resnet.py',
    '../_base_/cls/imagenet.py',
    '../_base_/cls/schedule_finetune.py',
    '../_base_/cls/runtime.py',
]

model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(checkpoint='subnet://resnet-101@work_dirs/poa_resnet-152/iter_692000.pth'),
    )
)
lr = 1e-3
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.4))
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min_ratio = 1e-6 / lr
official_settings = {'param_scheduler.1.T_max': 190}
