"""poa_swin-b.py with what the authors' code does and their paper does not say.

- Schedules: each cosine is stretched and cut off at 0.9, so the run ends at 0.033 of the learning
  rate, weight decay 0.39 and momentum 0.9997. The warm-up starts at zero and is not stretched.
- Start: every layer as torch has it, position biases at zero, prototypes as `nn.Linear`.
- Weight decay also on the mask token and position biases.
- `official=True`: the patch embedding is normalised over all channels and then sliced, and blocks
  keep the window shifts of the intact network. Sub-networks narrower than the intact one then run,
  but cannot be extracted.
- Blur with the complement of the probabilities of Table 6: never on global crop 1.

Command: tools/dist_train.sh configs/pretrain/poa_swin-b_official.py 32
Expected, hardware: as poa_swin-b.py
"""

_base_ = [
    '../_base_/models/poa_swin-b.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa_swin-b.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(official=True, init_cfg=dict(_delete_=True, type='Official')),
    head=dict(prototype_init='linear'),
)
train_dataloader = _base_.train_dataloader
train_dataloader.batch_size = 64
train_dataloader.dataset.pipeline[0].blur_prob = (0.0, 0.9, 0.5)

lr = 0.004 * (2048 / 1024) ** 0.5
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(official_decay=True))
cosine_fraction = 0.9
whole_cosine = int(_base_.max_iters / cosine_fraction)  # of which the run is a part
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-15  # zero; mmengine multiplies by it
param_scheduler[1].update(T_max=whole_cosine - _base_.warmup_iters, eta_min_ratio=2e-5 / lr)
param_scheduler[2].T_max = whole_cosine
custom_hooks = _base_.custom_hooks
custom_hooks[0].cosine_fraction = cosine_fraction
custom_hooks[0].temp_warmup_epochs = 30 - 1 / _base_.epoch_length  # its last iteration has 0.07
