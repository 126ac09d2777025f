"""The plot of accuracies over a run."""

import json

import pytest
from PIL import Image

from poa_mm.visualization import plot_training_curve
from poa_mm.visualization.training_curve import read_curves


def test_writes_an_image_of_every_curve(tmp_path):
    plain, both = tmp_path / 'plain.png', tmp_path / 'both.png'
    curve = [(100, 40.0), (200, 50.0)]
    plot_training_curve({'vit-s': curve}, plain)
    plot_training_curve({'vit-s': curve, 'vit-l': [(200, 60.0), (100, 45.0)]}, both)
    with Image.open(plain) as one, Image.open(both) as two:
        assert one.size == two.size == (1200, 800)
        assert one.tobytes() != two.tobytes()
        assert len(set(two.convert('RGB').getdata())) > len(set(one.convert('RGB').getdata()))


def test_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match='nothing to plot'):
        plot_training_curve({'vit-s': []}, tmp_path / 'empty.png')
    assert not (tmp_path / 'empty.png').exists()


def write_scalars(folder, *lines):
    (folder / 'vis_data').mkdir(parents=True)
    path = folder / 'vis_data' / 'scalars.json'
    path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    return path


def test_curves_of_a_run_that_was_resumed(tmp_path):
    first = [{'loss': 3.0, 'step': step} for step in (1, 2, 3)]
    first += [{'knn/vit-s': 10.0 + step, 'knn/vit-l': 20.0, 'step': step} for step in (2, 4, 6)]
    file = write_scalars(tmp_path / '20260101_000000', *first)
    write_scalars(
        tmp_path / '20260102_000000', {'loss': 1.0, 'step': 3}, {'knn/vit-s': 1, 'step': 4}
    )
    assert read_curves(tmp_path) == {'vit-s': [(2, 12.0), (4, 1.0)], 'vit-l': [(2, 20.0)]}
    assert read_curves(file)['vit-s'] == [(2, 12.0), (4, 14.0), (6, 16.0)]


def test_runs_without_a_curve(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no \*/vis_data/scalars\.json at'):
        read_curves(tmp_path)
    path = write_scalars(tmp_path / 'a', {'loss': 1.0, 'step': 1})
    with pytest.raises(ValueError, match='train with KnnMonitorHook'):
        read_curves(path)
    path.write_text('[]')
    with pytest.raises(ValueError, match=r'is no scalars\.json'):
        read_curves(path)
