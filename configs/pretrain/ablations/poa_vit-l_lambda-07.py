"""λ = 0.7, the share of the intact student in Eq. 10: Table 17. POA has 0.8.

Command: tools/dist_train.sh configs/pretrain/ablations/poa_vit-l_lambda-07.py 32
Data: as poa_vit-l.py
Expected, ViT-S, ViT-B and ViT-L (the paper's figures; we have not repeated the run):
    k-NN 77.0, 80.9, 82.1; linear probing 77.9, 81.8, 83.4
    of POA itself, poa_vit-l.py: k-NN 76.8, 80.9, 82.3; linear probing 77.6, 81.7, 83.6
Hardware: as poa_vit-l.py
"""

_base_ = [
    '../../_base_/models/poa_vit-l.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(intact_weight=0.7)
