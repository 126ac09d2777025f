"""ResNet-50 fine-tuned on 10 % of ImageNet-1k.

Paper: Sec. D.3; expected top-1 73.1 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/cls/semisup_poa_resnet-50_10percent.py 8
Hardware: 8 GPUs × 128 images, bfloat16
Backbone: model.backbone.init_cfg.checkpoint, a sub-network straight from its supernet or a file of
    tools/extract_subnet.py
Images: train_dataloader.dataset.subset, a list of 128,115 file names in the paper's run
Head: model.head.projection=subnet://resnet-50@CHECKPOINT starts its first layer as that of a
    projection head, as in SimCLRv2; at random otherwise
Official: --cfg-options official=True for the run as the authors' code does it:
    a constant rate after the warm-up, the weights of the last step tested
"""

_base_ = ['../_base_/cls/resnet.py', '../_base_/cls/semisup.py']

model = dict(
    backbone=dict(out_indices=[3]),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(type='MLPClsHead', in_channels=2048, mid_channels=[2048], projection=None),
)
train_dataloader = dict(dataset=dict(subset='data/imagenet/10percent.txt'))
results = dict(settings=dict(labels='10 %'))
