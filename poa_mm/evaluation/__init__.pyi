# What the room offers, imported when it is used.
from .accuracy import macro_accuracy, micro_accuracy
from .clustering import (
    ClusteringResult,
    clustering_scores,
    hungarian_accuracy,
    kmeans_scores,
)
from .features import extract_features, extract_pixels, feature_loader
from .few_shot import few_shot_rows
from .knn import knn_accuracy, knn_predict
from .knn_benchmark import KnnRow, knn_rows, untrained_backbone
from .knn_evaluator import KnnEvaluator
from .knn_monitor_hook import KnnMonitorHook
from .knn_report import knn_table
from .label_free import alpha_req, lidar, rankme
from .neighbours import nearest_neighbours
from .robustness import drop_patches, shuffle_patches
from .shared_prefixes import SharedPrefixes, grid_tokens

__all__ = [
    'ClusteringResult',
    'KnnEvaluator',
    'KnnMonitorHook',
    'KnnRow',
    'SharedPrefixes',
    'alpha_req',
    'clustering_scores',
    'drop_patches',
    'extract_features',
    'extract_pixels',
    'feature_loader',
    'few_shot_rows',
    'grid_tokens',
    'hungarian_accuracy',
    'kmeans_scores',
    'knn_accuracy',
    'knn_predict',
    'knn_rows',
    'knn_table',
    'lidar',
    'macro_accuracy',
    'micro_accuracy',
    'nearest_neighbours',
    'rankme',
    'shuffle_patches',
    'untrained_backbone',
]
