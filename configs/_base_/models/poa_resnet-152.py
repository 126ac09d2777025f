"""POA with a wider ResNet-152 as the intact network: 465 sub-networks from ResNet-50 up (App. A).

Elastic are the middle width of all bottlenecks and the blocks of the second and third stage.
`resnet-50`, `-101` and `-152` name sub-networks of the usual middle width, 64 in the first stage.
"""

_base_ = './poa_vit-l.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ElasticResNet',
        arch=dict(stage_blocks=(3, 8, 36, 3), mid_channels=128, out_channels=256),
        widths=[64, 96, 128],
        depths=[(3, second, third, 3) for second in range(4, 9) for third in range(6, 37)],
        gamma=2.0,
        # The authors' code weights the depth alone: weighted=['depth'].
        weighted=['width', 'depth'],
        norm_cfg=dict(type='GN', num_groups=32),  # authors' code; the paper does not say
    ),
    mask_ratio=(0.1, 0.3),
)
