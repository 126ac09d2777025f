import logging
import os

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from poa_mm.datasets import ImageFolder, MultiCrop, SampleIndex, UnreadableImageError, read_image

SIZE = 24


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((SIZE, SIZE, 3), value, dtype=np.uint8)).save(path)


def break_file(path, how):
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == 'truncated':
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, format='JPEG')
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        path.write_text({'text': 'no image', 'empty': ''}[how])


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / 'cat' / 'a.png', 10)
    save(tmp_path / 'cat' / 'deep' / 'er' / 'b.JPEG', 20)
    save(tmp_path / 'dog' / 'c.bmp', 30)
    (tmp_path / 'dog' / 'notes.txt').write_text('no image, and not taken for one')
    return tmp_path


@pytest.fixture
def warnings_seen(monkeypatch):
    records = []

    class Recorder(logging.Handler):
        def emit(self, record):
            record.getMessage().encode('utf-8')  # as a terminal does
            records.append(record.getMessage())

    logger = MMLogger.get_current_instance()
    handler = Recorder(level=logging.WARNING)
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def test_every_image_at_any_depth_without_labels(folder):
    dataset = DATASETS.build({'type': 'ImageFolder', 'data_root': str(folder)})
    names = [dataset.get_data_info(i)['img_path'].rsplit('/', 1)[1] for i in range(len(dataset))]
    assert names == ['a.png', 'b.JPEG', 'c.bmp']
    item = dataset[0]
    assert set(item) == {'img', 'img_shape', 'ori_shape', 'img_path', 'sample_idx'}
    np.testing.assert_array_equal(item['img'], np.full((SIZE, SIZE, 3), 10, dtype=np.uint8))
    assert item['img_shape'] == item['ori_shape'] == (SIZE, SIZE)


def test_a_flat_folder(tmp_path):
    save(tmp_path / 'b.png', 2)
    save(tmp_path / 'a.webp', 1)
    assert len(ImageFolder(tmp_path)) == 2


def test_top_sub_folders_are_the_labels(folder):
    dataset = ImageFolder(folder, with_label=True)
    assert dataset.CLASSES == ('cat', 'dog')
    assert dataset.get_gt_labels().tolist() == [0, 0, 1]


def test_list_file_picks_a_subset(folder):
    (folder / 'subset.txt').write_text('dog/c.bmp 1\n')
    dataset = ImageFolder(folder, with_label=True, ann_file='subset.txt')
    assert dataset.get_gt_labels().tolist() == [1]


def test_home_folder(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    assert len(ImageFolder('~/cat')) == 2


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'no image folder {tmp_path}/nowhere'):
        ImageFolder(tmp_path / 'nowhere')


def test_folder_without_images(tmp_path):
    (tmp_path / 'a.txt').touch()
    with pytest.raises(ValueError, match=r'no images in .*\.bmp, \.jpeg, .*\.webp'):
        ImageFolder(tmp_path)
    with pytest.raises(ValueError, match=r'end in one of \.gif$'):
        ImageFolder(tmp_path, extensions=['.gif'])


def test_labels_need_sub_folders(tmp_path):
    save(tmp_path / 'a.png', 1)
    with pytest.raises(ValueError, match='no images in class sub-folders of'):
        ImageFolder(tmp_path, with_label=True)


@pytest.mark.parametrize('how', ['truncated', 'text', 'empty'])
def test_unreadable_image_is_named_once_skipped_and_counted(folder, warnings_seen, how):
    break_file(folder / 'bad.jpg', how)
    dataset = ImageFolder(folder)
    bad = next(i for i in range(4) if dataset.get_data_info(i)['img_path'].endswith('bad.jpg'))
    values = {int(dataset[bad]['img'][0, 0, 0]) for _ in range(60)}
    assert len(values) == 3  # any of the three others takes its place
    assert dataset.num_unreadable == 1
    (warning,) = warnings_seen
    assert f'{folder}/bad.jpg cannot be read as an image' in warning
    assert '1 of 4 images unreadable so far' in warning


def test_loader_workers_share_what_they_know(folder, warnings_seen):
    for number in range(3):
        break_file(folder / f'bad{number}.jpg', 'text')
    dataset = ImageFolder(folder, pipeline=[lambda results: torch.from_numpy(results['img'])])
    loader = DataLoader(dataset, batch_size=2, num_workers=2)
    for _ in range(3):
        assert sum(len(batch) for batch in loader) == 6
    assert dataset.num_unreadable == 3
    for index in range(len(dataset)):
        dataset[index]
    assert not warnings_seen  # all three were named by the workers


def test_nothing_readable(tmp_path):
    for name in ('a.jpg', 'b.png'):
        break_file(tmp_path / name, 'text')
    dataset = ImageFolder(tmp_path)
    with pytest.raises(ValueError, match=r'no readable image in 1001 draws .*2 of 2 are known'):
        dataset[0]


def test_one_readable_image_among_many_is_enough(tmp_path):
    for number in range(9):
        break_file(tmp_path / f'{number}.jpg', 'empty')
    save(tmp_path / 'good.png', 5)
    dataset = ImageFolder(tmp_path)
    assert all((dataset[index]['img'] == 5).all() for index in range(10))
    assert dataset.num_unreadable <= 9


def test_evaluation_refuses_an_unreadable_image(folder):
    break_file(folder / 'cat' / 'bad.jpg', 'truncated')
    dataset = ImageFolder(folder, with_label=True, test_mode=True)
    with pytest.raises(UnreadableImageError, match=r'cat/bad\.jpg cannot be read'):
        list(map(dataset.__getitem__, range(len(dataset))))


def test_file_that_vanished_counts_as_unreadable(folder, warnings_seen):
    dataset = ImageFolder(folder)
    (folder / 'cat' / 'a.png').unlink()
    assert dataset[0]['img'][0, 0, 0] > 15
    assert 'a.png cannot be read' in warnings_seen[0]


def test_the_replacement_of_a_broken_image_is_a_function_of_the_position(tmp_path):
    for value in range(20):
        save(tmp_path / f'{value:02}.png', value)
    break_file(tmp_path / '03.png', 'text')
    dataset = ImageFolder(tmp_path)

    def drawn(position, run_seed, global_seed):
        np.random.seed(global_seed)  # noqa: NPY002  # the generator that mmengine draws from
        return dataset[SampleIndex(3, position, run_seed)]['sample_idx']

    first = drawn(8, 0, global_seed=0)
    again = drawn(8, 0, global_seed=1)
    assert (first, first.position, first.run_seed) == (again, 8, 0)
    assert again.position == 8
    assert len({int(drawn(position, 0, 0)) for position in range(40)}) > 10
    assert [drawn(p, 0, 0) for p in range(10)] != [drawn(p, 1, 0) for p in range(10)]


def test_hidden_folders_are_no_classes(folder):
    for hidden in ('.ipynb_checkpoints', '__MACOSX'):
        save(folder / hidden / 'x.png', 1)
    dataset = ImageFolder(folder, with_label=True)
    assert dataset.CLASSES == ('cat', 'dog')
    assert dataset.get_gt_labels().tolist() == [0, 0, 1]


def test_a_class_without_images_keeps_its_label(folder, warnings_seen):
    (folder / 'cow').mkdir()
    dataset = ImageFolder(folder, with_label=True)
    assert dataset.CLASSES == ('cat', 'cow', 'dog')
    assert dataset.get_gt_labels().tolist() == [0, 0, 2]
    assert warnings_seen == [f'{folder}: no images of the classes cow']


def test_labels_follow_the_names_of_given_classes(folder):
    dataset = ImageFolder(folder, with_label=True, classes=['dog', 'cow', 'cat'])
    assert dataset.get_gt_labels().tolist() == [2, 2, 0]
    dataset = ImageFolder(folder, with_label=True, classes=['Katze', 'Hund'])
    assert dataset.get_gt_labels().tolist() == [0, 0, 1]
    with pytest.raises(
        ValueError, match=r'holds 2 class folders \(cat, dog\) for 1 classes \(Tier\)'
    ):
        ImageFolder(folder, with_label=True, classes=['Tier'])


def test_images_beside_the_class_folders_are_counted(folder, warnings_seen):
    save(folder / 'stray.png', 1)
    assert len(ImageFolder(folder, with_label=True)) == 3
    assert warnings_seen == [f'{folder}: 1 images lie in no class folder: left out']


@pytest.mark.parametrize('splits', [['train', 'val'], ['Train', 'test', 'valid'], ['train2017']])
def test_splits_are_not_taken_for_classes(splits, tmp_path):
    for split in splits:
        save(tmp_path / split / 'cat' / '1.png', 1)
    names = ', '.join(sorted(splits))
    with pytest.raises(ValueError, match=f'holds the splits {names} in place of classes'):
        ImageFolder(tmp_path, with_label=True)
    assert len(ImageFolder(tmp_path)) == len(splits)
    save(tmp_path / 'bus' / '1.png', 1)  # a class named train is fine
    assert 'bus' in ImageFolder(tmp_path, with_label=True).CLASSES


def test_evaluation_refuses_a_folder_that_it_cannot_open(folder, monkeypatch, warnings_seen):
    scandir = os.scandir

    def scan(path):
        if str(path).endswith('dog'):
            raise PermissionError(13, 'Permission denied')
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', scan)
    assert len(ImageFolder(folder)) == 2
    assert warnings_seen == [f'{folder}: folders that cannot be opened: dog (Permission denied)']
    with pytest.raises(ValueError, match='cannot be opened: dog'):
        ImageFolder(folder, test_mode=True)


def test_a_broken_image_whose_name_is_not_utf_8(folder, warnings_seen):
    break_file(folder / os.fsdecode(b'caf\xe9.jpg'), 'text')
    dataset = ImageFolder(folder)
    assert [dataset[index] is not None for index in range(4)] == [True] * 4
    (warning,) = warnings_seen
    assert r'caf\udce9.jpg cannot be read as an image: unknown format. Skipped' in warning


def test_samples_of_12_bits_are_said_once_for_the_data_set(tmp_path, warnings_seen):
    for number in range(3):
        Image.fromarray(np.full((9, 9), 4000, dtype=np.uint16)).save(tmp_path / f'{number}.png')
    dataset = ImageFolder(tmp_path)
    assert [int(dataset[index]['img'].mean()) for index in range(3)] == [250] * 3
    (warning,) = warnings_seen
    assert warning.startswith(f'{tmp_path}/0.png has samples up to 4000 taken as 12 bits; further')


def test_a_large_image_is_named_once(tmp_path, warnings_seen, monkeypatch):
    for name in ('a.png', 'b.png'):
        save(tmp_path / name, 3)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 400)
    dataset = ImageFolder(tmp_path)
    for index in (0, 1, 0, 1):
        dataset[index]
    assert [text.split(' ')[0] for text in warnings_seen] == [
        f'{tmp_path}/{name}' for name in ('a.png', 'b.png')
    ]


def test_of_a_very_long_image_the_middle_is_taken(tmp_path, warnings_seen):
    columns = np.arange(3001, dtype=np.uint16)
    values = np.stack([columns >> 8, columns & 255, columns * 0], axis=-1).astype(np.uint8)
    Image.fromarray(np.repeat(values[None], 2, axis=0)).save(tmp_path / 'long.png')
    dataset = ImageFolder(tmp_path, test_mode=True)
    for _ in range(2):
        results = dataset[0]
    assert results['img'].shape == (2, 199, 3)
    positions = results['img'][0, :, 2].astype(int) * 256 + results['img'][0, :, 1]
    assert positions.tolist() == list(range(1401, 1600))
    assert warnings_seen == [
        f'{tmp_path}/long.png has 3001 x 2 pixels; taken are 199 x 2 in its middle'
    ]


@pytest.fixture
def photograph(tmp_path):
    """A JPEG of 450 x 350 pixels, lying on its side."""
    columns, rows = np.meshgrid(np.arange(450) / 2, np.arange(350) / 2)
    image = np.stack([columns, rows, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / 'a.jpg', quality=95, exif=exif)
    return tmp_path


PLAIN = {
    'global_size': 32,
    'local_size': 16,
    'num_local': 2,
    'color_jitter': (0, 0, 0, 0),
    'blur_prob': (0, 0, 0),
    'gray_prob': 0,
    'solarize_prob': 0,
}


def test_training_reads_a_photograph_as_small_as_its_crops_allow(photograph):
    """The crops are the same as those of the whole image, and so is all that follows them."""
    whole = read_image(str(photograph / 'a.jpg'))
    seen = {}

    class Spy(MultiCrop):
        def transform(self, results):
            seen.update(results)
            return super().transform(results)

    dataset = ImageFolder(photograph, pipeline=[Spy(**PLAIN)])
    factors = set()
    for position in range(12):
        index = SampleIndex(0, position, 0)
        results = dataset[index]
        factors.add(round(450 / seen['img'].shape[0]))
        assert results['ori_shape'] == whole.shape[:2] == (450, 350)
        again = dataset[index]['img']
        expected = MultiCrop(**PLAIN)({'img': whole, 'sample_idx': index})['img']
        for view, same, full in zip(results['img'], again, expected, strict=True):
            assert torch.equal(view, same)
            assert (view.float() - full.float()).abs().mean() < 1.5
        assert set(results) == {'img', 'img_path', 'ori_shape', 'sample_idx'}
    assert factors >= {2, 4}


def test_evaluation_reads_all_of_a_photograph(photograph):
    dataset = ImageFolder(photograph, test_mode=True)
    assert dataset[0]['img'].shape == (450, 350, 3)
    dataset = ImageFolder(photograph, test_mode=True, pipeline=[MultiCrop(**PLAIN)])
    views = dataset[SampleIndex(0, 1, 0)]['img']
    whole = read_image(str(photograph / 'a.jpg'))
    expected = MultiCrop(**PLAIN)({'img': whole, 'sample_idx': SampleIndex(0, 1, 0)})['img']
    assert all(torch.equal(*pair) for pair in zip(views, expected, strict=True))
