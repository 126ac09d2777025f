"""Linear classifier on the mean of the last map of a frozen Swin (Sec. 4.2).

The sizes are Swin-T's.
"""

_base_ = './swin.py'

model = dict(
    type='FrozenImageClassifier',
    backbone=dict(drop_path_rate=0.0),
    head=dict(loss=dict(_delete_=True, type='CrossEntropyLoss')),
    train_cfg=None,
)
