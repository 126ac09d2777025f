"""tools/train.py and tools/test.py on segmentation configs."""

import functools
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from helpers import load_tool
from PIL import Image
from tiny.segmentation import CLASSES, COLOURS, SIZE, draw, tiny_config
from tool_outcome import outcome

ITERS = 2


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp('seg'))


@pytest.fixture(scope='module')
def train(folder):
    """Trains a config by tools/train.py, once: its file and the checkpoint."""

    @functools.cache
    def run(name):
        work_dir = folder / name
        cfg = tiny_config(name, folder, work_dir, iters=ITERS)
        cfg.dump(folder / f'{name}.py')
        call('train', folder / f'{name}.py')
        return folder / f'{name}.py', work_dir / f'iter_{ITERS}.pth'

    return run


@pytest.fixture
def trained(train):
    return train('linear_poa_vit-b')


def call(tool, *args):
    """What a tool exits with."""
    before, sys.argv = sys.argv, [f'{tool}.py', *map(str, args)]
    try:
        return outcome(load_tool(tool).main)
    finally:
        sys.argv = before


def metrics(work_dir):
    (path,) = work_dir.glob('*/*.json')
    return {key: json.loads(path.read_text())[key] for key in ('mIoU', 'aAcc', 'mAcc')}


def last_validation(run):
    (path,) = run.glob('*/vis_data/scalars.json')
    line = json.loads(path.read_text().strip().splitlines()[-1])
    return {key: line[key] for key in ('mIoU', 'aAcc', 'mAcc')}


def test_a_resumed_run_goes_on_to_the_bit(folder, tmp_path):
    """Crops and colours of the loaders' workers, dropout and dropped paths are its step's."""
    cfg = tiny_config('upernet_poa_vit-s', folder, tmp_path / 'whole', iters=3)
    assert cfg.model.decode_head.dropout_ratio > 0
    assert cfg.model.backbone.drop_path_rate > 0
    cfg.train_dataloader.num_workers = 2
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=3)
    cfg.dump(tmp_path / 'c.py')
    assert call('train', tmp_path / 'c.py') is None
    half, rest = tmp_path / 'whole' / 'iter_1.pth', tmp_path / 'rest'
    assert call('train', tmp_path / 'c.py', '--work-dir', rest, '--resume', half) is None
    whole, resumed = (
        torch.load(path / 'iter_3.pth', weights_only=False)['state_dict']
        for path in (half.parent, rest)
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.parametrize('name', ['upernet_poa_vit-s', 'linear_poa_vit-b'])
def test_test_gives_the_numbers_of_the_run(train, name, tmp_path):
    config, checkpoint = train(name)
    assert call('test', config, checkpoint, '--work-dir', tmp_path / 'test') is None
    assert metrics(tmp_path / 'test') == last_validation(checkpoint.parent)


def test_predictions_are_drawn_beside_the_masks(trained, folder, tmp_path):
    config, checkpoint = trained
    drawn = tmp_path / 'drawn'
    assert call('test', config, checkpoint, '--work-dir', tmp_path, '--show-dir', drawn) is None
    paths = sorted(drawn.rglob('*.png'))
    assert [path.name for path in paths] == [f'test_{i}.png_{i + 1}.png' for i in range(4)]
    image = np.asarray(Image.open(folder / 'images' / '0.png')).astype(float)
    mask = np.asarray(Image.open(folder / 'masks' / '0.png'))
    picture = np.asarray(Image.open(paths[0])).astype(float)
    assert picture.shape == (SIZE[0], 2 * SIZE[1], 3)
    labelled = mask < len(CLASSES)
    mixed = 0.2 * image + 0.8 * COLOURS[np.where(labelled, mask, 0)]  # the visualizer's opacity
    left, right = (np.abs(half - mixed)[labelled] for half in np.split(picture, 2, axis=1))
    assert np.median(left) < 2  # the rest is below the names of classes
    assert np.median(right) > 10  # two steps do not teach it


def test_predictions_are_saved_as_masks_of_the_data_set(trained, folder, tmp_path):
    """Their accuracy, computed from the files, is the printed one; no logits are kept."""
    config, checkpoint = trained
    out, work_dir = tmp_path / 'masks', tmp_path / 'test'
    assert call('test', config, checkpoint, '--work-dir', work_dir, '--out', out) is None
    assert {path.name for path in out.iterdir()} == {f'{index}.png' for index in range(4)}
    right = labelled = 0
    for path in out.iterdir():
        mask = np.asarray(Image.open(folder / 'masks' / path.name))
        predicted = np.asarray(Image.open(path))
        assert predicted.dtype == np.uint8
        assert predicted.shape == SIZE
        known = mask < len(CLASSES)
        right += (predicted == mask)[known].sum()
        labelled += known.sum()
    assert metrics(work_dir)['aAcc'] == pytest.approx(100 * right / labelled, abs=0.006)
    answer = call('test', config, checkpoint, '--work-dir', work_dir, '--out', out)
    assert answer.startswith(f'error: {out} exists already; choose an empty folder for --out')
    assert '--overwrite' in answer
    (out / '0.png').write_bytes(b'broken')
    args = ['--work-dir', work_dir, '--out', out, '--overwrite']
    assert call('test', config, checkpoint, *args) is None
    assert np.asarray(Image.open(out / '0.png')).shape == SIZE


def test_masks_of_images_of_one_name_do_not_replace_each_other(trained, folder, tmp_path):
    config, checkpoint = trained
    for part in ('images', 'masks'):
        for camera in ('a', 'b'):
            shutil.copytree(folder / part, tmp_path / 'nested' / part / camera)
    options = ['--cfg-options', f'test_dataloader.dataset.data_root={tmp_path}/nested']
    out = tmp_path / 'out'
    args = ['--work-dir', tmp_path / 'test', '--out', out, *options]
    images = tmp_path / 'nested' / 'images'
    assert call('test', config, checkpoint, *args) == (
        f'error: {images}/a/0.png and {images}/b/0.png would both become 0.png in {out}: '
        'test one folder of images at a time'
    )


@pytest.mark.parametrize(
    ('out', 'options', 'message'),
    [
        ('p.pkl', [], "error: --out is a folder of masks for segmentation, got 'p.pkl'"),
        ('p', ['test_evaluator.type=DepthMetric'], 'error: --out needs an IoUMetric among the'),
    ],
)
def test_masks_need_a_folder_and_what_writes_them(folder, tmp_path, out, options, message):
    cfg = tiny_config('linear_poa_vit-b', folder, tmp_path / 'run', iters=1)
    cfg.dump(tmp_path / 'c.py')
    options = ['--cfg-options', *options] if options else []
    answer = call('test', tmp_path / 'c.py', tmp_path / 'c.py', '--out', out, *options)
    assert answer.startswith(message)


def test_time_augmentation_is_another_measurement(trained, tmp_path):
    config, checkpoint = trained
    assert call('test', config, checkpoint, '--work-dir', tmp_path / 'test', '--tta') is None
    assert set(metrics(tmp_path / 'test')) == {'mIoU', 'aAcc', 'mAcc'}


def test_a_checkpoint_of_another_model_is_refused(trained, tmp_path):
    config, checkpoint = trained
    content = torch.load(checkpoint, weights_only=False)
    del content['state_dict']['decode_head.conv_seg.weight']
    torch.save({'state_dict': content['state_dict']}, tmp_path / 'other.pth')
    message = call('test', config, tmp_path / 'other.pth', '--work-dir', tmp_path)
    assert message.startswith('error: ')
    assert 'decode_head.conv_seg.weight' in message
    assert '\n' not in message


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_a_wrong_label_is_one_line_wherever_it_comes_up(trained, folder, tmp_path, tool):
    """Here in the last image of four, after a run has begun."""
    config, checkpoint = trained
    wrong = tmp_path / 'masks'
    shutil.copytree(folder / 'masks', wrong)
    Image.fromarray(np.full(SIZE, 9, np.uint8)).save(wrong / '3.png')
    loader = {'train': 'val', 'test': 'test'}[tool]
    option = f'{loader}_dataloader.dataset.data_prefix.seg_map_path={wrong}'
    args = [config, *([checkpoint] if tool == 'test' else []), '--work-dir', tmp_path / 'run']
    answer = call(tool, *args, '--cfg-options', option)
    assert answer == (
        f'error: {wrong}/3.png holds the labels [9], but the model has 4 classes: 0 to 3, and 255 '
        'for what is ignored'
    )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['train_dataloader.dataset.data_root=none'], 'none'),
        (['model.decode_head.num_classes=5'], 'the data set has 4 classes, the model 5'),
    ],
)
def test_user_errors_are_one_line(folder, tmp_path, options, message):
    cfg = tiny_config('linear_poa_vit-b', folder, tmp_path / 'run', iters=1)
    cfg.dump(tmp_path / 'c.py')
    answer = call('train', tmp_path / 'c.py', '--cfg-options', *options)
    assert answer.startswith('error: ')
    assert message in answer
    assert '\n' not in answer


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ('none.pth', 'none.pth'),
        ('subnet://vit-s', "'subnet://vit-s' is not of the form subnet://SUBNET@CHECKPOINT"),
        ('subnet://vit-s@none.pth', 'no checkpoint at none.pth'),
    ],
)
def test_a_backbone_that_cannot_be_loaded_is_one_line(folder, tmp_path, checkpoint, message):
    cfg = tiny_config('linear_poa_vit-b', folder, tmp_path / 'run', iters=1)
    cfg.model.backbone.init_cfg = {'type': 'Pretrained', 'checkpoint': checkpoint}
    cfg.dump(tmp_path / 'c.py')
    answer = call('train', tmp_path / 'c.py')
    assert answer.startswith('error: ')
    assert message in answer
    assert '\n' not in answer
    assert not list((tmp_path / 'run').glob('*.pth'))
