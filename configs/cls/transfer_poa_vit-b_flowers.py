"""ViT-B on Oxford 102 Flowers.

Paper: Table 12; expected top-1 98.8 (the paper's figure for official; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/transfer_poa_vit-b_flowers.py 8
Hardware: 8 GPUs × 96 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Data: imagelabels.mat, setid.mat and jpg in data/flowers; train and val to train on, test to test
Official: --cfg-options official=True for the run as the authors' code does it:
    trained on train alone, tested on val, no drop path, the resize of the test images bilinear
"""

_base_ = ['../_base_/cls/vit-b.py', '../_base_/cls/transfer.py']

model = dict(head=dict(num_classes=102))
images = dict(type='Flowers102Images', data_root='data/flowers')
train_dataloader = dict(dataset=dict(**images, split='trainval'))
val_dataloader = dict(dataset=dict(**images, split='test'))
test_dataloader = val_dataloader
lr = 5e-4 * 768 / 512
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.7))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / lr
param_scheduler[1].eta_min_ratio = 1e-5 / lr
official_settings = {
    'train_dataloader.dataset.split': 'train',
    'val_dataloader.dataset.split': 'val',
    'test_dataloader.dataset.split': 'val',
}
results = dict(data='flowers-102')
