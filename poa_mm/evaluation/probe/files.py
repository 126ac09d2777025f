"""Files of a linear probe: one for each network and seed, so that a run goes on after a kill."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from poa_mm.evaluation.probe.heads import Head, Regularised, TrainedHead
from poa_mm.evaluation.probe.settings import ProbeResult
from poa_mm.files import read_file, write_file

__all__ = ['ProbeFiles']


class ProbeFiles:
    """Finished networks of a run, in a folder.

    Each file says what it is of, and is refused as anything else. Files appear complete or not at
    all.

    Args:
        folder: Where they are, or will be.
        about: What results depend on beside network and seed: weights, data, settings.
        overwrite: Replace files of before, whatever they are of.
    """

    def __init__(
        self, folder: str | PathLike, about: Mapping[str, Any], overwrite: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.about = json.loads(json.dumps(dict(about)))  # as it comes back from a file
        if overwrite:
            for path in self.folder.glob('*.seed*.pth'):
                path.unlink()

    def path(self, network: str, seed: int) -> Path:
        """Return the file of a network and seed."""
        return self.folder / f'{network.replace("/", "_")}.seed{seed}.pth'

    def state(self, seed: int, rank: int = 0) -> Path:
        """Return the file of an unfinished pass over the images."""
        return self.folder / f'unfinished.seed{seed}.{rank}.pth'

    def write(
        self, network: str, seed: int, result: ProbeResult, seconds: float | None = None
    ) -> None:
        """Write the result of a network."""
        content = {
            'about': self.about,
            'heads': [asdict(head) for head in result.heads],
            'chosen_on': list(result.chosen_on),
            'test': list(result.test),
            'chosen': result.chosen,
            'weight': result.best.weight.cpu(),
            'bias': result.best.bias.cpu(),
            'seconds': seconds,
        }
        write_file(content, self.path(network, seed))

    def read(self, network: str, seed: int) -> tuple[ProbeResult, float | None] | None:
        """Read the result of a network and the seconds that it took; None if it is not finished.

        Raises:
            ValueError: The file is damaged, or of other weights, data or settings.
        """
        path = self.path(network, seed)
        if not path.is_file():
            return None
        content = read_file(path)
        self._check(content, path)
        heads = tuple((Regularised if 'c' in x else Head)(**x) for x in content['heads'])
        best = TrainedHead(heads[content['chosen']], content['weight'], content['bias'])
        result = ProbeResult(heads, tuple(content['chosen_on']), tuple(content['test']), best)
        return result, content['seconds']

    def read_about(self, path: Path) -> dict[str, Any]:
        """Read what a result is of.

        Raises:
            ValueError: The file is damaged, or another one.
        """
        return self._about_of(read_file(path), path)

    @staticmethod
    def _about_of(content: Any, path: Path) -> dict[str, Any]:
        found = content.get('about') if isinstance(content, Mapping) else None
        if not isinstance(found, Mapping):
            raise ValueError(f'{path} is no file of a linear probe: choose another --out-dir')
        return dict(found)

    def _check(self, content: Any, path: Path) -> None:
        found = self._about_of(content, path)
        differing = [key for key in self.about if found.get(key) != self.about[key]]
        if differing:
            key = differing[0]
            raise ValueError(
                f'{path} is of another {key} ({found.get(key)}, here {self.about[key]}): choose '
                'another --out-dir, or replace it with --overwrite'
            )
