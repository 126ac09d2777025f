# What the room offers, imported when it is used.
from .accuracy import macro_accuracy, micro_accuracy
from .clustering import ClusteringResult, clustering_scores, hungarian_accuracy, kmeans_scores
from .collapse_hook import CollapseHook
from .features import extract_features, extract_pixels, feature_loader
from .few_shot import few_shot_rows
from .journal import Journal
from .knn import knn_accuracy, knn_predict
from .knn_bank import Bank
from .knn_benchmark import KnnRow, knn_results, knn_rows, measured_rows, untrained_backbone
from .knn_evaluator import KnnEvaluator, KnnScores
from .knn_monitor_hook import KnnMonitorHook
from .knn_report import knn_table
from .label_free import alpha_req, lidar, rankme
from .labelled_data import LabelledData
from .linear_probe import Head, TrainedHead, head_grid, held_out_rows, probe_accuracies, train_heads
from .logistic import probe_logistic
from .measured import Measured, MeasuredSupernet, Network, Tokens, open_measured
from .neighbours import nearest_neighbours
from .network_features import FeatureReader, NetworkFeatures, SplitFeatures
from .paper import Comparison, PaperTable, compare, read_paper
from .probe_cached import LabelledFeatures, probe_features
from .probe_images import ImageProbe
from .probe_settings import ProbeResult, ProbeSettings
from .probe_sources import ProbeSources, probe_columns
from .results import Result, append_results, latest, read_results
from .robustness import drop_patches, shuffle_patches
from .shared_prefixes import SharedPrefixes, grid_tokens
from .store import FeatureStore

__all__ = [
    'Bank',
    'ClusteringResult',
    'CollapseHook',
    'Comparison',
    'FeatureReader',
    'FeatureStore',
    'Head',
    'ImageProbe',
    'Journal',
    'KnnEvaluator',
    'KnnMonitorHook',
    'KnnRow',
    'KnnScores',
    'LabelledData',
    'LabelledFeatures',
    'Measured',
    'MeasuredSupernet',
    'Network',
    'NetworkFeatures',
    'PaperTable',
    'ProbeResult',
    'ProbeSettings',
    'ProbeSources',
    'Result',
    'SharedPrefixes',
    'SplitFeatures',
    'Tokens',
    'TrainedHead',
    'alpha_req',
    'append_results',
    'clustering_scores',
    'compare',
    'drop_patches',
    'extract_features',
    'extract_pixels',
    'feature_loader',
    'few_shot_rows',
    'grid_tokens',
    'head_grid',
    'held_out_rows',
    'hungarian_accuracy',
    'kmeans_scores',
    'knn_accuracy',
    'knn_predict',
    'knn_results',
    'knn_rows',
    'knn_table',
    'latest',
    'lidar',
    'macro_accuracy',
    'measured_rows',
    'micro_accuracy',
    'nearest_neighbours',
    'open_measured',
    'probe_accuracies',
    'probe_columns',
    'probe_features',
    'probe_logistic',
    'rankme',
    'read_paper',
    'read_results',
    'shuffle_patches',
    'train_heads',
    'untrained_backbone',
]
