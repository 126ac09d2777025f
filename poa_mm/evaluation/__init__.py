"""Evaluation on frozen features: functions on features first, glue to data sets on top."""

from poa_mm.evaluation.features import extract_features, extract_pixels, feature_loader
from poa_mm.evaluation.knn import knn_accuracy, knn_predict
from poa_mm.evaluation.knn_benchmark import KnnRow, knn_rows, select_subnets, untrained_backbone
from poa_mm.evaluation.knn_evaluator import KnnEvaluator
from poa_mm.evaluation.knn_monitor_hook import KnnMonitorHook
from poa_mm.evaluation.knn_report import knn_table, save_csv

__all__ = [
    'KnnEvaluator',
    'KnnMonitorHook',
    'KnnRow',
    'extract_features',
    'extract_pixels',
    'feature_loader',
    'knn_accuracy',
    'knn_predict',
    'knn_rows',
    'knn_table',
    'save_csv',
    'select_subnets',
    'untrained_backbone',
]
