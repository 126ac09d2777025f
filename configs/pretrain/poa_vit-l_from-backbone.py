"""Go on from a ViT-L backbone alone, with fresh heads: they warm up for an epoch while it rests.

Command: tools/dist_train.sh configs/pretrain/poa_vit-l_from-backbone.py 32 \
    --cfg-options model.backbone.init_cfg.checkpoint=FILE
FILE: a checkpoint of POA, whose teacher it takes; with `model.backbone.init_cfg.prefix=backbone.` a
    classifier, or the student; with `model.backbone.init_cfg.prefix=None` a stock ViT-L
Hardware: as poa_vit-l.py
"""

_base_ = [
    '../_base_/models/poa_vit-l.py',
    '../_base_/datasets/image_folder.py',
    '../_base_/schedule_poa.py',
    '../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='backbone.pth',
            prefix='teacher.backbone.',
        )
    )
)
custom_hooks = _base_.custom_hooks
custom_hooks[0].head_warmup_epochs = 1
