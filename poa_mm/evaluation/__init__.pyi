# What the room offers, imported when it is used.
from .accuracy import macro_accuracy, micro_accuracy
from .baselines import pixel_features, untrained_backbone
from .clustering import ClusteringResult, clustering_scores, hungarian_accuracy, kmeans_scores
from .features import extract_features, extract_pixels, feature_loader
from .journal import Journal
from .knn.bank import Bank
from .knn.benchmark import KnnRow, knn_results, knn_rows, measured_rows
from .knn.evaluator import KnnEvaluator, KnnScores
from .knn.few_shot import few_shot_rows
from .knn.monitor_hook import KnnMonitorHook
from .knn.neighbours import nearest_neighbours
from .knn.report import knn_table
from .knn.votes import knn_accuracy, knn_predict
from .label_free.collapse_hook import CollapseHook
from .label_free.measures import alpha_req, lidar, rankme
from .labelled_data import LabelledData
from .network_features import FeatureReader, NetworkFeatures, SplitFeatures
from .networks.measured import Measured, MeasuredSupernet, Network, Tokens, open_measured
from .networks.shared_prefixes import SharedPrefixes, grid_tokens
from .paper import Comparison, PaperTable, compare, read_paper
from .probe.cached import LabelledFeatures, probe_features
from .probe.images import ImageProbe
from .probe.linear import Head, TrainedHead, head_grid, held_out_rows, probe_accuracies, train_heads
from .probe.logistic import probe_logistic
from .probe.settings import ProbeResult, ProbeSettings
from .probe.sources import ProbeSources, probe_columns
from .results import Result, append_results, latest, read_results
from .robustness.changes import drop_patches, shuffle_patches
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
    'pixel_features',
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
