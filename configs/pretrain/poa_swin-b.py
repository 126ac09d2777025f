"""POA for Swin: one run, 39 models from Swin-T to Swin-B (Sec. 4.1; Tables 1 and 14).

Command: tools/dist_train.sh configs/pretrain/poa_swin-b.py 32
Data: any folder of images, by default data/imagenet/train; see ../_base_/datasets/image_folder.py
Expected on ImageNet-1k, k-NN / linear probing: Swin-T 77.5 / 78.9, Swin-S 79.3 / 81.3, Swin-B
    79.6 / 82.0 (the paper's figures; we have not repeated the run)
Hardware: 32 GPUs × 64 images, bf16
What differs from poa_vit-l.py: batch 2048, 346 epochs of 625 iterations, a warm-up of 30 epochs
    (authors' config), masks of 10 to 30 %, γ 2
"""

_base_ = [
    '../_base_/models/poa_swin-b.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa.py',
]

train_dataloader = dict(batch_size=64)

epoch_length = 625
max_iters = 346 * epoch_length
warmup_iters = 30 * epoch_length
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=5.657e-3))  # 0.004 · sqrt(2048 / 1024)
auto_scale_lr = dict(base_batch_size=2048)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].update(
    begin=warmup_iters, end=max_iters, T_max=max_iters - warmup_iters, eta_min_ratio=3.5355e-3
)
param_scheduler[2].update(end=max_iters, T_max=max_iters)
custom_hooks = [
    *_base_.custom_hooks,
    # On labelled images. Without any, take this hook out.
    dict(type='KnnMonitorHook', interval=10 * epoch_length, subnets=['swin-t', 'swin-s', 'swin-b']),
]
custom_hooks[0].epoch_length = epoch_length
default_hooks = dict(checkpoint=dict(interval=3 * epoch_length))
