"""ViT-B on iNaturalist 2019.

Paper: Table 12; expected top-1 81.7 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/transfer_poa_vit-b_inat19.py 8
Hardware: 8 GPUs × 96 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Data: train2019.json, val2019.json and train_val2019 in data/inat19
Official: --cfg-options official=True for the run as the authors' code does it:
    no drop path, the resize of the test images bilinear
"""

_base_ = ['../_base_/cls/vit-b.py', '../_base_/cls/transfer.py']

model = dict(head=dict(num_classes=1010))
images = dict(type='INaturalistImages', data_root='data/inat19')
train_dataloader = dict(dataset=dict(**images, ann_file='train2019.json'))
val_dataloader = dict(dataset=dict(**images, ann_file='val2019.json'))
test_dataloader = val_dataloader
lr = 4e-5 * 768 / 512
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.75))
max_epochs = 360
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / lr
param_scheduler[1].end = max_epochs
param_scheduler[1].eta_min_ratio = 1e-5 / lr
results = dict(data='inat-19')
