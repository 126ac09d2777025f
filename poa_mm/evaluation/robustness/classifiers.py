"""Classifiers of networks' features, made of clean images: k-NN, or heads of a linear probe."""

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poa_mm.evaluation.knn.votes import TEMPERATURE, knn_predict
from poa_mm.evaluation.labelled_data import LabelledData
from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.networks.measured import Measured, Network, Tokens
from poa_mm.evaluation.probe.files import ProbeFiles
from poa_mm.evaluation.probe.heads import TrainedHead
from poa_mm.evaluation.probe.sources import probe_columns

__all__ = ['HEADS', 'Classifier', 'head_classifiers', 'knn_classifiers', 'knn_of_bank']

Classifier = Callable[[Tokens], Tensor]  # from tokens of B images to classes (B,)
HEADS = 'heads'  # folder of a linear probe's heads, in its folder of results


def knn_classifiers(
    reader: FeatureReader,
    measured: Measured,
    k: int = 20,
    temperature: float = TEMPERATURE,
    keep: bool = True,
) -> dict[str, Classifier]:
    """Return a k-NN classifier for each network, on features of the clean training images.

    They stay in memory: N · D numbers for each network.

    Args:
        reader: Reads features.
        measured: Networks.
        k: Number of neighbours.
        temperature: Of their votes.
        keep: Whether the reader's store, if there is one, is for these networks.
    """

    def classifier(features: Tensor, labels: Tensor) -> Classifier:
        classify = knn_of_bank(features, labels, measured.device, k, temperature)
        return lambda tokens: classify(tokens.cls.float())

    found = {}
    for one in reader.read(measured, keep=keep):
        train = one.train.gathered()
        found[one.network.name] = classifier(train.features['cls'].float(), train.labels)
    return found


def knn_of_bank(
    features: Tensor,
    labels: Tensor,
    device: torch.device,
    k: int = 20,
    temperature: float = TEMPERATURE,
) -> Callable[[Tensor], Tensor]:
    """Return a k-NN classifier, from features (B, D) to classes (B,).

    Args:
        features: Of the clean training images, (N, D).
        labels: Their classes, (N,).
        device: Where to compute.
        k: Number of neighbours.
        temperature: Of their votes.
    """
    bank, classes = features.to(device), labels.to(device)
    return lambda queries: knn_predict(bank, classes, queries.to(device), [k], temperature)[k]


def head_classifiers(
    folder: str | PathLike, measured: Measured, data: LabelledData
) -> dict[str, Classifier]:
    """Return the chosen head of each network, as a linear probe has trained it.

    Of several seeds it is the head of the smallest one.

    Args:
        folder: Of the results of ``tools/eval_linear.py``.
        measured: Networks.
        data: Its training images must be those of the probe.

    Raises:
        FileNotFoundError: There is no folder of heads, or no head of a network.
        ValueError: A head of other weights, precision, training images or classes, or a damaged
            file.
    """
    heads = Path(folder) / HEADS
    if not heads.is_dir():
        raise FileNotFoundError(f'{folder} holds no {HEADS}/: give the --out-dir of eval_linear.py')
    files = ProbeFiles(heads, {})
    classes = len(data.train.metainfo['classes'])
    found: dict[str, Classifier] = {}
    for network in measured.networks:
        seed = _first_seed(files, network)
        path = files.path(network.name, seed)
        about = files.read_about(path)
        _check(path, about, measured, data)
        result = files.read(network.name, seed)
        assert result is not None  # the file is there
        head = result[0].best
        if len(head.bias) != classes:
            raise ValueError(f'{path} knows {len(head.bias)} classes, the images have {classes}')
        found[network.name] = _of_head(head, measured)
    return found


def _first_seed(files: ProbeFiles, network: Network) -> int:
    start = files.path(network.name, 0).name.removesuffix('0.pth')
    pattern = re.compile(re.escape(start) + r'(\d+)\.pth')
    matches = [pattern.fullmatch(path.name) for path in files.folder.iterdir()]
    seeds = [int(match[1]) for match in matches if match]
    if not seeds:
        raise FileNotFoundError(
            f'{files.folder} holds no head of {network.name}: choose probed --subnets'
        )
    return min(seeds)


def _check(path: Path, about: dict[str, Any], measured: Measured, data: LabelledData) -> None:
    """Check that a head is of these weights, and was trained on these images."""
    preparation = about.get('preparation of images') or {}
    pairs: dict[str, tuple[Any, Any]] = {
        'checkpoint': (about.get('checkpoint'), measured.source_sha256),
        'branch': (about.get('branch'), measured.branch),
        'precision': (about.get('precision'), str(measured.dtype).removeprefix('torch.')),
        'set of training images': (
            str(about.get('data set', '')).split(' ')[0],
            data.sha256['train'],
        ),
        **{
            f'preparation of images ({part})': (preparation.get(part), data.settings.get(part))
            for part in ('train', 'preprocessor')
        },
    }
    for what, (of_head, here) in pairs.items():
        if of_head != here:
            raise ValueError(f'{path} is a head of another {what}: {of_head}, here {here}')


def _of_head(head: TrainedHead, measured: Measured) -> Classifier:
    weight, bias = head.weight.to(measured.device), head.bias.to(measured.device)
    there = TrainedHead(head.head, weight, bias)

    def classify(tokens: Tokens) -> Tensor:
        features, sources = probe_columns(tokens.cls, tokens.patches, tokens.levels)
        return there.predict(features[:, sources.columns[head.head.source]])

    return classify
