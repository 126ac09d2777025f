"""tools/eval_linear.py on a tiny checkpoint and real image patches."""

import csv
import shutil

import pytest
import torch
from helpers import load_tool
from mmengine.config import Config
from PIL import Image
from tiny.checkpoints import save_checkpoint
from tiny.families import build

from poa_mm import visualization
from poa_mm.checkpoints import save_backbone
from poa_mm.engine import launch_test
from poa_mm.evaluation import read_results
from poa_mm.evaluation.probe import run as probe_run
from poa_mm.models.backbones import ElasticVisionTransformer

FAST = ('--epochs', '1', '--iterations', '3')
SUBNETS = ('--subnets', 'smallest,largest')


def photo_patches(split, count):
    return {
        'type': 'PhotoPatches',
        'split': split,
        'patch_size': 16,
        'patches_per_photo': count,
        'test_mode': True,
        'pipeline': [{'type': 'NumpyToPIL', 'to_rgb': True}, {'type': 'PackInputs'}],
    }


CONFIG = {
    'knn_train_dataset': photo_patches('train', 6),
    'knn_test_dataset': photo_patches('test', 2),
    'data_preprocessor': {
        'type': 'SelfSupDataPreprocessor',
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
    },
}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return save_checkpoint(
        tmp_path_factory.mktemp('run') / 'iter_9.pth', build('vit'), None, CONFIG
    )


@pytest.fixture
def run(checkpoint, capsys, tmp_path):
    """Runs the tool on the CPU, into a folder; returns its exit code and what it printed."""
    tool = load_tool('eval_linear')

    def call(*args, what=checkpoint, fast=FAST):
        out = () if '--out-dir' in args else ('--out-dir', str(tmp_path / 'out'))
        shared = ('--device', 'cpu', '--workers', '0', *out)
        code = tool.main([str(what), *shared, *fast, *args])
        return code, capsys.readouterr()

    return call


def table(folder):
    with (folder / 'linear.csv').open() as file:
        return list(csv.DictReader(file))


def values(folder, metric):
    return [one for one in read_results(folder / 'results.jsonl') if one.metric == metric]


def score_of(config, checkpoint, work_dir):
    """Top-1 accuracy of a saved classifier, as tools/test.py measures it."""
    cfg = Config.fromfile(config)
    cfg.test_dataloader.update(num_workers=0)
    cfg.work_dir = str(work_dir)
    return launch_test.build_test_runner(cfg, str(checkpoint)).test()['accuracy/top1']


def test_the_whole_sweep_and_classifiers_that_repeat_it(run, tmp_path):
    code, printed = run(*SUBNETS, '--weight-decays', '0', '1e-3', fast=('--epochs', '1'))
    assert code == 0, printed.err
    out = tmp_path / 'out'
    rows = table(out)
    assert [row['network'] for row in rows] == ['w16-d2', 'w32-d4']
    assert all(float(row['top1']) > 10 for row in rows), 'chance is 5 % of 20 photographs'
    chosen = values(out, 'top1')
    assert [f'{one.value:.3f}' for one in chosen] == [row['top1'] for row in rows]
    assert all(one.settings['chosen_on'] == '0.1 of train' for one in chosen)
    for metric in ('head_top1', 'head_chosen_on_top1'):
        heads = {str(one.settings) for one in values(out, metric) if one.network == 'w32-d4'}
        assert len(heads) == 104
    for row in rows:
        files = (out / 'classifiers' / f'{row["network"]}{suffix}' for suffix in ('.py', '.pth'))
        assert score_of(*files, tmp_path / 'work') == pytest.approx(float(row['top1']), abs=1e-3)
        assert row['top1'][:-1] in printed.out


def test_the_authors_choice_is_said_and_seeds_have_a_spread(run, tmp_path):
    args = ('--preset', 'official', '--train-batch', '24', '--seeds', '0', '1', '2')
    code, printed = run(*args, '--subnets', 'smallest', '--sources', 'last1', '--max-disk', '0')
    assert code == 0, printed.err
    assert 'the head is chosen on the test images' in printed.out
    (mean,), (std,) = (values(tmp_path / 'out', metric) for metric in ('top1', 'top1_std'))
    assert mean.settings['chosen_on'] == 'test'
    assert mean.settings['augment'] is True
    each = values(tmp_path / 'out', 'chosen_top1')
    assert [one.settings['seed'] for one in each] == [0, 1, 2]
    accuracies = torch.tensor([one.value for one in each], dtype=torch.float64)
    assert mean.value == pytest.approx(accuracies.mean().item())
    assert std.value == pytest.approx(accuracies.std().item())
    assert f'{mean.value:.2f} ± {std.value:.2f}' in printed.out
    lrs = {one.settings['lr'] for one in values(tmp_path / 'out', 'head_top1')}
    assert max(lrs) == pytest.approx(0.1 * 24 / 256)
    assert not (tmp_path / 'out' / 'classifiers').exists()


def test_it_goes_on_after_a_kill_with_the_same_results(run, tmp_path, monkeypatch):
    last = ('--sources', 'last1')
    run(*SUBNETS, *last, '--out-dir', str(tmp_path / 'whole'))
    fits = []
    fit = probe_run.probe_features

    def die_at_the_second(*args, **kwargs):
        fits.append(args)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(*args, **kwargs)

    monkeypatch.setattr(probe_run, 'probe_features', die_at_the_second)
    assert run(*SUBNETS, *last)[0] == 130
    assert run(*SUBNETS, *last)[0] == 0
    assert len(fits) == 3  # the first one is kept
    whole, resumed = (
        [(one.key, one.value) for one in read_results(tmp_path / name / 'results.jsonl')]
        for name in ('whole', 'out')
    )
    assert resumed == whole
    assert table(tmp_path / 'out') == table(tmp_path / 'whole')
    # What is finished is not overwritten, and heads on other features are not taken.
    code, printed = run(*SUBNETS)
    assert code == 2
    assert 'linear.csv exists' in printed.err
    (tmp_path / 'out' / 'linear.csv').unlink()
    code, printed = run(*SUBNETS)
    assert code == 2
    assert "of another sources (['last 1'], here" in printed.err
    assert '--overwrite' in printed.err
    code, printed = run(*SUBNETS, *last, '--branch', 'student')
    assert code == 2
    assert 'another branch (teacher, here student)' in printed.err


def test_logistic_regression(run, tmp_path):
    code, printed = run('--subnets', 'smallest', '--classifier', 'logistic', fast=())
    assert code == 0, printed.err
    (row,) = table(tmp_path / 'out')
    assert row['source'] == 'last 1'
    (one,) = values(tmp_path / 'out', 'top1')
    assert one.protocol == 'logistic'
    config = tmp_path / 'out' / 'classifiers' / 'w16-d2.py'
    score = score_of(config, config.with_suffix('.pth'), tmp_path / 'work')
    assert score == pytest.approx(one.value, abs=1e-3)


def test_baselines(run, tmp_path, monkeypatch):
    drawn = []
    plot = visualization.plot_frontier
    monkeypatch.setattr(
        visualization, 'plot_frontier', lambda *args: (drawn.append(args), plot(*args))
    )
    code, printed = run(*SUBNETS, '--baselines', '--sources', 'last1', '--max-disk', '0')
    assert code == 0, printed.err
    untrained = values(tmp_path / 'out', 'untrained_top1')
    assert [one.network for one in untrained] == ['w16-d2', 'w32-d4']
    (pixels,) = values(tmp_path / 'out', 'pixels_top1')
    assert f'pixels {pixels.value:.2f}' in printed.out
    assert 'untrained' in printed.out
    ((rows, _, lines, *_),) = drawn
    assert [f'{row.accuracy:.3f}' for row in rows] == [
        one['top1'] for one in table(tmp_path / 'out')
    ]
    assert lines == {
        'untrained network': [one.value for one in untrained],
        'pixels': pixels.value,
    }
    for name in ('frontier.png', 'heatmap.png'):
        assert (tmp_path / 'out' / name).stat().st_size > 10_000


def folders(root, classes, count=6):
    """Two folders of photographs in classes."""
    for split in ('train', 'test'):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                noise = torch.randint(256, (20, 20, 3), dtype=torch.uint8).numpy()
                Image.fromarray(noise).save(root / split / name / f'{number}.png')
    return '--train-data', str(root / 'train'), '--test-data', str(root / 'test')


def test_an_extracted_network_on_folders_is_the_sub_network(run, tmp_path):
    supernet = build('vit')
    assert isinstance(supernet, ElasticVisionTransformer)
    path = tmp_path / 'small.pth'
    save_backbone(supernet, 'w16-d3', path)
    data = folders(tmp_path / 'images', ['ant', 'bee'])
    size = ('--image-size', '16', '--sources', 'last4+mean')
    assert run(*data, *size, what=path, fast=('--epochs', '1', '--iterations', '20'))[0] == 0
    (row,) = table(tmp_path / 'out')
    files = (tmp_path / 'out' / 'classifiers' / f'w16-d3{suffix}' for suffix in ('.py', '.pth'))
    assert score_of(*files, tmp_path / 'work') == pytest.approx(float(row['top1']), abs=1e-3)


def test_mistakes_end_in_one_line(run, tmp_path):
    def error(*args, **kwargs):
        code, printed = run(*args, **kwargs)
        assert code == 2
        assert printed.err.startswith('error: ')
        assert len(printed.err.splitlines()) == 1
        return printed.err

    assert 'nowhere.pth' in error(what=tmp_path / 'nowhere.pth')
    assert "'w99-d1'" in error('--subnets', 'w99-d1')
    assert 'learning rates must be positive' in error('--lrs', '0.1', '-1')
    assert 'lrs must be all different' in error('--lrs', '0.1', '0.1')
    assert '--seeds must be all different' in error('--seeds', '1', '1')
    assert '--classifier logistic takes --sources' in error('--classifier', 'logistic')
    one = folders(tmp_path / 'one', ['ant'])
    assert 'two classes or more' in error(*one)
    two = folders(tmp_path / 'two', ['ant', 'bee'])
    shutil.move(tmp_path / 'two' / 'test' / 'bee', tmp_path / 'two' / 'test' / 'cat')
    said = error(*two)
    assert 'different classes' in said
    assert "['bee', 'cat']" in said
    assert not (tmp_path / 'out').exists()


def test_features_that_are_not_numbers_are_named(run, tmp_path):
    broken = build('vit')
    with torch.no_grad():
        broken.ln1.weight[0] = torch.nan
    path = save_checkpoint(tmp_path / 'broken.pth', broken, None, CONFIG)
    code, printed = run('--subnets', 'smallest', what=path)
    assert code == 2
    assert 'w16-d2' in printed.err
    assert 'NaN or infinity' in printed.err
