"""Puts tests/ on the path, so that any test imports from ``helpers``; keeps tests apart.

mmengine keeps the library whose runner was built last as the default scope of the whole process,
and its logger, message hub and visualiser as the current ones: from then on names mean its classes,
and hooks draw with it. Tests and modules leave them as they found them.
"""

import functools
import gc
import re
import sys
from types import SimpleNamespace
from unittest import mock

import pytest
from helpers import globals_of_mmengine_restored
from mmengine.logging import MMLogger

from poa_mm.compat.on_import import after_import

ONNX_OPERATORS = 'torch.onnx._internal.exporter._registration'


def pytest_collection_modifyitems(items):
    """Run files with slow tests first: no process is left with a long one when others are done."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
    """Leave what collection imported, millions of objects that stay, out of garbage collection.

    What tests leave is collected less often than by default.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # each full collection takes as long as ten tests


@pytest.fixture(autouse=True, scope='session')
def _data_sets_without_garbage_collection():
    """Spare data sets the full collection with which mmengine ends each one's start.

    It frees memory early in a process that trains for days. Among some thousand tests it takes
    half a second, more than most of them.
    """
    with mock.patch('mmengine.dataset.base_dataset.gc', SimpleNamespace(collect=lambda: 0)):
        yield


@pytest.fixture(autouse=True, scope='session')
def _configs_without_layout():
    """Spare runs the time to lay their configs out, which is most of what a tiny run takes.

    mmengine formats a config with yapf for the log, the copy and every checkpoint of a run. What it
    gives to yapf is Python already, only less pretty.
    """

    def keep(text, **style):
        return re.sub(r'(?m)^(\w+)=', r'\1 = ', text), True

    with mock.patch('yapf.yapflib.yapf_api.FormatCode', keep):
        yield


def pytest_configure():
    """Let the exporter of ONNX list its operators once, not for each network: half a second."""
    after_import(ONNX_OPERATORS, _keep_operators)


def _keep_operators():
    registry = sys.modules[ONNX_OPERATORS].ONNXRegistry
    registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))


@pytest.fixture(autouse=True, scope='module')
def _globals_of_the_module():
    with globals_of_mmengine_restored():
        yield


@pytest.fixture(autouse=True)
def _globals_of_the_test(_globals_of_the_module):
    with globals_of_mmengine_restored():
        yield


@pytest.fixture(autouse=True)
def _loggers_without_closed_streams():
    """Take from mmengine's loggers, which it keeps, the captured output of a test that is over."""
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if getattr(getattr(handler, 'stream', None), 'closed', False):
                logger.removeHandler(handler)
