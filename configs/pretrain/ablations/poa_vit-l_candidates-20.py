"""20 candidates, 4 widths × 5 depths, at intervals of 192 / 3: Table 19. POA has 143.

Command: tools/dist_train.sh configs/pretrain/ablations/poa_vit-l_candidates-20.py 32
Data: as poa_vit-l.py
Expected, ViT-S, ViT-B and ViT-L (the paper's figures; we have not repeated the run):
    k-NN 77.7, 80.8, 82.4
    of POA itself, poa_vit-l.py: k-NN 76.8, 80.9, 82.3
Hardware: as poa_vit-l.py
The widths end at 960: ViT-L is the intact student alone.
"""

_base_ = [
    '../../_base_/models/poa_vit-l.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(
    backbone=dict(widths=list(range(384, 1025, 192)), depths=list(range(12, 25, 3))),
)
