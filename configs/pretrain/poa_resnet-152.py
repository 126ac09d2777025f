"""POA for ResNet: one run, 465 models from ResNet-50 to a wider ResNet-152 (Tables 1 and 15).

Command: tools/dist_train.sh configs/pretrain/poa_resnet-152.py 32
Data: any folder of images, by default data/imagenet/train; see ../_base_/datasets/image_folder.py
Expected on ImageNet-1k, k-NN / linear probing: ResNet-50 73.4 / 76.9, ResNet-101 75.7 / 79.1,
    ResNet-152 76.4 / 79.9 (the paper's figures; we have not repeated the run)
Hardware: 32 GPUs × 40 images, bf16
What differs from poa_vit-l.py: batch 1280, 692 epochs of 1000 iterations, a warm-up of 30 epochs
    and a layer decay of 0.95 (authors' config; the paper has 10 and 0.9), masks of 10 to 30 %, γ 2,
    no drop path
"""

_base_ = [
    '../_base_/models/poa_resnet-152.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa.py',
]

train_dataloader = dict(batch_size=40)

epoch_length = 1000
max_iters = 692 * epoch_length
warmup_iters = 30 * epoch_length
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(
    optimizer=dict(lr=4.472e-3),  # 0.004 · sqrt(1280 / 1024)
    paramwise_cfg=dict(layer_decay=0.95),
)
auto_scale_lr = dict(base_batch_size=1280)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].update(
    begin=warmup_iters, end=max_iters, T_max=max_iters - warmup_iters, eta_min_ratio=4.472e-3
)
param_scheduler[2].update(end=max_iters, T_max=max_iters)
custom_hooks = [
    *_base_.custom_hooks,
    # On labelled images. Without any, take this hook out.
    dict(
        type='KnnMonitorHook',
        interval=10 * epoch_length,
        subnets=['resnet-50', 'resnet-101', 'resnet-152'],
    ),
]
custom_hooks[0].epoch_length = epoch_length
default_hooks = dict(checkpoint=dict(interval=3 * epoch_length))
