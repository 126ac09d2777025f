"""ImageNet-1k as imagenet.py has it, with crops and flips alone: for linear classifiers."""

_base_ = './imagenet.py'

train_pipeline = [*_base_.train_pipeline[:3], dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=256,
    sampler=dict(type='PositionSampler'),
    dataset=dict(pipeline=train_pipeline),
)
