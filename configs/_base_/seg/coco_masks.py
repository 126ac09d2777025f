"""Masks of the 16 most frequent classes of COCO, tiny: what benchmarks/mask_subset.py writes.

Masks hold 1 to 16, which become the classes 0 to 15, and 0 for what has no label, which is ignored
(`reduce_zero_label`). Training takes a crop of 128 pixels of an image whose long side is at 128 to
256, and a flip; testing the whole image with its long side at 128.
"""

data_root = 'data/coco_masks'
train_pipeline = [
    dict(type='SeedByPosition'),
    dict(type='LoadImageFromFile', ignore_empty=True),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(1.0, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations'),  # after resizing: predictions are compared with whole masks
    dict(type='PackSegInputs'),
]
train_dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
    metainfo=dict(classes=tuple(f'class {index}' for index in range(1, 17))),
    reduce_zero_label=True,
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='PositionSampler'),
    dataset=train_dataset,
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        train_dataset,
        data_prefix=dict(img_path='images/val', seg_map_path='masks/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
