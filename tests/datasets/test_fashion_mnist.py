import gzip
import urllib.error

import numpy as np
import pytest
from mmpretrain.datasets import FashionMNIST
from mmpretrain.registry import DATASETS

from poa_mm.datasets import FashionMNISTArray, fashion_mnist

RNG = np.random.default_rng(0)


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype='>i4').tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def folder(tmp_path):
    """A tiny folder with the real file names; returns it with its train and test arrays."""
    arrays = {}
    for split, prefix, count in (('train', 'train', 6), ('test', 't10k', 3)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = RNG.integers(0, 10, count, dtype=np.uint8)
        write_idx(tmp_path / f'{prefix}-images-idx3-ubyte.gz', images)
        write_idx(tmp_path / f'{prefix}-labels-idx1-ubyte.gz', labels)
        arrays[split] = images, labels
    return tmp_path, arrays


@pytest.fixture
def no_network(monkeypatch):
    def fail(url, root, filename, md5):
        raise urllib.error.URLError('no network')

    monkeypatch.setattr(fashion_mnist, 'download_url', fail)


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('split', ['train', 'test'])
def test_split_decides_what_is_read(folder, split, test_mode):
    root, arrays = folder
    dataset = FashionMNISTArray(split, data_root=root, test_mode=test_mode)
    images, labels = arrays[split]
    assert len(dataset) == len(images)
    for index, item in enumerate(dataset):
        assert item['img'].shape == (28, 28, 3)
        for channel in range(3):
            np.testing.assert_array_equal(item['img'][..., channel], images[index])
        assert item['gt_label'] == labels[index]
        assert item['img_shape'] == (28, 28)
        if index == len(images) - 1:
            break
    assert FashionMNIST.METAINFO['classes'] == dataset.CLASSES


def test_debians_folder_comes_first(folder, monkeypatch):
    root, arrays = folder
    monkeypatch.setattr(fashion_mnist, 'DEBIAN_FOLDER', root)
    monkeypatch.setattr(fashion_mnist, 'DOWNLOAD_FOLDER', root / 'missing')
    assert len(DATASETS.build({'type': 'FashionMNISTArray'})) == len(arrays['train'][0])


def test_missing_files_are_downloaded_and_checked(folder, tmp_path, monkeypatch):
    root, arrays = folder
    target, calls = tmp_path / 'data', []

    def copy(url, root_, filename, md5):
        calls.append((url, md5))
        target.mkdir(exist_ok=True)
        (target / filename).write_bytes((root / filename).read_bytes())

    monkeypatch.setattr(fashion_mnist, 'download_url', copy)
    monkeypatch.setattr(fashion_mnist, 'DEBIAN_FOLDER', tmp_path / 'missing')
    monkeypatch.setattr(fashion_mnist, 'DOWNLOAD_FOLDER', target)
    for _ in range(2):  # the second time finds the files
        assert len(FashionMNISTArray('test')) == len(arrays['test'][0])
    assert calls == [(FashionMNIST.url_prefix + name, md5) for name, md5 in FashionMNIST.test_list]


def test_no_data_and_no_network(tmp_path, no_network):
    with pytest.raises(FileNotFoundError) as error:
        FashionMNISTArray('train', data_root=tmp_path)
    message = str(error.value)
    assert str(tmp_path / 'train-images-idx3-ubyte.gz') in message
    assert 'no network' in message
    assert 'apt-get install dataset-fashion-mnist' in message
    assert FashionMNIST.url_prefix in message


def test_download_with_a_wrong_md5_sum_is_not_kept(tmp_path, monkeypatch):
    def corrupt(url, root, filename, md5):
        (tmp_path / filename).write_bytes(b'something else')
        raise RuntimeError('File not found or corrupted.')

    monkeypatch.setattr(fashion_mnist, 'download_url', corrupt)
    with pytest.raises(FileNotFoundError, match=r'could not be downloaded .*corrupted'):
        FashionMNISTArray('train', data_root=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('damage', ['truncated', 'not gzip', 'other type', 'short', 'empty'])
def test_damaged_file_is_named(folder, damage):
    root, _ = folder
    path = root / 't10k-images-idx3-ubyte.gz'
    content = path.read_bytes()
    path.write_bytes(
        {
            'truncated': content[:-100],
            'not gzip': b'<html>moved</html>',
            'other type': gzip.compress(b'\x00\x00\x0d\x01' + bytes(8)),
            'short': gzip.compress(gzip.decompress(content)[:-1]),
            'empty': b'',
        }[damage]
    )
    with pytest.raises(ValueError, match=f'{path.name} is damaged'):
        FashionMNISTArray('test', data_root=root)


def test_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="unknown split 'valid'"):
        FashionMNISTArray('valid', data_root=tmp_path)


@pytest.mark.skipif(
    not fashion_mnist.DEBIAN_FOLDER.is_dir(), reason='apt package dataset-fashion-mnist is missing'
)
def test_the_real_data_set():
    dataset = FashionMNISTArray('test')
    assert len(dataset) == 10_000
    np.testing.assert_array_equal(np.bincount(dataset.get_gt_labels()), [1000] * 10)
    assert dataset.CLASSES[dataset[0]['gt_label']] == 'Ankle boot'
