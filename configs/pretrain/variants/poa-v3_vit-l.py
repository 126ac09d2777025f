"""POA-V3, POA and a second teacher, which runs as the elastic student: Table 5.

Paper: Sec. 4.4, App. D.9.
Command: tools/dist_train.sh configs/pretrain/variants/poa-v3_vit-l.py 32
Data: as poa_vit-l.py
Expected, ViT-S, ViT-B and ViT-L (the paper's figures; we have not repeated the run):
    k-NN 76.9, 81.0, 82.3; linear probing 77.8, 81.8, 83.6
    of POA itself, poa_vit-l.py: k-NN 76.8, 80.9, 82.3; linear probing 77.6, 81.7, 83.6
Hardware: as poa_vit-l.py; hours and memory: tools/pretrain_cost.py
What the paper leaves open (docs/pretraining.md): the further term counts 1 − λ, as L_ES1 and L_ES2.
"""

_base_ = [
    '../../_base_/models/poa_vit-l.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(type='POAV3')
