"""Patches of the 20 photographs in the scikit-image and scikit-learn wheels: no download.

Pre-training takes 32×32 and 16×16 crops from 168×168 patches, about the largest that the lowest
photograph has room for, of the left 60 % of each photograph. k-NN names the photograph of 32×32
patches, 10,000 of the left 60 % and 1,000 of the rest. Labels serve k-NN alone. Sized for two CPU
cores. All images leave the pipelines as RGB.
"""

multi_crop = dict(
    type='MultiCrop',
    global_size=32,
    local_size=16,
    num_local=4,
    # 29 to 67 pixels a side become 32, 17 to 34 become 16. The scales of Table 6 would shrink whole
    # patches to 32 pixels, another content than the patches that k-NN sees.
    global_scale=(0.03, 0.16),
    local_scale=(0.01, 0.04),
    # Colour, tone and grain are what a patch shows: a network must not learn to overlook them.
    color_jitter=(0.0, 0.0, 0.0, 0.0),
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
        type='PhotoPatches',
        split='train',
        patch_size=168,
        patches_per_photo=100,
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
