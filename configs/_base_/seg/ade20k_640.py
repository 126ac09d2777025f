"""ADE20K as in ade20k.py, at 640 pixels."""

_base_ = 'mmseg::_base_/datasets/ade20k_640x640.py'

train_dataloader = dict(batch_size=2)  # 16 on 8 GPUs
