from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn
from mmpretrain.registry import DATASETS
from PIL import Image

from poa_mm.datasets import PhotoPatches, photo_patches
from poa_mm.datasets.photo_patches import PHOTOS


@pytest.fixture(scope='module')
def splits():
    return {split: PhotoPatches(split, patches_per_photo=40) for split in ('train', 'test')}


def photo_bgr(name):
    folder = Path((skimage if PHOTOS[name].startswith('skimage') else sklearn).__file__).parents[1]
    return np.asarray(Image.open(folder / PHOTOS[name]).convert('RGB'))[..., ::-1]


def locate(patch, image):
    """All (row, column) at which the patch occurs in the image."""
    rows, columns = (a - b + 1 for a, b in zip(image.shape, patch.shape[:2], strict=False))
    candidates = np.argwhere((image[:rows, :columns] == patch[0, 0]).all(-1))
    height, width = patch.shape[:2]
    return [
        (row, column)
        for row, column in candidates
        if np.array_equal(image[row : row + height, column : column + width], patch)
    ]


def test_registered_balanced_and_named(splits):
    assert DATASETS.get('PhotoPatches') is PhotoPatches
    for dataset in splits.values():
        assert len(dataset) == 20 * 40
        assert tuple(PHOTOS) == dataset.CLASSES
        np.testing.assert_array_equal(np.bincount(dataset.get_gt_labels()), [40] * 20)


def test_items_look_like_loaded_images(splits):
    item = splits['train'][41]
    assert set(item) == {'img', 'img_shape', 'ori_shape', 'gt_label', 'sample_idx'}
    assert item['img'].shape == (32, 32, 3)
    assert item['img'].dtype == np.uint8
    assert item['img_shape'] == item['ori_shape'] == (32, 32)
    assert (item['gt_label'], item['sample_idx']) == (1, 41)


@pytest.mark.parametrize('name', ['astronaut', 'china', 'coins', 'text'])
def test_patches_come_from_their_side_of_their_photo(splits, name):
    image = photo_bgr(name)
    border = round(0.6 * image.shape[1])
    label = list(PHOTOS).index(name)
    for split, dataset in splits.items():
        for index in range(40 * label, 40 * label + 10):
            found = locate(dataset[index]['img'], image)
            inside = [
                column + 32 <= border if split == 'train' else column >= border
                for _, column in found
            ]
            assert any(inside)


def test_every_position_can_be_drawn_and_none_twice(monkeypatch):
    monkeypatch.setattr(photo_patches, 'PHOTOS', {'text': PHOTOS['text']})
    part = photo_bgr('text')[:, round(0.6 * 448) :]
    assert part.shape == (172, 179, 3)
    windows = [part[r : r + 171, c : c + 171].tobytes() for r in range(2) for c in range(9)]
    dataset = PhotoPatches('test', patch_size=171, patches_per_photo=18)
    drawn = [patch.tobytes() for patch in dataset.images]
    assert sorted(drawn) == sorted(windows)
    assert drawn != windows
    with pytest.raises(ValueError, match=r'has 18 positions .*patches_per_photo=19 does not fit'):
        PhotoPatches('test', patch_size=171, patches_per_photo=19)


def test_seed_and_split_choose_the_positions():
    first, again = (PhotoPatches(patches_per_photo=5) for _ in range(2))
    other = PhotoPatches(patches_per_photo=5, seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    assert not any(np.array_equal(a, b) for a, b in zip(first.images, other.images, strict=True))


def test_items_are_private_copies(splits):
    splits['train'][0]['img'][:] = 0
    assert splits['train'][0]['img'].any()


def test_subsets_keep_pixels_and_labels_together(splits):
    full = splits['train']
    part = PhotoPatches(patches_per_photo=40, indices=[700, 3])
    assert part[0]['gt_label'] == 17
    np.testing.assert_array_equal(part[0]['img'], full[700]['img'])
    np.testing.assert_array_equal(full.get_subset([700, 3])[1]['img'], full[3]['img'])


def test_errors(monkeypatch):
    with pytest.raises(ValueError, match="unknown split 'val': choose one of"):
        PhotoPatches('val')
    with pytest.raises(ValueError, match='patches_per_photo must be at least 1, got 0'):
        PhotoPatches(patches_per_photo=0)
    with pytest.raises(ValueError, match='patch_size must be at least 1, got 0'):
        PhotoPatches(patch_size=0)
    with pytest.raises(ValueError, match=r'astronaut \(307x512 pixels\) has 0 positions .*=400'):
        PhotoPatches(patch_size=400, patches_per_photo=1)
    monkeypatch.setattr(photo_patches, 'PHOTOS', {'cat': 'no_such_package/cat.png'})
    with pytest.raises(ModuleNotFoundError, match='cat ships with no_such_package'):
        PhotoPatches()
    monkeypatch.setattr(photo_patches, 'PHOTOS', {'cat': 'skimage/data/cat.png'})
    with pytest.raises(ValueError, match=r'cat\.png cannot be read'):
        PhotoPatches()
