import pickle

import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch.serialization import clear_safe_globals

from poa_mm.compat import log_buffers


@pytest.fixture(autouse=True)
def _forgotten():
    """Nothing is declared, as on a fresh mmengine 0.10.7."""
    clear_safe_globals()
    yield
    clear_safe_globals()
    log_buffers.install()


@pytest.fixture
def checkpoint(tmp_path):
    hub = MessageHub('buffers')
    hub.update_scalar('train/loss', 2.0, count=3)
    path = tmp_path / 'checkpoint.pth'
    torch.save({'message_hub': hub.state_dict()}, path)
    return path


def loss(content):
    buffer = content['message_hub']['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer)
    return buffer.mean()


def test_torch_refuses_them_by_default(checkpoint):
    with pytest.raises(pickle.UnpicklingError, match='HistoryBuffer'):
        torch.load(checkpoint)


def test_installing_lets_every_torch_load_read_them(checkpoint):
    log_buffers.install()
    assert loss(torch.load(checkpoint)) == 2 / 3


def test_the_context_leaves_things_as_they_were(checkpoint):
    with log_buffers.allowed():
        assert loss(torch.load(checkpoint)) == 2 / 3
    with pytest.raises(pickle.UnpicklingError):
        torch.load(checkpoint)
    log_buffers.install()
    with log_buffers.allowed():
        torch.load(checkpoint)
    assert loss(torch.load(checkpoint)) == 2 / 3


def test_a_file_cannot_reach_other_attributes(tmp_path):
    class Reach:
        def __reduce__(self):
            return getattr, (HistoryBuffer, '__init__')

    torch.save(Reach(), tmp_path / 'reach.pth')
    log_buffers.install()
    with pytest.raises(pickle.UnpicklingError, match='asks for'):
        torch.load(tmp_path / 'reach.pth')
