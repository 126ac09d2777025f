"""1000 epochs on the images that a list names (Sec. D.3): a warm-up of 5, a cosine to 1e-6.

The augmentation is that of fine-tuning. All layers train at one rate. The list has a file name in
each line, as published for ImageNet; tools/make_subset.py draws others. Testing and saving come
every tenth epoch: an epoch on 1 % of ImageNet is 13 steps.
"""

_base_ = ['./imagenet.py', './schedule_finetune.py', './runtime.py']

max_epochs = 1000
warmup_epochs = 5
lr = 5e-6 * 1024 / 512
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(base_batch_size=1024)
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / lr
param_scheduler[0].end = param_scheduler[1].begin = warmup_epochs
param_scheduler[1].end = max_epochs
param_scheduler[1].eta_min_ratio = 1e-6 / lr
default_hooks = dict(checkpoint=dict(interval=10))

official_settings = dict(
    _delete_=True,
    **{
        'param_scheduler.1.eta_min_ratio': 1.0,
        'custom_hooks': _base_.custom_hooks[:-1],  # all but the average
    },
)
results = dict(protocol='semi_supervised')
