"""ViT-S/16 that learns from a frozen ViT-L/16 by SEED, with SEED's queue and temperatures.

The student is that of poa_vit-b.py at one size. The teacher is a run of
../../pretrain/baselines/dinov2_vit-l.py of half its length, 600 effective epochs.
"""

model = dict(
    type='SEED',
    backbone=dict(
        type='ElasticVisionTransformer',
        arch=dict(embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536),
        img_size=224,
        patch_size=16,
        drop_path_rate=0.1,
        drop_path_uniform=True,
        layer_scale_init_value=1e-5,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
    teacher=dict(
        type='FrozenTeacher',
        checkpoint='subnet://vit-l@work_dirs/dinov2_vit-l/iter_138400.pth',
    ),
    queue_size=65536,
    student_temp=0.2,
    teacher_temp=0.01,
)
