"""UPerNet on ResNet-101, ADE20K.

Paper: not in it; settings of upernet_poa_resnet-50.py
Command: tools/dist_train.sh configs/seg/upernet_poa_resnet-101.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = ['../_base_/seg/upernet_resnet.py', '../_base_/seg/ade20k_160k.py']

model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(checkpoint='subnet://resnet-101@work_dirs/poa_resnet-152/iter_692000.pth'),
    )
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerDecayConstructor',  # here for biases and norms: no weight decay
)
