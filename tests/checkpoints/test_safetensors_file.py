"""Safetensors files with a digest."""

import os
import stat

import pytest
import torch
from safetensors.torch import load_file, save_file

from poa_mm.checkpoints.safetensors_file import DIGEST, read_tensors, write_tensors

TENSORS = {
    'a.weight': torch.arange(6.0).view(2, 3),
    'b': torch.tensor(1.5, dtype=torch.float64),
    'half': torch.ones(3, dtype=torch.bfloat16),
    'index': torch.arange(4),
    'flag': torch.tensor([True, False]),
    'empty': torch.zeros(0, 2),
}


@pytest.fixture
def path(tmp_path):
    write_tensors(TENSORS, {'about': 'ünïcode'}, tmp_path / 'net.safetensors')
    return tmp_path / 'net.safetensors'


def test_round_trip(path):
    tensors, metadata = read_tensors(path)
    assert metadata == {'about': 'ünïcode', 'format': 'pt'}
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_other_libraries_open_it(path):
    assert torch.equal(load_file(path)['a.weight'], TENSORS['a.weight'])


def test_tensors_may_share_memory_and_have_gaps(tmp_path):
    weight = torch.arange(12.0).view(3, 4)
    tensors = {'all': weight, 'part': weight[:2, :2], 'turned': weight.T}
    write_tensors(tensors, {}, tmp_path / 'net.safetensors')
    read, _ = read_tensors(tmp_path / 'net.safetensors')
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_others_may_read_it_where_the_umask_says_so(path):
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_every_changed_byte_is_noticed(path, tmp_path):
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        other = tmp_path / 'damaged.safetensors'
        other.write_bytes(damaged)
        with pytest.raises(ValueError, match=r'damaged\.safetensors'):
            read_tensors(other)


@pytest.mark.parametrize('share', [0, 0.01, 0.3, 0.9, 0.999])
def test_truncated(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match='not a safetensors file that can be read'):
        read_tensors(path)


def test_foreign(tmp_path):
    path = tmp_path / 'net.safetensors'
    with pytest.raises(FileNotFoundError, match=f'no checkpoint at {path}'):
        read_tensors(path)
    path.write_text('no tensors at all, but enough text for a header')
    with pytest.raises(ValueError, match='not a safetensors file that can be read'):
        read_tensors(path)
    save_file({'weight': torch.zeros(2)}, path)
    with pytest.raises(ValueError, match='not of poa_mm: it has no digest'):
        read_tensors(path)
    save_file({'weight': torch.zeros(2)}, path, {DIGEST: '0' * 64})
    with pytest.raises(ValueError, match='has changed since it was written'):
        read_tensors(path)
