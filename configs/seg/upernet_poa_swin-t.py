"""UPerNet on Swin-T, ADE20K.

Paper: not in it; rate, weight decay and stochastic depth of mmseg's UPerNet on Swin
Command: tools/dist_train.sh configs/seg/upernet_poa_swin-t.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = ['../_base_/seg/upernet_swin.py', '../_base_/seg/ade20k_160k.py']

optim_wrapper = dict(
    optimizer=dict(weight_decay=0.01),
    constructor='LayerDecayConstructor',  # here for biases, norms and bias tables: no weight decay
)
