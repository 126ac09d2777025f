"""Linear classifier on the mean of the last map of a frozen ResNet (Sec. 4.2).

The depth is ResNet-50's.
"""

_base_ = './resnet.py'

model = dict(
    type='FrozenImageClassifier',
    backbone=dict(out_indices=[3]),
    head=dict(in_channels=2048, loss=dict(_delete_=True, type='CrossEntropyLoss')),
    train_cfg=None,
)
