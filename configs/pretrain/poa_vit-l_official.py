"""poa_vit-l.py with what the authors' code does and their paper does not say.

- Schedules: each cosine is stretched and cut off at 0.78, so the run ends at 0.118 of the learning
  rate, weight decay 0.36 and momentum 0.999. The warm-up starts at zero and is not stretched.
- Start: all linear layers of the backbone truncated normal, prototypes as `nn.Linear`.
- Weight decay also on class, mask and position tokens.
- Blur with the complement of the probabilities of Table 6: never on global crop 1.

Command: tools/dist_train.sh configs/pretrain/poa_vit-l_official.py 32
Expected, hardware: as poa_vit-l.py
"""

_base_ = [
    '../_base_/models/poa_vit-l.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(init_cfg=dict(_delete_=True, type='Official')),
    head=dict(prototype_init='linear'),
)
optim_wrapper = dict(paramwise_cfg=dict(official_decay=True))
train_dataloader = _base_.train_dataloader
train_dataloader.dataset.pipeline[0].blur_prob = (0.0, 0.9, 0.5)

cosine_fraction = 0.78
whole_cosine = int(_base_.max_iters / cosine_fraction)  # of which the run is a part
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-15  # zero; mmengine multiplies by it
param_scheduler[1].T_max = whole_cosine - _base_.warmup_iters
param_scheduler[2].T_max = whole_cosine
custom_hooks = _base_.custom_hooks
custom_hooks[0].cosine_fraction = cosine_fraction
custom_hooks[0].temp_warmup_epochs = 30 - 1 / _base_.epoch_length  # its last iteration has 0.07
