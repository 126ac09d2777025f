"""tools/eval_dense_knn.py on images of two halves, and what it refuses."""

import csv

import numpy as np
import pytest
from helpers import load_tool
from PIL import Image
from tiny.checkpoints import save_supernet

from poa_mm.evaluation import read_results
from poa_mm.evaluation.knn.dense_networks import DenseKnn

tool = load_tool('eval_dense_knn')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A checkpoint, and images that are dark on the left and light on the right."""
    path = tmp_path_factory.mktemp('dense')
    save_supernet(path / 'iter_1.pth')
    generator = np.random.default_rng(0)
    for split, count in (('train', 4), ('test', 2)):
        for index in range(count):
            labels = np.full((20, 24), 3, dtype=np.uint8)
            labels[:, generator.integers(8, 16) :] = 5
            image = np.where(labels == 3, 40, 200) + generator.integers(0, 30, labels.shape)
            for kind, array in (('images', image), ('masks', labels)):
                file = path / kind / split / f'{index}.png'
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(file)
    return path


@pytest.fixture
def run(folder, capsys):
    """Runs the tool; returns its exit code and what it printed."""
    images = [
        f'--{split}-{kind}={folder / kind / split}'
        for split in ('train', 'test')
        for kind in ('images', 'masks')
    ]

    def call(*args):
        argv = [str(folder / 'iter_1.pth'), *images, '--device', 'cpu', '--workers', '0', *args]
        return tool.main(argv), capsys.readouterr()

    return call


def table(path):
    with (path / 'dense_knn.csv').open() as file:
        return list(csv.DictReader(file))


def test_a_killed_grid_goes_on_to_the_same_table(run, tmp_path, monkeypatch):
    options = ('--k', '3', '9', '--subnets', 'w16-d2,w24-d3,w32-d4', '--max-memory', '1e-9')
    options = (*options, '--baselines')
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    code, printed = run(*options, '--out-dir', str(whole))
    assert code == 0, printed.err
    row = DenseKnn._row
    names = []  # pixels, and each network beside one with random weights

    def interrupted(self, network, confusions):
        if len(names) == 5:
            raise KeyboardInterrupt
        names.append(network.name)
        return row(self, network, confusions)

    with monkeypatch.context() as patch:
        patch.setattr(DenseKnn, '_row', interrupted)
        assert run(*options, '--out-dir', str(out))[0] == 130
    measured = []
    monkeypatch.setattr(
        DenseKnn, '_row', lambda *args: (measured.append(args[1].name), row(*args))[1]
    )
    code, printed = run(*options, '--out-dir', str(out), '--k', '4')
    assert 'unfinished evaluation with another k ([3, 9], here [4])' in printed.err
    assert run(*options, '--out-dir', str(out))[0] == 0
    assert measured == ['pixels', 'w32-d4', 'w32-d4']
    for name in ('dense_knn.csv', 'frontier.png', 'heatmap.png'):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    rows = table(out)
    assert [one['subnet'] for one in rows] == ['w16-d2', 'w24-d3', 'w32-d4']
    results = list(read_results(out / 'results.jsonl'))
    found = {(one.network, one.metric, one.settings['k']): f'{one.value:.3f}' for one in results}
    expected = {
        (one['subnet'], f'{prefix}miou', k): one[f'{prefix}miou_k{k}']
        for one in rows
        for prefix in ('', 'untrained_')
        for k in (3, 9)
    }
    pixels = {rows[i]['normalised_pixels_miou_k9'] for i in range(3)}
    assert pixels == {found['pixels', 'normalised_pixels_miou', 9]}
    assert expected == {key: value for key, value in found.items() if key[0] != 'pixels'}
    assert len({one['untrained_miou_k9'] for one in rows}) > 1
    assert all(one.value > 50 for one in results if one.metric != 'untrained_miou')
    assert {(one.protocol, one.data) for one in results} == {('dense_knn', 'images/test')}
    code, printed = run(*options, '--out-dir', str(out))
    assert (code, 'exists already' in printed.err) == (2, True)


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--test-masks=none'], 'there is no image folder none'),
        (['--ignore', '5'], 'hold 1 classes beside the ignored labels [5]'),
        (['--ignore', '300'], '--ignore takes labels of 0…255, got [300]'),
        (['--k', '0'], 'k and temperature must be positive'),
        (['--k', '9999'], 'k = 9999 neighbours asked of'),
        (['--max-patches', '3'], 'a bank of 3 patches has no 30 neighbours'),
        (['--subnets', 'w17-d2'], "no sub-network 'w17-d2'"),
    ],
)
def test_mistakes_are_one_line(run, args, message, tmp_path):
    code, printed = run('--subnets', 'smallest', '--out-dir', str(tmp_path / 'out'), *args)
    assert code == 2
    (line,) = [line for line in printed.err.splitlines() if 'error: ' in line]
    assert message in line
