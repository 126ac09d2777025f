"""Features on disk are those that were written, and of nothing else."""

import pytest
import torch

from poa_mm.evaluation import FeatureStore

LABELS = torch.tensor([0, 1, 1])


def store(folder, **changes):
    about = {'checkpoint': 'c0', 'branch': 'teacher', 'preparation': {'size': (16, 16)}}
    return FeatureStore(folder, {**about, **changes}, {'train': 'd0', 'test': 'd1'})


def test_what_was_written_is_read(tmp_path):
    features = {'cls': torch.randn(3, 4), 'mean': torch.randn(3, 4).half()}
    kept = store(tmp_path / 'features')
    assert not kept.has('w16-d2', 'train')
    kept.write('w16-d2', 'train', features, LABELS)
    assert kept.has('w16-d2', 'train', ['cls', 'mean'])
    assert not kept.has('w16-d2', 'train', ['cls', 'levels'])
    assert not kept.has('w16-d2', 'test')
    found, labels = store(tmp_path / 'features').read('w16-d2', 'train')
    assert set(found) == set(features)
    assert all(torch.equal(found[kind], features[kind]) for kind in features)
    assert found['mean'].dtype == torch.float16
    assert torch.equal(labels, LABELS)
    assert [path.name for path in (tmp_path / 'features').iterdir()] == ['w16-d2.train.safetensors']


def test_further_kinds_join_those_that_are_there(tmp_path):
    kept = store(tmp_path)
    kept.write('net', 'test', {'cls': torch.ones(3, 2)}, LABELS)
    kept.write('net', 'test', {'mean': torch.zeros(3, 2)}, LABELS)
    assert set(kept.read('net', 'test')[0]) == {'cls', 'mean'}


@pytest.mark.parametrize('changes', [{'checkpoint': 'c1'}, {'branch': 'student'}])
def test_features_of_other_weights_are_refused(tmp_path, changes):
    store(tmp_path).write('net', 'train', {'cls': torch.ones(3, 2)}, LABELS)
    (key,) = changes
    message = rf'net\.train\.safetensors holds features of another {key} .*--overwrite'
    with pytest.raises(ValueError, match=message):
        store(tmp_path, **changes).has('net', 'train')


def test_features_of_other_data_are_refused(tmp_path):
    store(tmp_path).write('net', 'train', {'cls': torch.ones(3, 2)}, LABELS)
    other = FeatureStore(tmp_path, store(tmp_path).about, {'train': 'd9'})
    with pytest.raises(ValueError, match=r'features of another data \(d0, here d9\)'):
        other.read('net', 'train')


def test_a_damaged_file_is_named(tmp_path):
    kept = store(tmp_path)
    kept.write('net', 'train', {'cls': torch.ones(3, 2)}, LABELS)
    path = kept.path('net', 'train')
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'net\.train\.safetensors has changed'):
        kept.read('net', 'train')
    path.write_bytes(content[:20])
    with pytest.raises(ValueError, match=r'net\.train\.safetensors is damaged'):
        kept.has('net', 'train')
    kept.clear()
    assert not kept.has('net', 'train')
