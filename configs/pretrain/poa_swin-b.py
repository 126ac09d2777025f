"""POA for Swin: one run, 39 models from Swin-T to Swin-B (Sec. 4.1; Tables 1 and 14).

Command: tools/dist_train.sh configs/pretrain/poa_swin-b.py 32
Data: any folder of images, by default data/imagenet/train; see ../_base_/datasets/image_folder.py
Expected on ImageNet-1k, k-NN / linear probing: Swin-T 77.5 / 78.9, Swin-S 79.3 / 81.3, Swin-B
    79.6 / 82.0 (the paper's figures; we have not repeated the run)
Hardware: 32 GPUs × 64 images, bf16
What differs from poa_vit-l.py: batch 2048, 346 epochs of 625 iterations, a warm-up of 30 epochs
    (authors' config), masks of 10 to 30 %, γ 2
"""

_base_ = [
    '../_base_/models/poa_swin-b.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa_swin-b.py',
    '../_base_/pretrain_runtime.py',
]

train_dataloader = dict(batch_size=64)
