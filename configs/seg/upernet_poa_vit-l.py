"""UPerNet on ViT-L, ADE20K.

Paper: not in it; rate, decay and blocks continue those of ViT-S and ViT-B as mmseg's BEiT-L does
Command: tools/dist_train.sh configs/seg/upernet_poa_vit-l.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = ['../_base_/seg/upernet_vit.py', '../_base_/seg/ade20k_160k.py']

model = dict(
    backbone=dict(
        arch=dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
        out_indices=[7, 11, 15, 23],
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='subnet://vit-l@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-5),
    constructor='LayerDecayConstructor',
    paramwise_cfg=dict(layer_decay=0.95),
)
