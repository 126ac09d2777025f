"""One head, no L_ES1 (teacher to elastic student): Table 3, row 3.

Command: tools/dist_train.sh configs/pretrain/ablations/poa_vit-l_no-mph_no-es1.py 32
Data: as poa_vit-l.py
Expected, ViT-S, ViT-B and ViT-L (the paper's figures; we have not repeated the run):
    k-NN 75.1, 80.2, 82.2; linear probing 75.8, 81.0, 83.4
    of POA itself, poa_vit-l.py: k-NN 76.8, 80.9, 82.3; linear probing 77.6, 81.7, 83.6
Hardware: as poa_vit-l.py
"""

_base_ = [
    '../../_base_/models/poa_vit-l.py',
    '../../_base_/datasets/image_folder.py',
    '../../_base_/schedule_poa.py',
    '../../_base_/pretrain_runtime.py',
]

model = dict(head=dict(num_prototypes=[65536]), elastic_from_teacher=False)
