"""POA for ViT: one run, 143 models from ViT-S to ViT-L (Sec. 4.1; Tables 1, 13 and 20).

Command: tools/dist_train.sh configs/pretrain/poa_vit-l.py 32
    On four nodes, with NODE_RANK and MASTER_ADDR set. Any other number of GPUs: add
    --auto-scale-lr, and `optim_wrapper.accumulative_counts=2` on half as many.
Data: any folder of images, by default data/imagenet/train; see ../_base_/datasets/image_folder.py
Expected on ImageNet-1k, k-NN / linear probing: ViT-S 76.8 / 77.6, ViT-B 80.9 / 81.7, ViT-L
    82.3 / 83.6 (the paper's figures; we have not repeated the run)
Hardware: 32 GPUs × 50 images, bf16. The paper reports 77 GB a GPU and 2752 hours of an A100, so
    86 hours. What this code takes for a step: benchmarks/README.md
"""

_base_ = [
    '../_base_/models/poa_vit-l.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa.py',
    '../_base_/pretrain_runtime.py',
]
