"""One linear layer on the frozen features of ViT-L, ADE20K at 640 pixels.

Paper: not in it; settings of the authors' code
Command: tools/dist_train.sh configs/seg/linear_poa_vit-l_640.py 8
Hardware: 8 GPUs × 1 image, two batches a step, so 160,000 steps in 320,000 iterations; bf16 where
    the authors had apex' fp16
"""

_base_ = [
    '../_base_/seg/linear_vit.py',
    '../_base_/seg/ade20k_640.py',
    '../_base_/seg/schedule_160k.py',
    '../_base_/seg/runtime.py',
]

max_iters = 320_000
model = dict(
    backbone=dict(
        img_size=640,
        arch=dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
        out_indices=[7, 11, 15, 23],
        init_cfg=dict(checkpoint='subnet://vit-l@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=4 * 1024),
    data_preprocessor=dict(size=(640, 640)),
    test_cfg=dict(crop_size=(640, 640), stride=(426, 426)),
)
train_dataloader = dict(batch_size=1)
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(lr=2e-5),
    accumulative_counts=2,
    constructor='TrainableConstructor',
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 3000
param_scheduler[1].end = max_iters
