"""POA on any folder of images, at the size of the demo.

Command: python tools/train.py configs/pretrain/poa_vit-tiny_folder.py \
    --cfg-options train_dataloader.dataset.data_root=/my/photos
Hardware: two CPU cores; decoding large images takes longer than training.
Images need no labels; k-NN goes on measuring on the photo patches.
"""

_base_ = './poa_vit-tiny_photos.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageFolder',
        data_root='data/images',
        pipeline={{_base_.train_dataloader.dataset.pipeline}},
    )
)
