"""ADE20K as mmseg reads it, at 512 pixels: 150 classes, 20,210 and 2,000 images.

Training: the short side at 0.5 to 2 times 512, a crop of 512 of which no class has more than three
quarters, a flip, and distorted colours. Testing: the short side at 512, predictions resized to the
masks, never the masks to the predictions.
"""

_base_ = 'mmseg::_base_/datasets/ade20k.py'

# Whether 0 is a class is for the data set to say, not for its pipelines once more.
train_pipeline = _base_.train_pipeline
train_pipeline[0].ignore_empty = True  # in training another image takes its place
train_pipeline[1].pop('reduce_zero_label')
train_pipeline.insert(0, dict(type='SeedByPosition'))
test_pipeline = _base_.test_pipeline
test_pipeline[2].pop('reduce_zero_label')
# mmseg's own scales multiply the size of the original image, whatever that is; these multiply the
# scale of the test pipeline, as the protocol has it.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(int(2048 * ratio), int(512 * ratio)), keep_ratio=True)
                for ratio in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]

train_dataloader = dict(
    batch_size=2,  # 16 on 8 GPUs
    sampler=dict(type='PositionSampler'),
    dataset=dict(reduce_zero_label=True, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(reduce_zero_label=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
