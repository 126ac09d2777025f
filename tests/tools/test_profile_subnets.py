"""tools/profile_subnets.py on configs and on the checkpoint of a tiny supernet."""

import pytest
import torch
from helpers import ROOT, load_tool
from PIL import Image
from tiny.networks import VIT

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.registry import ELASTIC_BACKBONES
from poa_mm.tables import read_csv

SUBNETS = ['w16-d2', 'w16-d3', 'w24-d2', 'w24-d3', 'w32-d2', 'w32-d3']


@pytest.fixture
def checkpoint(tmp_path):
    net = ELASTIC_BACKBONES.build(dict(VIT))
    state = {f'teacher.backbone.{name}': value for name, value in net.state_dict().items()}
    info = {'backbone': net.config, 'config': {}}
    torch.save({'state_dict': state, SUPERNET_INFO: info}, tmp_path / 'iter_10.pth')
    return tmp_path / 'iter_10.pth'


@pytest.fixture
def run(capsys):
    """Run the tool: exit code and what it printed."""
    main = load_tool('profile_subnets').main

    def call(*args):
        code = main([str(arg) for arg in args])
        return code, capsys.readouterr()

    return call


def test_a_checkpoint(run, checkpoint, tmp_path):
    code, printed = run(checkpoint, '--out-dir', tmp_path / 'out')
    assert (code, printed.err) == (0, '')
    rows = read_csv(tmp_path / 'out' / 'profile.csv', ['flops', 'training_bytes'])
    assert sorted(row['subnet'] for row in rows) == SUBNETS
    assert {row['image_size'] for row in rows} == {'16'}, "the supernet's own"
    assert 'latency_ms' not in rows[0]
    assert Image.open(tmp_path / 'out' / 'profile.png').size == (1600, 550)
    assert str(tmp_path / 'out' / 'profile.csv') in printed.out


def test_tables_lie_beside_the_checkpoint_and_not_beside_a_config(
    run, checkpoint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(checkpoint, '--subnets', 'smallest')[0] == 0
    assert (tmp_path / 'profile_iter_10' / 'profile.csv').is_file()
    (tmp_path / 'configs').mkdir()
    config = tmp_path / 'configs' / 'tiny.py'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    assert run(config, '--subnets', 'smallest')[0] == 0
    assert (tmp_path / 'work_dirs' / 'profile_tiny' / 'profile.csv').is_file()
    assert list(config.parent.iterdir()) == [config]


def test_a_config_with_latency(run, tmp_path):
    options = ['--subnets', 'named', '--image-size', 32, 48, '--latency', '--device', 'cpu']
    code, _ = run(ROOT / 'configs/pretrain/poa_vit-tiny_photos.py', *options, '--out-dir', tmp_path)
    assert code == 0
    small, large = read_csv(tmp_path / 'profile.csv', ['latency_ms'])
    assert (small['name'], large['name']) == ('smallest', 'largest')
    assert small['image_size'] == '32x48'
    assert float(small['latency_ms']) > 0
    assert float(large['latency_ms']) > 0


def test_results_are_kept_unless_asked(run, checkpoint, tmp_path):
    (tmp_path / 'profile.png').write_text('mine')
    code, printed = run(checkpoint, '--out-dir', tmp_path)
    assert (code, printed.err.startswith('error: '), 'exists' in printed.err) == (2, True, True)
    assert (tmp_path / 'profile.png').read_text() == 'mine'
    assert not (tmp_path / 'profile.csv').exists()
    assert run(checkpoint, '--out-dir', tmp_path, '--overwrite', '--subnets', 'w16-d2')[0] == 0
    assert len(read_csv(tmp_path / 'profile.csv', [])) == 1


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('none.pth', None, 'no checkpoint at'),
        ('none.py', None, 'no config at'),
        ('broken.pth', 'text', 'is not a checkpoint'),
        (
            'broken.py',
            'model = dict(',
            "broken.py cannot be read as a config: SyntaxError: '(' was",
        ),
        ('base.py', '_base_ = "./missing.py"', 'missing.py'),
        ('empty.py', '', 'model.backbone of'),
        ('other.py', 'model = dict(backbone=dict(type="ResNet", depth=50))', 'is of type ResNet'),
    ],
)
def test_other_files_are_one_line(run, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    code, printed = run(tmp_path / name, '--out-dir', tmp_path / 'out')
    assert code == 2
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith('error: ')
    assert message in printed.err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--subnets', 'vit-s'], "no sub-network 'vit-s'"),
        (['--image-size', '0'], 'image_size must be positive, got (0, 0)'),
        (['--latency', '--threads', '0'], 'must be positive, got 1 and 0'),
    ],
)
def test_wrong_options_are_one_line(run, checkpoint, tmp_path, options, message):
    code, printed = run(checkpoint, '--out-dir', tmp_path / 'out', '--device', 'cpu', *options)
    assert code == 2
    assert len(printed.err.splitlines()) == 1
    assert message in printed.err
    assert not list((tmp_path / 'out').glob('*'))
