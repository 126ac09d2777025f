"""A folder of images, by default ImageNet-1k, with the multi-crop augmentation of Table 6.

Pre-training reads every image below data/imagenet/train and no labels, so any other folder does:
`--cfg-options train_dataloader.dataset.data_root=/my/photos`. k-NN takes the sub-folders of
data/imagenet/train and data/imagenet/val (one per class in both) as classes. The batch is the
paper's for ViT, 50 per GPU on 32 GPUs. All images leave the pipelines as RGB.
"""

train_dataloader = dict(
    batch_size=50,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    pin_memory=True,
    sampler=dict(type='PositionSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root='data/imagenet/train',
        pipeline=[
            dict(type='MultiCrop', global_size=224, local_size=96, num_local=8),
            dict(type='PackInputs', meta_keys=('sample_idx', 'img_path')),
        ],
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
    dict(type='torchvision/Resize', size=256, interpolation='bicubic'),
    dict(type='torchvision/CenterCrop', size=224),
    dict(type='PackInputs', meta_keys=('sample_idx', 'img_path')),
]
knn_train_dataset = dict(
    type='ImageFolder',
    data_root='data/imagenet/train',
    with_label=True,
    test_mode=True,
    pipeline=knn_pipeline,
)
knn_test_dataset = dict(
    type='ImageFolder',
    data_root='data/imagenet/val',
    with_label=True,
    test_mode=True,
    pipeline=knn_pipeline,
)
