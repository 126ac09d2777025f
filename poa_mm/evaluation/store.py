"""Features on disk: one file for each network and data set, for other protocols or another day."""

import json
from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from poa_mm.checkpoints.safetensors_file import SUFFIX, read_tensors, write_tensors
from poa_mm.files import replaced

__all__ = ['FeatureStore']

KEY = 'features_of'  # of the metadata
LABELS = 'labels'


class FeatureStore:
    """Files of features in a folder.

    Each says what it is of, and is refused as anything else. Files appear complete or not at all,
    so an evaluation that was killed goes on with those that are there.

    Args:
        folder: Where they are, or will be.
        about: What the features depend on beside network and data set: the file of the weights, the
            branch, how images are prepared, the precision.
        data: SHA-256 of the data sets, by split.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = FeatureStore(folder, {'source': 'abc'}, {'train': 'def'})
        ...     store.write('w384-d12', 'train', {'cls': torch.ones(2, 3)}, torch.tensor([0, 1]))
        ...     print(store.has('w384-d12', 'train', ['cls']), store.has('w384-d12', 'test'))
        True False
    """

    def __init__(
        self, folder: str | PathLike, about: Mapping[str, Any], data: Mapping[str, str]
    ) -> None:
        self.folder = Path(folder)
        self.about = json.loads(json.dumps(dict(about)))  # as it comes back from a file
        self.data = dict(data)

    def path(self, network: str, split: str) -> Path:
        """Return the file of a network's features of a split."""
        return self.folder / f'{network.replace("/", "_")}.{split}{SUFFIX}'

    def has(self, network: str, split: str, kinds: Collection[str] = ()) -> bool:
        """Tell whether features of all kinds are there.

        Raises:
            ValueError: The file is damaged, or holds features of other weights or data.
        """
        path = self.path(network, split)
        if not path.is_file():
            return False
        try:
            with safe_open(path, framework='pt') as file:
                found, there = dict(file.metadata() or {}), set(file.keys())
        except SafetensorError as error:
            raise ValueError(
                f'{path} is damaged: {error}; delete it, to have the features computed again'
            ) from error
        self._check(json.loads(found.get(KEY, '{}')), path, network, split)
        return set(kinds) <= there

    def read(self, network: str, split: str) -> tuple[dict[str, Tensor], Tensor]:
        """Read the features by kind, (N, D), and the labels (N,).

        Raises:
            FileNotFoundError: No such file.
            ValueError: As :meth:`has`.
        """
        path = self.path(network, split)
        features, metadata = read_tensors(path)
        self._check(json.loads(metadata.get(KEY, '{}')), path, network, split)
        labels = features.pop(LABELS)
        return features, labels

    def write(
        self, network: str, split: str, features: Mapping[str, Tensor], labels: Tensor
    ) -> None:
        """Write features by kind, (N, D), and labels (N,); other kinds that are there stay."""
        path, before = self.path(network, split), {}
        if path.is_file() and self.has(network, split):
            before = self.read(network, split)[0]
        metadata = {KEY: json.dumps(self._told(network, split))}
        with replaced(path) as partial:
            write_tensors({**before, **features, LABELS: labels}, metadata, partial)

    def clear(self) -> None:
        """Delete all files of features in the folder."""
        for split in self.data:
            for path in self.folder.glob(f'*.{split}{SUFFIX}'):
                path.unlink()

    def _told(self, network: str, split: str) -> dict[str, Any]:
        return {**self.about, 'network': network, 'split': split, 'data': self.data[split]}

    def _check(self, found: Mapping[str, Any], path: Path, network: str, split: str) -> None:
        told = self._told(network, split)
        differing = [key for key in told if found.get(key) != told[key]]
        if differing:
            key = differing[0]
            raise ValueError(
                f'{path} holds features of another {key} ({_short(found.get(key))}, here '
                f'{_short(told[key])}): write elsewhere, or replace them with --overwrite'
            )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f'{text[:57]}…'
