"""POA with 25 sub-networks on 50 classes of Tiny-ImageNet, on which the paper's claims are tested.

Paper: the method of Sec. 3 at a hundredth of its size; see ../_base_/models/poa_vit-tiny.py.
Command: TINY_IMAGENET=/my/tiny_imagenet python benchmarks/claims/run.py work_dirs/claims
    The runs of benchmarks/claims/manifest.py are this one with other settings.
Data: train/CLASS/* and val/CLASS/*; see ../_base_/datasets/tiny_imagenet.py. The benchmark learns
    from half of the images of train, and tests on the other half.
Hardware: one CPU core. Results: docs/claims.md.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/tiny_imagenet.py',
    '../_base_/schedule_tiny.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(
        arch=dict(embed_dims=96, num_layers=6, num_heads=6, feedforward_channels=384),
        img_size=48,
        patch_size=12,
        widths=[32, 48, 64, 80, 96],
        depths=[2, 3, 4, 5, 6],
    ),
    head=dict(bottleneck=256),
    koleo_weight=0.3,
)
multi_crop = dict(
    type='MultiCrop',
    global_size=48,
    local_size=24,
    num_local=2,
    global_scale=(0.4, 1.0),
    local_scale=(0.15, 0.4),
    # No hue and saturation, and one process: a run shall keep one core busy, and no more.
    color_jitter=(0.2, 0.2, 0.0, 0.0),
    gray_prob=0.0,
    solarize_prob=0.0,
    blur_prob=(0.0, 0.0, 0.0),
    blur_sigma=(0.1, 0.5),
)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        pipeline=[multi_crop, dict(type='PackInputs', meta_keys=('sample_idx',))],
    ),
)

max_iters = 1000
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
custom_hooks = _base_.custom_hooks
custom_hooks[0].update(momentum=(0.95, 0.995), teacher_temp=(0.02, 0.02))
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
