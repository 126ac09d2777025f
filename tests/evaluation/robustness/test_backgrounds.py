"""ImageNet-9 in miniature: nine classes, whose foreground has a brightness of its own."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny.in9 import background_classes, brightness_classes, make_in9

from poa_mm.evaluation.robustness.backgrounds import (
    background_gap,
    challenge_accuracy,
    foregrounds,
    in9_variants,
    read_in_to_in9,
)


@pytest.fixture
def folder(tmp_path):
    return make_in9(tmp_path)


def backgrounds(folder):
    paths = sorted((folder / 'only_bg_t').rglob('*.JPEG'))
    images = [torch.from_numpy(np.asarray(Image.open(path)).copy()) for path in paths]
    return torch.stack(images).permute(0, 3, 1, 2).div(255).split(4)


def test_who_looks_at_the_foreground_is_never_fooled(folder):
    found = list(foregrounds(folder))
    assert [one.label for one in found] == list(range(9))
    assert challenge_accuracy(found, backgrounds(folder), brightness_classes) == 100


def test_who_looks_at_the_background_is_always_fooled(folder):
    assert challenge_accuracy(foregrounds(folder), backgrounds(folder), background_classes) == 0


def test_one_background_is_enough_and_ends_the_search(folder):
    """A classifier that the brightest background alone fools, and only about the first class."""
    seen = []

    def predict(images):
        seen.append(len(images))
        classes = brightness_classes(images)
        bright = background_classes(images) == 8
        return torch.where(bright & (classes == 0), 5, classes)

    accuracy = challenge_accuracy(foregrounds(folder), backgrounds(folder), predict)
    assert accuracy == pytest.approx(100 * 8 / 9)
    assert sum(seen) == 81  # the ninth background is in the last batch
    seen.clear()
    first = next(foregrounds(folder))
    assert challenge_accuracy([first], reversed(backgrounds(folder)), predict) == 0
    assert seen == [1]


def test_variants_are_all_folders_but_the_masks(folder):
    found = in9_variants(folder)
    assert list(found) == ['mixed_rand', 'only_bg_t', 'original']
    assert found['original'] == folder / 'original' / 'val'
    assert background_gap({'mixed_same': 80.0, 'mixed_rand': 60.0}) == 20
    assert background_gap({'mixed_rand': 60.0}) is None


def test_a_folder_of_other_classes_is_named(folder, tmp_path):
    (folder / 'original' / 'val' / '09_more').mkdir()
    with pytest.raises(ValueError, match=r'original.* must hold the 9 classes .*09_more'):
        in9_variants(folder)
    with pytest.raises(ValueError, match='holds no variant of ImageNet-9'):
        in9_variants(folder / 'original')


def test_a_mask_of_another_size_is_named(folder):
    np.save(folder / 'fg_mask' / 'val' / '03_class' / 'n0_1.npy', np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r'03_class/n0_1.npy has shape \(4, 4\), .*\(8, 8\)'):
        list(foregrounds(folder))


def test_a_mask_without_image_is_named(folder):
    (folder / 'original' / 'val' / '02_class' / 'n0_1.JPEG').unlink()
    with pytest.raises(FileNotFoundError, match=r'no image of .*02_class/n0_1.npy at'):
        list(foregrounds(folder))


def test_the_mapping_is_read(tmp_path):
    path = tmp_path / 'in_to_in9.json'
    path.write_text(json.dumps({str(number): number % 10 - 1 for number in range(1000)}))
    mapping = read_in_to_in9(path)
    assert mapping.shape == (1000,)
    assert mapping[:11].tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, -1]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"0": 1', 'is no JSON'),
        ('[1, 2]', 'must map "0" to "999"'),
        ('{"0": 1}', 'must map "0" to "999"'),
        (json.dumps({str(n): 9 for n in range(1000)}), 'maps "0" to 9; valid are -1 to 8'),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path, content, message):
    path = tmp_path / 'in_to_in9.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_in_to_in9(path)
