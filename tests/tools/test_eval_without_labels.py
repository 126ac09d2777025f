"""tools/eval_clustering.py, eval_robustness.py and eval_label_free.py on a tiny checkpoint."""

import csv

import numpy as np
import pytest
from helpers import load_tool
from PIL import Image
from test_eval_knn import SUBNETS, patches, save_checkpoint
from tiny.in9 import make_in9

from poa_mm.checkpoints.checkpoint import load_config
from poa_mm.evaluation import (
    LabelledData,
    extract_pixels,
    feature_loader,
    kmeans_scores,
    read_results,
)
from poa_mm.evaluation.label_free import run as label_free_run


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('run') / 'iter_7.pth'
    return save_checkpoint(path, patches('train', 3), patches('test', 2))


def run(name, *args):
    return load_tool(name).main([*map(str, args), '--workers', '0'])


def table(path):
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_clustering_of_all_networks(checkpoint, tmp_path, capsys):
    assert not run('eval_clustering', checkpoint, '--repeats', 2, '--out-dir', tmp_path)
    rows = table(tmp_path / 'clustering.csv')
    assert [row['subnet'] for row in rows] == SUBNETS
    assert 'clustering accuracy' not in capsys.readouterr().err
    found = list(read_results(tmp_path / 'results.jsonl'))
    acc = {one.network: one.value for one in found if one.metric == 'acc'}
    assert [f'{acc[row["subnet"]]:.3f}' for row in rows] == [row['acc'] for row in rows]
    assert {one.protocol for one in found} == {'clustering'}
    assert (tmp_path / 'clustering.png').stat().st_size > 10_000
    assert run('eval_clustering', checkpoint, '--out-dir', tmp_path) == 2
    assert 'clustering.csv exists already' in capsys.readouterr().err
    assert not list(tmp_path.glob('*unfinished*'))


def test_clustering_beside_baselines(checkpoint, tmp_path, capsys):
    options = ['--subnets', 'smallest,largest', '--baselines', '--clusters', 4]
    assert not run('eval_clustering', checkpoint, *options, '--out-dir', tmp_path)
    printed = capsys.readouterr().out
    found = {
        (one.network, one.metric): f'{one.value:.3f}'
        for one in read_results(tmp_path / 'results.jsonl')
    }
    rows = table(tmp_path / 'clustering.csv')
    for row in rows:
        for metric in ('acc', 'nmi'):
            assert found[row['subnet'], f'untrained_{metric}'] == row[f'untrained_{metric}']
            for kind in ('raw', 'normalised'):
                assert found['pixels', f'{kind}_pixels_{metric}'] == row[f'{kind}_pixels_{metric}']
        assert row['untrained_nmi'] != row['nmi']
    assert f'raw pixels {float(rows[0]["raw_pixels_acc"]):.1f}' in printed
    test = LabelledData.from_config(load_config(checkpoint)).test
    raw, labels = extract_pixels(feature_loader(test), lambda batch: batch)
    expected = kmeans_scores(raw['raw'], labels, 4).means['acc']
    assert rows[0]['raw_pixels_acc'] == f'{expected:.3f}'


def test_robustness_of_some_networks(checkpoint, tmp_path, capsys):
    options = ['--subnets', 'smallest,largest', '--baselines', '--out-dir', tmp_path]
    assert not run('eval_robustness', checkpoint, *options)
    printed = capsys.readouterr().out
    assert printed.count('untrained') == 2
    assert 'normalised' in printed
    rows = table(tmp_path / 'robustness.csv')
    found = {
        (one.network, one.metric, one.settings['level']): f'{one.value:.3f}'
        for one in read_results(tmp_path / 'results.jsonl')
    }
    for row in rows:
        where, level = row['subnet'], row['level']
        assert found[where, 'top1', level] == row['accuracy']
        assert found[where, 'untrained_top1', level] == row['untrained_accuracy']
        for kind in ('raw_pixels', 'normalised_pixels'):
            assert found['pixels', f'{kind}_top1', level] == row[f'{kind}_accuracy']
    assert not list(tmp_path.glob('*unfinished*'))
    levels = [row['level'] for row in rows if row['subnet'] == SUBNETS[0]]
    assert levels[:10] == [f'{10 * tenths}%' for tenths in range(10)]
    assert levels[10:] == ['2x2', '2x4', '4x4', '4x8', '8x8', '16x16']  # of 16 pixels
    assert (tmp_path / 'robustness.png').stat().st_size > 10_000
    settings = next(read_results(tmp_path / 'results.jsonl')).settings
    assert settings['classifier'] == 'k-NN on clean images, k = 20'
    assert settings['grid'] == '8x8'
    options = [*options, '--overwrite', '--drop-grid', 3]
    assert run('eval_robustness', checkpoint, *options) == 2
    assert '--drop-grid 3 does not divide images of 16 × 16 pixels; take 8' in (
        capsys.readouterr().err
    )


def test_heads_of_a_linear_probe_classify_as_they_were_measured(checkpoint, tmp_path, capsys):
    probe, out = tmp_path / 'probe', tmp_path / 'out'
    some = ['--subnets', 'smallest,largest']
    options = ['--epochs', 2, '--iterations', 10, '--seeds', 3]
    assert not run('eval_linear', checkpoint, *some, *options, '--out-dir', probe)
    assert not run('eval_robustness', checkpoint, *some, '--heads', probe, '--out-dir', out)
    with (probe / 'linear.csv').open(encoding='utf-8') as file:
        expected = {row['network']: row['top1'] for row in csv.DictReader(file)}
    rows = table(out / 'robustness.csv')
    assert {row['subnet']: row['accuracy'] for row in rows if row['level'] == '0%'} == expected
    told = {one.settings['classifier'] for one in read_results(out / 'results.jsonl')}
    assert told == {'linear probe'}
    other = save_checkpoint(tmp_path / 'iter_8.pth', patches('train', 3), patches('test', 2))
    wrong = {
        'seed3.pth is a head of another checkpoint': [other, *some],
        'seed3.pth is a head of another set of training images': [
            *[checkpoint, '--cfg-options', 'knn_train_dataset.patches_per_photo=4'],
            *some,
        ],
        f'heads holds no head of {SUBNETS[1]}': [checkpoint, '--subnets', SUBNETS[1]],
        'seed3.pth is a head of another branch: teacher, here student': [
            *[checkpoint, '--branch', 'student'],
            *some,
        ],
        '--heads takes heads of a linear probe': [checkpoint, '--k', 5],
        '--baselines are measured by k-NN': [checkpoint, '--baselines'],
    }
    for message, arguments in wrong.items():
        options = ['--heads', probe, '--out-dir', tmp_path / 'no']
        assert run('eval_robustness', *arguments, *options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count('\n') == 1
    assert not (tmp_path / 'no').exists()


def test_official_settings_are_said(tmp_path, capsys):
    resize = {'type': 'torchvision/Resize', 'size': 16, 'interpolation': 'bicubic'}
    crop = {'type': 'torchvision/CenterCrop', 'size': [16, 16]}
    test = patches('test', 2)
    test['pipeline'] = [test['pipeline'][0], resize, crop, test['pipeline'][-1]]
    checkpoint = save_checkpoint(tmp_path / 'iter_8.pth', patches('train', 3), test)
    options = ['--subnets', 'smallest', '--preset', 'official', '--out-dir', tmp_path / 'out']
    assert not run('eval_robustness', checkpoint, *options)
    assert (
        'official: patches drawn once for 1024 images (seed 1), '
        'test images resized bilinear to 18, then cropped'
    ) in capsys.readouterr().out
    settings = next(read_results(tmp_path / 'out' / 'results.jsonl')).settings
    assert settings['patches drawn for'] == 'a batch'
    assert (settings['batch_size'], settings['seed']) == (1024, 1)
    assert settings['resized'] == 'bilinear to 18, then cropped'
    assert run('eval_robustness', checkpoint, *options, '--overwrite', '--seed', 3) == 2
    assert "has the authors' seed" in capsys.readouterr().err


def test_backgrounds_need_classes_that_fit(checkpoint, tmp_path, capsys):
    in9 = make_in9(tmp_path)
    options = ['--subnets', 'smallest', '--out-dir', tmp_path / 'out', '--in9', in9]
    assert run('eval_robustness', checkpoint, *options) == 2
    assert 'the classifier knows 20 classes: give in_to_in9.json' in capsys.readouterr().err
    assert run('eval_robustness', checkpoint, '--challenge') == 2
    assert '--challenge and --in-to-in9 go with --in9' in capsys.readouterr().err


def test_own_nine_classes_go_through_the_backgrounds(tmp_path, capsys):
    """A timm model, and training images that are those of ImageNet-9 themselves."""
    in9 = make_in9(tmp_path)
    images = in9 / 'original' / 'val'
    for path in images.rglob('*.JPEG'):
        path.with_suffix('.png').write_bytes(path.read_bytes())
        path.unlink()
    options = ['--train-data', images, '--test-data', images, '--image-size', 32]
    out = ['--out-dir', tmp_path / 'out', '--in9', in9]
    assert not run('eval_robustness', 'timm:resnet10t', '--k', 1, *options, *out)
    (row,) = table(tmp_path / 'out' / 'in9.csv')
    assert set(row) >= {'mixed_rand', 'only_bg_t', 'original'}
    metrics = {one.protocol for one in read_results(tmp_path / 'out' / 'results.jsonl')}
    assert metrics == {'occlusion', 'shuffle', 'in9'}
    assert 'random weights' in capsys.readouterr().err


def test_measures_without_labels(checkpoint, tmp_path):
    views = ['--images', 10, '--views', 3]
    assert not run('eval_label_free', checkpoint, *views, '--out-dir', tmp_path)
    rows = table(tmp_path / 'label_free.csv')
    assert [row['subnet'] for row in rows] == SUBNETS
    assert all(float(row[name]) > 0 for row in rows for name in ('rankme', 'lidar', 'alpha_req'))
    agreements = table(tmp_path / 'agreement.csv')
    assert [row['measure'] for row in agreements] == ['rankme', 'lidar', 'alpha_req']
    knn = {row['subnet']: row['knn'] for row in rows}
    assert all(row['accuracy'] == knn[row['chosen']] for row in agreements)
    assert (tmp_path / 'agreement.png').stat().st_size > 10_000
    assert len(list(read_results(tmp_path / 'results.jsonl'))) == 3 * len(SUBNETS)


@pytest.fixture
def images(tmp_path):
    """A flat folder of photographs."""
    folder = tmp_path / 'images'
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number, suffix in enumerate(['.png', '.jpg', '.webp', '.PNG', '.bmp', '.png']):
        array = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(array).save(folder / f'{number}{suffix}')
    return folder


def test_images_without_labels_beside_baselines(checkpoint, images, tmp_path, capsys):
    options = ['--images', 4, '--views', 2, '--subnets', 'smallest,largest', '--baselines']
    options += ['--train-data', images]
    assert not run('eval_label_free', checkpoint, *options, '--out-dir', tmp_path / 'out')
    printed = capsys.readouterr().out
    assert f'6 images from {images}, without labels' in printed
    assert 'note: the images have no labels: k-NN' in printed
    rows = table(tmp_path / 'out' / 'label_free.csv')
    assert [row['knn'] for row in rows] == ['', '']
    found = {
        (one.network, one.metric): f'{one.value:.4f}'
        for one in read_results(tmp_path / 'out' / 'results.jsonl')
    }
    for row in rows:
        for name in ('rankme', 'lidar', 'alpha_req'):
            assert found[row['subnet'], name] == row[name]
            assert found[row['subnet'], f'untrained_{name}'] == row[f'untrained_{name}']
        assert row['untrained_rankme'] != row['rankme']
        assert found['pixels', 'raw_pixels_rankme'] == row['raw_pixels_rankme']
    assert (tmp_path / 'out' / 'measures.png').stat().st_size > 10_000
    assert not (tmp_path / 'out' / 'agreement.csv').exists()
    both = [*options, '--test-data', images, '--out-dir', tmp_path / 'both']  # no class folders
    assert not run('eval_label_free', checkpoint, *both)
    assert table(tmp_path / 'both' / 'label_free.csv') == rows
    assert run('eval_label_free', checkpoint, *options, '--k', 2, '--out-dir', tmp_path / 'k') == 2
    assert '--k is for k-NN, which needs labels' in capsys.readouterr().err
    (images / '1.jpg').write_bytes(b'broken')
    assert run('eval_label_free', checkpoint, *options, '--out-dir', tmp_path / 'broken') == 2
    assert '1.jpg' in capsys.readouterr().err


def test_killed_measures_go_on_to_the_same_table(checkpoint, images, tmp_path, monkeypatch):
    options = ['--images', 4, '--views', 2, '--baselines', '--train-data', images]
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    assert not run('eval_label_free', checkpoint, *options, '--out-dir', whole)
    measure, measured = label_free_run.measure, []

    def interrupted(*args):
        if len(measured) == 4:  # two networks, and two of random weights
            raise KeyboardInterrupt
        measured.append(1)
        return measure(*args)

    options += ['--out-dir', out]
    with monkeypatch.context() as patch:
        patch.setattr(label_free_run, 'measure', interrupted)
        assert run('eval_label_free', checkpoint, *options) == 130
    assert not (out / 'label_free.csv').exists()
    assert run('eval_label_free', checkpoint, *options, '--seed', 1) == 2
    measured.clear()
    monkeypatch.setattr(
        label_free_run, 'measure', lambda *args: (measured.append(1), measure(*args))[1]
    )
    assert not run('eval_label_free', checkpoint, *options)
    assert len(measured) == 4
    for name in ('label_free.csv', 'measures.png'):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    results = [list(read_results(folder / 'results.jsonl')) for folder in (out, whole)]
    assert [one.value for one in results[0]] == [one.value for one in results[1]]
    assert not list(out.glob('*unfinished*'))


def test_several_checkpoints_are_told_apart(checkpoint, tmp_path):
    other = save_checkpoint(tmp_path / 'iter_8.pth', patches('train', 3), patches('test', 2))
    options = ['--images', 6, '--views', 2, '--subnets', 'smallest', '--out-dir', tmp_path]
    assert not run('eval_label_free', checkpoint, '--also', other, *options)
    assert [row['source'] for row in table(tmp_path / 'label_free.csv')] == [
        str(checkpoint),
        str(other),
    ]
    assert ' of ' in table(tmp_path / 'agreement.csv')[0]['chosen']
    assert not list(tmp_path.glob('*unfinished*'))
