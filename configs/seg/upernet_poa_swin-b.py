"""UPerNet on Swin-B, ADE20K.

Paper: not in it; rate, weight decay and stochastic depth of mmseg's UPerNet on Swin
Command: tools/dist_train.sh configs/seg/upernet_poa_swin-b.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = ['../_base_/seg/upernet_swin.py', '../_base_/seg/ade20k_160k.py']

model = dict(
    backbone=dict(
        arch=dict(embed_dims=128, depths=[2, 2, 18, 2], num_heads=[8, 16, 32, 64]),
        init_cfg=dict(checkpoint='subnet://swin-b@work_dirs/poa_swin-b/iter_216250.pth'),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
optim_wrapper = dict(
    optimizer=dict(weight_decay=0.01),
    constructor='LayerDecayConstructor',  # here for biases, norms and bias tables: no weight decay
)
