"""Linear classifier on the class token of a frozen ViT (Sec. 4.2). The sizes are ViT-S's."""

_base_ = './vit.py'

model = dict(
    type='FrozenImageClassifier',
    backbone=dict(drop_path_rate=0.0),
    head=dict(loss=dict(_delete_=True, type='CrossEntropyLoss')),
    train_cfg=None,
)
