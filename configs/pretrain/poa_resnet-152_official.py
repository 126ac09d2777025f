"""poa_resnet-152.py with what the authors' code does and their paper does not say.

- Schedules: whole cosines, as in the paper; the warm-up starts at zero.
- Start: every layer as torch has it, so that the last norm of a bottleneck starts at one, and
  prototypes as `nn.Linear`.
- Weight decay also on the mask token and the norms of the shortcuts.
- γ weights the depth alone.
- Blur with the complement of the probabilities of Table 6: never on global crop 1.

Command: tools/dist_train.sh configs/pretrain/poa_resnet-152_official.py 32
Expected, hardware: as poa_resnet-152.py
"""

_base_ = [
    '../_base_/models/poa_resnet-152.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa_resnet-152.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(weighted=['depth'], init_cfg=dict(type='Official')),
    head=dict(prototype_init='linear'),
)
train_dataloader = _base_.train_dataloader
train_dataloader.batch_size = 40
train_dataloader.dataset.pipeline[0].blur_prob = (0.0, 0.9, 0.5)

lr = 0.004 * (1280 / 1024) ** 0.5
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(official_decay=True))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-15  # zero; mmengine multiplies by it
param_scheduler[1].eta_min_ratio = 2e-5 / lr
custom_hooks = _base_.custom_hooks
custom_hooks[0].temp_warmup_epochs = 30 - 1 / _base_.epoch_length  # its last iteration has 0.07
