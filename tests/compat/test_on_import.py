"""Work that waits for the import of a module."""

import contextlib
import importlib
import sys

import pytest

from poa_mm.compat.on_import import _contexts, after_import, around_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module that can be imported, and has not been."""
    name = f'waited_for_{tmp_path.name}'
    (tmp_path / f'{name}.py').write_text("import sys\nseen = sys.modules.get('seen')\nvalue = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)
    _contexts.pop(name, None)


def test_action_follows_the_import(module):
    values = []
    after_import(module, lambda: values.append(sys.modules[module].value))
    assert values == []
    importlib.import_module(module)
    importlib.import_module(module)
    assert values == [1]


def test_action_is_done_at_once_where_the_module_is_there(module):
    importlib.import_module(module)
    values = []
    after_import(module, lambda: values.append(sys.modules[module].value))
    assert values == [1]


def test_several_wait_for_one_module(module):
    order = []
    after_import(module, lambda: order.append('first'))
    after_import(module, lambda: order.append('second'))
    importlib.import_module(module)
    assert sorted(order) == ['first', 'second']


def test_code_runs_within_the_context(module):
    @contextlib.contextmanager
    def context():
        sys.modules['seen'] = 'inside'
        yield
        del sys.modules['seen']

    around_import(module, context)
    assert importlib.import_module(module).seen == 'inside'
    assert importlib.reload(sys.modules[module]).seen == 'inside'
    assert 'seen' not in sys.modules


def test_a_module_that_fails_fails_with_its_own_error(module, tmp_path):
    (tmp_path / f'{module}.py').write_text('1 / 0')
    done = []
    after_import(module, lambda: done.append(1))
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(module)
    assert done == []


def test_a_module_that_is_not_there_is_not_found(module, tmp_path):
    (tmp_path / f'{module}.py').unlink()
    after_import(module, list)
    with pytest.raises(ModuleNotFoundError, match=module):
        importlib.import_module(module)
