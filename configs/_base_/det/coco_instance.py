"""COCO 2017 boxes and masks as mmdet reads them, with the augmentation of DETR (Table 2).

A flip, then one of two: the short side at 480 to 800 pixels, the long one at most 1333; or the
short side at 400, 500 or 600, a crop of 384 to 600 pixels, and that resized like the first.
Testing: the short side at 800, the long one at most 1333. The data set is mmdet's, but refuses
classes that its file does not have, or has in another order.
"""

_base_ = 'mmdet::_base_/datasets/coco_instance.py'

scales = [(short, 1333) for short in range(480, 801, 32)]
train_pipeline = [
    dict(type='LoadImageFromFile', ignore_empty=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='RandomChoiceResize', scales=scales, keep_ratio=True)],
            [
                dict(
                    type='RandomChoiceResize',
                    scales=[(400, 4200), (500, 4200), (600, 4200)],
                    keep_ratio=True,
                ),
                dict(
                    type='RandomCrop',
                    crop_type='absolute_range',
                    crop_size=(384, 600),
                    allow_negative_crop=True,
                ),
                dict(type='RandomChoiceResize', scales=scales, keep_ratio=True),
            ],
        ],
    ),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=2,  # 16 on 8 GPUs
    num_workers=4,
    dataset=dict(type='CheckedCocoDataset', pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(type='CheckedCocoDataset'))
test_dataloader = dict(dataset=dict(type='CheckedCocoDataset'))
