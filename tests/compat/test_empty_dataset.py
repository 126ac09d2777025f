"""Empty data sets say where they have looked."""

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.fileio import dump
from mmseg.datasets import BaseSegDataset
from PIL import Image

import poa_mm  # noqa: F401  # fixes mmengine


def folders(tmp_path):
    for part in ('images', 'masks'):
        (tmp_path / part).mkdir()
    return {'img_path': str(tmp_path / 'images'), 'seg_map_path': str(tmp_path / 'masks')}


def test_folder_and_suffix_are_named(tmp_path):
    prefix = folders(tmp_path)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / 'images' / '0.png')
    with pytest.raises(ValueError, match=r"images', .*img_suffix='\.jpg'") as error:
        BaseSegDataset(data_prefix=prefix, data_root=str(tmp_path))
    assert str(error.value) == (
        'BaseSegDataset has no samples after filtering, with '
        f"img_path='{tmp_path}/images', seg_map_path='{tmp_path}/masks', img_suffix='.jpg'"
    )
    assert len(BaseSegDataset(data_prefix=prefix, img_suffix='.png')) == 1


def test_file_of_annotations_is_named(tmp_path):
    path = tmp_path / 'none.json'
    dump({'images': [], 'annotations': [], 'categories': [{'id': 1, 'name': 'cat'}]}, path)
    with pytest.raises(ValueError, match=f"CocoDataset has no samples .* ann_file='{path}'"):
        CocoDataset(ann_file=str(path), data_prefix={'img': 'images'})
