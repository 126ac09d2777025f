"""POA on any folder of images, at the size of the demo.

Command: python tools/train.py configs/pretrain/poa_vit-tiny_folder.py \
    --cfg-options train_dataloader.dataset.data_root=/my/photos
Hardware: two CPU cores; decoding large images takes longer than training.
Images need no labels; k-NN goes on measuring on the photo patches.
"""

_base_ = [
    '../_base_/models/poa_vit-tiny.py',
    '../_base_/datasets/photo_patches.py',
    '../_base_/schedule_tiny.py',
    '../_base_/pretrain_runtime.py',
]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageFolder',
        data_root='data/images',
        pipeline=[
            dict(
                type='MultiCrop',  # scales and colours of Table 6
                global_size=32,
                local_size=16,
                num_local=4,
                # 2 of 224 pixels are 0.3 of 32, a blur that leaves the pixels as they are; 2.0
                # would leave nothing of them.
                blur_sigma=(0.1, 0.5),
            ),
            dict(type='PackInputs', meta_keys=('sample_idx',)),
        ],
    )
)
