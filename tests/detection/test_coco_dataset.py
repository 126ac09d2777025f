"""Classes, objects and images of a data set and of its annotation file."""

import json
import re

import pytest
from mmengine.logging import MMLogger
from PIL import Image
from ranks import run_distributed
from tiny.annotations import ANNOTATIONS, edit, masked_pipeline, settings
from tiny.scenes import CLASSES, write_coco

from poa_mm.detection.coco import CheckedCocoDataset

TRAINING = {'filter_cfg': {'filter_empty_gt': True, 'min_size': 32}}


@pytest.fixture
def folder(tmp_path):
    write_coco(tmp_path)
    return tmp_path


def build(folder, classes=CLASSES, **options):
    return CheckedCocoDataset(**settings(folder, classes, **options))


def named_objects(folder):
    """Names of the classes of each image's objects, by the file itself."""
    content = json.loads((folder / ANNOTATIONS).read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    return [
        [names[o['category_id']] for o in content['annotations'] if o['image_id'] == image['id']]
        for image in content['images']
    ]


@pytest.mark.parametrize('classes', [CLASSES, ('triangle', 'hexagon'), list(CLASSES)])
def test_labels_are_those_of_the_file(folder, classes):
    """Of all its classes, and of some."""
    dataset = build(folder, classes, test_mode=True)
    found = [
        [classes[item['bbox_label']] for item in dataset.get_data_info(i)['instances']]
        for i in range(len(dataset))
    ]
    expected = [[name for name in names if name in classes] for names in named_objects(folder)]
    assert found == expected
    assert sum(map(len, found)) > 3


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (('triangle', 'sqare', 'hexagon'), r"has no classes \['sqare'\]; it has \['triangle', "),
        (('a', 'b'), r"2017\.json has no classes \['a', 'b'\]"),
        (('hexagon', 'square', 'triangle'), r"each once: \['triangle', 'square', 'hexagon'\],"),
        (('triangle', 'triangle'), r"each once: \['triangle'\], not \['triangle', 'triangle'\]"),
        ('triangle', "classes must be a tuple of names, got 'triangle'"),
    ],
    ids=['one misspelled', 'all misspelled', 'order', 'twice', 'no comma'],
)
@pytest.mark.parametrize('options', [TRAINING, {'test_mode': True}], ids=['train', 'test'])
def test_names_that_do_not_agree(folder, classes, message, options):
    with pytest.raises(ValueError, match=message):
        build(folder, classes, **options)


def test_the_order_is_that_of_the_list_not_of_the_numbers(folder):
    edit(folder, lambda content: content['categories'].reverse())
    with pytest.raises(ValueError, match="'hexagon', 'square', 'triangle'], not"):
        build(folder)
    assert len(build(folder, CLASSES[::-1], **TRAINING)) == 4


def test_files_that_are_none(folder):
    path = folder / ANNOTATIONS
    path.write_text(path.read_text()[:300])
    with pytest.raises(ValueError, match=f'^{re.escape(str(path))} is no file of COCO: JSONDecode'):
        build(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        build(folder)


def test_nothing_to_learn_from(folder):
    edit(folder, lambda content: content['annotations'].clear())
    with pytest.raises(ValueError, match=r'none of the 4 images in \S* is left after .*min_size'):
        build(folder, **TRAINING)
    assert len(build(folder, test_mode=True)) == 4


@pytest.mark.parametrize('key', ['ignore', 'iscrowd'])
def test_nothing_but_crowds_to_learn_from(folder, key):
    def change(content):
        for a in content['annotations']:
            a[key] = int(a['category_id'] != 1)

    edit(folder, change)
    assert len(build(folder, CLASSES[:1], **TRAINING)) > 0
    with pytest.raises(ValueError, match=r"nothing to learn: its 4 images have no object of \['sq"):
        build(folder, CLASSES[1:])


def test_masks_are_checked_if_they_are_learned(folder):
    edit(folder, lambda content: content['annotations'][1].pop('segmentation'))
    assert len(build(folder)) == 4
    with pytest.raises(ValueError, match="no segmentation, which the model's masks need: 1 of "):
        build(folder, pipeline=masked_pipeline())
    nested = {'type': 'RandomChoice', 'transforms': [masked_pipeline()[:1], masked_pipeline()]}
    with pytest.raises(ValueError, match="no segmentation, which the model's masks need: 1 of "):
        build(folder, pipeline=[nested])


def test_classes_without_objects_are_named(folder, caplog):
    def change(content):
        content['annotations'] = [a for a in content['annotations'] if a['category_id'] != 2]

    edit(folder, change)
    MMLogger.get_current_instance().addHandler(caplog.handler)
    build(folder)
    assert 'instances_train2017.json: no objects of 1 of 3 classes: square' in caplog.text


def test_spaces_around_names_do_not_count(folder):
    def change(content):
        content['categories'][0]['name'] = ' triangle'

    edit(folder, change)
    for classes in (CLASSES, (' triangle', *CLASSES[1:]), ('triangle\n', *CLASSES[1:])):
        assert build(folder, classes).cat2label == {1: 0, 2: 1, 3: 2}


def resize(folder, number, size):
    path = folder / f'train2017/{number}.png'
    Image.open(path).resize(size).save(path)
    return path


@pytest.mark.parametrize('pipeline', [[], masked_pipeline()], ids=['none', 'masks'])
def test_images_of_another_size(folder, pipeline):
    first = resize(folder, 2, (64, 64))
    resize(folder, 3, (128, 64))
    message = (
        f'{folder}/{ANNOTATIONS}: 2 of 4 images are not those that were annotated; the '
        f'first: id 2, {first} is loaded as 64 × 64 pixels, and annotated as 128 × 128'
    )
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        build(folder, pipeline=pipeline)
    assert len(build(folder, pipeline=pipeline, check_sizes=False)) == 4
    assert len(build(folder, pipeline=masked_pipeline()[1:])) == 4  # who knows how it is loaded


def test_images_that_are_none(folder):
    path = folder / 'train2017/4.png'
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(ValueError, match=r'1 of 4 images are .* id 4, .*4.png cannot be read as'):
        build(folder)


def failure(rank, folder):
    """The error of one of the ranks that share the images."""
    try:
        build(folder)
    except ValueError as error:
        return str(error)
    return ''


@pytest.mark.slow
def test_all_ranks_end_with_the_same_error(folder):
    resize(folder, 2, (64, 64))  # of the second rank
    first, second = run_distributed(failure, 2, folder)
    assert first == second
    assert '1 of 4 images are not those that were annotated; the first: id 2' in first
