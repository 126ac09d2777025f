"""AdamW over 100 epochs: a tenth of warm-up, then a cosine to 1e-6 at the run's end (Sec. D.2).

The rate falls from the last layer to the first, the final rate with it. What is tested is a moving
average of the weights. `official` is the run as the authors' code does it, see the configs.
"""

max_epochs = 100
lr = 1e-3
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='GuardedAmpOptimWrapper',  # float32 where there is no GPU
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    constructor='LayerDecayConstructor',  # no weight decay on biases, norms and embeddings
    paramwise_cfg=dict(layer_decay=1.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=1024)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=max_epochs // 10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-6 / lr,  # of the rate of each layer
        by_epoch=True,
        begin=max_epochs // 10,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
custom_hooks = [
    dict(type='PretrainedCheckHook'),
    dict(type='ClassifierCheckHook'),
    # With EpochSampler and SeedByPosition a resumed run goes on as if it had not stopped.
    dict(type='StepSeedHook'),
    dict(type='StepEMAHook', momentum=0.3),  # the weights' share in the average
]

official = False
official_settings = {
    'model.backbone.drop_path_rate': 0.0,
    'val_dataloader.dataset.pipeline.0.interpolation': 'bilinear',
    'test_dataloader.dataset.pipeline.0.interpolation': 'bilinear',
}
results = dict(protocol='finetune')  # of tools/test.py, for the paper's tables
