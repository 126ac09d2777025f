"""POA-V1, no intact student; the teacher runs as the sub-network that trains: Table 5.

Paper: Sec. 4.4, App. D.9.
Command: tools/dist_train.sh configs/pretrain/variants/poa-v1_vit-l.py 32
Data: as poa_vit-l.py
Expected, ViT-S, ViT-B and ViT-L (the paper's figures; we have not repeated the run):
    k-NN 73.7, 78.5, 79.2; linear probing 74.5, 79.4, 80.9
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

model = dict(type='POAV1')
