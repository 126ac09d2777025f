"""Puts tests/ on the path, so that any test imports from ``helpers``; keeps tests apart."""

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def _scope_of_its_own():
    """Forget the library whose runner a test has built: names would mean its classes from then on.

    mmengine keeps the default scope for the whole process.
    """
    yield
    DefaultScope._instance_dict.clear()
