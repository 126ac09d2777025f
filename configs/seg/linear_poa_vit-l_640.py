"""One linear layer on the frozen features of ViT-L, ADE20K at 640 pixels.

Paper: not in it; settings of the authors' code
Command: tools/dist_train.sh configs/seg/linear_poa_vit-l_640.py 8
Hardware: 8 GPUs × 1 image, two batches a step, so 160,000 steps in 320,000 iterations; bf16 where
    the authors had apex' fp16
"""

_base_ = './linear_poa_vit-b_640.py'

max_iters = 320_000
model = dict(
    backbone=dict(
        arch=dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
        out_indices=[7, 11, 15, 23],
        init_cfg=dict(checkpoint='subnet://vit-l@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=4 * 1024),
)
train_dataloader = dict(batch_size=1)
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=2e-5), accumulative_counts=2)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 3000
param_scheduler[1].end = max_iters
