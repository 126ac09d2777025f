"""Each equation and each section of the paper's App. C is found by its literal name.

Its place is the class, function or file whose docstring names it in the first line. Other places
may refer to it below their first line.
"""

import ast
import re

import pytest
from helpers import ROOT

PACKAGE = ROOT / 'poa_mm'
PLACES = {
    'Eq. 1': 'elastic/space.py head_widths',
    'Eq. 2': 'elastic/layers.py _ElasticInput.sliced',
    'Eq. 3': 'elastic/layers.py ElasticLinear',
    'Eq. 4': 'elastic/space.py active_blocks',
    'Eq. 5': 'models/losses/sinkhorn.py sinkhorn_shifts',
    'Eq. 6': 'models/losses/distillation.py cross_view_global_loss',
    'Eq. 7': 'models/losses/terms.py _elastic_sums',
    'Eq. 8': 'models/losses/distillation.py cross_view_local_loss',
    'Eq. 9': 'models/losses/terms.py _elastic_sums',
    'Eq. 10': 'models/losses/total.py',
    'Eq. 11': 'models/backbones/swin_layers.py ElasticPatchMerging',
    'Eq. 12': 'elastic/layers.py ElasticConv2d',
    'Eq. 13': 'models/losses/koleo.py koleo_loss',
    'Eq. 14': 'elastic/space.py SearchSpace.weight',
    'App. C.1': 'models/heads/projection_head.py MultiProjectionHead',
    'App. C.2': 'models/losses/koleo.py koleo_loss',
    'App. C.3': 'models/losses/terms.py patch_loss',
    'App. C.4': 'elastic/sampling.py SubnetSampler',
    'App. C.5': 'datasets/transforms.py MultiCrop',
    'App. C.6': 'models/selfsup/poa.py POA',
    'App. C.7': 'engine/parameter_groups.py LayerDecayConstructor',
}


def first_lines(node, name=''):
    """Name and first line of the docstring of a file and of all that it defines."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        yield name, (ast.get_docstring(node) or '').split('\n')[0]
    for child in ast.iter_child_nodes(node):
        inner = getattr(child, 'name', None)
        yield from first_lines(child, '.'.join(filter(None, (name, inner))) if inner else name)


FIRST_LINES = {
    f'{path.relative_to(PACKAGE).as_posix()} {name}'.strip(): line
    for path in sorted(PACKAGE.rglob('*.py'))
    for name, line in first_lines(ast.parse(path.read_text()))
}


@pytest.mark.parametrize('literal', PLACES)
def test_the_paper_is_found_by_name_in_one_place(literal):
    pattern = re.compile(rf'{re.escape(literal)}(?!\d)')
    assert [place for place, line in FIRST_LINES.items() if pattern.search(line)] == [
        PLACES[literal]
    ]
