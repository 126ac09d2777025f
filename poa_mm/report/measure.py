"""k-NN accuracies on the user's own images."""

from pathlib import Path

import torch
from mmengine.config import Config

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.evaluation.knn.benchmark import measured_rows, results_of_rows
from poa_mm.evaluation.knn.evaluator import KnnEvaluator
from poa_mm.evaluation.labelled_data import LabelledData
from poa_mm.evaluation.labelled_folders import use_labelled_folders
from poa_mm.evaluation.networks.measured import MeasuredSupernet
from poa_mm.evaluation.results import Result
from poa_mm.models.backbones import ElasticBackbone

__all__ = ['knn_of_folders']


def knn_of_folders(
    backbone: ElasticBackbone,
    checkpoint: Path,
    sha256: str,
    data: Path,
    preprocessing: Preprocessing,
    device: torch.device,
    num_workers: int = 0,
) -> list[Result]:
    """Measure all sub-networks as ``tools/eval_knn.py`` does by default.

    Args:
        backbone: Elastic backbone in evaluation mode; it is moved to ``device``.
        checkpoint: File of its weights.
        sha256: Of that file.
        data: Folder with ``train`` and ``val`` in it, with a sub-folder for each class.
        preprocessing: What the networks expect of images.
        device: Where to compute.
        num_workers: Processes that read images.

    Raises:
        ValueError: No images, or other classes in one of them than in the other.
    """
    cfg = Config()
    use_labelled_folders(cfg, data / 'train', data / 'val', preprocessing)
    evaluator = KnnEvaluator.of(
        LabelledData.from_config(cfg), device=device, num_workers=num_workers
    )
    measured = MeasuredSupernet(backbone, preprocessing=preprocessing, device=device)
    rows = measured_rows(evaluator, measured)
    settings = {'dtype': 'float32', 'branch': 'teacher'}
    return list(results_of_rows(rows, evaluator, str(checkpoint), sha256, settings))
