"""UPerNet on ViT-B, ADE20K.

Paper: Table 2, Seg.; expected mIoU 50.4 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/seg/upernet_poa_vit-b.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = ['../_base_/seg/upernet_vit.py', '../_base_/seg/ade20k_160k.py']

model = dict(
    backbone=dict(
        arch=dict(embed_dims=768, num_heads=12, feedforward_channels=3072),
        drop_path_rate=0.15,
        init_cfg=dict(checkpoint='subnet://vit-b@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    neck=dict(embed_dim=768),
    decode_head=dict(in_channels=[768, 768, 768, 768], channels=768),
    auxiliary_head=dict(in_channels=768),
)
optim_wrapper = dict(
    optimizer=dict(lr=4e-5),
    constructor='LayerDecayConstructor',
    paramwise_cfg=dict(layer_decay=0.9),
)
param_scheduler = _base_.param_scheduler
param_scheduler[1].eta_min = 1e-7
