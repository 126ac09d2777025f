"""ViT-L alone: DINOv2's method with the data and the schedule of POA (Tables 1c and 20).

One student, the whole network, and one head of 65,536 prototypes. The paper's text does not say
which heads, drop path and batch its own runs of DINOv2 had. Drop path is 0.2, as in poa_vit-l.py;
all that is not below is as in POA.

Command: tools/dist_train.sh configs/pretrain/baselines/dinov2_vit-l.py 32
    With the four heads of POA: add
    --cfg-options 'model.head.num_prototypes=[8192,16384,32768,65536]'
Data: as poa_vit-l.py
Expected on ImageNet-1k, k-NN / linear probing: 82.0 / 83.3; cut out of POA, 82.3 / 83.6
    (the paper's figures; we have not repeated the run)
Hardware: 32 GPUs × 50 images, bf16; hours and memory: tools/pretrain_cost.py
"""

_base_ = [
    '../../_base_/models/poa_vit-l.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(widths=[1024], depths=[24]),
    head=dict(num_prototypes=[65536]),
    elastic_student=False,
)
custom_hooks = _base_.custom_hooks
custom_hooks[-1].subnets = ['vit-l']
