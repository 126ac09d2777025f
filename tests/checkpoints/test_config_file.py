"""What is wrong with a config file is said in one line that names it."""

import pytest

from poa_mm.checkpoints.config_file import read_config


def test_a_config_is_read_with_those_it_is_based_on(tmp_path):
    (tmp_path / 'base.py').write_text('a = dict(b=1, c=2)\n')
    (tmp_path / 'own.py').write_text("_base_ = './base.py'\na = dict(c=3)\n")
    assert read_config(tmp_path / 'own.py').a == {'b': 1, 'c': 3}


@pytest.mark.parametrize(
    ('name', 'text', 'kind', 'words'),
    [
        ('iter_1.pth', '', ValueError, 'iter_1.pth is no config, whose name ends in .py or'),
        ('own.py', 'a = (\n', ValueError, "SyntaxError: '(' was never closed (line 1)"),
        ('own.py', 'a = b\n', ValueError, "NameError: name 'b' is not defined"),
        ('own.py', "_base_ = './b.py'\n", FileNotFoundError, 'b.py, which is not there'),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, text, kind, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(kind) as error:
        read_config(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1
