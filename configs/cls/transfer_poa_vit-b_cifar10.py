"""ViT-B on CIFAR-10.

Paper: Table 12; expected top-1 99.4 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/transfer_poa_vit-b_cifar10.py 8
Hardware: 8 GPUs × 96 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Data: data/cifar10, downloaded into it if need be
Official: --cfg-options official=True for the run as the authors' code does it:
    no drop path, the resize of the test images bilinear
"""

_base_ = ['../_base_/cls/vit-b.py', '../_base_/cls/transfer.py']

model = dict(head=dict(num_classes=10))
images = dict(type='CIFAR10Images', data_root='data/cifar10')
train_dataloader = dict(dataset=dict(**images, split='train'))
val_dataloader = dict(dataset=dict(**images, split='test'))
test_dataloader = val_dataloader
lr = 7.5e-6 * 768 / 512
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.9))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / lr
param_scheduler[1].eta_min_ratio = 1e-5 / lr
results = dict(data='cifar-10')
