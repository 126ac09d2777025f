"""UPerNet over four blocks of a ViT, brought to strides of 4, 8, 16 and 32 (Table 2).

The sizes here are ViT-S's. The pyramid (two transposed convolutions, one, none, max pooling) is
that of the authors' backbone; the maps leave the blocks without a final norm.
"""

norm_cfg = dict(type='SyncBN', requires_grad=True)
checkpoint = 'subnet://vit-s@work_dirs/poa_vit-l/iter_276800.pth'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
    ),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536),
        img_size=512,
        patch_size=16,
        out_type='featmap',
        out_indices=[3, 5, 7, 11],
        final_norm=False,
        drop_path_rate=0.1,
        layer_scale_init_value=1e-5,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(type='Feature2Pyramid', embed_dim=384, rescales=[4, 2, 1, 0.5], norm_cfg=norm_cfg),
    decode_head=dict(
        type='UPerHead',
        in_channels=[384, 384, 384, 384],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=384,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=384,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
