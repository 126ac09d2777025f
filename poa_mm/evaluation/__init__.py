"""Evaluation on frozen features: functions on features first, glue to data sets on top."""

from poa_mm.evaluation.cost import Cost, build_on_meta, module_cost, subnet_cost
from poa_mm.evaluation.cost_profile import LatencySettings, ProfileRow, profile_rows
from poa_mm.evaluation.csv_rows import save_csv
from poa_mm.evaluation.features import extract_features, extract_pixels, feature_loader
from poa_mm.evaluation.knn import knn_accuracy, knn_predict
from poa_mm.evaluation.knn_benchmark import KnnRow, knn_rows, select_subnets, untrained_backbone
from poa_mm.evaluation.knn_evaluator import KnnEvaluator
from poa_mm.evaluation.knn_monitor_hook import KnnMonitorHook
from poa_mm.evaluation.knn_report import knn_table
from poa_mm.evaluation.latency import measure_latency, subnet_latency
from poa_mm.evaluation.pick import Candidate, Pick, pick_subnet
from poa_mm.evaluation.pick_inputs import accuracies_from_csv, profile_from_csv
from poa_mm.evaluation.supernet import open_supernet

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
    'pick_subnet',
    'profile_from_csv',
    'profile_rows',
    'save_csv',
    'select_subnets',
    'subnet_cost',
    'subnet_latency',
    'untrained_backbone',
]
