"""mmengine's checkpoints appear whole or not at all."""

import mmengine.runner
import pytest
import torch

from poa_mm import files


@pytest.mark.parametrize(
    'save',
    [
        mmengine.runner.save_checkpoint,
        mmengine.runner.checkpoint.save_checkpoint,
        mmengine.runner.runner.save_checkpoint,
    ],
)
def test_a_checkpoint_replaces_the_old_one_when_it_is_whole(tmp_path, monkeypatch, save):
    path = tmp_path / 'below' / 'iter_1.pth'
    save({'step': 1}, str(path))
    whole = torch.save

    def check(content, partial):
        assert partial != path
        whole(content, partial)
        assert files.read_file(path) == {'step': 1}

    monkeypatch.setattr(torch, 'save', check)
    save({'step': 2}, str(path), backend_args={'backend': 'local'})
    assert files.read_file(path) == {'step': 2}
    assert [file.name for file in path.parent.iterdir()] == ['iter_1.pth']


def test_other_places_are_mmengine_s_business(monkeypatch):
    seen = []
    from poa_mm.compat import whole_checkpoints

    monkeypatch.setattr(whole_checkpoints, '_mmengine_save', lambda *args: seen.append(args))
    mmengine.runner.save_checkpoint({}, 's3://bucket/iter_1.pth', None, {'backend': 'petrel'})
    assert seen == [({}, 's3://bucket/iter_1.pth', None, {'backend': 'petrel'})]
