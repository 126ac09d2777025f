"""The demo: POA on patches of 20 photographs, no download, no GPU.

Paper: the method of Sec. 3 at a hundredth of its size; see ../_base_/models/poa_vit-tiny.py.
Command: python tools/train.py configs/pretrain/poa_vit-tiny_photos.py
Hardware: two CPU cores, one of them for the data (OMP_NUM_THREADS=1); three to five minutes.
Measured k-NN accuracies: README.md in this folder.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/photo_patches.py',
    '../_base_/schedule_tiny.py',
    '../_base_/pretrain_runtime.py',
]
