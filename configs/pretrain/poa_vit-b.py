"""POA for ViT-S to ViT-B on one node: what the paper does with ViT-L, on eight GPUs.

Command: tools/dist_train.sh configs/pretrain/poa_vit-b.py 8
Data: any folder of images, by default data/imagenet/train
Hardware: 8 GPUs × 64 images, bf16; a quarter as long as the paper's run (100 epochs of ImageNet)
Accuracy: not in the paper and not measured by us. ViT-B is the intact network here; the paper cuts
    its ViT-B (k-NN 80.9) and ViT-S (76.8) out of a ViT-L that trained three times as long.
"""

_base_ = [
    '../_base_/models/poa_vit-b.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa.py',
    '../_base_/pretrain_runtime.py',
]

train_dataloader = dict(batch_size=64)

epoch_length = 2500  # 1.28 M images in batches of 512
max_iters = 100 * epoch_length
warmup_iters = 10 * epoch_length
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=2.83e-3))  # 0.004 · sqrt(512 / 1024)
auto_scale_lr = dict(base_batch_size=512)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].update(
    begin=warmup_iters, end=max_iters, T_max=max_iters - warmup_iters, eta_min_ratio=7.07e-3
)
param_scheduler[2].update(end=max_iters, T_max=max_iters)
custom_hooks = _base_.custom_hooks
custom_hooks[0].update(epoch_length=epoch_length, temp_warmup_epochs=10, ibot_start_epoch=10)
custom_hooks[-1].update(interval=5 * epoch_length, subnets=['vit-s', 'vit-b'])
default_hooks = dict(checkpoint=dict(interval=epoch_length))
