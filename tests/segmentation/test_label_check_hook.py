"""Masks that do not fit the model end a segmentation run at once, and say which."""

import logging
import re
import shutil

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from tiny.segmentation import CLASSES, SIZE, draw, path_of, tiny_config

from poa_mm.engine import launch
from poa_mm.errors import InputError
from poa_mm.segmentation import LabelCheckHook
from poa_mm.segmentation.sweep_config import sweep_config


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


@pytest.fixture
def logged(monkeypatch):
    """What the runner logs of masks and classes."""
    lines = []

    def log(self, level, text, *args, extra=None):
        if extra is None and re.search('masks|classes|left out', str(text)):  # extra: the summary
            lines.append((level, text))

    monkeypatch.setattr(MMLogger, 'log', log)
    return lines


def two_classes(config):
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.metainfo = {'classes': ('background', 'object')}
    config.model.decode_head.num_classes = 2


def repaint(folder, **labels):
    """Give labels of all masks other numbers."""
    table = np.arange(256, dtype=np.uint8)
    for old, new in labels.items():
        table[int(old.removeprefix('_'))] = new
    for path in (folder / 'masks').iterdir():
        Image.fromarray(table[np.asarray(Image.open(path))]).save(path)


def test_fitting_masks_train(config, logged):
    runner = launch.build_runner(config)
    runner.train()
    assert runner.iter == 1
    texts = [re.sub(r'in .*', '', text) for _, text in logged]
    assert texts == [
        f'4 masks of the {kind} data set checked ' for kind in ('training', 'validation')
    ]


@pytest.mark.parametrize('loop', ['train', 'val', 'test'])
def test_two_classes_as_0_and_255_are_refused(config, folder, loop):
    """Trained on, they end at an mIoU of 100: whatever is not background is ignored."""
    two_classes(config)
    repaint(folder, _1=255, _2=255, _3=255)
    message = "of 2 classes the 4 masks of .* hold 'background' alone, .*0 and 1 in masks, not 0 a"
    with pytest.raises(ValueError, match=message):
        getattr(launch.build_runner(config), loop)()


def test_the_ignored_label_of_heads_is_the_metric_s(config, folder):
    """Judged with another, the mIoU was 33.8 in place of 75.0."""
    repaint(folder, _255=0)
    config.model.decode_head.ignore_index = 0
    for loop in ('train', 'val', 'test'):
        with pytest.raises(ValueError, match=r'ignores the label 0 .* another in IoUMetric 255'):
            getattr(launch.build_runner(config), loop)()
    config.val_evaluator.ignore_index = 0
    launch.build_runner(config).train()


def test_heads_of_a_sweep_are_checked_like_one(config):
    config.model.decode_head.update(dropout_ratio=0, ignore_index=0)
    with pytest.raises(ValueError, match=r'ignores the label 0 .* another in HeadIoUMetric 255'):
        launch.build_runner(sweep_config(config, [0.1, 0.2])).train()


def test_an_auxiliary_head_with_too_few_classes_is_refused(folder, tmp_path):
    config = tiny_config('upernet_poa_vit-s', folder, tmp_path / 'run', iters=1)
    config.model.auxiliary_head.num_classes = 2
    with pytest.raises(ValueError, match='the data set has 4 classes, auxiliary_head 2'):
        launch.build_runner(config).train()


def test_losses_are_tried(config):
    two_classes(config)
    config.model.decode_head.update(out_channels=1, threshold=0.5)
    with pytest.raises(ValueError, match=r'cannot be computed .*needs use_sigmoid=True'):
        launch.build_runner(config).train()


def test_suffixes_in_capitals_are_read_and_what_is_left_out_is_logged(config, folder, logged):
    for name, new in {'images/1.png': '1.PNG', 'masks/2.png': '2.Png'}.items():
        (folder / name).rename((folder / name).with_name(new))
    shutil.copy(folder / 'images' / '0.png', folder / 'images' / '7.jpeg')
    repaint(folder, _2=0)
    runner = launch.build_runner(config)
    runner.train()
    assert len(runner.train_dataloader.dataset) == 4
    warnings = [text for level, text in logged if level == logging.WARNING]
    assert warnings[:2] == [
        f'{folder}/images holds images that are left out, as their names do not end in .png: 1 '
        f'(1 .jpeg), the first {folder}/images/7.jpeg',
        "1 of 4 classes have no pixel in the 4 masks of the training data set: 'right'",
    ]


def test_classes_of_another_order_are_not_validated(config):
    config.val_dataloader.dataset.metainfo = {'classes': CLASSES[::-1]}
    with pytest.raises(ValueError, match="class 0 is 'ground' in training, 'disc' here"):
        launch.build_runner(config).train()


def test_a_checkpoint_of_other_classes_is_named(config, logged):
    launch.build_runner(config).train()
    logged.clear()
    config.load_from = str(path_of(config.work_dir, 1))
    config.test_dataloader.dataset.metainfo = {'classes': CLASSES[::-1]}
    launch.build_runner(config).test()
    assert "class 0 is 'ground' in training, 'disc' here" in logged[-1][1]


def test_masks_are_read_once_in_a_run(config, logged):
    config.train_cfg.update(max_iters=2, val_interval=1)
    launch.build_runner(config).train()
    assert len(logged) == 2


def test_some_masks_of_many_are_read(config, folder, logged):
    (hook,) = [hook for hook in config.custom_hooks if hook.type == 'LabelCheckHook']
    hook.max_masks = 2
    paint(folder, 4, '1.png')
    with pytest.raises(InputError, match=r'masks/1\.png becomes the labels \[4\]'):
        launch.build_runner(config).test()
    assert logged[-1][1].startswith('2 masks of the test data set checked in')
    hook.max_masks = 0
    with pytest.raises(ValueError, match='max_masks must be at least 1, got 0'):
        launch.build_runner(config)


@pytest.mark.parametrize(
    ('shape', 'label', 'message'),
    [
        (
            (1, 8, 8),
            4,
            r'm\.png becomes the labels \[4\], but the model has 4 classes: 0 to 3, and',
        ),
        ((1, 8, 4), 0, r'm\.png is loaded as \(1, 8, 4\), its image as \(8, 8\): a mask must have'),
        ((3, 8, 8), 0, r'm\.png is loaded as \(3, 8, 8\), its image as \(8, 8\)'),
    ],
)
def test_what_transforms_have_made_of_a_mask_is_looked_at(config, shape, label, message):
    sample = SegDataSample(metainfo={'img_shape': (8, 8), 'seg_map_path': 'm.png'})
    sample.gt_sem_seg = PixelData(data=torch.full(shape, label, dtype=torch.uint8))
    runner = launch.build_runner(config)
    with pytest.raises(InputError, match=message):
        LabelCheckHook().before_train_iter(runner, 0, {'data_samples': [sample]})


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
    ('shape', 'loaded'),
    [((*SIZE, 3), '(48, 64, 3)'), ((24, 32), '(1, 24, 32)')],  # colours; another size
)
@pytest.mark.parametrize('loop', ['train', 'val'])
def test_masks_that_do_not_lie_on_their_image_are_named(config, folder, loop, shape, loaded):
    Image.fromarray(np.zeros(shape, dtype=np.uint8)).save(folder / 'masks' / '1.png')
    message = re.escape(f'masks/1.png is loaded as {loaded}, its image as (48, 64): a mask must')
    with pytest.raises(ValueError, match=message):
        getattr(launch.build_runner(config), loop)()


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
