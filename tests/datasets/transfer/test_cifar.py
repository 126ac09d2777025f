import pickle

import pytest
from mmpretrain.datasets import CIFAR10, CIFAR100
from tiny.transfer import pack_cifar, save_cifar

from poa_mm.datasets.transfer import cifar
from poa_mm.registry import DATASETS

KINDS = {'CIFAR10Images': CIFAR10, 'CIFAR100Images': CIFAR100}


def build(kind, root, **kwargs):
    return DATASETS.build({'type': kind, 'data_root': str(root), **kwargs})


@pytest.mark.parametrize('kind', KINDS)
def test_images_are_bgr_and_labels_the_fine_ones(tmp_path, monkeypatch, kind):
    save_cifar(tmp_path, KINDS[kind], monkeypatch)
    train, test = build(kind, tmp_path), build(kind, tmp_path, split='test', test_mode=True)
    assert (len(train), len(test)) == ((20, 4) if kind == 'CIFAR10Images' else (8, 8))
    assert len(train.CLASSES) == (10 if kind == 'CIFAR10Images' else 100)
    item = train[2]
    assert item['gt_label'] == 6
    assert item['img'].shape == (32, 32, 3)
    assert item['img'][5, 5].tolist() == [0, 0, 106]  # red is last
    assert item['img_shape'] == item['ori_shape'] == (32, 32)


def test_an_archive_is_unpacked_without_a_download(tmp_path, monkeypatch):
    save_cifar(tmp_path, CIFAR10, monkeypatch)
    pack_cifar(tmp_path, CIFAR10)
    monkeypatch.setattr(CIFAR10, 'tgz_md5', None)
    assert len(build('CIFAR10Images', tmp_path)) == 20


def test_no_download(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError('no network')

    monkeypatch.setattr(cifar, 'download_and_extract_archive', refuse)
    with pytest.raises(
        FileNotFoundError, match=r'cifar-10-batches-py is missing or damaged, and no n'
    ):
        build('CIFAR10Images', tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r'download=False: put cifar-100-python.tar.gz of htt'
    ):
        build('CIFAR100Images', tmp_path, download=False)
    with pytest.raises(ValueError, match="unknown split 'val'"):
        build('CIFAR10Images', tmp_path, split='val')


def test_a_damaged_file_is_not_opened(tmp_path, monkeypatch):
    save_cifar(tmp_path, CIFAR10, monkeypatch)
    monkeypatch.setattr(CIFAR10, 'test_list', [['test_batch', 'another sum']])
    monkeypatch.setattr(pickle, 'loads', None)
    with pytest.raises(FileNotFoundError, match='missing or damaged'):
        build('CIFAR10Images', tmp_path, download=False)
