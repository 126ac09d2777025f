"""Masks that do not fit the model end a segmentation run at once, and say which."""

import numpy as np
import pytest
from PIL import Image
from segmentation import CLASSES, SIZE, draw, tiny_config

from poa_mm.engine import launch


@pytest.fixture
def folder(tmp_path):
    return draw(tmp_path / 'data')


@pytest.fixture
def config(folder, tmp_path):
    return tiny_config('linear_poa_vit-s', folder, tmp_path / 'run', iters=1)


def paint(folder, label, name='2.png'):
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[:] = label
    Image.fromarray(mask).save(folder / 'masks' / name)


def test_fitting_masks_train(config):
    runner = launch.build_runner(config)
    runner.train()
    assert runner.iter == 1


def test_images_without_masks_are_counted_and_named(config, folder):
    for name in ('1.png', '3.png'):
        (folder / 'masks' / name).unlink()
    with pytest.raises(FileNotFoundError, match=r'2 of 4 images have no mask; .*masks/1\.png'):
        launch.build_runner(config).train()


def test_another_number_of_classes_is_refused(config):
    config.model.decode_head.num_classes = 5
    with pytest.raises(ValueError, match='the data set has 4 classes, the model 5'):
        launch.build_runner(config).train()


@pytest.mark.parametrize('loop', ['val', 'test'])
@pytest.mark.parametrize('names', [CLASSES[:3], [*CLASSES, 'more']])
def test_another_number_of_classes_is_no_other_accuracy(config, loop, names):
    """Classes that are left out of the mean would raise it."""
    for loader in (config.val_dataloader, config.test_dataloader):
        loader.dataset.metainfo = {'classes': names}
    with pytest.raises(ValueError, match=f'the data set has {len(names)} classes, the model 4'):
        getattr(launch.build_runner(config), loop)()


@pytest.mark.parametrize('loop', ['val', 'test'])
def test_images_without_masks_are_counted_before_a_test(config, folder, loop):
    (folder / 'masks' / '3.png').unlink()
    runner = launch.build_runner(config)
    with pytest.raises(FileNotFoundError, match=r'1 of 4 images have no mask; .*masks/3\.png'):
        getattr(runner, loop)()


@pytest.mark.parametrize('loop', ['train', 'test'])
def test_masks_that_would_be_cut_to_8_bits_are_refused(config, folder, loop):
    """257 would become the valid label 1."""
    for name in ('1.png', '3.png'):
        Image.fromarray(np.full(SIZE, 257, np.uint16)).save(folder / 'masks' / name)
    message = r'2 of 4 masks have more than 8 bits .*masks/1\.png, of mode I;16: save'
    with pytest.raises(ValueError, match=message):
        getattr(launch.build_runner(config), loop)()


def test_palette_masks_hold_numbers_too(config, folder):
    path = folder / 'masks' / '1.png'
    mask = Image.open(path)
    labels = np.asarray(mask)
    mask.putpalette([value % 256 for value in range(768)])
    mask.save(path)
    assert Image.open(path).mode == 'P'
    runner = launch.build_runner(config)
    runner.test()
    loaded = runner.test_dataloader.dataset[1]['data_samples'].gt_sem_seg.data
    assert np.array_equal(loaded[0], labels)


def test_parts_of_a_data_set_and_several_views_are_looked_through(config, folder, tmp_path):
    other = draw(tmp_path / 'other')
    (other / 'masks' / '1.png').unlink()
    dataset = config.test_dataloader.dataset
    dataset.pipeline = config.tta_pipeline
    parts = [dataset, {**dataset, 'data_root': str(other)}]
    config.test_dataloader.dataset = {
        'type': 'RepeatDataset',
        'times': 2,
        'dataset': {'type': 'ConcatDataset', 'datasets': parts},
    }
    config.model = {**config.tta_model, 'module': config.model}
    with pytest.raises(FileNotFoundError, match=r'1 of 4 images have no mask; .*other/masks/1'):
        launch.build_runner(config).test()


def test_labels_beyond_the_classes_are_named_in_training(config, folder):
    for index in range(4):
        paint(folder, 7, f'{index}.png')
    with pytest.raises(ValueError, match=r'masks/\d\.png holds the labels \[7\]') as error:
        launch.build_runner(config).train()
    assert '4 classes: 0 to 3, and 255 for what is ignored' in str(error.value)


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((*SIZE, 3), r'loaded as \(32, 32, 3\), its image as \(32, 32\)'),  # colours, not numbers
        ((SIZE[0], 20), r'loaded as \(1, 32, \d+\), its image as \(32, 32\)'),
    ],
)
def test_masks_that_do_not_lie_on_their_image_are_named_in_training(config, folder, shape, message):
    for index in range(4):
        mask = Image.fromarray(np.zeros(shape, dtype=np.uint8))
        mask.save(folder / 'masks' / f'{index}.png')
    with pytest.raises(ValueError, match=r'masks/\d\.png is ' + message):
        launch.build_runner(config).train()


def test_masks_of_another_size_are_named_in_validation(config, folder):
    Image.fromarray(np.zeros((24, 32), dtype=np.uint8)).save(folder / 'masks' / '1.png')
    with pytest.raises(ValueError, match=r'1\.png is loaded as \(1, 24, 32\), its image as \(48'):
        launch.build_runner(config).val()


@pytest.mark.parametrize('loop', ['val', 'test'])
def test_labels_beyond_the_classes_are_not_left_out_of_the_accuracy(config, folder, loop):
    """mmseg's metric would."""
    paint(folder, 4)
    with pytest.raises(ValueError, match=r'masks/2\.png holds the labels \[4\]'):
        getattr(launch.build_runner(config), loop)()


def test_test_time_augmentation_is_checked_too(config, folder):
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = {**config.tta_model, 'module': config.model}
    launch.build_runner(config).test()
    paint(folder, 4)
    with pytest.raises(ValueError, match=r'masks/2\.png holds the labels \[4\]'):
        launch.build_runner(config).test()


def test_images_to_predict_need_no_mask(config, folder):
    for path in (folder / 'masks').iterdir():
        path.unlink()
    pipeline = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset.pipeline = [t for t in pipeline if 'Anno' not in t['type']]
    config.test_evaluator = {
        'type': 'IoUMetric',
        'format_only': True,
        'output_dir': config.work_dir,
    }
    assert launch.build_runner(config).test() == {}
