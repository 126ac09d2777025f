"""POA on 50 classes of Tiny-ImageNet: half an hour on a CPU, no GPU.

Paper: the method of Sec. 3 at a hundredth of its size; see ../_base_/models/poa_vit-tiny.py.
Command: TINY_IMAGENET=/my/tiny_imagenet python tools/train.py \
    configs/pretrain/poa_vit-tiny_tiny-imagenet.py
Data: train/CLASS/* and val/CLASS/*; see ../_base_/datasets/tiny_imagenet.py
Hardware: two CPU cores at 0.76 s a step, 19 minutes (OMP_NUM_THREADS=1); 29 minutes on one core
(train_dataloader.num_workers=0). Results: docs/evaluation.md.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/tiny_imagenet.py',
    '../_base_/schedule_tiny.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(img_size=48),
    head=dict(bottleneck=256),  # the paper's, so that prototypes start as long as the paper's
    koleo_weight=0.3,
)
multi_crop = dict(
    type='MultiCrop',
    global_size=48,
    local_size=24,
    num_local=2,
    global_scale=(0.4, 1.0),
    local_scale=(0.15, 0.4),
    # Table 6 has twice to five times as much, and grey and solarised crops: networks that must not
    # see colours have little left to tell photographs of 64 pixels apart by.
    color_jitter=(0.2, 0.2, 0.1, 0.02),
    gray_prob=0.0,
    solarize_prob=0.0,
    blur_prob=(0.0, 0.0, 0.0),
    blur_sigma=(0.1, 0.5),
)
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        pipeline=[multi_crop, dict(type='PackInputs', meta_keys=('sample_idx',))],
    ),
)

max_iters = 1500
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
custom_hooks = _base_.custom_hooks
# A sharper teacher that follows more slowly towards the end than that of a run of five minutes.
custom_hooks[0].update(momentum=(0.95, 0.995), teacher_temp=(0.02, 0.02))
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=3))
