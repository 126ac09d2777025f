"""poa_vit-l.py with what the authors' code does and their paper does not say.

- Blur with the complement of the probabilities of Table 6: never on global crop 1.
- Each cosine (learning rate, weight decay, teacher momentum) is stretched and cut off at 0.78, so
  the run ends at 0.118 of the learning rate, weight decay 0.36 and momentum 0.999.

Command: tools/dist_train.sh configs/pretrain/poa_vit-l_official.py 32
Expected, hardware: as poa_vit-l.py
"""

_base_ = './poa_vit-l.py'

cosine_fraction = 0.78
train_dataloader = _base_.train_dataloader
train_dataloader.dataset.pipeline[0].blur_prob = (0.0, 0.9, 0.5)
param_scheduler = _base_.param_scheduler
param_scheduler[1].T_max /= cosine_fraction
param_scheduler[2].T_max /= cosine_fraction
custom_hooks = _base_.custom_hooks
custom_hooks[0].cosine_fraction = cosine_fraction
