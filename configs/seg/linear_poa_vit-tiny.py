"""One linear layer on the frozen features of a tiny sub-network, masks of 16 classes.

Paper: the protocol of Table 2, Seg.†, at a hundredth of its size
Command: benchmarks/linear_seg.sh FOLDER WORK_DIR, which pre-trains first; figures in
    benchmarks/seg.md
Hardware: one CPU core
"""

_base_ = [
    '../_base_/seg/linear_vit.py',
    '../_base_/seg/coco_masks.py',
    '../_base_/seg/schedule_160k.py',
    '../_base_/seg/runtime.py',
]

max_iters = 400
warmup_iters = 40
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(
        arch=dict(embed_dims=48, num_layers=4, num_heads=3, feedforward_channels=192),
        img_size=128,
        patch_size=8,
        out_indices=[0, 1, 2, 3],
        layer_scale_init_value=1.0,
        init_cfg=dict(checkpoint='subnet://w48-d4@work_dirs/poa_vit-tiny_folder/iter_1000.pth'),
    ),
    decode_head=dict(in_channels=[48, 48, 48, 48], channels=4 * 48, num_classes=16),
    test_cfg=dict(_delete_=True, mode='whole'),
)
optim_wrapper = dict(optimizer=dict(lr=1e-2), constructor='TrainableConstructor')
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters))
