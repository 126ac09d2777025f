"""One linear layer on the frozen features of ViT-B, ADE20K at 640 pixels.

Paper: not in it, as far as it says; settings of the authors' code
Command: tools/dist_train.sh configs/seg/linear_poa_vit-b_640.py 8
Hardware: 8 GPUs × 2 images; bf16 where the authors had apex' fp16
"""

_base_ = [
    '../_base_/seg/linear_vit.py',
    '../_base_/seg/ade20k_640.py',
    '../_base_/seg/schedule_160k.py',
    '../_base_/seg/runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(640, 640)),
    backbone=dict(
        arch=dict(embed_dims=768, num_heads=12, feedforward_channels=3072),
        img_size=640,
        init_cfg=dict(checkpoint='subnet://vit-b@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    decode_head=dict(in_channels=[768, 768, 768, 768], channels=4 * 768),
    test_cfg=dict(crop_size=(640, 640), stride=(426, 426)),
)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(lr=3e-5),
    constructor='TrainableConstructor',
)
