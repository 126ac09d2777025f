"""ViT-B alone: DINOv2's method with the data and the schedule of POA (Table 4).

One student, the whole network, and one head of 65,536 prototypes. The paper's text does not say
which heads, drop path and batch its own runs of DINOv2 had. Drop path is 0.1, as in poa_vit-b.py;
all that is not below is as in POA.

Command: tools/dist_train.sh configs/pretrain/baselines/dinov2_vit-b.py 32
    With the four heads of POA: add
    --cfg-options 'model.head.num_prototypes=[8192,16384,32768,65536]'
Data: as poa_vit-l.py
Expected on ImageNet-1k, k-NN / linear probing: 77.4 / 78.5; cut out of POA, 80.9 / 81.7
    (the paper's figures; we have not repeated the run)
Hardware: 32 GPUs × 50 images, bf16; hours and memory: tools/pretrain_cost.py
"""

_base_ = [
    '../../_base_/models/poa_vit-b.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(widths=[768]),
    head=dict(num_prototypes=[65536]),
    elastic_student=False,
)
custom_hooks = _base_.custom_hooks
custom_hooks[-1].subnets = ['vit-b']
