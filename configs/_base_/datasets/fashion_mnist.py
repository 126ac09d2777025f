"""Fashion-MNIST, 28×28 grey in three equal channels: Debian's package or a download.

60,000 training and 10,000 test images, from /usr/share/datasets/fashion-mnist (`apt-get install
dataset-fashion-mnist`) or data/fashion-mnist. A ViT takes `img_size=28` and patch size 4 (49 and
16 tokens). Sized for two CPU cores. Grey needs no RGB/BGR order.
"""

multi_crop = dict(
    type='MultiCrop',
    global_size=28,
    local_size=16,
    num_local=4,
    color_jitter=(0.4, 0.4, 0.0, 0.0),  # saturation and hue do nothing to grey
    blur_sigma=(0.1, 0.5),
)
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='FashionMNISTArray',
        split='train',
        pipeline=[multi_crop, dict(type='PackInputs', meta_keys=('sample_idx',))],
    ),
)

data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=False,
)

knn_pipeline = [dict(type='PackInputs', meta_keys=('sample_idx',))]
knn_train_dataset = dict(
    type='FashionMNISTArray', split='train', test_mode=True, pipeline=knn_pipeline
)
knn_test_dataset = dict(
    type='FashionMNISTArray', split='test', test_mode=True, pipeline=knn_pipeline
)
