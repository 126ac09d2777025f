"""Puts tests/ on the path, so that any test imports from ``helpers``; keeps tests apart.

mmengine keeps the library whose runner was built last as the default scope of the whole process:
from then on names mean its classes. Tests and modules leave the scope as they found it.
"""

import pytest
from mmengine.registry import DefaultScope


def pytest_collection_modifyitems(items):
    """Run files with slow tests first: no process is left with a long one when others are done."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True, scope='module')
def _scope_of_the_module():
    yield from _scope_restored()


@pytest.fixture(autouse=True)
def _scope_of_the_test(_scope_of_the_module):
    yield from _scope_restored()


def _scope_restored():
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
