"""tools/extract_subnet.py on the checkpoint of a tiny supernet."""

import subprocess
import sys

import pytest
import torch
from helpers import load_tool
from mmengine.config import Config
from mmpretrain.models.backbones import VisionTransformer
from tiny.checkpoints import save_checkpoint
from tiny.families import build
from tiny.networks import TINY_BACKBONE, randomise

import poa_mm
from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.registry import ELASTIC_BACKBONES, MODELS


@pytest.fixture(scope='module')
def supernets():
    """Teacher and student."""
    nets = {}
    for seed, branch in enumerate(('teacher', 'student')):
        nets[branch] = randomise(ELASTIC_BACKBONES.build(dict(TINY_BACKBONE)), seed)
        nets[branch].eval()
    return nets


@pytest.fixture(scope='module')
def checkpoint(supernets, tmp_path_factory):
    path = tmp_path_factory.mktemp('run') / 'iter_10.pth'
    state = {}
    for prefix, branch in (('teacher.backbone.', 'teacher'), ('backbone.', 'student')):
        net = supernets[branch]
        state |= {prefix + name: value for name, value in net.state_dict().items()}
    info = {'backbone': supernets['teacher'].config, 'config': {}}
    torch.save({'state_dict': state, SUPERNET_INFO: info}, path)
    return path


@pytest.fixture
def extract(checkpoint, capsys):
    """Run the tool on the checkpoint: exit code, standard output, standard error."""
    main = load_tool('extract_subnet').main

    def run(*args, source=checkpoint):
        code = main([str(source), *map(str, args)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize('branch', ['teacher', 'student'])
@pytest.mark.parametrize('name', ['w24-d3', 'smallest', 'largest'])
def test_the_file_holds_the_sub_network_of_the_branch(extract, supernets, tmp_path, name, branch):
    path = tmp_path / 'new' / 'net.pth'
    code, out, err = extract(name, path, '--branch', branch)
    assert (code, err) == (0, '')
    net, supernet = poa_mm.load_backbone(path), supernets[branch]
    assert type(net) is VisionTransformer
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(net(images)[0], supernet(images, name)[0])
    millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    subnet = supernet.space[name]
    assert out.splitlines()[0] == f'{subnet} ({millions:.2f} M parameters) → {path}'


def test_the_teacher_is_the_default(extract, tmp_path):
    assert extract('smallest', tmp_path / 'default.pth')[0] == 0
    assert extract('smallest', tmp_path / 'teacher.pth', '--branch', 'teacher')[0] == 0
    states = [
        poa_mm.load_backbone(tmp_path / f'{n}.pth').state_dict() for n in ('default', 'teacher')
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_what_it_advises_works(extract, tmp_path):
    """The printed lines are code to paste."""
    path = tmp_path / 'net.pth'
    out = extract('w16-d2', path)[1]
    assert f"poa_mm.load_backbone('{path}')" in out
    assert f"init_cfg=dict(type='Pretrained', checkpoint='{path}')" in out
    lines = out.split('\n\n', 1)[1]
    assert 'custom_imports' not in lines  # mmpretrain has the class
    config = Config.fromstring(lines, '.py')
    net = MODELS.build(config.backbone)
    net.init_weights()
    expected = poa_mm.load_backbone(path).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())


BUILD = """
import sys
from mmengine.config import Config
from mmpretrain.registry import MODELS
config = Config.fromfile(sys.argv[1])
net = MODELS.build(config.backbone)
net.init_weights()
print(type(net).__name__, float(net.layer1[0].conv1.weight.sum()))
"""


def test_a_resnet_between_stock_depths_says_what_a_config_must_import(capsys, tmp_path):
    """Built as in a config of any OpenMMLab library, in a process that knows nothing of poa_mm."""
    source = save_checkpoint(tmp_path / 'iter_1.pth', build('resnet'))
    path, config = tmp_path / 'net.pth', tmp_path / 'config.py'
    assert load_tool('extract_subnet').main([str(source), 'smallest', str(path)]) == 0
    lines = capsys.readouterr().out.split('\n\n', 1)[1]
    assert "custom_imports = dict(imports=['poa_mm'], allow_failed_imports=False)" in lines
    config.write_text(lines)
    done = subprocess.run(
        [sys.executable, '-c', BUILD, str(config)], capture_output=True, text=True, check=True
    )
    weight = poa_mm.load_backbone(path).layer1[0].conv1.weight
    name, total = done.stdout.splitlines()[-1].split()
    assert (name, float(total)) == ('BottleneckResNet', pytest.approx(float(weight.sum())))


def refused(result, *parts):
    code, out, err = result
    assert (code, out) == (2, '')
    assert err.startswith('error: ')
    assert len(err.splitlines()) == 1
    for part in parts:
        assert part in err


def test_an_existing_file_is_kept_unless_asked(extract, tmp_path):
    path = tmp_path / 'net.pth'
    path.write_bytes(b'mine')
    refused(extract('smallest', path), str(path), 'exists already')
    assert path.read_bytes() == b'mine'
    assert extract('smallest', path, '--overwrite')[0] == 0
    assert poa_mm.load_backbone(path).embed_dims == 16


@pytest.mark.parametrize('name', ['vit-s', 'w17-d2', 'w16-d9', ''])
def test_an_unknown_sub_network_names_the_valid_ones(extract, tmp_path, name):
    result = extract(name, tmp_path / 'new' / 'net.pth')
    refused(result, repr(name), 'a width of 16, 24, 32', 'a depth of 2, 3, 4')
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_training_checkpoints(extract, tmp_path):
    out = tmp_path / 'out.pth'
    source = tmp_path / 'source.pth'
    refused(extract('smallest', out, source=source), f'no checkpoint at {source}')
    source.write_text('no checkpoint')
    refused(extract('smallest', out, source=source), f'{source} is not a checkpoint')
    torch.save({'state_dict': {'weight': torch.zeros(1)}}, source)
    refused(extract('smallest', out, source=source), f'{source} is not a training checkpoint')
    source.unlink()
    assert extract('smallest', source)[0] == 0
    refused(extract('smallest', out, source=source), 'looks like an extracted backbone')
    assert not out.exists()


def test_without_a_name_the_file_lies_beside_the_checkpoint(extract, checkpoint, tmp_path):
    source = tmp_path / 'iter_9.pth'
    source.write_bytes(checkpoint.read_bytes())
    code, out, _ = extract('w24-d3', source=source)
    assert code == 0
    path = tmp_path / 'w24-d3_iter_9.pth'
    assert f'→ {path}\n' in out
    assert poa_mm.load_backbone(path).embed_dims == 24
    refused(extract('w24-d3', source=source), f'{path} exists already', '--overwrite')


def test_an_unknown_branch_is_refused(extract, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        extract('smallest', tmp_path / 'net.pth', '--branch', 'ema')
    assert end.value.code == 2
    assert "invalid choice: 'ema'" in capsys.readouterr().err
