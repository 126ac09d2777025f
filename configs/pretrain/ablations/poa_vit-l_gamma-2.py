"""γ = 2 in Eq. 14, small sub-networks are drawn more often: Table 18. POA has 3.

Command: tools/dist_train.sh configs/pretrain/ablations/poa_vit-l_gamma-2.py 32
Data: as poa_vit-l.py
Expected, ViT-S, ViT-B and ViT-L (the paper's figures; we have not repeated the run):
    k-NN 76.5, 80.7, 82.3; linear probing 77.4, 81.6, 83.6
    of POA itself, poa_vit-l.py: k-NN 76.8, 80.9, 82.3; linear probing 77.6, 81.7, 83.6
Hardware: as poa_vit-l.py
"""

_base_ = [
    '../../_base_/models/poa_vit-l.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(backbone=dict(gamma=2.0))
