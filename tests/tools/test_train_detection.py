"""tools/train.py on detectors: options, and several processes."""

import json
import math
import os
import socket
import sys

import pytest
import torch
from helpers import load_tool
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.hooks import Hook
from ranks import start_ranks
from tiny.annotations import ANNOTATIONS
from tiny.checkpoints import save_supernet
from tiny.scenes import write_coco, write_config

from poa_mm.engine import launch
from poa_mm.files import read_file

EVERY = 'default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))\n'
LONGER = EVERY + 'train_cfg = dict(max_iters=4, val_interval=4)\n'


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coco')
    write_coco(folder)
    return folder


@pytest.fixture
def train(coco, tmp_path, monkeypatch):
    """Train the tiny detector into a folder; the figures of its steps."""

    def run(name, *options, text=LONGER):
        DetLocalVisualizer._instance_dict.clear()  # mmdet gives all runs' visualisers one name
        config = write_config(tmp_path / f'{name}.py', coco, text)
        work_dir = str(tmp_path / name.rstrip('_'))
        monkeypatch.setattr(
            sys, 'argv', ['train.py', str(config), '--work-dir', work_dir, *options]
        )
        assert load_tool('train').main() == 0
        path = max((tmp_path / name.rstrip('_')).rglob('scalars.json'))  # of the latest run
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [row for row in rows if 'loss' in row]

    return run


def checkpoint(tmp_path, name, iteration):
    return read_file(tmp_path / name / f'iter_{iteration}.pth')


@pytest.mark.slow
def test_resuming_goes_on_with_schedule_and_optimiser(train, tmp_path):
    whole = train('whole')
    train('parts', text=EVERY + 'train_cfg = dict(max_iters=2, val_interval=2)\n')
    half = checkpoint(tmp_path, 'parts', 2)
    rest = train('parts_', '--resume')
    assert [row['step'] for row in whole] == [1, 2, 3, 4]
    assert [row['step'] for row in rest] == [3, 4]
    assert [row['lr'] for row in rest] == [row['lr'] for row in whole[2:]]
    end = checkpoint(tmp_path, 'parts', 4)
    assert end['meta']['iter'] == 4
    steps = {state['step'].item() for state in end['optimizer']['state'].values()}
    assert steps == {4.0}
    # Each step of Adam moves a weight by no more than the rate, here that of the two steps left.
    name = 'roi_head.bbox_head.0.fc_cls.weight'
    distance = (end['state_dict'][name] - half['state_dict'][name]).abs().max()
    assert 0 < distance < 2 * rest[-1]['lr']


def test_accumulated_batches(train, tmp_path):
    rows = train('run', '--cfg-options', 'optim_wrapper.accumulative_counts=2')
    assert len(rows) == 4
    state = checkpoint(tmp_path, 'run', 4)
    assert {s['step'].item() for s in state['optimizer']['state'].values()} == {2.0}


PLAIN = """
train_dataloader['dataset']['type'] = 'CocoDataset'
val_dataloader['dataset']['type'] = 'CocoDataset'
val_evaluator['type'] = 'CocoMetric'
train_cfg['max_iters'] = train_cfg['val_interval'] = 1
"""


def test_a_file_of_another_tool_trains_and_validates(coco, train, tmp_path):
    """With mmdet's own classes in the config: numbered from 0, without areas, names of Windows."""
    path = coco / ANNOTATIONS
    whole = path.read_text()
    content = json.loads(whole)
    for number, annotation in enumerate(content['annotations']):
        annotation['id'] = number
        del annotation['area'], annotation['iscrowd']
    for image in content['images']:
        image['file_name'] = f'images\\{image["file_name"]}'
    path.write_text(json.dumps(content))
    try:
        (row,) = train('run', text=PLAIN)
    finally:
        path.write_text(whole)
    assert math.isfinite(row['loss'])
    (log,) = (tmp_path / 'run').rglob('*.log')
    text = log.read_text()
    assert text.count('WARNING - ' + str(path) + ': no iscrowd, taken as 0: ') == 1
    assert 'coco/bbox_mAP: ' in text


def test_mixed_precision_is_bf16_and_keeps_the_layers_rates(coco, tmp_path, monkeypatch):
    cfg = Config.fromfile(write_config(tmp_path / 'config.py', coco))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    before = dict(cfg.optim_wrapper)
    launch.set_amp(cfg)
    assert cfg.optim_wrapper == {**before, 'type': 'AmpOptimWrapper', 'dtype': 'bfloat16'}
    assert cfg.optim_wrapper.constructor == 'LayerDecayConstructor'


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
def test_mixed_precision_trains_near_float32(train):
    rows, expected = train('bf16', '--amp'), train('float32')
    for name in ('loss_rpn_cls', 's0.loss_cls', 's0.loss_mask'):
        assert rows[0][name] == pytest.approx(expected[0][name], rel=0.05)
    assert all(math.isfinite(row['loss']) for row in rows)


# ------------------------------------------------------------------ two processes


WORLD = 2
SUPERNET = {
    'type': 'ElasticVisionTransformer',
    'arch': {'embed_dims': 128, 'num_layers': 5, 'num_heads': 4, 'feedforward_channels': 256},
    'img_size': 32,
    'patch_size': 16,
    'widths': [96, 128],
    'depths': [4, 5],
    'layer_scale_init_value': 1.0,
}
FROM_SUBNET = """
source = dict(_delete_=True, type='Pretrained', checkpoint='subnet://w96-d4@{path}')
model['backbone']['init_cfg'] = source
custom_hooks = [dict(type='PretrainedCheckHook'), dict(type='ClassCheckHook')]
train_cfg = dict(max_iters=1, val_interval=1)
"""


class Start(Hook):
    """Keeps the weights that a rank's first step starts from."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.state = {k: v.clone() for k, v in runner.model.module.state_dict().items()}
        self.images = [sample.img_path for sample in data_batch['data_samples']]


def train_rank(rank, port, config, folder):
    torch.set_num_threads(1)
    names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
    values = (rank, rank, WORLD, '127.0.0.1', port)
    os.environ.update({name: str(value) for name, value in zip(names, values, strict=True)})
    cfg = Config.fromfile(config)
    cfg.work_dir = folder
    runner = launch.build_runner(cfg, 'pytorch')
    start = Start()
    runner.register_hook(start)
    runner.train()
    end = dict(runner.model.module.named_parameters())
    result = {'start': start.state, 'images': start.images, 'end': end}
    torch.save(result, f'{folder}/rank{rank}.pt')
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='the launcher uses gloo without a GPU')
def test_ranks_start_from_one_sub_network_and_stay_together(coco, tmp_path):
    nets = save_supernet(tmp_path / 'supernet.pth', SUPERNET)
    text = FROM_SUBNET.format(path=tmp_path / 'supernet.pth')
    config = write_config(tmp_path / 'config.py', coco, text)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    start_ranks(train_rank, WORLD, port, str(config), str(tmp_path))
    first, second = (
        torch.load(tmp_path / f'rank{rank}.pt', weights_only=True) for rank in range(WORLD)
    )
    assert set(first['images']).isdisjoint(second['images'])
    expected = nets['teacher'].subnet_state_dict('w96-d4')
    for rank in (first, second):
        for name in ('patch_embed.projection.weight', 'layers.3.ffn.layers.1.weight', 'cls_token'):
            assert torch.equal(rank['start'][f'backbone.{name}'], expected[name])
    for when in ('start', 'end'):
        assert all(torch.equal(value, second[when][name]) for name, value in first[when].items())
    name = 'roi_head.bbox_head.0.fc_cls.weight'
    assert not torch.equal(first['end'][name], first['start'][name])
