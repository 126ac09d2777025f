"""tools/eval_knn.py on a tiny checkpoint and real image patches."""

import csv
import importlib.util
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.evaluation import KnnEvaluator, read_results
from poa_mm.evaluation.results import file_sha256
from poa_mm.registry import ELASTIC_BACKBONES

TOOL = Path(__file__).parents[2] / 'tools' / 'eval_knn.py'
SUBNETS = ['w32-d2', 'w32-d3', 'w64-d2', 'w64-d3']


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('eval_knn', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def patches(split, count):
    return {
        'type': 'PhotoPatches',
        'split': split,
        'patch_size': 16,
        'patches_per_photo': count,
        'test_mode': True,
        'pipeline': [{'type': 'NumpyToPIL', 'to_rgb': True}, {'type': 'PackInputs'}],
    }


def save_checkpoint(path, train_dataset, test_dataset):
    """A supernet of 2 x 2 sub-networks; teacher and student differ."""
    arch = {'embed_dims': 64, 'num_layers': 3, 'num_heads': 4, 'feedforward_channels': 128}
    backbone = {
        'type': 'ElasticVisionTransformer',
        'arch': arch,
        'widths': [32, 64],
        'depths': [2, 3],
        'img_size': 16,
        'patch_size': 4,
    }
    state = {}
    for seed, prefix in enumerate(('backbone.', 'teacher.backbone.')):
        torch.manual_seed(seed)
        net = ELASTIC_BACKBONES.build(backbone)
        state |= {prefix + name: value for name, value in net.state_dict().items()}
    config = {
        'model': {'type': 'POA', 'backbone': backbone},
        'knn_train_dataset': train_dataset,
        'knn_test_dataset': test_dataset,
        'data_preprocessor': {
            'type': 'SelfSupDataPreprocessor',
            'mean': [123.675, 116.28, 103.53],
            'std': [58.395, 57.12, 57.375],
        },
    }
    info = {'backbone': net.config, 'config': config}
    torch.save({'state_dict': state, SUPERNET_INFO: info}, path)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    return save_checkpoint(tmp_path / 'iter_10.pth', patches('train', 3), patches('test', 2))


@pytest.fixture
def run(tool, checkpoint, capsys):
    """Runs the tool on the CPU; returns its exit code and what it printed."""

    def call(*args, path=checkpoint):
        code = tool.main([str(path), '--device', 'cpu', '--workers', '0', *args])
        return code, capsys.readouterr()

    return call


def table(folder):
    with (folder / 'knn.csv').open() as file:
        return list(csv.DictReader(file))


def test_all_subnets_by_default(run, checkpoint):
    code, printed = run()
    assert code == 0
    out = checkpoint.with_name('knn_iter_10')
    rows = table(out)
    assert sorted(row['subnet'] for row in rows) == SUBNETS
    assert [int(row['params']) for row in rows] == sorted(int(row['params']) for row in rows)
    assert all(float(row['k20']) > 5 for row in rows), 'chance is 5 % of 20 photographs'
    assert 'untrained' not in rows[0]
    for row in rows:
        line = next(line for line in printed.out.splitlines() if row['subnet'] in line)
        assert f'{float(row["k20"]):.1f}' in line
    assert Image.open(out / 'frontier.png').size == (1200, 800)
    assert str(out / 'knn.csv') in printed.out
    results = list(read_results(out / 'results.jsonl'))
    found = {(one.network, one.settings['k']): f'{one.value:.3f}' for one in results}
    assert found == {(row['subnet'], k): row[f'k{k}'] for row in rows for k in (10, 20)}
    assert {one.source_sha256 for one in results} == {file_sha256(checkpoint)}
    assert {one.data for one in results} == {'PhotoPatches'}


def test_baselines_add_columns(run, tmp_path):
    assert run('--baselines', '--out-dir', str(tmp_path / 'out'))[0] == 0
    for row in table(tmp_path / 'out'):
        assert float(row['gain']) == pytest.approx(
            float(row['k20']) - float(row['untrained']), abs=2e-3
        )
        assert 5 < float(row['raw_pixels']) <= 100
        assert 5 < float(row['normalised_pixels']) <= 100


def test_options_reach_the_evaluation(run, tmp_path):
    def accuracies(name, *args):
        out = tmp_path / name
        assert run('--subnets', 'largest,w32-d2', '--out-dir', str(out), *args)[0] == 0
        rows = table(out)
        assert [row['subnet'] for row in rows] == ['w64-d3', 'w32-d2']
        return rows

    plain = accuracies('plain')
    assert [key for key in plain[0] if key.startswith('k')] == ['k10', 'k20']
    assert accuracies('student', '--branch', 'student') != plain
    assert accuracies('sharp', '--temperature', '0.001') != plain
    mean = accuracies('mean', '--feature', 'mean', '--k', '1', '10')
    assert mean[0]['feature'] == 'mean'
    assert [key for key in mean[0] if key.startswith('k')] == ['k1', 'k10']
    more = accuracies('more', '--cfg-options', 'knn_train_dataset.patches_per_photo=5')
    assert [key for key in more[0] if key.startswith('k')] == ['k10', 'k20', 'k100']
    # Batches and passes are a matter of memory, not of results.
    assert accuracies('batch', '--batch-size', '7', '--max-memory', '1e-9') == plain


def test_data_sets_of_another_config(run, checkpoint, tmp_path):
    """Such as for a converted checkpoint, which knows of none."""
    content = torch.load(checkpoint, weights_only=False)
    cfg = Config(content[SUPERNET_INFO]['config'])
    content[SUPERNET_INFO]['config'] = {'model': cfg.model.to_dict()}
    bare = tmp_path / 'bare.pth'
    torch.save(content, bare)
    assert 'no knn_train_dataset' in run(path=bare)[1].err
    cfg.dump(tmp_path / 'data.py')
    out = tmp_path / 'out'
    assert run('--config', str(tmp_path / 'data.py'), '--out-dir', str(out), path=bare)[0] == 0
    assert run('--out-dir', str(tmp_path / 'own'))[0] == 0
    assert table(out) == table(tmp_path / 'own')


def test_results_are_not_overwritten_unasked(run, checkpoint):
    out = checkpoint.with_name('knn_iter_10')
    out.mkdir()
    (out / 'frontier.png').write_text('older plot')
    code, printed = run('--subnets', 'smallest')
    assert code == 2
    assert printed.err.startswith('error: ')
    assert printed.err.endswith(
        'frontier.png exists already; write elsewhere, or replace it with --overwrite '
        '(in Python overwrite=True)\n'
    )
    assert not (out / 'knn.csv').exists()
    assert (out / 'frontier.png').read_text() == 'older plot'
    assert run('--subnets', 'smallest', '--overwrite')[0] == 0
    assert Image.open(out / 'frontier.png').format == 'PNG'


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--subnets', 'vit-s'], "no sub-network 'vit-s'; valid: smallest, largest"),
        (['--k', '61'], 'k must be in [1, 60]'),
        (['--temperature', '0'], 'temperature must be > 0'),
        (['--cfg-options', 'knn_test_dataset.split=val'], "unknown split 'val'"),
    ],
)
def test_user_errors_are_one_line(run, checkpoint, args, message):
    code, printed = run(*args)
    assert code == 2
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not checkpoint.with_name('knn_iter_10').exists()


def test_unknown_names_are_refused_before_data_are_read(run, monkeypatch):
    def read(*args, **kwargs):
        raise AssertionError('data sets were built')

    monkeypatch.setattr(KnnEvaluator, 'from_config', read)
    assert run('--subnets', 'w32-d2,nonsense')[0] == 2


def test_wrong_files_are_one_line(run, tmp_path):
    code, printed = run(path=tmp_path / 'absent.pth')
    assert (code, len(printed.err.splitlines())) == (2, 1)
    assert 'absent.pth' in printed.err
    foreign = tmp_path / 'foreign.pth'
    foreign.write_text('not a checkpoint')
    code, printed = run(path=foreign)
    assert (code, len(printed.err.splitlines())) == (2, 1)
    assert 'foreign.pth' in printed.err


def test_an_image_broken_in_a_loader_process_is_one_line(run, tmp_path):
    for name in ('a/0.png', 'a/1.png', 'b/0.png'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (16, 16)).save(path)
    path.write_text('broken')
    images = {
        'type': 'ImageFolder',
        'data_root': str(tmp_path / 'images'),
        'with_label': True,
        'test_mode': True,
        'pipeline': [{'type': 'PackInputs'}],
    }
    checkpoint = save_checkpoint(tmp_path / 'folder.pth', images, images)
    code, printed = run('--workers', '1', path=checkpoint)
    assert code == 2
    assert len(printed.err.splitlines()) == 1
    assert 'b/0.png cannot be read as an image' in printed.err


def test_an_unknown_device_is_refused(tool, checkpoint, capsys):
    with pytest.raises(SystemExit) as error:
        tool.main([str(checkpoint), '--device', 'nonsense'])
    assert error.value.code == 2
    assert "argument --device: there is no device 'nonsense'" in capsys.readouterr().err


def test_folders_of_one_s_own_images(run, tmp_path):
    """Two colours; a checkpoint that knows of no data set will do."""
    for split in ('train', 'val'):
        for color, name in ((30, 'dark'), (220, 'light')):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(6):
                path = tmp_path / split / name / f'{index}.png'
                Image.new('RGB', (30 + index, 20), (color + index,) * 3).save(path)
    own = ('--train-data', str(tmp_path / 'train'), '--test-data', str(tmp_path / 'val'))
    out = tmp_path / 'out'
    code, printed = run(*own, '--k', '3', '--out-dir', str(out))
    assert code == 0
    assert [float(row['k3']) for row in table(out)] == [100.0] * 4
    assert printed.out.startswith(
        f'k-NN on 12 images of 2 classes from {tmp_path / "val"}, '
        f'classified by 12 images of 2 classes from {tmp_path / "train"}'
    )
    assert '--test-data is missing' in run(*own[:2])[1].err
    assert 'no image folder' in run(*own[:3], str(tmp_path / 'none'))[1].err
    assert 'goes without --config' in run(*own, '--config', __file__)[1].err


def test_the_data_of_the_checkpoint_are_named(run):
    printed = run('--subnets', 'smallest')[1]
    assert printed.out.startswith(
        'k-NN on 40 images of 20 classes from PhotoPatches, '
        'classified by 60 images of 20 classes from PhotoPatches'
    )


def test_an_option_that_k_nn_does_not_read(run):
    printed = run('--cfg-options', 'model.backbone.depths=[2]')[1]
    assert printed.err.startswith('error: model.backbone.depths: nothing reads model here; valid: ')
