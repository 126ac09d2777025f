"""The examples in docstrings of the public API run as written."""

import doctest
import importlib

import pytest

# In alphabetical order.
MODULES = (
    'poa_mm.elastic.space',
    'poa_mm.evaluation.accuracy',
    'poa_mm.evaluation.features',
    'poa_mm.evaluation.few_shot',
    'poa_mm.evaluation.knn',
    'poa_mm.evaluation.neighbours',
    'poa_mm.evaluation.shared_prefixes',
    'poa_mm.export.exporter',
    'poa_mm.export.formats',
    'poa_mm.selection.cost',
    'poa_mm.selection.latency',
    'poa_mm.selection.pick',
    'poa_mm.selection.pick_inputs',
    'poa_mm.selection.profile',
    'poa_mm.tables',
    'poa_mm.visualization.frontier',
    'poa_mm.visualization.profile',
)


@pytest.mark.parametrize('name', MODULES)
def test_examples_run(name):
    result = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted, f'{name} has no example: leave it out of the list'
    assert not result.failed
