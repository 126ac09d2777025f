"""A small Cascade Mask R-CNN overfits eight images on a CPU: does training work?

Paper: not in it
Command: benchmarks/overfit_det.sh COCO_FOLDER OUT, which makes the set of eight images
Hardware: one CPU core, about ten minutes
Everything is that of cascade_poa_vit-s.py, only smaller: a ViT of 4 blocks that starts from random
weights, 64 channels in the heads, fewer proposals, images of 256 pixels without augmentation.
"""

_base_ = [
    '../_base_/det/cascade_vit.py',
    '../_base_/det/coco_instance.py',
    '../_base_/det/schedule_3x.py',
]

iterations = 300
channels = 64
small_heads = [
    dict(
        type='ConvFCBBoxHead',
        num_shared_convs=1,
        num_shared_fcs=1,
        in_channels=channels,
        conv_out_channels=channels,
        fc_out_channels=256,
        roi_feat_size=7,
        num_classes=80,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        bbox_coder=head['bbox_coder'],
        reg_class_agnostic=False,
        reg_decoded_bbox=True,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=10.0),
    )
    for head in _base_.bbox_heads
]
model = dict(
    backbone=dict(
        arch=dict(embed_dims=192, num_layers=4, num_heads=3, feedforward_channels=768),
        img_size=256,
        out_indices=[0, 1, 2, 3],
        drop_path_rate=0.0,
        layer_scale_init_value=1.0,
        init_cfg=dict(_delete_=True, type='TruncNormal', layer='Linear', std=0.02),
    ),
    neck=[
        dict(type='mmseg.Feature2Pyramid', embed_dim=192, rescales=[4, 2, 1, 0.5]),
        dict(type='FPN', in_channels=[192, 192, 192, 192], out_channels=channels, num_outs=5),
    ],
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=small_heads,
        mask_roi_extractor=dict(out_channels=channels),
        mask_head=dict(num_convs=2, in_channels=channels, conv_out_channels=channels),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=300, max_per_img=300),
        rcnn=[
            {**stage, 'sampler': {**stage.sampler, 'num': 64}}
            for stage in _base_.model.train_cfg.rcnn
        ],
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=300)),
)

resize = dict(type='Resize', scale=(256, 256), keep_ratio=True)
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=None,
    dataset=dict(pipeline=[*load, resize, dict(type='PackDetInputs')]),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[_base_.test_pipeline[0], resize, *_base_.test_pipeline[2:]],
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations // 10
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0), paramwise_cfg=dict(layer_decay=1.0)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=50,
        end=iterations,
        T_max=iterations - 50,
        eta_min_ratio=0.01,
    ),
]
custom_hooks = [dict(type='ClassCheckHook')]  # no pre-trained weights to check
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=iterations, save_best=None),
)
log_processor = dict(by_epoch=False)
