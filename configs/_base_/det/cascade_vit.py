"""Cascade Mask R-CNN over four blocks of a ViT, brought to strides of 4, 8, 16 and 32 (Table 2).

The sizes here are ViT-S's. The pyramid (two transposed convolutions, one, none, max pooling) is
that of the authors' backbone; the maps leave the blocks without a final norm. Position embeddings
are resized, bicubically, to the grid of `img_size`, and at run time from there to that of each
batch. RPN head and RoI extractors are mmdet's, but keep boxes in float32 under mixed precision.
What is not here is as in mmdet's Cascade Mask R-CNN.
"""

_base_ = 'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'

# Four convolutions and a fully connected layer; boxes are refined per class, and compared decoded.
bbox_heads = [
    dict(
        type='ConvFCBBoxHead',
        num_shared_convs=4,
        num_shared_fcs=1,
        in_channels=256,
        conv_out_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes=80,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=stds
        ),
        reg_class_agnostic=False,
        reg_decoded_bbox=True,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=10.0),
    )
    for stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536),
        img_size=(800, 1008),
        patch_size=16,
        out_type='featmap',
        out_indices=[3, 5, 7, 11],
        final_norm=False,
        drop_path_rate=0.1,
        layer_scale_init_value=1e-5,
        init_cfg=dict(
            type='Pretrained', checkpoint='subnet://vit-s@work_dirs/poa_vit-l/iter_276800.pth'
        ),
    ),
    neck=[
        dict(type='mmseg.Feature2Pyramid', embed_dim=384, rescales=[4, 2, 1, 0.5]),
        dict(type='FPN', in_channels=[384, 384, 384, 384], out_channels=256, num_outs=5),
    ],
    rpn_head=dict(type='Float32RPNHead'),
    roi_head=dict(
        bbox_roi_extractor=dict(type='Float32RoIExtractor'),
        bbox_head=bbox_heads,
        mask_roi_extractor=dict(type='Float32RoIExtractor'),
    ),
)
