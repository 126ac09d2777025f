"""tools/export_subnet.py on checkpoints of tiny supernets."""

import hashlib
import json

import pytest
import timm
import torch
from helpers import load_tool
from tiny.checkpoints import save_checkpoint
from tiny.families import build, images

import poa_mm
from poa_mm.elastic import Subnet
from poa_mm.evaluation import KnnRow
from poa_mm.export import FORMATS, load_timm
from poa_mm.tables import save_csv


@pytest.fixture(scope='module')
def supernets():
    return {'teacher': build('vit'), 'student': build('vit', seed=1)}


@pytest.fixture(scope='module')
def checkpoint(supernets, tmp_path_factory):
    path = tmp_path_factory.mktemp('run') / 'iter_10.pth'
    return save_checkpoint(path, **supernets)


@pytest.fixture
def export(checkpoint, capsys):
    """Run the tool on the checkpoint: exit code, standard output, standard error."""
    main = load_tool('export_subnet').main

    def run(*args, source=checkpoint):
        code = main([str(source), *map(str, args)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize('branch', ['teacher', 'student'])
def test_the_file_holds_the_sub_network_of_the_branch(export, supernets, tmp_path, branch):
    path = tmp_path / 'new' / 'net'
    code, out, err = export('w24-d3', path, '--to', 'timm', '--branch', branch)
    assert (code, err) == (0, '')
    batch = images('vit')
    with torch.no_grad():
        expected = supernets[branch].tokens(batch, 'w24-d3')[0]
        torch.testing.assert_close(load_timm(path)(batch), expected)
    params = sum(p.numel() for p in load_timm(path).parameters())
    assert out.splitlines()[:2] == [
        f'w24-d3 ({params / 1e6:.2f} M parameters) → {path}',
        f'model card: {path}/README.md, {path}/card.json',
    ]
    assert json.loads((path / 'card.json').read_text())['parent']['branch'] == branch


def test_without_a_name_the_file_lies_beside_the_checkpoint(export, supernets, tmp_path):
    source = save_checkpoint(tmp_path / 'iter_10.pth', **supernets)
    path = tmp_path / 'w24-d3_timm_iter_10'
    code, out, _ = export('w24-d3', '--to', 'timm', source=source)
    assert code == 0
    assert f'→ {path}\n' in out
    assert {one.name for one in tmp_path.iterdir()} == {source.name, path.name}
    result = export('w24-d3', '--to', 'timm', source=source)
    refused(result, str(path), 'exists already', '--overwrite')
    file = tmp_path / 'w24-d3_torchscript_iter_10.pt'
    assert export('w24-d3', '--to', 'torchscript', source=source)[0] == 0
    assert {one.name for one in tmp_path.iterdir()} == {
        source.name,
        path.name,
        file.name,
        f'{file.name}.json',
        f'{file.name}.md',
    }
    refused(export('../w24-d3', '--to', 'timm', source=source), "'../w24-d3'", 'a width of')


@pytest.mark.parametrize('to', FORMATS)
def test_what_it_prints_is_code_to_paste(export, tmp_path, to):
    """In whatever folder."""
    path = tmp_path / f'net{FORMATS[to].suffix}'
    code, out, _ = export('smallest', path, '--to', to)
    assert code == 0
    names = {}
    exec(out.split('\n\n', 1)[1], names)
    assert tuple(names['features'].shape) == (1, 16)


@pytest.mark.parametrize('family', ['swin', 'resnet'])
def test_the_other_families(export, tmp_path, family):
    net = build(family)
    source = save_checkpoint(tmp_path / 'iter_1.pth', net)
    path = tmp_path / 'net'
    assert export('largest', path, '--to', 'timm', source=source)[0] == 0
    batch = images(family, size=64)  # the crops of the checkpoint's config
    with torch.no_grad():
        expected = net.tokens(batch, 'largest')[0]
        got = load_timm(path)(batch)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
    size = timm.data.resolve_model_data_config(load_timm(path))['input_size']
    assert list(size) == [3, 64, 64]


def test_the_card_knows_parent_and_accuracy(export, supernets, checkpoint, tmp_path):
    table, path = tmp_path / 'knn.csv', tmp_path / 'net.pth'
    params = supernets['teacher'].num_params(Subnet(16, 2))
    save_csv([KnnRow('w16-d2', '', 16, 2, params, 'cls', {10: 71.5, 20: 72.25})], table)
    assert export('smallest', path, '--to', 'mmpretrain', '--accuracy', table)[0] == 0
    card = json.loads((tmp_path / 'net.pth.json').read_text())
    assert card['parent']['file'] == 'iter_10.pth'
    assert card['parent']['sha256'] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert card['accuracy']['k'] == {'10': 71.5, '20': 72.25}
    assert 'k = 20: 72.25 %' in (tmp_path / 'net.pth.md').read_text()


def test_accuracies_of_another_supernet_are_refused(export, tmp_path):
    table, path = tmp_path / 'knn.csv', tmp_path / 'net.pth'
    save_csv([KnnRow('w16-d2', '', 16, 2, 1, 'cls', {20: 72.25})], table)
    result = export('smallest', path, '--to', 'mmpretrain', '--accuracy', table)
    refused(result, str(table), 'w16-d2 has 1 parameters there and')
    assert list(tmp_path.iterdir()) == [table]


def test_another_image_size(export, tmp_path):
    path = tmp_path / 'net.pth'
    assert export('smallest', path, '--to', 'mmpretrain', '--image-size', 24)[0] == 0
    assert poa_mm.load_backbone(path).patch_resolution == (6, 6)
    wide = tmp_path / 'wide.pth'
    assert export('smallest', wide, '--to', 'mmpretrain', '--image-size', '16x24')[0] == 0
    assert poa_mm.load_backbone(wide).patch_resolution == (4, 6)


def test_a_folder_of_something_else_is_kept(export, tmp_path):
    path = tmp_path / 'net'
    path.mkdir()
    (path / 'thesis.tex').write_text('mine')
    for options in ((), ('--overwrite',)):
        result = export('smallest', path, '--to', 'timm', *options)
        refused(result, str(path), 'thesis.tex' if options else 'exists already')
        assert [file.read_text() for file in path.iterdir()] == ['mine']
    refused(export('smallest', tmp_path / 'net.pth', '--to', 'timm'), 'a folder, got', 'try net')
    (path / 'thesis.tex').unlink()
    assert export('smallest', path, '--to', 'timm', '--overwrite')[0] == 0
    weights = (path / 'model.safetensors').read_bytes()
    assert export('largest', path, '--to', 'timm', '--overwrite')[0] == 0
    assert (path / 'model.safetensors').read_bytes() != weights
    assert [file.name for file in tmp_path.iterdir()] == ['net']


def refused(result, *parts):
    code, out, err = result
    assert (code, out) == (2, '')
    assert err.startswith('error: ')
    assert len(err.splitlines()) == 1
    for part in parts:
        assert part in err


def test_mistakes_are_told_in_one_line(export, checkpoint, tmp_path, monkeypatch):
    path = tmp_path / 'net.pth'
    to = ('--to', 'mmpretrain')
    refused(export('vit-x', path, *to), "'vit-x'", 'a width of 16, 24, 32')
    refused(export('smallest', tmp_path / 'net.onnx', *to), 'ends in .pth, got net.onnx')
    refused(export('smallest', path, *to, '--accuracy', tmp_path / 'no.csv'), 'no.csv')
    refused(export('smallest', path, *to, '--image-size', 0), 'image_size must be positive')
    refused(export('smallest', path, *to, source=tmp_path / 'no.pth'), 'no checkpoint at')
    content = checkpoint.read_bytes()
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(content[: len(content) // 2])
    refused(export('smallest', path, *to, source=cut), 'cut.pth is not a checkpoint')
    cut.unlink()
    assert not list(tmp_path.iterdir())
    path.write_text('mine')
    refused(export('smallest', path, *to), str(path), 'exists already')
    assert path.read_text() == 'mine'
    assert export('smallest', path, *to, '--overwrite')[0] == 0


def test_files_of_other_kinds(export, tmp_path):
    path = tmp_path / 'net.pth'
    assert export('smallest', path, '--to', 'mmpretrain')[0] == 0
    refused(
        export('smallest', tmp_path / 'other.pth', '--to', 'mmpretrain', source=path),
        'looks like an extracted backbone',
    )


def test_a_missing_package_has_its_line(export, tmp_path, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    refused(
        export('smallest', tmp_path / 'net.onnx', '--to', 'onnx'),
        'pip install onnx onnxruntime onnxscript',
    )


def test_help_fits_a_screen(capsys):
    with pytest.raises(SystemExit):
        load_tool('export_subnet').parse_args(['--help'])
    assert len(capsys.readouterr().out.splitlines()) <= 30
