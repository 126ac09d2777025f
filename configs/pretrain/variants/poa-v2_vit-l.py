"""POA-V2, no intact student; the intact teacher averages the sub-networks: Table 5.

Paper: Sec. 4.4, App. D.9.
Command: tools/dist_train.sh configs/pretrain/variants/poa-v2_vit-l.py 32
Data: as poa_vit-l.py
Expected, ViT-S, ViT-B and ViT-L (the paper's figures; we have not repeated the run):
    k-NN 74.3, 79.1, 80.9; linear probing 75.1, 80.0, 82.3
    of POA itself, poa_vit-l.py: k-NN 76.8, 80.9, 82.3; linear probing 77.6, 81.7, 83.6
Hardware: as poa_vit-l.py; hours and memory: tools/pretrain_cost.py
What the paper leaves open (docs/pretraining.md): the intact network is one of those that are drawn.
"""

_base_ = [
    '../../_base_/models/poa_vit-l.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(type='POAV2')
