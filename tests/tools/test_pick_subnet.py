"""Tests of tools/pick_subnet.py."""

import torch
from helpers import load_tool
from tiny.networks import VIT

from poa_mm import selection
from poa_mm.checkpoints import open_supernet
from poa_mm.elastic import Subnet
from poa_mm.selection import LatencySettings, profile_rows
from poa_mm.tables import save_csv

tool = load_tool('pick_subnet')


def test_the_tool_refuses_options_that_contradict_the_profile(tmp_path, capsys):
    config, table = tmp_path / 'tiny.py', tmp_path / 'profile.csv'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    measured = LatencySettings(batch_size=1, threads=1, device='cpu')
    members = [Subnet(16, 2), Subnet(24, 3)]
    save_csv(profile_rows(open_supernet(config), members, 32, measured), table)
    arguments = [str(config), '--profile', str(table), '--max-latency', '10s']
    capsys.readouterr()  # what torch says of CUDA when it is first asked for a latency
    for options, message in (
        (['--image-size', '16'], 'image size 16 is asked for, 32 is that of the profile'),
        (['--batch-size', '64', '--threads', '1'], 'batch size 64 is asked for, 1 is that'),
        (['--threads', '4'], 'threads 4 is asked for, 1 is that of the profile'),
    ):
        assert tool.main([*arguments, *options]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f'error: {table} contradicts the options: {message}')
        assert len(error.splitlines()) == 1
    same = ['--image-size', '32', '--batch-size', '1', '--threads', '1', '--device', 'cpu']
    for options in ([], same):
        assert tool.main([*arguments, *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == 'profile: images of 32 pixels; latency: batch size 1, 1 threads, cpu'
        assert lines[2] == '2 of them within 10 s'


def test_what_a_profile_lacks_is_measured_at_its_image_size(tmp_path, capsys, monkeypatch):
    config, table = tmp_path / 'tiny.py', tmp_path / 'profile.csv'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    save_csv(profile_rows(open_supernet(config), [Subnet(16, 2)], 32), table)
    asked = []

    def latency(backbone, subnet, **settings):
        asked.append(settings)
        return 1e-3

    monkeypatch.setattr(selection, 'subnet_latency', latency)
    options = ['--max-latency', '10s', '--batch-size', '4', '--device', 'cpu']
    assert tool.main([str(config), '--profile', str(table), *options]) == 0
    settings = {'batch_size': 4, 'threads': 1, 'device': torch.device('cpu')}
    assert asked == [{'image_size': (32, 32), **settings}]
    assert 'profile: images of 32 pixels\n' in capsys.readouterr().out


def test_the_tool(tmp_path, capsys):
    config = tmp_path / 'tiny.py'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    arguments = [str(config), '--image-size', '16']
    assert tool.main([*arguments, '--max-params', '10K']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '6 sub-networks'
    assert lines[-1] == str(
        max(s for s in open_supernet(config).space if open_supernet(config).num_params(s) <= 10_000)
    )
    assert tool.main([*arguments, '--max-latency', '10s', '--threads', '1']) == 0
    assert 'of 2 timed' in capsys.readouterr().out
    table = tmp_path / 'profile.csv'
    save_csv(profile_rows(open_supernet(config), [Subnet(24, 2)], 16), table)
    assert tool.main([*arguments, '--profile', str(table)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == 'w24-d2'
    assert tool.main([*arguments, '--max-params', '1']) == 2
    assert 'the smallest one is w16-d2' in capsys.readouterr().err
    assert tool.main([*arguments, '--accuracy', str(tmp_path / 'none.csv')]) == 2
    assert 'no CSV file' in capsys.readouterr().err
