"""Images under the names that other programs and systems gave them."""

import re

import pytest
from mmengine.logging import MMLogger
from tiny.annotations import edit, settings
from tiny.scenes import write_coco

from poa_mm.detection.coco import CheckedCocoDataset
from poa_mm.detection.coco.findings import _warn

LEVEL = 'WARNING'


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    write_coco(folder, images=2)
    return folder


@pytest.fixture
def folder(scenes, tmp_path):
    """Two images, 1.png and 2.png, below train2017."""
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'train2017').mkdir()
    for path in scenes.rglob('*.*'):
        (tmp_path / path.relative_to(scenes)).write_bytes(path.read_bytes())
    return tmp_path


def paths(folder):
    dataset = CheckedCocoDataset(**settings(folder))
    return [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]


def name_images(folder, *names):
    def change(content):
        for image, name in zip(content['images'], names, strict=True):
            image['file_name'] = name

    edit(folder, change)


@pytest.mark.parametrize(
    'template',
    [
        'images\\{}.png',
        'C:\\Users\\me\\train2017\\{}.png',
        '..\\..\\media\\upload\\4\\{}.png',
        'images\\1/{}.png',
        '/home/me/data/train2017/{}.png',
        './train2017/{}.png',
        'train2017/{}.png',
        '{}.PNG',
        'data/local-files/%3Fd%3Dset/{}.png',
    ],
)
def test_names_of_another_system(folder, template, caplog):
    _warn.cache_clear()
    MMLogger.get_current_instance().addHandler(caplog.handler)
    name_images(folder, template.format(1), template.format(2))
    assert paths(folder) == [str(folder / f'train2017/{i}.png') for i in (1, 2)]
    (text,) = [
        r.message for r in caplog.records if 'other names' in r.message and r.levelname == LEVEL
    ]
    assert '2017.json: 2 of 2 images found under other names than its own; the first' in text


def test_names_on_disk(folder):
    """Escaped spaces, accents in another form, and folders: nothing is warned of without need."""
    (folder / 'train2017/1.png').rename(folder / 'train2017/a cafe\u0301.JPG')
    (folder / 'train2017/deep').mkdir()
    (folder / 'train2017/2.png').rename(folder / 'train2017/deep/2.png')
    name_images(folder, 'a%20caf\u00e9.jpg', 'deep/2.png')
    names = ('a cafe\u0301.JPG', 'deep/2.png')
    assert paths(folder) == [str(folder / 'train2017' / name) for name in names]


def test_missing_images_are_counted_before_the_run(folder):
    (folder / 'train2017/2.png').unlink()
    message = f'2017.json: 1 of 2 images are missing; the first has id 2, {folder}'
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        paths(folder)
    (folder / 'train2017/1.png').unlink()
    (folder / 'train2017').rmdir()
    with pytest.raises(FileNotFoundError, match='2 of 2 images are missing'):
        paths(folder)


def test_a_name_never_stands_for_another_images_file(folder):
    """Two folders of another machine, of which one is here: 1.png is one of the two."""
    name_images(folder, 'left/1.png', 'right/1.png')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images are missing; .* id 2, .*right'):
        paths(folder)
    name_images(folder, '1.png', 'right/1.png')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images are missing; .* id 2, .*right'):
        paths(folder)


def test_a_name_that_could_be_two_files(folder):
    (folder / 'train2017/a.PNG').write_bytes((folder / 'train2017/1.png').read_bytes())
    (folder / 'train2017/A.png').write_bytes((folder / 'train2017/1.png').read_bytes())
    name_images(folder, 'a.png', '2.png')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images are missing; .* id 1, .*a.png'):
        paths(folder)
