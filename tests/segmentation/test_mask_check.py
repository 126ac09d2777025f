"""Data sets of all wrappings are looked through."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from poa_mm.datasets.nested import all_transforms, transforms_of
from poa_mm.registry import DATASETS
from poa_mm.segmentation.mask_check import check_numbering, look_through
from poa_mm.segmentation.mask_content import MaskContent

SHAPE = (6, 8)
CLASSES = ('ground', 'left', 'right')
PIPELINE = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]


@pytest.fixture
def folder(tmp_path):
    return draw(tmp_path / 'data')


def draw(folder, number=3):
    labels = (np.arange(48) % 3).astype(np.uint8).reshape(SHAPE)
    for kind, array in {'images': np.zeros((*SHAPE, 3), np.uint8), 'masks': labels}.items():
        (folder / kind).mkdir(parents=True)
        for index in range(number):
            Image.fromarray(array).save(folder / kind / f'{index}.png')
    return folder


def config(folder, pipeline=PIPELINE, **settings):
    return {
        'type': 'BaseSegDataset',
        '_scope_': 'mmseg',
        'data_root': str(folder),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'masks'},
        'img_suffix': '.png',
        'metainfo': {'classes': CLASSES},
        'pipeline': pipeline,
        **settings,
    }


def look(dataset, ignored=255, most=None):
    content = MaskContent('the data set', CLASSES, ignored)
    return look_through(DATASETS.build(dataset), content, most), content


def wrapped(folder, other):
    """Two data sets, repeated, one of them mixed with itself."""
    mixed = {'type': 'MultiImageMixDataset', 'dataset': config(other), 'pipeline': []}
    both = {'type': 'ConcatDataset', 'datasets': [config(folder), mixed]}
    return {'type': 'RepeatDataset', 'times': 2, 'dataset': both, '_scope_': 'mmseg'}


def test_all_parts_are_read_once(folder, tmp_path):
    dataset = wrapped(folder, draw(tmp_path / 'other'))
    notes, content = look(dataset)
    assert notes == []
    assert len(content.paths) == 6
    (tmp_path / 'other' / 'masks' / '1.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 images have no mask; .*other/masks/1'):
        look(dataset)


def test_transforms_within_transforms_are_found(folder):
    choice = {
        'type': 'RandomChoice',
        'transforms': [[PIPELINE[1]], [{'type': 'RandomFlip', 'prob': 1.0}]],
    }
    views = [[{'type': 'RandomFlip', 'prob': prob} for prob in (0.0, 1.0)], [PIPELINE[1]]]
    tta = {'type': 'TestTimeAug', 'transforms': views}
    for inner, loaders in ((choice, 1), (tta, 2)):
        dataset = DATASETS.build(config(folder, [PIPELINE[0], inner]))
        found = [type(one) for one in transforms_of(dataset.pipeline)]
        assert found.count(LoadAnnotations) == loaders
        assert sum(issubclass(kind, LoadImageFromFile) for kind in found) == 1


def test_transforms_of_wrappers_count_too(folder):
    mosaic = {'type': 'RandomMosaic', 'prob': 1.0, 'img_scale': SHAPE}
    dataset = {
        'type': 'MultiImageMixDataset',
        'dataset': config(folder),
        'pipeline': [mosaic],
        '_scope_': 'mmseg',
    }
    names = [type(one).__name__ for one in all_transforms(DATASETS.build(dataset))]
    assert 'RandomMosaic' in names
    assert 'LoadAnnotations' in names


def test_images_and_masks_must_be_there(folder):
    (folder / 'masks' / '2.png').rename(folder / 'masks' / '2.tif')
    message = r'1 of 3 images have no mask; .*images/2\.png, without .*masks/2\.png; of other names'
    with pytest.raises(FileNotFoundError, match=f'{message} there are 1 .tif'):
        look(config(folder))
    (folder / 'images' / '1.png').unlink()
    (folder / 'list.txt').write_text('0\n1\n')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images are missing; .*images/1\.png'):
        look(config(folder, ann_file='list.txt'))


def test_a_pipeline_that_loads_masks_needs_a_folder_of_them(folder):
    with pytest.raises(ValueError, match=r'no folder of masks: set data_prefix\.seg_map_path'):
        look(config(folder, data_prefix={'img_path': 'images'}))
    for mask in (folder / 'masks').iterdir():
        mask.unlink()
    (folder / 'images' / '4.tif').touch()
    (note,), content = look(config(folder, PIPELINE[:1]))
    assert '1 (1 .tif), the first' in note[1]
    assert content.paths == []


def test_some_masks_of_many(folder):
    Image.fromarray(np.full(SHAPE, 9, np.uint8)).save(folder / 'masks' / '1.png')
    _, content = look(config(folder), most=2)
    assert [path[-5:] for path in content.paths] == ['0.png', '2.png']
    with pytest.raises(ValueError, match=r'1\.png holds the labels \[9\]'):
        look(config(folder), most=3)


def test_labels_are_those_after_reduction(folder):
    for mask in (folder / 'masks').iterdir():
        Image.fromarray(np.asarray(Image.open(mask)) + 1).save(mask)
    _, content = look(config(folder, reduce_zero_label=True))
    assert content.reduced
    assert np.all(content.present)
    with pytest.raises(ValueError, match=r'\[3\].*\(reduce_zero_label=True, if 1 is the first'):
        look(config(folder))


def test_labels_are_those_of_the_chosen_classes(folder):
    class Chosen(BaseSegDataset):
        METAINFO = {'classes': ('left', 'other', 'ground', 'right')}  # noqa: RUF012

    settings = config(folder)
    settings.pop('type')
    settings.pop('_scope_')
    settings['pipeline'] = [LoadImageFromFile(), LoadAnnotations()]
    content = MaskContent('the data set', CLASSES, 255)
    look_through(Chosen(**settings), content)
    assert [list(present) for present in content.present] == [[True, True, False]] * 3
    assert content.ignored == [16] * 3  # 'other'


@pytest.mark.parametrize(
    ('item', 'stated', 'ignored', 'message'),
    [
        ({'reduce_zero_label': True}, False, 255, 'is True in the data set, False in its LoadA'),
        ({'reduce_zero_label': False}, True, 255, 'is False in the data set, True in its LoadAn'),
        ({'reduce_zero_label': True}, None, 0, 'makes 0 the label 255, but decode_head ignores 0'),
        ({'label_map': {0: 0, 1: -1, 2: 3}}, None, 255, r'is \{1: -1, 2: 3\} where the model has'),
        ({'label_map': {0: 255}}, None, 0, r'is \{0: 255\} where the model has 3 classes'),
    ],
)
def test_numbers_that_mean_something_else_elsewhere(item, stated, ignored, message):
    loader = LoadAnnotations(reduce_zero_label=stated)
    with pytest.raises(ValueError, match=message):
        check_numbering({'reduce_zero_label': False, **item}, [loader], 3, ignored)


@pytest.mark.parametrize('stated', [None, True])
def test_numbers_that_mean_the_same(stated):
    item = {'reduce_zero_label': True, 'label_map': {0: 2, 1: 255}}
    check_numbering(item, [LoadAnnotations(reduce_zero_label=stated)], 3, 255)
