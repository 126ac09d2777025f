"""UPerNet on ViT-S, ADE20K.

Paper: Table 2, Seg.; expected mIoU 46.7 (the paper's figure; we have not repeated the run)
Command: tools/dist_train.sh configs/seg/upernet_poa_vit-s.py 8
Hardware: 8 GPUs × 2 images, float32
Backbone: a sub-network straight from its supernet, or a file of tools/extract_subnet.py; see
    model.backbone.init_cfg.checkpoint in ../_base_/seg/upernet_vit.py
"""

_base_ = ['../_base_/seg/upernet_vit.py', '../_base_/seg/ade20k_160k.py']

optim_wrapper = dict(
    constructor='LayerDecayConstructor',
    paramwise_cfg=dict(layer_decay=0.8),
)
