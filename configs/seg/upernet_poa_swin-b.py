"""UPerNet on Swin-B, ADE20K.

Paper: not in it; rate, weight decay and stochastic depth of mmseg's UPerNet on Swin
Command: tools/dist_train.sh configs/seg/upernet_poa_swin-b.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = './upernet_poa_swin-s.py'

model = dict(
    backbone=dict(
        arch=dict(embed_dims=128, num_heads=[8, 16, 32, 64]),
        init_cfg=dict(checkpoint='subnet://swin-b@work_dirs/poa_swin-b/iter_216250.pth'),
    ),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
