# What the room offers, imported when it is used.
from .embeddings import save_embeddings
from .networks import NetworkPoint, network_points
from .packages import check_packages
from .scores import Scores, scores_of
from .write import write_report

__all__ = [
    'NetworkPoint',
    'Scores',
    'check_packages',
    'network_points',
    'save_embeddings',
    'scores_of',
    'write_report',
]
