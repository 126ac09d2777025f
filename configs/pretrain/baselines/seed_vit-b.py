"""ViT-B that learns from a frozen ViT-L of DINOv2 by SEED (Table 4).

The paper counts teacher and student, 600 effective epochs each. Its text does not say which views,
batch and optimiser its own runs of SEED had: here two views of 224 pixels, and all that is not
SEED's own as in POA.

Command: tools/dist_train.sh configs/pretrain/baselines/seed_vit-b.py 32
    The teacher first: tools/dist_train.sh configs/pretrain/baselines/dinov2_vit-l.py 32
    --cfg-options train_cfg.max_iters=138400
    With a teacher of timm: --cfg-options model.teacher.checkpoint=None model.teacher.image_size=224
    model.teacher.timm=vit_large_patch14_dinov2.lvd142m
Data: as poa_vit-l.py
Expected on ImageNet-1k, k-NN: 78.8; from scratch by DINOv2 77.4, cut out of POA 80.9
    (the paper's figures; we have not repeated the run; the linear one of SEED is lost)
Hardware: 32 GPUs × 50 images, bf16
"""

_base_ = [
    '../../_base_/models/seed_vit-s.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_seed.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(
        arch=dict(embed_dims=768, num_heads=12, feedforward_channels=3072),
    ),
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='MultiCrop', global_size=224, num_local=0),
            dict(type='PackInputs', meta_keys=('sample_idx', 'img_path')),
        ],
    ),
)
custom_hooks = _base_.custom_hooks
custom_hooks[-1].subnets = ['vit-b']
