"""UPerNet on a tiny sub-network overfits eight images: does training work?

Paper: the protocol of Table 2, Seg., at a hundredth of its size
Command: benchmarks/overfit_seg.sh FOLDER WORK_DIR, which pre-trains first; figures in
    benchmarks/seg.md
Hardware: one CPU core
"""

_base_ = [
    '../_base_/seg/upernet_vit.py',
    '../_base_/seg/coco_masks.py',
    '../_base_/seg/schedule_160k.py',
    '../_base_/seg/runtime.py',
]

max_iters = 500
warmup_iters = 30
size = (192, 192)
model = dict(
    data_preprocessor=dict(size=size, test_cfg=dict(size=size)),  # testing pads as training does
    backbone=dict(
        arch=dict(embed_dims=48, num_layers=4, num_heads=3, feedforward_channels=192),
        img_size=192,
        patch_size=8,
        out_indices=[0, 1, 2, 3],
        drop_path_rate=0.0,
        layer_scale_init_value=1.0,
        init_cfg=dict(checkpoint='subnet://w48-d4@work_dirs/poa_vit-tiny_folder/iter_1000.pth'),
    ),
    neck=dict(embed_dim=48),
    decode_head=dict(in_channels=[48, 48, 48, 48], channels=48, num_classes=24, dropout_ratio=0.0),
    auxiliary_head=dict(in_channels=48, channels=32, num_classes=24, dropout_ratio=0.0),
    test_cfg=dict(_delete_=True, mode='whole'),
)
# Overfit: train and test on the same eight images, without augmentation.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=size, keep_ratio=True),
    dict(type='PackSegInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = size
metainfo = dict(classes=tuple(f'class {index}' for index in range(1, 25)))
train_dataloader = dict(batch_size=4, dataset=dict(metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        metainfo=metainfo,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=6e-3, weight_decay=0.0),
    constructor='LayerDecayConstructor',
    paramwise_cfg=dict(layer_decay=0.8),
)
auto_scale_lr = dict(base_batch_size=4)
train_cfg = dict(max_iters=max_iters, val_interval=100)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = warmup_iters
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters))
