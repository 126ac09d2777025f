"""README, the pages of docs/ and those of the configs, followed block by block (``reader.py``)."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from pages import FENCE, blocks
from PIL import Image
from reader import Reader

WALK = (
    'docs/claims.md',
    'docs/detection.md',
    'docs/segmentation.md',
    'configs/cls/README.md',
    'configs/det/README.md',
    'configs/seg/README.md',
)
LONG_WALK = (
    'README.md',
    'docs/pretraining.md',
    'docs/choosing.md',
    'docs/classification.md',
    'docs/evaluation.md',
    'docs/export.md',
    'docs/new_family.md',
    'docs/visualization.md',
    'docs/report.md',
    'configs/pretrain/README.md',
)
ELSEWHERE = ('docs/troubleshooting.md',)  # test_troubleshooting.py makes its mistakes
CHECKOUT = ('benchmarks', 'docs', 'tools', 'Makefile', 'setup.py')
RNG = np.random.default_rng(0)


def write_photos(folder):
    for split in ('train', 'val'):
        for kind in ('cats', 'dogs'):
            (folder / split / kind).mkdir(parents=True)
            for index in range(3):
                pixels = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / kind / f'{index}.jpg')


def write_fashion_mnist(folder):
    """As downloaded: gzipped IDX files of bytes."""
    folder.mkdir(parents=True)
    for split, count in (('train', 120), ('t10k', 20)):
        arrays = {
            'images-idx3': RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            'labels-idx1': np.arange(count, dtype=np.uint8) % 10,
        }
        for name, array in arrays.items():
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>i4').tobytes()
            path = folder / f'{split}-{name}-ubyte.gz'
            path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    """What ``make demo`` writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp('demo'))
        Reader(patch).make('demo')
        return Path.cwd() / 'work_dirs'


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The working directory, in which a reader can write configs beside ours."""
    for name in CHECKOUT:
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(page, patch):
    reader = Reader(patch)
    for block in blocks(page):
        reader.follow(block)
    assert reader.done > 1


@pytest.mark.parametrize('page', WALK)
def test_a_page_on_the_reader_s_own_data(checkout, page, monkeypatch):
    follow(page, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize('page', LONG_WALK)
def test_a_page_runs_in_order_on_what_its_blocks_write(checkout, demo, page, monkeypatch):
    write_photos(checkout / 'photos')
    write_fashion_mnist(checkout / 'data' / 'fashion-mnist')
    shutil.copytree(demo, checkout / 'work_dirs')
    follow(page, monkeypatch)


def test_every_block_is_on_a_page_that_is_walked():
    for pattern in ('README.md', 'docs/**/*.md', 'configs/**/*.md'):
        for path in ROOT.glob(pattern):
            page, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding='utf-8')
            assert text.count('```') == 2 * len(FENCE.findall(text)), f'{page}: indented fence'
            assert page in {*WALK, *LONG_WALK, *ELSEWHERE} or not blocks(page), page
