"""POA on the 60,000 training images of Fashion-MNIST, no GPU.

Paper: the method of Sec. 3 at a hundredth of its size; see ../_base_/models/poa_vit-tiny.py.
Command: python tools/train.py configs/pretrain/poa_vit-tiny_fashion-mnist.py
Hardware: two CPU cores, 10 to 20 minutes; accuracies: README.md in this folder.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/fashion_mnist.py',
    '../_base_/schedule_tiny_3500.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(backbone=dict(img_size=28, patch_size=7))
