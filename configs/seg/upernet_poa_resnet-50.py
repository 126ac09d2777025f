"""UPerNet on ResNet-50, ADE20K.

Paper: not in it; settings of upernet_poa_vit-s.py without layer decay, at a rate of 1e-4
Command: tools/dist_train.sh configs/seg/upernet_poa_resnet-50.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = ['../_base_/seg/upernet_resnet.py', '../_base_/seg/ade20k_160k.py']

optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerDecayConstructor',  # here for biases and norms: no weight decay
)
