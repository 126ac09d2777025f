r"""One linear layer on the frozen features of ViT-S, ADE20K at 512 pixels.

Paper: not in it (Table 2 has ViT-B's); settings of the authors' code
Command: tools/dist_train.sh configs/seg/linear_poa_vit-s.py 8
Sweep: torchrun --nproc_per_node 8 tools/seg_linear_sweep.py configs/seg/linear_poa_vit-s.py \
    --lr 3e-5 1e-4 7e-4 --launcher pytorch
Hardware: 8 GPUs × 2 images; bf16 where the authors had apex' fp16
"""

_base_ = ['../_base_/seg/linear_vit.py', '../_base_/seg/ade20k_160k.py']

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(lr=3e-5),
    constructor='TrainableConstructor',
)
