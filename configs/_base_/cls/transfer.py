"""1000 epochs on other data sets (Sec. D.5): repeated augmentation, little erasing.

Each image comes three times in a row, from other GPUs if there are three. A warm-up of 5 epochs, a
cosine to 1e-5; testing and saving every tenth epoch. What is tested, and how layers' rates fall, is
as in fine-tuning.
"""

_base_ = ['./imagenet.py', './schedule_finetune.py', './runtime.py']

train_pipeline = _base_.train_pipeline
train_pipeline[4].erase_prob = 0.1
train_dataloader = dict(
    batch_size=96,
    sampler=dict(num_repeats=3),
    dataset=dict(_delete_=True, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=96, dataset=dict(_delete_=True, test_mode=True, pipeline=_base_.test_pipeline)
)
test_dataloader = dict(
    batch_size=96, dataset=dict(_delete_=True, test_mode=True, pipeline=_base_.test_pipeline)
)

max_epochs = 1000
warmup_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
auto_scale_lr = dict(base_batch_size=768)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = warmup_epochs
param_scheduler[1].end = max_epochs
default_hooks = dict(checkpoint=dict(interval=10))
randomness = dict(seed=1024)
results = dict(protocol='transfer')
