"""The examples in docstrings of the public API run as written."""

import doctest
import importlib

import pytest

# In alphabetical order.
MODULES = ('poa_mm.elastic.space',)


@pytest.mark.parametrize('name', MODULES)
def test_examples_run(name):
    result = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted, f'{name} has no example: leave it out of the list'
    assert not result.failed
