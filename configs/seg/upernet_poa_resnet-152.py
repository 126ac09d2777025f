"""UPerNet on ResNet-152, ADE20K.

Paper: not in it; settings of upernet_poa_resnet-50.py
Command: tools/dist_train.sh configs/seg/upernet_poa_resnet-152.py 8
Hardware: 8 GPUs × 2 images, float32
"""

_base_ = './upernet_poa_resnet-50.py'

model = dict(
    backbone=dict(
        depth=152,
        init_cfg=dict(checkpoint='subnet://resnet-152@work_dirs/poa_resnet-152/iter_692000.pth'),
    )
)
