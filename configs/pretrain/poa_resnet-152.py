"""POA for ResNet: one run, 465 models from ResNet-50 to a wider ResNet-152 (Tables 1 and 15).

Command: tools/dist_train.sh configs/pretrain/poa_resnet-152.py 32
Data: any folder of images, by default data/imagenet/train; see ../_base_/datasets/image_folder.py
Expected on ImageNet-1k, k-NN / linear probing: ResNet-50 73.4 / 76.9, ResNet-101 75.7 / 79.1,
    ResNet-152 76.4 / 79.9 (the paper's figures; we have not repeated the run)
Hardware: 32 GPUs × 40 images, bf16
What differs from poa_vit-l.py: batch 1280, 692 epochs of 1000 iterations, a warm-up of 30 epochs
    and a layer decay of 0.95 (authors' config; the paper has 10 and 0.9), masks of 10 to 30 %, γ 2,
    no drop path
"""

_base_ = [
    '../_base_/models/poa_resnet-152.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa_resnet-152.py',
    '../_base_/pretrain_runtime.py',
]

train_dataloader = dict(batch_size=40)
