"""One linear layer on the frozen features of ViT-L, ADE20K at 512 pixels.

Paper: not in it; settings of the authors' code, with one correction: its head takes 2,048 channels
    from four maps of 512, which no map of a ViT-L has. Four times 1,024 are 4,096.
Command: tools/dist_train.sh configs/seg/linear_poa_vit-l.py 8
Hardware: 8 GPUs × 2 images; bf16 where the authors had apex' fp16
"""

_base_ = ['../_base_/seg/linear_vit.py', '../_base_/seg/ade20k_160k.py']

model = dict(
    backbone=dict(
        arch=dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
        out_indices=[7, 11, 15, 23],
        init_cfg=dict(checkpoint='subnet://vit-l@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=4 * 1024),
)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(lr=2e-5),
    constructor='TrainableConstructor',
)
