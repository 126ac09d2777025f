"""Self-supervised algorithms."""

from poa_mm.models.selfsup.block_masks import BlockMasks
from poa_mm.models.selfsup.poa import POA
from poa_mm.models.selfsup.pretraining import Pretraining
from poa_mm.models.selfsup.seed import SEED
from poa_mm.models.selfsup.self_distillation import SelfDistillation
from poa_mm.models.selfsup.variants import POAV1, POAV2, POAV3

__all__ = [
    'POA',
    'POAV1',
    'POAV2',
    'POAV3',
    'SEED',
    'BlockMasks',
    'Pretraining',
    'SelfDistillation',
]
