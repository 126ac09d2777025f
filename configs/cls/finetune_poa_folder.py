"""A sub-network of any family fine-tuned on a folder of images with a sub-folder for each class.

Paper: not in it; the protocol of Sec. D.2 with the augmentation and the length of small data
Command: python tools/train.py configs/cls/finetune_poa_folder.py --cfg-options \
    train_dataloader.dataset.data_root=/my/photos \
    model.backbone.init_cfg.checkpoint=subnet://vit-s@work_dirs/poa_vit-l/iter_276800.pth
Hardware: a laptop's CPU for hundreds of images and a small sub-network, one GPU for more
Data: /my/photos/CLASS/*, of which a fifth is held out for validation (`held_out`, `split_seed`), or
    /my/photos/train/CLASS/*, val/CLASS/* and, if there is one, test/CLASS/*
Backbone: a sub-network straight from its supernet, or a file of tools/extract_subnet.py. Class and
    sizes of the backbone, size and colours of the images follow from it, the classes from the
    folders; the copy of this config in the work dir has all of them filled in.
Baseline: model.backbone.random_weights=True trains the same network from scratch
"""

_base_ = ['../_base_/cls/schedule_finetune.py', '../_base_/cls/runtime.py']

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='FromCheckpoint',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained', checkpoint='subnet://vit-s@work_dirs/poa_vit-l/iter_276800.pth'
        ),
    ),
    head=dict(type='LinearClsHead', loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.2), dict(type='CutMix', alpha=1.0)]),
)

train_pipeline = [
    dict(type='SeedByPosition'),
    dict(
        type='RandomResizedCrop',
        scale=None,  # that of pre-training, as in the pipelines of validation and test
        crop_ratio_range=(0.35, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(type='PackInputs', meta_keys=('sample_idx', 'img_path')),
]
loading = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
)
train_dataloader = dict(
    **loading,
    sampler=dict(type='EpochSampler'),
    dataset=dict(
        type='ClassFolders',
        data_root='data/images',
        held_out=0.2,
        split_seed=0,
        pipeline=train_pipeline,
    ),
)
# The same folder, and what training does not take of it, unless another data_root is given.
val_dataloader = dict(
    **loading,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ClassFolders', part='val', data_root=None, test_mode=True),
)
test_dataloader = dict(
    **loading,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ClassFolders', part='test', data_root=None, test_mode=True),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator

max_epochs = 50
lr = 1e-3
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(layer_decay=0.75))
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = max_epochs // 10
param_scheduler[1].end = max_epochs
param_scheduler[1].eta_min_ratio = 1e-6 / lr
custom_hooks = [*_base_.custom_hooks, dict(type='ImageCheckHook')]
official_settings = None
