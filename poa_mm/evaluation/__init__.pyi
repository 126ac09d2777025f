# What the room offers, imported when it is used.
from .cost import Cost, build_on_meta, module_cost, params_and_flops, subnet_cost
from .cost_profile import LatencySettings, ProfileRow, profile_rows
from .csv_rows import save_csv
from .features import extract_features, extract_pixels, feature_loader
from .knn import knn_accuracy, knn_predict
from .knn_benchmark import KnnRow, knn_rows, select_subnets, untrained_backbone
from .knn_evaluator import KnnEvaluator
from .knn_monitor_hook import KnnMonitorHook
from .knn_report import knn_table
from .latency import measure_latency, subnet_latency
from .pick import Candidate, Pick, pick_subnet
from .pick_inputs import accuracies_from_csv, profile_from_csv
from .supernet import open_supernet

__all__ = [
    'Candidate',
    'Cost',
    'KnnEvaluator',
    'KnnMonitorHook',
    'KnnRow',
    'LatencySettings',
    'Pick',
    'ProfileRow',
    'accuracies_from_csv',
    'build_on_meta',
    'extract_features',
    'extract_pixels',
    'feature_loader',
    'knn_accuracy',
    'knn_predict',
    'knn_rows',
    'knn_table',
    'measure_latency',
    'module_cost',
    'open_supernet',
    'params_and_flops',
    'pick_subnet',
    'profile_from_csv',
    'profile_rows',
    'save_csv',
    'select_subnets',
    'subnet_cost',
    'subnet_latency',
    'untrained_backbone',
]
