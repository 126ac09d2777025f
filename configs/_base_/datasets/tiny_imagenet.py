"""50 classes of Tiny-ImageNet, or any other folder in its layout: photographs of 64×64 pixels.

`train/CLASS/*` and `val/CLASS/*` below data/tiny_imagenet, or below the folder that the environment
variable TINY_IMAGENET names. The original download has all images of val in one folder: move each
into a folder of the class that val_annotations.txt states. Pre-training reads train and no labels;
k-NN classifies val by train.
Global crops of 48 pixels and local ones of 24, about as large to one another as in the paper: a ViT
takes `img_size=48` and patch size 8 (36 and 9 tokens). All images leave the pipelines as RGB.
"""

import os

data_root = os.environ.get('TINY_IMAGENET', 'data/tiny_imagenet')

multi_crop = dict(
    type='MultiCrop',  # colours of Table 6
    global_size=48,
    local_size=24,
    num_local=2,
    # A smaller crop of 64 pixels no longer shows what it is from.
    global_scale=(0.5, 1.0),
    local_scale=(0.2, 0.5),
    # 2 of 224 pixels are 0.4 of 48, a blur that leaves the pixels as they are.
    blur_prob=(0.0, 0.0, 0.0),
    blur_sigma=(0.1, 0.5),
)
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root=f'{data_root}/train',
        pipeline=[multi_crop, dict(type='PackInputs', meta_keys=('sample_idx',))],
    ),
)

data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=False,  # the pipelines have done it
)

knn_pipeline = [
    dict(type='NumpyToPIL', to_rgb=True),
    dict(type='torchvision/Resize', size=(48, 48), interpolation='bicubic'),
    dict(type='PackInputs', meta_keys=('sample_idx',)),
]
knn_train_dataset = dict(
    type='ImageFolder',
    data_root=f'{data_root}/train',
    with_label=True,
    test_mode=True,
    pipeline=knn_pipeline,
)
knn_test_dataset = dict(
    type='ImageFolder',
    data_root=f'{data_root}/val',
    with_label=True,
    test_mode=True,
    pipeline=knn_pipeline,
)
