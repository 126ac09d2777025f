"""ViT-B on Stanford Cars.

Paper: Table 12; expected top-1 94.6 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/transfer_poa_vit-b_cars.py 8
Hardware: 8 GPUs × 96 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Data: cars_train, cars_test and devkit in data/cars, with cars_test_annos_withlabels.mat
Official: --cfg-options official=True for the run as the authors' code does it:
    no drop path, the resize of the test images bilinear
"""

_base_ = ['../_base_/cls/vit-b.py', '../_base_/cls/transfer.py']

model = dict(head=dict(num_classes=196))
images = dict(type='StanfordCarsImages', data_root='data/cars')
train_dataloader = dict(dataset=dict(**images, split='train'))
val_dataloader = dict(dataset=dict(**images, split='test'))
test_dataloader = val_dataloader
lr = 3e-4 * 768 / 512
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.7))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / lr
param_scheduler[1].eta_min_ratio = 1e-5 / lr
results = dict(data='stanford-cars')
