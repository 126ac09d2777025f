"""tools/convert_official.py on a tiny checkpoint under the authors' names."""

import pytest
import torch
from helpers import load_tool
from official import resnet, swin, vit

import poa_mm

FLAGS = ('--head-dim', 8, '--min-width', 8, '--min-depth', 2)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'theirs.pth'
    torch.save({'teacher': vit.state(0), 'student': vit.state(1)}, path)
    return path


@pytest.fixture
def convert(capsys):
    """Run the tool: exit code, standard output, standard error."""
    main = load_tool('convert_official').main

    def run(*args):
        code = main([str(arg) for arg in args])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_it_converts_and_says_what_it_found(convert, source, tmp_path):
    out = tmp_path / 'new' / 'ours.pth'
    code, printed, err = convert(source, out, *FLAGS, '--depth-interval', 3, '--gamma', 2)
    assert (code, err) == (0, '')
    assert printed.splitlines() == [
        'ElasticVisionTransformer (embed_dims 24, num_layers 5, num_heads 3, '
        'feedforward_channels 48, img_size 12, patch_size 4, in_channels 3, gamma 2.0, '
        'layer_scale_init_value 1e-05), heads with [7, 11] prototypes',
        f'6 sub-networks from w8-d2 to w24-d5 → {out}',
        f"open it with poa_mm.load_supernet('{out}')",
    ]
    nets = [poa_mm.load_supernet(out, branch) for branch in ('teacher', 'student')]
    for seed, net in enumerate(nets):
        assert torch.equal(net.cls_token, vit.state(seed)['backbone.cls_token'])
    assert (nets[0].space.widths, nets[0].space.depths) == ((8, 16, 24), (2, 5))
    assert nets[0].space.gamma == 2


def test_it_says_where_the_student_comes_from(convert, tmp_path):
    source, out = tmp_path / 'theirs.pth', tmp_path / 'converted_theirs.pth'  # unless it is named
    torch.save({'teacher': vit.state(0)}, source)
    code, printed, _ = convert(source, *FLAGS, '--width-interval', 16)
    assert code == 0
    assert 'the student is a copy of the teacher' in printed
    assert poa_mm.load_supernet(out, 'student').space.widths == (8, 24)


def refused(result, *parts):
    code, out, err = result
    assert (code, out) == (2, '')
    assert err.startswith('error: ')
    assert len(err.splitlines()) == 1
    for part in parts:
        assert part in err


def test_an_existing_file_is_kept_unless_asked(convert, source, tmp_path):
    out = tmp_path / 'ours.pth'
    out.write_bytes(b'mine')
    refused(convert(source, out, *FLAGS), str(out), 'exists already')
    assert out.read_bytes() == b'mine'
    assert convert(source, out, *FLAGS, '--overwrite')[0] == 0
    assert poa_mm.load_supernet(out).embed_dims == 24


def test_errors_in_one_line(convert, source, tmp_path):
    out = tmp_path / 'ours.pth'
    refused(convert(source, out), 'head_dim must divide the width 24, got 64')
    refused(convert(source, out, '--head-dim', 8), 'min_width must be within 1…24', 'got 384')
    refused(convert(tmp_path / 'none.pth', out, *FLAGS), 'no checkpoint at')
    below_a_file = source / 'new' / 'ours.pth'
    refused(convert(source, below_a_file, *FLAGS), str(source / 'new'))
    source.write_bytes(source.read_bytes()[:2000])
    refused(convert(source, out, *FLAGS), 'not a checkpoint that can be read')
    assert not out.exists()


def test_a_swin(convert, tmp_path):
    source, out = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'
    torch.save({'teacher': swin.state(0), 'student': swin.state(1)}, source)
    code, printed, _ = convert(source, out, '--min-width', 8, '--min-depth', 6)
    assert code == 0
    assert printed.splitlines()[:2] == [
        'ElasticSwinTransformer (embed_dims 24, depths [1, 2, 5, 2], num_heads [3, 6, 12, 24], '
        'patch_size 2, in_channels 3, window_size 3, pad_small_map True, official True, '
        'out_indices [0, 1, 2, 3], drop_path_rate 0.0, gamma 2.0), heads with [7, 11] prototypes',
        f'15 sub-networks from w8-d6 to w24-d10 → {out}',
    ]
    extract = load_tool('extract_subnet').main
    assert extract([str(out), 'w24-d6', str(tmp_path / 'net.pth')]) == 0
    assert extract([str(out), 'w8-d6', str(tmp_path / 'narrow.pth')]) == 2
    assert not (tmp_path / 'narrow.pth').exists()


def test_a_resnet(convert, tmp_path):
    source, out = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'
    torch.save({'teacher': resnet.state()}, source)
    flags = ('--num-groups', 4, '--min-width', 8, '--min-depth', '1-1-2-1')
    code, printed, _ = convert(source, out, *flags)
    assert code == 0
    assert f'27 sub-networks from w8-d1-1-2-1 to w16-d1-3-4-1 → {out}' in printed
    assert poa_mm.load_supernet(out).space.widths == (8, 12, 16)


def test_settings_are_the_authors_values_unless_given(capsys):
    tool = load_tool('convert_official')
    args = vars(tool.parse_args(['in', 'out']))
    names = ('head_dim', 'num_groups', 'min_width', 'min_depth', 'width_interval', 'depth_interval')
    assert all(args[name] is None for name in (*names, 'gamma'))
    assert tool.parse_args(['in', 'out', '--min-depth', '14']).min_depth == 14
    with pytest.raises(SystemExit):
        tool.parse_args(['in', 'out', '--min-depth', '3-x'])
    assert "invalid depth value: '3-x'" in capsys.readouterr().err


def test_help_names_what_it_makes(capsys):
    with pytest.raises(SystemExit):
        load_tool('convert_official').main(['--help'])
    text = ' '.join(capsys.readouterr().out.split())
    assert 'copy of the' in text
    assert 'depth (ViT 12, Swin 12, ResNet 3-4-6-3)' in text
