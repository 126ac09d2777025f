"""Evaluation on frozen features: functions on features first, glue to data sets on top."""

from poa_mm.evaluation.cost import Cost, build_on_meta, module_cost, subnet_cost
from poa_mm.evaluation.csv_rows import save_csv
from poa_mm.evaluation.features import extract_features, extract_pixels, feature_loader
from poa_mm.evaluation.knn import knn_accuracy, knn_predict
from poa_mm.evaluation.knn_benchmark import KnnRow, knn_rows, select_subnets, untrained_backbone
from poa_mm.evaluation.knn_evaluator import KnnEvaluator
from poa_mm.evaluation.knn_monitor_hook import KnnMonitorHook
from poa_mm.evaluation.knn_report import knn_table

__all__ = [
    'Cost',
    'KnnEvaluator',
    'KnnMonitorHook',
    'KnnRow',
    'build_on_meta',
    'extract_features',
    'extract_pixels',
    'feature_loader',
    'knn_accuracy',
    'knn_predict',
    'knn_rows',
    'knn_table',
    'module_cost',
    'save_csv',
    'select_subnets',
    'subnet_cost',
    'untrained_backbone',
]
