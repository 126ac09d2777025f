"""POA for ViT-S to ViT-B with 128 images on one GPU.

Command: python tools/train.py configs/pretrain/poa_vit-b_small-batch.py
Data: any folder of images, by default data/imagenet/train
Hardware: one GPU, bf16; memory and images/s: benchmarks/README.md
Accuracy: not in the paper and not measured by us.

What differs from poa_vit-b.py is what users of DINO and DINOv2 report to matter in a small batch:
a lower learning rate, a teacher that moves slowly, since each step says less, far fewer prototypes
than 256 crops could ever fill, and a running mean in place of Sinkhorn-Knopp, which would spread
those few crops evenly over all prototypes. If the loss does not fall at all, halve the learning
rate; if it becomes NaN, do the same; if features collapse, lower `teacher_temp` to 0.04 throughout.
"""

_base_ = [
    '../_base_/models/poa_vit-b.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa.py',
    '../_base_/pretrain_runtime.py',
]

train_dataloader = dict(batch_size=128)
model = dict(
    head=dict(num_prototypes=[2048, 4096, 8192, 16384]),
    centering='centering',
)

epoch_length = 10_000  # 1.28 M images in batches of 128
max_iters = 100 * epoch_length
warmup_iters = 10 * epoch_length
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=7e-4))  # half of 0.004 · sqrt(128 / 1024)
auto_scale_lr = dict(base_batch_size=128)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].update(
    begin=warmup_iters, end=max_iters, T_max=max_iters - warmup_iters, eta_min_ratio=0.01
)
param_scheduler[2].update(end=max_iters, T_max=max_iters)
custom_hooks = _base_.custom_hooks
custom_hooks[0].update(
    momentum=(0.998, 0.99999),
    temp_warmup_epochs=10,
    ibot_start_epoch=10,
    epoch_length=epoch_length,
)
custom_hooks[-1].update(interval=5 * epoch_length, subnets=['vit-s', 'vit-b'])
default_hooks = dict(checkpoint=dict(interval=5000))
