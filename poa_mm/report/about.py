"""What was trained on what: the facts of a checkpoint, as rows of text."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poa_mm.datasets.listing import list_images
from poa_mm.evaluation.results import file_sha256
from poa_mm.files import read_file
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.report.networks import NetworkPoint
from poa_mm.report.run import RunLog
from poa_mm.report.scores import Scores
from poa_mm.selection.pick_inputs import format_amount

__all__ = ['Facts', 'cost_facts', 'evaluation_facts', 'folder_sha256', 'read_facts']

Rows = list[tuple[str, str]]  # what, and its value


@dataclass(frozen=True)
class Facts:
    """What a checkpoint says of itself.

    Args:
        sha256: Of the file.
        iteration: Iterations that it was trained for; None of a converted one.
        seed: Of the run; None if it is not known.
        config: Of the run; {} if there is none.
    """

    sha256: str
    iteration: int | None
    seed: int | None
    config: Mapping[str, Any]

    @property
    def config_sha256(self) -> str:
        """SHA-256 of the config's settings, whatever its layout."""
        text = json.dumps(self.config, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def rows(self, backbone: ElasticBackbone, points: Sequence[NetworkPoint]) -> Rows:
        """Describe network, data and training."""
        config, data = self.config, _training_data(self.config)
        optimiser = config.get('optim_wrapper', {}).get('optimizer', {})
        smallest, largest = points[0], points[-1]
        rows = {
            'method': str(config.get('model', {}).get('type', '')),
            'supernet': type(backbone).__name__,
            'sub-networks': f'{len(points)}, from {smallest.subnet} '
            f'({smallest.texts()["parameters"]} parameters) to {largest.subnet} '
            f'({largest.texts()["parameters"]})',
            'trained on': ' '.join(filter(None, (data.get('type'), _place(data)))),
            'images, SHA-256': _images_sha256(data),
            'iterations': '' if self.iteration is None else f'{self.iteration:,}',
            'images a batch': str(config.get('train_dataloader', {}).get('batch_size', '')),
            'optimiser': ' '.join(
                filter(None, (optimiser.get('type'), f'lr {optimiser.get("lr")}'))
            )
            if optimiser
            else '',
            'seed': '' if self.seed is None else str(self.seed),
            'checkpoint, SHA-256': self.sha256,
            'config, SHA-256': self.config_sha256 if config else '',
        }
        return [(what, value) for what, value in rows.items() if value]


def read_facts(checkpoint: Path, config: Mapping[str, Any]) -> Facts:
    """Read what a training checkpoint says of its run.

    Args:
        checkpoint: The file.
        config: Of its run, which whoever has opened the supernet knows already.
    """
    meta = read_file(checkpoint).get('meta') or {}
    return Facts(file_sha256(checkpoint), meta.get('iter'), meta.get('seed'), config)


def folder_sha256(folder: Path) -> str:
    """SHA-256 of the names and sizes of all images below a folder; nothing is decoded."""
    listing = list_images(str(folder))
    digest = hashlib.sha256()
    for image in listing.images:
        size = Path(listing.path(image)).stat().st_size
        digest.update(f'{image} {size}\n'.encode('utf-8', 'surrogateescape'))
    return digest.hexdigest()


def evaluation_facts(scores: Scores) -> Rows:
    """Describe how the accuracies were measured."""
    settings = ', '.join(f'{name} {value}' for name, value in scores.settings.items())
    return [
        ('measured', scores.label),
        ('on', scores.data),
        ('images, SHA-256', scores.data_sha256),
        ('settings', settings),
    ]


def cost_facts(run: RunLog) -> Rows:
    """Describe what training took; it gave all sub-networks at once."""
    rows = []
    if run.seconds is not None:
        rows.append(('time in iterations', _duration(run.seconds)))
    if run.images is not None:
        rows.append(('images read', format_amount('params', run.images).split(' param')[0]))
    if run.images is not None and run.seconds:
        rows.append(('images per second', f'{run.images / run.seconds:,.0f}'))
    if memory := run.scalars.get('memory'):
        rows.append(('memory of the GPU, at most', f'{max(mib for _, mib in memory):,.0f} MiB'))
    return rows


def _duration(seconds: float) -> str:
    """Write a time in the unit that fits it.

    Example:
        >>> _duration(42), _duration(600), _duration(9000)
        ('42 s', '10.0 min', '2.5 h')
    """
    for size, unit in ((3600, 'h'), (60, 'min')):
        if seconds >= size:
            return f'{seconds / size:.1f} {unit}'
    return f'{seconds:.0f} s'


def _training_data(config: Mapping[str, Any]) -> Mapping[str, Any]:
    data = config.get('train_dataloader', {}).get('dataset', {})
    while isinstance(data.get('dataset'), Mapping):  # one that repeats or joins others
        data = data['dataset']
    return data


def _place(data: Mapping[str, Any]) -> str:
    return str(data.get('data_root') or data.get('root') or '')


def _images_sha256(data: Mapping[str, Any]) -> str:
    """Sum up the images of a folder, if it is on this machine."""
    place = _place(data)
    if not place:
        return ''
    prefix = data.get('data_prefix')
    folder = Path(place, prefix if isinstance(prefix, str) else '').expanduser()
    return folder_sha256(folder) if folder.is_dir() else 'not here to be summed up'
