"""What a user of an exported file wants to know about it, as JSON for programs and as Markdown."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.elastic import Subnet
from poa_mm.tables import finite_cell, subnet_rows

# By format: the Hub shows and finds a model by these lines.
FRONT_MATTER = {
    'timm': """\
---
library_name: timm
pipeline_tag: image-feature-extraction
license: other
tags:
- image-feature-extraction
- timm
---
"""
}
LICENCE = (
    "The weights derive from the parent checkpoint's and come under its licence and the terms of "
    'the images that it was trained on. The code of poa_mm, which wrote this file, is under '
    'Apache-2.0.'
)


@dataclass(frozen=True)
class ModelCard:
    """Card of one exported sub-network.

    Args:
        file: Name of the exported file.
        format: Kind of file, as ``tools/export_subnet.py --to`` calls it.
        sha256: Hash of the exported file.
        subnet: The sub-network, such as ``'w384-d12'``.
        name: Its well-known name, or ''.
        family: mmpretrain's class of the network.
        params: Number of parameters.
        flops: Multiply-accumulates for one image, as papers report them.
        parent: Checkpoint it comes from: ``file``, ``sha256``, ``branch``; {} if unknown.
        preprocessing: What it expects of images.
        accuracy: k-NN accuracies in percent and what they are of; {} if unknown.
        outputs: What the network gives, in words.
        snippet: Python lines that load and run it.
        build: How the target library builds it, as plain data.
        difference: Largest difference from the sub-network's outputs when the file was checked,
            relative to the largest of them.
        tolerance: The largest one that would have been accepted.
        versions: Of the packages that wrote the file.
        licence: What may be done with it.
    """

    file: str
    format: str
    sha256: str
    subnet: str
    name: str
    family: str
    params: int
    flops: int
    parent: Mapping[str, str]
    preprocessing: Mapping[str, Any]
    accuracy: Mapping[str, Any]
    outputs: str
    snippet: str
    build: Mapping[str, Any]
    difference: float
    tolerance: float
    versions: Mapping[str, str]
    licence: str = LICENCE

    def to_json(self) -> str:
        """The card for programs."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + '\n'

    def to_markdown(self) -> str:
        """The card for people; in a folder for timm, with what the Hub reads from it."""
        title = f'{self.name} ({self.subnet})' if self.name else self.subnet
        rows = '\n'.join(f'| {name} | {value} |' for name, value in self._rows())
        return (
            f'{FRONT_MATTER.get(self.format, "")}# {title}: {self.family} for {self.format}\n\n'
            f'A sub-network of a supernet that was pre-trained with POA, without a classifier.\n\n'
            f'| | |\n|---|---|\n{rows}\n\n'
            f'```python\n{self.snippet}\n```\n\n'
            f'{self.licence}\n'
        )

    def _rows(self) -> list[tuple[str, str]]:
        size = ' × '.join(map(str, self.preprocessing['image_size']))
        versions = ', '.join(f'{name} {version}' for name, version in self.versions.items())
        rows = [
            ('file', f'`{self.file}`, SHA-256 `{self.sha256}`'),
            ('parameters', _rounded(self.params)),
            ('FLOPs', f'{_rounded(self.flops)} multiply-accumulates at {size} pixels'),
            ('images', str(Preprocessing.from_dict(self.preprocessing))),
            ('outputs', self.outputs),
            ('checked', self._checked()),
            ('written with', versions),
        ]
        if self.parent:
            parent = '`{file}` ({branch}), SHA-256 `{sha256}`'.format(**self.parent)
            rows.insert(1, ('parent checkpoint', parent))
        if self.accuracy:
            rows.insert(-1, ('accuracy', self._accuracy()))
        return rows

    def _checked(self) -> str:
        if self.tolerance == 0:
            return 'every weight, bit by bit, against the sub-network in the checkpoint'
        return (
            f"outputs differ from the sub-network's by at most {self.difference:.1e} of the "
            f'largest one (limit {self.tolerance:.0e})'
        )

    def _accuracy(self) -> str:
        ks = ', '.join(f'k = {k}: {value} %' for k, value in self.accuracy['k'].items())
        return f'k-NN, feature `{self.accuracy["feature"]}`, from `{self.accuracy["file"]}`: {ks}'


def _rounded(number: int) -> str:
    return f'{number / 1e9:.2f} G' if number >= 1e9 else f'{number / 1e6:.2f} M'


def accuracy_from_csv(path: str | Path, supernet: Any, subnet: Subnet) -> dict[str, Any]:
    """k-NN accuracies of a sub-network from the table that ``tools/eval_knn.py`` writes.

    Args:
        path: The table.
        supernet: Elastic backbone that it is of.
        subnet: Which sub-network.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a table, one of another supernet or without the sub-network, or an
            accuracy that is no finite number.
    """
    rows = subnet_rows(path, ['feature'], supernet)
    if subnet not in rows:
        raise ValueError(f'{path} has no row for {subnet}; it has {_listed(rows)}')
    row = rows[subnet]
    columns = [name for name in row if re.fullmatch(r'k\d+', name)]
    if not columns:
        raise ValueError(f'{path} has no columns k10, k20, …; tools/eval_knn.py writes them')
    return {
        'metric': 'k-NN top-1 (%)',
        'feature': row['feature'],
        'k': {column[1:]: finite_cell(path, row, column) for column in columns},
        'file': Path(path).name,
    }


def _listed(subnets: Collection[Subnet]) -> str:
    names = [str(subnet) for subnet in subnets]
    return ', '.join(names[:5]) + (', …' if len(names) > 5 else '')
