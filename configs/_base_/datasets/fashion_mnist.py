"""Fashion-MNIST, 28×28 grey in three equal channels: Debian's package or a download.

60,000 training and 10,000 test images, from /usr/share/datasets/fashion-mnist (`apt-get install
dataset-fashion-mnist`) or data/fashion-mnist. A ViT takes `img_size=28` and patch size 7 (16 and
4 tokens). Sized for two CPU cores. Grey needs no RGB/BGR order.
"""

multi_crop = dict(
    type='MultiCrop',
    global_size=28,
    local_size=14,
    num_local=2,
    # A smaller crop of 28 pixels no longer shows which garment it is from.
    global_scale=(0.5, 1.0),
    local_scale=(0.25, 0.6),
    # Strong: without it, accuracy fell in trials. Saturation and hue do nothing to grey.
    color_jitter=(0.8, 0.8, 0.0, 0.0),
    gray_prob=0.0,
    solarize_prob=0.0,
    blur_prob=(0.0, 0.0, 0.0),
)
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='FashionMNISTArray',
        split='train',
        pipeline=[multi_crop, dict(type='PackInputs', meta_keys=('sample_idx',))],
    ),
)

data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[72.94] * 3,  # of the training images
    std=[90.02] * 3,
    to_rgb=False,
)

knn_pipeline = [dict(type='PackInputs', meta_keys=('sample_idx',))]
knn_train_dataset = dict(
    type='FashionMNISTArray', split='train', test_mode=True, pipeline=knn_pipeline
)
knn_test_dataset = dict(
    type='FashionMNISTArray', split='test', test_mode=True, pipeline=knn_pipeline
)
