"""Writing a sub-network for another library, with a model card beside it."""

import hashlib
import importlib.metadata
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import rich.progress
from rich.console import Console

import poa_mm
from poa_mm.elastic import Subnet
from poa_mm.engine.checkpoint import load_config
from poa_mm.evaluation.cost import subnet_cost
from poa_mm.evaluation.knn_benchmark import well_known_name
from poa_mm.export.formats import FORMATS, Format, check_targets
from poa_mm.export.job import Job
from poa_mm.export.model_card import ModelCard, accuracy_from_csv
from poa_mm.preprocessing import ImageSize, preprocessing_of

CHUNK = 2**20  # bytes


def export_subnet(
    supernet: Any,
    subnet: Subnet | str,
    path: str | PathLike,
    to: str,
    *,
    image_size: int | ImageSize | None = None,
    checkpoint: str | PathLike | None = None,
    branch: str = 'teacher',
    accuracy: str | Path | None = None,
    overwrite: bool = False,
) -> ModelCard:
    """Write a sub-network as a file of another library, and its model card as JSON and Markdown.

    The file is opened again and compared with the sub-network before it gets its name; it and the
    cards (``<path>.json``, ``<path>.md``) appear complete or not at all.

    Args:
        supernet: Elastic backbone, as :func:`poa_mm.load_supernet` gives it.
        subnet: Which sub-network.
        path: File to write; folders are made.
        to: One of ``FORMATS``.
        image_size: Height and width of the images, or side, for which the file is written. Defaults
            to that of pre-training.
        checkpoint: File that the supernet was loaded from: the card names it, and its config has
            the normalisation, which is ImageNet's where there is none.
        branch: Which network of the checkpoint it is, for the card.
        accuracy: Table of ``tools/eval_knn.py``, for the card.
        overwrite: Replace existing files.

    Returns:
        The card.

    Raises:
        FileExistsError: A file exists and ``overwrite`` is not set.
        FileNotFoundError: No such checkpoint or table of accuracies.
        ModuleNotFoundError: The format needs packages that are not installed.
        ValueError: Unknown sub-network or format, a name with another suffix, a network that the
            format cannot express, or a file that would compute something else.
    """
    path = Path(path)
    targets = check_targets(path, to, overwrite)
    chosen = FORMATS[to]
    member: Subnet = supernet.space.resolve(subnet)
    config = load_config(checkpoint) if checkpoint else {}
    preprocessing = preprocessing_of(supernet, config, image_size)
    cost = subnet_cost(supernet, member, preprocessing.image_size)
    about = {
        'subnet': str(member),
        'name': well_known_name(supernet.space, member),
        'family': supernet.subnet_cfg(member)['type'].split('.')[-1],
        'params': cost.params,
        'flops': cost.flops,
        'preprocessing': preprocessing.as_dict(),
        'accuracy': accuracy_from_csv(accuracy, supernet, member) if accuracy else {},
        'parent': _parent(checkpoint, branch) if checkpoint else {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{path.name}.', dir=path.parent) as folder:
        parts = [Path(folder) / target.name for target in targets]
        with Console(stderr=True).status(f'writing {path.name} and comparing it'):
            written = chosen.write(Job(supernet, member, preprocessing, about), parts[0])
        card = ModelCard(
            file=path.name,
            format=to,
            sha256=_sha256(parts[0]),
            versions=_versions(chosen),
            **about,
            **vars(written),
        )
        parts[1].write_text(card.to_json(), encoding='utf-8')
        parts[2].write_text(card.to_markdown(), encoding='utf-8')
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    return card


def _parent(checkpoint: str | PathLike, branch: str) -> dict[str, str]:
    return {'file': Path(checkpoint).name, 'sha256': _sha256(checkpoint), 'branch': branch}


def _sha256(path: str | PathLike) -> str:
    """Hash of a file, which can be as large as a disk allows."""
    console = Console(stderr=True)
    with rich.progress.open(
        path,
        'rb',
        description='hashing',
        console=console,
        transient=True,
        disable=not console.is_terminal,  # it would leave an empty line in a log
    ) as file:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _versions(chosen: Format) -> dict[str, str]:
    names = ('torch', *chosen.packages)
    return {'poa_mm': poa_mm.__version__} | {
        name: importlib.metadata.version(name) for name in names
    }
