"""tools/train.py and tools/test.py on a generated COCO-format set."""

import importlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from helpers import load_tool
from mmdet.visualization import DetLocalVisualizer
from PIL import Image
from tiny.scenes import SIZE, write_coco, write_config
from tool_outcome import outcome

from poa_mm.compat import _mmcv_ext as stand_in


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coco')
    write_coco(folder)
    return folder


def run(tool, *args):
    """What the tool exits with; ``None`` if all went well."""
    # mmdet gives every run's visualiser one name, so that a second run in this process would log
    # into the first one's folder.
    DetLocalVisualizer._instance_dict.clear()
    module = load_tool(tool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [tool, *map(str, args)])
        return outcome(module.main)


@pytest.fixture(scope='module')
def trained(coco, tmp_path_factory):
    """The work dir of a run of two iterations, with a config that tests its checkpoint."""
    folder = tmp_path_factory.mktemp('run')
    config = write_config(folder / 'train.py', coco)
    assert run('train', config, '--work-dir', folder) is None
    return folder


@pytest.fixture
def config(coco, tmp_path):
    return write_config(tmp_path / 'config.py', coco)


def scalars(folder):
    """All figures that a run has logged."""
    lines = [
        json.loads(line)
        for path in sorted(folder.rglob('scalars.json'))
        for line in path.read_text().splitlines()
    ]
    return {name: value for line in lines for name, value in line.items()}


def results(folder):
    """The figures of a test run."""
    (path,) = [p for p in folder.rglob('*.json') if p.name != 'scalars.json']
    return json.loads(path.read_text())


def test_training_leaves_a_checkpoint_figures_and_curves(trained):
    assert (trained / 'iter_2.pth').is_file()
    figures = scalars(trained)
    assert {'loss', 'loss_rpn_cls', 's0.loss_cls', 's2.loss_mask'} <= set(figures)
    assert {f'coco/{kind}_mAP{at}' for kind in ('bbox', 'segm') for at in ('', '_50')} < set(
        figures
    )
    assert list(trained.rglob('events.out.tfevents.*'))


def test_testing_reproduces_the_figures_draws_and_saves(trained, config, tmp_path):
    args = ['--show-dir', tmp_path / 'drawn', '--out', tmp_path / 'out.pkl']
    args = [config, trained / 'iter_2.pth', '--work-dir', tmp_path / 'test', *args]
    assert run('test', *args) is None
    found, expected = results(tmp_path / 'test'), scalars(trained)
    figures = [name for name in found if name.startswith('coco/')]
    assert len(figures) == 12
    assert {name: found[name] for name in figures} == {name: expected[name] for name in figures}
    drawn = sorted((tmp_path / 'drawn').rglob('*.*'))
    assert [path.name for path in drawn] == ['1.png', '2.png', '3.png', '4.png']
    assert Image.open(drawn[0]).height >= SIZE
    predictions = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    assert [p['img_id'] for p in predictions] == [1, 2, 3, 4]
    assert all(len(p['pred_instances']['masks']) > 0 for p in predictions)


def error(*args, tool='test'):
    message = run(tool, *args)
    assert message.startswith('error: ')
    assert '\n' not in message
    return message


def test_nothing_is_written_over(trained, config, tmp_path):
    checkpoint, there = trained / 'iter_2.pth', tmp_path / 'there.pkl'
    there.write_text('mine')
    assert 'exists already' in error(config, checkpoint, '--out', there)
    message = error(config, checkpoint, '--show-dir', tmp_path)
    assert message == (
        f'error: {tmp_path} exists already; choose an empty folder for --show-dir, or replace what '
        'has the same names with --overwrite'
    )
    assert there.read_text() == 'mine'
    message = error(config, checkpoint, '--out', tmp_path / 'new.json')
    assert message == f"error: --out must end with .pkl or .pickle, got '{tmp_path}/new.json'"


def test_drawings_of_images_of_one_name_do_not_replace_each_other(trained, coco, config, tmp_path):
    annotations = json.loads((coco / 'annotations/instances_train2017.json').read_text())
    for image, camera in zip(annotations['images'], ('a', 'b'), strict=False):
        there = coco / 'train2017' / image['file_name']
        image['file_name'] = f'{camera}/1.png'
        own = there.parent / image['file_name']
        own.parent.mkdir(exist_ok=True)
        shutil.copyfile(there, own)
    (tmp_path / 'nested.json').write_text(json.dumps(annotations))
    option = f'test_dataloader.dataset.ann_file={tmp_path}/nested.json'
    drawn = tmp_path / 'drawn'
    options = ['--show-dir', drawn, '--cfg-options', option]
    message = error(config, trained / 'iter_2.pth', '--work-dir', tmp_path / 'test', *options)
    assert f'a/1.png and {coco}' in message
    assert message.endswith(
        f'b/1.png would both become 1.png in {drawn}: test one folder of images at a time'
    )


def test_what_cannot_be_tested(trained, config, tmp_path):
    message = error(config, tmp_path / 'none.pth')
    assert message == f'error: no checkpoint at {tmp_path}/none.pth'
    message = error(config, trained / 'iter_2.pth', '--tta')
    assert 'the config has no tta_model and no tta_pipeline' in message
    state = torch.load(trained / 'iter_2.pth', weights_only=False)['state_dict']
    heads = {name: value for name, value in state.items() if not name.startswith('backbone.')}
    torch.save({'state_dict': heads}, tmp_path / 'heads.pth')
    message = error(config, tmp_path / 'heads.pth', '--work-dir', tmp_path / 'w')
    assert 'heads.pth do not fit: ' in message
    assert 'missing: backbone.cls_token, ' in message


def test_a_damaged_checkpoint_is_named(trained, config, tmp_path):
    whole = (trained / 'iter_2.pth').read_bytes()
    for number, part in enumerate((len(whole) // 2, 100, 0)):
        path = tmp_path / f'{number}.pth'
        path.write_bytes(whole[:part])
        message = error(config, path, '--work-dir', tmp_path / 'w')
        assert message.startswith(f'error: {path} is not a checkpoint that can be read: ')


@pytest.mark.parametrize(
    ('key', 'kind'),
    [('model.backbone', 'model'), ('train_dataloader.dataset', 'dataset'), ('visualizer', None)],
)
def test_an_unknown_class_is_named(config, tmp_path, key, kind):
    options = ['--work-dir', tmp_path / 'w', '--cfg-options', f'{key}.type=Foo']
    message = error(config, *options, tool='train')
    assert message.startswith(f"error: there is no {kind or key} 'Foo' in the scope mmdet")


def test_a_truncated_annotation_file_is_named(coco, config, tmp_path):
    path = tmp_path / 'cut.json'
    path.write_bytes((coco / 'annotations/instances_train2017.json').read_bytes()[:200])
    options = ['--work-dir', tmp_path / 'w', '--cfg-options']
    options += [f'train_dataloader.dataset.ann_file={path}']
    message = error(config, *options, tool='train')
    assert message.startswith(f'error: {path} is no file of COCO: JSONDecodeError: ')


def test_a_config_without_a_test(tmp_path):
    (tmp_path / 'c.py').write_text('model = dict()')
    (tmp_path / 'c.pth').touch()  # looked for first
    message = error(tmp_path / 'c.py', tmp_path / 'c.pth')
    assert message == (
        f'error: {tmp_path}/c.py is no config to test: it has no test_dataloader, test_cfg, '
        'test_evaluator'
    )


def run_mmdet_s_own(tool, *args):
    """Run a tool as mmdet installed it: it imports mmdet, then what the config names."""
    tools = Path(mmdet.__file__).parent / '.mim' / 'tools'
    if not tools.is_dir():
        pytest.skip(f'mmdet was installed without its tools, {tools}')
    command = [sys.executable, *map(str, (tools / f'{tool}.py', *args))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_mmdet_s_own_training_takes_the_same_config(config, tmp_path):
    """Also where mmcv has no compiled operators; and it scales the rate, by 2 images of 16."""
    run_mmdet_s_own('train', config, '--work-dir', tmp_path / 'train', '--auto-scale-lr')
    figures = scalars(tmp_path / 'train')
    assert {'s2.loss_mask', 'coco/bbox_mAP'} <= set(figures)
    (first, *_) = (tmp_path / 'train').rglob('scalars.json')
    warmed_up = 1e-3 * 0.001 * 2 / 16  # the config's rate at the start of the warm-up
    assert json.loads(first.read_text().splitlines()[0])['lr'] == pytest.approx(warmed_up)


@pytest.mark.slow
@pytest.mark.compiled_ops
@pytest.mark.skipif(
    importlib.import_module('mmcv._ext').__file__ == stand_in.__file__,
    reason="NOT CHECKED: mmdet's own test tool cannot import a mmcv without compiled ops",
)
def test_mmdet_s_own_test_takes_the_same_config(trained, config, tmp_path):
    checkpoint = trained / 'iter_2.pth'
    run_mmdet_s_own('test', config, checkpoint, '--work-dir', tmp_path / 'test')
    assert results(tmp_path / 'test')['coco/bbox_mAP'] == scalars(trained)['coco/bbox_mAP']


LEARN = """
train_cfg = dict(max_iters=80, val_interval=80)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30)]
default_hooks = dict(checkpoint=dict(interval=80), logger=dict(interval=20))
"""


@pytest.mark.slow
def test_it_overfits_a_generated_set(coco, tmp_path):
    config = write_config(tmp_path / 'config.py', coco, LEARN)
    assert run('train', config, '--work-dir', tmp_path / 'run') is None
    figures = scalars(tmp_path / 'run')
    assert figures['coco/bbox_mAP_50'] > 0.8
    assert figures['coco/segm_mAP_50'] > 0.7
