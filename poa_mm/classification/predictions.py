"""Classify image files in batches, and write what was predicted."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader, Dataset

from poa_mm.classification.open_classifier import Classifier
from poa_mm.datasets.images import UnreadableImageError, add_image, middle_of, read_image
from poa_mm.datasets.notes import FileNotes
from poa_mm.errors import printable
from poa_mm.files import replaced

DIGITS = 4  # of scores in files


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of an image.

    Attributes:
        path: The image.
        classes: The most probable classes, best first; empty if the file cannot be read.
        scores: Their scores, as many: probabilities, for a classifier of one class an image.
        unreadable: Why the file cannot be read; empty if it can.
    """

    path: str
    classes: Sequence[str]
    scores: Sequence[float]
    unreadable: str = ''


def predict(
    classifier: Classifier,
    paths: Sequence[str],
    top_k: int = 5,
    batch_size: int = 32,
    num_workers: int = 0,
) -> Iterator[Prediction]:
    """Classify image files, in their order.

    Args:
        classifier: Of :func:`~poa_mm.classification.open_classifier.open_classifier`.
        paths: The images.
        top_k: Classes to tell of each; all, if there are fewer.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.

    Yields:
        A prediction for each path; of a file that cannot be read, the reason.
    """
    images = _Images(paths, classifier.pipeline)
    loader: DataLoader = DataLoader(
        images, batch_size, num_workers=num_workers, collate_fn=list, worker_init_fn=_one_thread
    )
    done = 0
    for items in loader:
        readable = [sample for sample, _ in items if sample is not None]
        found = iter(_classify(classifier, readable, top_k))
        for _, reason in items:
            path, done = paths[done], done + 1
            yield Prediction(path, (), (), reason) if reason else Prediction(path, *next(found))


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


def _classify(
    classifier: Classifier, samples: Sequence[dict], top_k: int
) -> Iterator[tuple[list[str], list[float]]]:
    if not samples:
        return
    with torch.inference_mode():
        results = classifier.model.test_step(default_collate(samples))
    for result in results:
        scores = result.pred_score.float()
        best = scores.topk(min(top_k, len(scores)))
        yield [classifier.classes[i] for i in best.indices.tolist()], best.values.tolist()


class _Images(Dataset):
    """Samples of a pipeline; in place of one that cannot be read, the reason."""

    def __init__(self, paths: Sequence[str], pipeline: Callable[[dict], Any]) -> None:
        self.paths = paths
        self.pipeline = pipeline
        self.notes = FileNotes()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Any, str]:
        path = self.paths[row]
        try:
            image = middle_of(read_image(path, self.notes), path, self.notes)
        except UnreadableImageError as error:
            return None, str(error)
        results: dict[str, Any] = {'img_path': path, 'sample_idx': row}
        return self.pipeline(add_image(results, image)), ''


def write_predictions(predictions: Sequence[Prediction], path: str | PathLike) -> None:
    """Write predictions as a table (``.csv``) or as a list (``.json``).

    A row of the table has the path and, best first, ``class_1, score_1, class_2 …``; an entry of
    the list ``path`` and ``predictions``, each a ``class`` with its ``score``. A file that cannot
    be read has the reason as ``unreadable`` instead.

    Args:
        predictions: What to write.
        path: The file, which appears complete or not at all.
    """
    with replaced(path) as partial:
        if Path(path).suffix == '.json':
            entries = json.dumps([_entry(p) for p in predictions], indent=1, ensure_ascii=False)
            partial.write_text(f'{entries}\n', encoding='utf-8')
            return
        most = max((len(p.classes) for p in predictions), default=0)
        ranks = [f'{what}_{k}' for k in range(1, most + 1) for what in ('class', 'score')]
        with partial.open('w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, ['path', *ranks, 'unreadable'])
            writer.writeheader()
            writer.writerows(map(_row, predictions))


def _row(prediction: Prediction) -> dict[str, Any]:
    cells: dict[str, Any] = {'path': printable(prediction.path)}
    for rank, (name, score) in enumerate(
        zip(prediction.classes, prediction.scores, strict=True), 1
    ):
        cells |= {f'class_{rank}': name, f'score_{rank}': round(score, DIGITS)}
    return {**cells, 'unreadable': prediction.unreadable}


def _entry(prediction: Prediction) -> Mapping[str, Any]:
    path = printable(prediction.path)
    if prediction.unreadable:
        return {'path': path, 'unreadable': prediction.unreadable}
    found = [
        {'class': name, 'score': round(score, DIGITS)}
        for name, score in zip(prediction.classes, prediction.scores, strict=True)
    ]
    return {'path': path, 'predictions': found}
