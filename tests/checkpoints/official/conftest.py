"""Files of the authors' code, converted or refused. ``SETTINGS`` of a test's module apply."""

import itertools

import pytest
import torch

from poa_mm.checkpoints.official import convert_official


@pytest.fixture
def convert(request, tmp_path):
    """Write a file of theirs, convert it: what was found, and the path of the result."""
    numbers = itertools.count()

    def run(content, settings=None):
        torch.save(content, tmp_path / 'theirs.pth')
        out = tmp_path / 'new' / f'ours{next(numbers)}.pth'
        found = convert_official(tmp_path / 'theirs.pth', out, settings or request.module.SETTINGS)
        return found, out

    return run


@pytest.fixture
def refused(request, tmp_path):
    """One clear error that names the file, and nothing written."""

    def check(content, message, settings=None):
        path = tmp_path / 'theirs.pth'
        torch.save(content, path)
        with pytest.raises(ValueError, match=message) as error:
            convert_official(path, tmp_path / 'ours.pth', settings or request.module.SETTINGS)
        assert str(error.value).startswith(f'{path} cannot be converted: ')
        assert '\n' not in str(error.value)
        assert [file.name for file in tmp_path.iterdir()] == ['theirs.pth']

    return check
