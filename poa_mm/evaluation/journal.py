"""Finished parts of an evaluation, kept so that one that was killed goes on where it was."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from poa_mm.evaluation.results import append_line
from poa_mm.files import replaced

__all__ = ['Journal']


class Journal:
    """A file of lines of JSON: what is evaluated, then each part as it is finished.

    Lines are on the disk when :meth:`add` returns. What a killed run has left of a line is dropped.

    Args:
        path: The file; it is made with the first part.
        about: What all parts have in common: the file of the weights, the data, the settings.
        overwrite: Forget the parts of an earlier evaluation.

    Attributes:
        done: Finished parts by key.

    Raises:
        ValueError: The file is of another evaluation and ``overwrite`` is not set; the message says
            in what they differ.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Journal(f'{folder}/parts.jsonl', {'k': 20}).add('w384-d12', 76.8)
        ...     print(Journal(f'{folder}/parts.jsonl', {'k': 20}).done)
        {'w384-d12': 76.8}
    """

    def __init__(
        self, path: str | PathLike, about: Mapping[str, Any], overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.about = json.loads(json.dumps(dict(about)))  # as it comes back from the file
        self.done: dict[str, Any] = {}
        if overwrite:
            self.path.unlink(missing_ok=True)
        elif self.path.is_file():
            self._read()

    def add(self, key: str, part: Any) -> None:
        """Keep a finished part: plain data under a key."""
        if not self.path.is_file():
            with replaced(self.path) as partial:
                partial.write_text(json.dumps({'about': self.about}) + '\n', encoding='utf-8')
        append_line(self.path, json.dumps([key, part]))
        self.done[key] = part

    def close(self) -> None:
        """Delete the file, once the results are written elsewhere."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> None:
        first, *lines = self.path.read_text(encoding='utf-8', errors='replace').split('\n')
        try:
            about = json.loads(first)['about']
        except (ValueError, KeyError, TypeError):
            about = {}
        keys = [key for key in {**about, **self.about} if about.get(key) != self.about.get(key)]
        if keys:
            key = keys[0]
            raise ValueError(
                f'{self.path.parent} holds an unfinished evaluation with another {key} '
                f'({about.get(key)}, here {self.about.get(key)}): write elsewhere, or replace it '
                'with --overwrite'
            )
        for line in lines:
            try:
                key, part = json.loads(line)
            except ValueError:  # cut off when the run was killed, or the end of the file
                continue
            self.done[key] = part
