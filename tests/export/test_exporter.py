"""What all formats share: cards, snippets, files complete or not at all."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import ROOT
from snippets import check_snippet
from tiny.checkpoints import save_checkpoint
from tiny.families import IMAGES, SIZE, build

import poa_mm.export.exporter as module
from poa_mm.export import FORMATS, card_paths, export_subnet

ALL = pytest.mark.parametrize('to', FORMATS)


def target(folder, to):
    return folder / f'net{FORMATS[to].suffix}'


@pytest.mark.parametrize(('family', 'channels'), [('vit', 1), ('swin', 4), ('resnet', 2)])
@pytest.mark.parametrize('to', [to for to in FORMATS if to != 'onnx'])  # test_onnx.py does
def test_the_snippet_of_the_card_runs_for_any_channels(to, family, channels, tmp_path, monkeypatch):
    """It is executed as it stands, and gives the sub-network's features."""
    net = build(family, in_channels=channels)
    normalisation = {'mean': [102.0] * channels, 'std': [51.0] * channels}
    checkpoint = save_checkpoint(
        tmp_path / 'iter_1.pth', net, config={'data_preprocessor': normalisation}
    )
    path = target(tmp_path, to)
    card = export_subnet(net, 'smallest', path, to, image_size=SIZE[family], checkpoint=checkpoint)
    assert card.preprocessing['mean_of_255'] == normalisation['mean']
    assert card.preprocessing['channels'] == {1: 'grey'}.get(channels, channels)
    assert ('grey' if channels == 1 else f'with {channels} channels') in card.to_markdown()
    check_snippet(card, path, net, monkeypatch)


FOLLOW = """
import json, os, sys
for to, snippet in json.loads(sys.argv[1]).items():
    os.chdir(os.path.join(sys.argv[2], to))
    names = {}
    exec(snippet, names)
    assert tuple(names['features'].shape) == (1, 24), to
    assert 'poa_mm' not in sys.modules, to
"""


def test_the_target_libraries_need_no_poa_mm(tmp_path):
    net = build('vit')
    snippets = {
        to: export_subnet(net, 'w24-d3', target(tmp_path / to, to), to).snippet for to in FORMATS
    }
    command = [sys.executable, '-c', FOLLOW, json.dumps(snippets), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_what_mmpretrain_lacks_needs_poa_mm(tmp_path):
    net = build('resnet')
    card = export_subnet(net, 'smallest', tmp_path / 'net.pth', 'mmpretrain', image_size=32)
    assert card.family == 'BottleneckResNet'
    assert 'import poa_mm  # registers the class' in card.snippet


@ALL
def test_the_card_describes_the_file(to, tmp_path):
    net = build('vit')
    checkpoint = save_checkpoint(tmp_path / 'iter_7.pth', net)
    path = target(tmp_path / 'new' / 'folder', to)
    card = export_subnet(net, 'w24-d3', path, to, checkpoint=checkpoint, branch='student')
    as_json, as_markdown = card_paths(path, to)
    beside = [] if path.is_dir() else [as_json.name, as_markdown.name]
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, *beside]
    assert json.loads(as_json.read_text()) == json.loads(card.to_json())
    assert as_markdown.read_text().endswith(card.to_markdown())
    file = path.parent / card.file
    assert file == (path / 'model.safetensors' if path.is_dir() else path)
    assert card.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card.parent == {
        'file': 'iter_7.pth',
        'sha256': hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        'branch': 'student',
    }
    assert (card.format, card.subnet, card.name) == (to, 'w24-d3', '')
    assert card.params == sum(p.numel() for p in net.extract('w24-d3').parameters())
    assert card.preprocessing['mean_of_255'] == IMAGES['data_preprocessor']['mean']
    assert card.versions['torch'] == torch.__version__.split('+')[0]
    assert card.difference <= card.tolerance


def test_flops_by_hand(tmp_path):
    """16 patches of 48 values to 16 channels, then 2 blocks on 17 tokens."""
    card = export_subnet(build('vit'), 'w16-d2', tmp_path / 'net.pth', 'mmpretrain')
    linear = 17 * 16 * (3 * 16 + 16 + 2 * 32)
    attention = 2 * 17 * 17 * 16
    assert card.flops == 16 * 48 * 16 + 2 * (linear + attention)


def test_existing_files_are_kept_unless_asked(tmp_path):
    net, path = build('vit'), tmp_path / 'net.pth'
    for name in ('net.pth', 'net.pth.json', 'net.pth.md'):
        (tmp_path / name).write_text('mine')
        with pytest.raises(FileExistsError, match=f'{name} exists already'):
            export_subnet(net, 'smallest', path, 'mmpretrain')
        assert [file.read_text() for file in tmp_path.iterdir()] == ['mine']
        (tmp_path / name).unlink()
    path.write_text('mine')
    export_subnet(net, 'smallest', path, 'mmpretrain', overwrite=True)
    assert path.read_bytes()[:2] == b'PK'


@pytest.mark.parametrize('to', ['mmpretrain', 'timm'])
@pytest.mark.parametrize('step', ['_sha256', 'put'])
def test_an_interrupted_export_leaves_nothing_new(to, step, tmp_path, monkeypatch):
    path = target(tmp_path, to)
    mine = path
    if to == 'timm':
        path.mkdir()
        mine = path / 'config.json'
    mine.write_text('mine')

    def full_disk(*args):
        raise OSError('no space left')

    monkeypatch.setattr(module, step, full_disk)
    with pytest.raises(OSError, match='no space left'):
        export_subnet(build('vit'), 'smallest', path, to, overwrite=True)
    assert [file for file in tmp_path.rglob('*') if file.is_file()] == [mine]
    assert mine.read_text() == 'mine'


def test_an_old_folder_comes_back_if_the_new_one_cannot_be_placed(tmp_path, monkeypatch):
    path = tmp_path / 'net'
    export_subnet(build('vit'), 'smallest', path, 'timm')
    before = (path / 'model.safetensors').read_bytes()
    rename = Path.rename

    def full_disk(self, target):
        if target == path and not self.name.endswith('.replaced'):
            raise OSError('no space left')
        return rename(self, target)

    monkeypatch.setattr(Path, 'rename', full_disk)
    with pytest.raises(OSError, match='no space left'):
        export_subnet(build('vit'), 'largest', path, 'timm', overwrite=True)
    assert (path / 'model.safetensors').read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@ALL
def test_another_suffix_is_refused(to, tmp_path):
    message = rf'a file for {to} ends in {FORMATS[to].suffix}, got net\.h5'
    if to == 'timm':
        message = r'timm takes a folder, got the file name net\.h5: try net'
    with pytest.raises(ValueError, match=message):
        export_subnet(build('vit'), 'smallest', tmp_path / 'net.h5', to)
    assert not list(tmp_path.iterdir())


def test_dots_in_the_name_of_a_folder(tmp_path):
    export_subnet(build('vit'), 'smallest', tmp_path / 'net-v1.2', 'timm')
    assert (tmp_path / 'net-v1.2' / 'config.json').is_file()


def test_packages_that_are_too_old(tmp_path, monkeypatch):
    monkeypatch.setattr('importlib.metadata.version', lambda name: '1.0.15')
    with pytest.raises(ModuleNotFoundError, match=r'timm 1\.0\.31 or newer, here is 1\.0\.15'):
        export_subnet(build('vit'), 'smallest', tmp_path / 'net', 'timm')


def test_packages_are_as_the_extra_has_them():
    text = (ROOT / 'setup.py').read_text()
    for chosen in FORMATS.values():
        for name, oldest in chosen.packages.items():
            assert f"'{name}>={oldest}'," in text


def test_unknown_formats_and_sub_networks(tmp_path):
    net = build('vit')
    with pytest.raises(ValueError, match=r"one of mmpretrain, timm, .*, got 'keras'"):
        export_subnet(net, 'smallest', tmp_path / 'net.h5', 'keras')
    with pytest.raises(ValueError, match="no sub-network 'vit-x'"):
        export_subnet(net, 'vit-x', tmp_path / 'new' / 'net.pth', 'mmpretrain')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('to', 'missing', 'line'),
    [
        ('onnx', ('onnx', 'onnxscript'), 'pip install onnx onnxscript'),
        ('timm', ('timm',), 'pip install timm'),
    ],
)
def test_missing_packages(to, missing, line, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name in missing else find(name)
    )
    with pytest.raises(ModuleNotFoundError, match=line):
        export_subnet(build('vit'), 'smallest', target(tmp_path, to), to)
    assert not list(tmp_path.iterdir())


def test_the_supernet_is_left_as_it_was(tmp_path):
    net = build('swin')
    before = {name: value.clone() for name, value in net.state_dict().items()}
    export_subnet(net, 'largest', tmp_path / 'net.pt', 'torchscript')
    after = net.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(type(block.attn).__name__ == 'ElasticShiftWindowMSA' for block in net.blocks)
