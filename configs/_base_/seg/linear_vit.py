"""One linear layer over the features of four frozen blocks of a ViT (Table 2, Seg.†).

The sizes here are ViT-S's. The maps of the four blocks, all at stride 16 and without a final norm,
are concatenated; a 1 × 1 convolution turns them into classes. Nothing else is trained.
"""

_base_ = './upernet_vit.py'

model = dict(
    type='FrozenEncoderDecoder',
    backbone=dict(drop_path_rate=0.0),
    neck=None,
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        num_convs=0,
        concat_input=False,
        input_transform='resize_concat',
        in_index=[0, 1, 2, 3],
        in_channels=[384, 384, 384, 384],
        channels=4 * 384,
        dropout_ratio=0,
        num_classes=150,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=None,
)
