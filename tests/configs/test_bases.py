"""What configs build on: parts in ``_base_`` and nothing else, at most two of them deep."""

import pytest
from helpers import ROOT
from mmengine.config import Config

PARTS = ROOT / 'configs' / '_base_'
ENTRIES = [
    *sorted(path for path in (ROOT / 'configs').rglob('*.py') if PARTS not in path.parents),
    *sorted(ROOT.glob('docs/examples/poa_*.py')),
]
MOST_LEVELS = 2


def own_bases(path):
    """Files of this repository that a config names in ``_base_``."""
    names = Config._get_base_files(str(path))
    return [(path.parent / name).resolve() for name in names if '::' not in name]


def levels(path):
    return max((1 + levels(base) for base in own_bases(path)), default=0)


@pytest.mark.parametrize('path', ENTRIES, ids=lambda path: path.stem)
def test_a_config_builds_on_parts_alone(path):
    assert all(PARTS in base.parents for base in own_bases(path))
    assert 1 <= levels(path) <= MOST_LEVELS


def test_every_part_is_used():
    used, found = set(), list(ENTRIES)
    while found:
        bases = own_bases(found.pop())
        found += [base for base in bases if base not in used]
        used.update(bases)
    assert used == set(PARTS.rglob('*.py'))
