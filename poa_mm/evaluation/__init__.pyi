# What the room offers, imported when it is used.
from .accuracy import macro_accuracy, micro_accuracy
from .features import extract_features, extract_pixels, feature_loader
from .few_shot import few_shot_rows
from .knn import knn_accuracy, knn_predict
from .knn_benchmark import KnnRow, knn_rows, untrained_backbone
from .knn_evaluator import KnnEvaluator
from .knn_monitor_hook import KnnMonitorHook
from .knn_report import knn_table
from .neighbours import nearest_neighbours
from .shared_prefixes import SharedPrefixes, grid_tokens

__all__ = [
    'KnnEvaluator',
    'KnnMonitorHook',
    'KnnRow',
    'SharedPrefixes',
    'extract_features',
    'extract_pixels',
    'feature_loader',
    'few_shot_rows',
    'grid_tokens',
    'knn_accuracy',
    'knn_predict',
    'knn_rows',
    'knn_table',
    'macro_accuracy',
    'micro_accuracy',
    'nearest_neighbours',
    'untrained_backbone',
]
