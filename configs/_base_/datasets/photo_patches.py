"""32×32 patches of the 20 photographs in the scikit-image and scikit-learn wheels: no download.

10,000 training patches (500 a photograph) from the left 60 % of each photograph, 1,000 test
patches from the rest. Sized for two CPU cores and a ViT with patch size 4 (64 and 16 tokens).
All images leave the pipelines as RGB.
"""

multi_crop = dict(
    type='MultiCrop',
    global_size=32,
    local_size=16,
    num_local=4,
    # 2 of 224 pixels are 0.3 of 32, a blur that leaves the pixels as they are; 2.0 would leave
    # nothing of them.
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
        type='PhotoPatches',
        split='train',
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
    dict(type='PackInputs', meta_keys=('sample_idx',)),
]
knn_train_dataset = dict(type='PhotoPatches', split='train', test_mode=True, pipeline=knn_pipeline)
knn_test_dataset = dict(
    type='PhotoPatches', split='test', patches_per_photo=50, test_mode=True, pipeline=knn_pipeline
)
