"""Save the chosen heads of a run as classifiers of mmpretrain."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from poa_mm.checkpoints.checkpoint import read_backbone
from poa_mm.checkpoints.safetensors_file import SUFFIX
from poa_mm.evaluation.networks.measured import Measured, MeasuredSupernet, Network
from poa_mm.evaluation.probe.classifier import (
    StockNetwork,
    classifier_config,
    save_classifier,
    stock_of_state,
    stock_of_subnet,
)
from poa_mm.evaluation.probe.heads import TrainedHead
from poa_mm.evaluation.probe.report import ProbeRow
from poa_mm.export.network import image_size_argument
from poa_mm.file_kinds import kind_of_file
from poa_mm.files import BACKBONE_INFO, read_file

__all__ = ['save_classifiers', 'stock_network']

FLOAT = 4  # bytes


def save_classifiers(
    folder: str | PathLike,
    measured: Measured,
    rows: Sequence[ProbeRow],
    classes: Sequence[str],
    preprocessor: Mapping[str, Any],
    dataset: Mapping[str, Any],
    max_bytes: float,
) -> Iterator[tuple[Network, Path, Path]]:
    """Write a config and a checkpoint for each network, the most accurate ones first.

    Args:
        folder: Where to.
        measured: What was probed.
        rows: Results; the heads of the first seed are saved.
        classes: Names of the classes.
        preprocessor: Config of the data preprocessor of the evaluation.
        dataset: Config of the test images.
        max_bytes: Disk to use, at most.

    Yields:
        A network, its config and its checkpoint. What mmpretrain has no class for is left out:
        models of timm, exports, and sub-networks that cannot be extracted.
    """
    left = max_bytes
    for row in sorted(rows, key=lambda row: row.mean, reverse=True):
        head = row.first.best
        left -= FLOAT * (row.network.params + head.weight.numel())
        if left < 0:
            return
        stock = stock_network(measured, row.network, head)
        if stock is None:
            continue
        grid = _grid(measured, row.network)
        config = classifier_config(
            stock,
            head.head.source,
            classes,
            head.weight.shape[1],
            grid,
            preprocessor,
            dataset,
        )
        name = row.network.name.replace('/', '_')
        files = save_classifier(folder, name, config, stock, head.weight, head.bias, classes)
        yield row.network, *files


def stock_network(measured: Measured, network: Network, head: TrainedHead) -> StockNetwork | None:
    """Return the backbone of a network with the outputs that a head takes, if mmpretrain has it."""
    source = head.head.source
    if isinstance(measured, MeasuredSupernet):
        backbone, subnet = measured.backbone, network.subnet
        assert subnet is not None
        try:
            size = image_size_argument(backbone, subnet, measured.preprocessing.image_size)
            return stock_of_subnet(backbone, subnet, source, **size)
        except ValueError:  # the stock class cannot express it
            return None
    path = Path(measured.source)
    if path.suffix != SUFFIX and (
        not path.is_file() or kind_of_file(path) is not None or BACKBONE_INFO not in read_file(path)
    ):
        return None
    content = read_backbone(path)
    return stock_of_state(content[BACKBONE_INFO], content['state_dict'], source)


def _grid(measured: Measured, network: Network) -> tuple[int, int]:
    preprocessing = measured.preprocessing
    image = torch.zeros(1, preprocessing.channels, *preprocessing.image_size)
    return next(tokens.grid for _, tokens in measured.tokens(image, [network]))
