"""benchmarks/mask_subset.py against masks drawn by hand."""

import importlib.util
import sys

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image


@pytest.fixture
def tool():
    path = ROOT / 'benchmarks' / 'mask_subset.py'
    spec = importlib.util.spec_from_file_location('mask_subset', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def coco(tmp_path):
    """Two training images with masks and one without; one image to validate."""
    masks = {
        'train2017/a': [[200, 200, 7], [0, 0, 0]],
        'train2017/b': [[200, 7, 9], [9, 9, 9]],
        'val2017/c': [[7, 5, 0], [200, 9, 9]],
        'train2017/d': None,
    }
    for name, mask in masks.items():
        for folder in ('images', 'semantic'):
            (tmp_path / 'coco' / folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (3, 2)).save(tmp_path / 'coco' / 'images' / f'{name}.jpg')
        if mask:
            path = tmp_path / 'coco' / 'semantic' / f'{name}.png'
            Image.fromarray(np.array(mask, dtype=np.uint8)).save(path)
    return tmp_path / 'coco'


@pytest.fixture
def run(tool, coco, tmp_path, monkeypatch):
    def call(*args, source=coco):
        monkeypatch.setattr(
            sys, 'argv', ['mask_subset.py', str(source), str(tmp_path / 'o'), *args]
        )
        tool.main()
        return {p.stem: np.asarray(Image.open(p)).tolist() for p in (tmp_path / 'o').rglob('*.png')}

    return call


def test_classes_are_numbered_by_the_pixels_they_cover(run, tmp_path):
    masks = run('--classes', '2')
    assert masks['a'] == [[2, 2, 0], [0, 0, 0]]
    assert masks['b'] == [[2, 0, 1], [1, 1, 1]]
    assert masks['c'] == [[0, 0, 0], [2, 1, 1]]  # numbers of the training masks
    images = {path.name for path in (tmp_path / 'o' / 'images' / 'train').iterdir()}
    assert images == {'a.jpg', 'b.jpg'}
    assert Image.open(tmp_path / 'o' / 'images' / 'val' / 'c.jpg').size == (3, 2)


def test_all_classes_and_the_first_images(run):
    masks = run('--images', '1')
    assert set(masks) == {'a', 'c'}
    assert masks['a'] == [[1, 1, 2], [0, 0, 0]]


def test_a_folder_without_masks_is_refused(run, tmp_path):
    with pytest.raises(SystemExit, match='error: no images with masks'):
        run(source=tmp_path / 'none')
    assert not (tmp_path / 'o').exists()


def test_a_folder_that_is_there_is_left_alone(run, tmp_path):
    (tmp_path / 'o').mkdir()
    with pytest.raises(SystemExit, match='o exists already') as error:
        run()
    assert str(error.value) == f'error: {tmp_path}/o exists already'
    assert not list((tmp_path / 'o').iterdir())


def test_what_a_stopped_run_has_left_is_replaced(run, tmp_path):
    (tmp_path / 'o.partial' / 'images' / 'train').mkdir(parents=True)
    assert set(run()) == {'a', 'b', 'c'}
    assert not (tmp_path / 'o.partial').exists()
