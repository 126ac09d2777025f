"""POA with an elastic MLP-Mixer, a family that poa_mm does not have, on patches of 20 photographs.

Commands: pip install -e docs/examples
          python tools/train.py docs/examples/poa_mixer-tiny_photos.py
Hardware: two CPU cores; see docs/new_family.md.
"""

_base_ = [
    '../../configs/_base_/models/poa_vit-tiny.py',
    '../../configs/_base_/datasets/photo_patches.py',
    '../../configs/_base_/schedule_tiny.py',
    '../../configs/_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='ElasticMlpMixer',
        arch=dict(embed_dims=64, num_layers=4, tokens_mlp_dims=32, channels_mlp_dims=256),
        img_size=32,
        patch_size=8,
        widths=[32, 48, 64],
        depths=[2, 3, 4],
    )
)

multi_crop = _base_.multi_crop
multi_crop.local_size = multi_crop.global_size  # a Mixer takes one image size
train_dataloader = dict(
    dataset=dict(pipeline=[multi_crop, *_base_.train_dataloader.dataset.pipeline[1:]])
)
