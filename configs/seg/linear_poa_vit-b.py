r"""One linear layer on the frozen features of ViT-B, ADE20K at 512 pixels.

Paper: Table 2, Seg.†; expected mIoU 40.3 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/seg/linear_poa_vit-b.py 8
Sweep: torchrun --nproc_per_node 8 tools/seg_linear_sweep.py configs/seg/linear_poa_vit-b.py \
    --lr 1e-4 3e-4 7e-4 2e-3 --launcher pytorch
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = ['../_base_/seg/linear_vit.py', '../_base_/seg/ade20k_160k.py']

model = dict(
    backbone=dict(
        arch=dict(embed_dims=768, num_heads=12, feedforward_channels=3072),
        init_cfg=dict(checkpoint='subnet://vit-b@work_dirs/poa_vit-l/iter_276800.pth'),
    ),
    decode_head=dict(in_channels=[768, 768, 768, 768], channels=4 * 768),
)
optim_wrapper = dict(optimizer=dict(lr=7e-4), constructor='TrainableConstructor')
