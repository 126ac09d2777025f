"""Model cards of exported files, as JSON for programs and as Markdown for people."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.elastic import Subnet
from poa_mm.tables import Supernet, finite_cell, subnet_rows

# By format: metadata by which the Hugging Face Hub shows and finds a model.
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
    """Model card of an exported sub-network.

    Args:
        file: Name of the exported file.
        format: Format, as ``tools/export_subnet.py --to`` calls it.
        sha256: Hash of the exported file.
        subnet: The sub-network, such as ``'w384-d12'``.
        name: Its well-known name, or ''.
        family: mmpretrain's class of the network.
        params: Number of parameters.
        flops: Multiply-accumulates for one image, as papers report them.
        parent: Checkpoint it comes from: ``file``, ``sha256``, ``branch``; {} if unknown.
        preprocessing: Size, crop and normalisation that it expects, as plain data.
        accuracy: k-NN accuracies in percent, their metric, feature and table; {} if unknown.
        outputs: Description of the network's outputs.
        snippet: Python lines that load and run it.
        build: Arguments with which the target library builds it, as plain data.
        difference: Largest difference from the sub-network's outputs when the file was checked,
            relative to the largest output.
        tolerance: Largest difference that would have been accepted.
        versions: Versions of the packages that wrote the file.
        licence: Note on the licence.
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
        """Format the card for programs."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + '\n'

    def to_markdown(self) -> str:
        """Format the card for people; for timm, with the metadata that the Hub reads."""
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


def accuracy_from_csv(path: str | Path, supernet: Supernet, subnet: Subnet) -> dict[str, Any]:
    """Read k-NN accuracies of a sub-network from a table of ``tools/eval_knn.py``.

    Args:
        path: The table.
        supernet: Elastic backbone whose sub-networks the table lists.
        subnet: Which sub-network.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of table, one of another supernet or without the sub-network,
            or an accuracy is not a finite number.
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
