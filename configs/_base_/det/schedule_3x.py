"""36 epochs of AdamW, the rate ten times lower after 27 and 33; runtime (Table 2)."""

_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(
    imports=['poa_mm', 'poa_mm.detection.coco', 'poa_mm.detection.mmdet_modules'],
    allow_failed_imports=False,
)

max_epochs = 36
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayConstructor',  # no weight decay on biases, norms and embeddings
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR', by_epoch=True, begin=0, end=max_epochs, milestones=[27, 33], gamma=0.1
    ),
]

custom_hooks = [dict(type='PretrainedCheckHook'), dict(type='ClassCheckHook')]
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='coco/bbox_mAP', rule='greater')
)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='DetLocalVisualizer', vis_backends=vis_backends)
randomness = dict(seed=0)
