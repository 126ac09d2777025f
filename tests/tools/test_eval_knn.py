"""tools/eval_knn.py on a tiny checkpoint and real image patches."""

import csv
import importlib.util
import os
import random
import signal
from pathlib import Path

import pytest
import torch
from helpers import load_tool
from mmengine.config import Config
from PIL import Image
from ranks import run_distributed, start_ranks
from safetensors.torch import load_file

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.evaluation import KnnEvaluator, MeasuredSupernet, read_results
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
    found = {
        (one.network, one.metric): f'{one.value:.3f}'
        for one in read_results(tmp_path / 'out' / 'results.jsonl')
        if one.metric != 'top1'
    }
    assert found == {
        **{(row['subnet'], 'untrained_top1'): row['untrained'] for row in table(tmp_path / 'out')},
        ('pixels', 'raw_pixels_top1'): row['raw_pixels'],
        ('pixels', 'normalised_pixels_top1'): row['normalised_pixels'],
    }


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


OPTIONS = ['--device', 'cpu', '--workers', '0', '--batch-size', '16', '--per-class', '2']
# One network in a pass, so that something is there to go on with.
PASSES = ['--max-memory', '1e-9', '--baselines']


def killed(rank, argv, steps):
    """Run the tool, and kill the process after some batches of a network."""
    count, tokens = 0, MeasuredSupernet.tokens

    def counted(self, images, networks=None):
        nonlocal count
        for network, of_images in tokens(self, images, networks):
            count += 1
            if count == steps:
                os.kill(os.getpid(), signal.SIGKILL)
            yield network, of_images

    MeasuredSupernet.tokens = counted
    load_tool('eval_knn').main(argv)


def test_a_run_that_is_killed_goes_on_to_the_same_table(run, checkpoint, tmp_path):
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    assert run(*OPTIONS, *PASSES, '--out-dir', str(whole))[0] == 0
    argv = [str(checkpoint), *OPTIONS, *PASSES, '--out-dir', str(out)]
    steps = random.randrange(20, 60)  # of 2 * 7 for each network, trained and untrained
    with pytest.raises(Exception, match='SIGKILL'):
        start_ranks(killed, 1, argv, steps)
    unfinished = (out / 'knn_unfinished.jsonl').exists()
    assert not (out / 'frontier.png').exists(), steps
    code, printed = run(*argv[1:])
    assert code == 0, (steps, printed.err)
    assert ('going on' in printed.out) == unfinished
    for name in ('knn.csv', 'frontier.png', 'heatmap.png'):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), steps
    assert not (out / 'knn_unfinished.jsonl').exists()
    found, expected = (list(read_results(folder / 'results.jsonl')) for folder in (out, whole))
    assert [(one.key, one.value) for one in found] == [(one.key, one.value) for one in expected]


def on_ranks(rank, argv):
    assert load_tool('eval_knn').main(argv) == 0
    return rank


def test_processes_share_the_images_and_write_the_same_table(run, checkpoint, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    assert run(*OPTIONS, '--out-dir', str(one))[0] == 0
    argv = [str(checkpoint), *OPTIONS, '--out-dir', str(two)]
    assert run_distributed(on_ranks, 2, argv) == [0, 1]
    for name in ('knn.csv', 'frontier.png', 'heatmap.png'):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    for path in (one / 'features').iterdir():
        found, expected = (load_file(folder / 'features' / path.name) for folder in (two, one))
        assert set(found) == {'cls', 'labels'}
        assert all(torch.equal(found[key], expected[key]) for key in found)


def test_an_unfinished_evaluation_of_something_else_is_refused(run, checkpoint, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'knn_unfinished.jsonl').write_text('{"about": {"checkpoint": "another"}}\n')
    code, printed = run('--out-dir', str(out))
    assert code == 2
    assert 'holds an unfinished evaluation with another checkpoint (another, here ' in printed.err
    assert not (out / 'knn.csv').exists()
    assert run('--out-dir', str(out), '--overwrite', '--subnets', 'smallest')[0] == 0


def test_features_are_kept_and_refused_for_other_images(run, tmp_path):
    kept = ('--features', str(tmp_path / 'features'), '--subnets', 'smallest')
    assert run('--out-dir', str(tmp_path / 'a'), *kept)[0] == 0
    assert {path.name for path in (tmp_path / 'features').iterdir()} == {
        'w32-d2.train.safetensors',
        'w32-d2.test.safetensors',
    }
    assert run('--out-dir', str(tmp_path / 'b'), *kept, '--k', '7')[0] == 0
    more = ('--cfg-options', 'knn_train_dataset.patches_per_photo=5')
    code, printed = run('--out-dir', str(tmp_path / 'c'), *kept, *more)
    assert code == 2
    assert 'holds features of another data' in printed.err
    code, printed = run('--out-dir', str(tmp_path / 'd'), *kept, '--branch', 'student')
    assert 'holds features of another branch (teacher, here student)' in printed.err


def test_few_shot_banks_and_macro_accuracy(run, tmp_path):
    out = tmp_path / 'out'
    few = ('--per-class', '1', '3', '--draws', '4', '--subnets', 'smallest')
    code, printed = run(*few, '--out-dir', str(out))
    assert code == 0
    (row,) = table(out)
    assert [key for key in row if key.startswith('n')] == [
        'name', 'n1_k10', 'n1_k10_std', 'n1_k20', 'n1_k20_std',
        'n3_k10', 'n3_k10_std', 'n3_k20', 'n3_k20_std',
    ]  # fmt: skip
    assert row['n3_k20'] == row['k20'], 'each class has three images'
    assert float(row['n3_k20_std']) == 0 < float(row['n1_k10_std'])
    assert ' ± ' in printed.out
    results = list(read_results(out / 'results.jsonl'))
    draws = [one for one in results if one.protocol == 'few_shot_knn']
    assert len(draws) == 2 * 2 * 4
    of_one = [
        one.value for one in draws if (one.settings['per_class'], one.settings['k']) == (1, 10)
    ]
    assert sum(of_one) / 4 == pytest.approx(float(row['n1_k10']), abs=1e-3)
    assert {one.metric for one in results} == {'top1'}
    macro = ('--average', 'macro', '--subnets', 'smallest', '--out-dir', str(tmp_path / 'macro'))
    assert run(*macro)[0] == 0
    (one, *_) = read_results(tmp_path / 'macro' / 'results.jsonl')
    assert one.metric == 'macro_top1'
    code, printed = run('--per-class', '4', '--out-dir', str(tmp_path / 'many'))
    assert code == 2
    assert 'has 3 images, fewer than the 4 asked for' in printed.err


def test_presets_set_what_is_not_given(run, tmp_path):
    more = ('--cfg-options', 'knn_train_dataset.patches_per_photo=10', '--subnets', 'smallest')
    found = {}
    for preset in ('paper', 'official'):
        out = tmp_path / preset
        assert run('--preset', preset, *more, '--out-dir', str(out))[0] == 0
        results = list(read_results(out / 'results.jsonl'))
        assert [one.settings['k'] for one in results] == [10, 20, 100, 200]
        found[preset] = {one.settings['dtype'] for one in results}
    assert found == {'paper': {'float32'}, 'official': {'float16'}}


def test_a_file_and_a_model_of_timm_are_measured_alike(run, checkpoint, tmp_path):
    """On the data of the run, prepared as each network expects it."""
    net, data = tmp_path / 'net.pth', tmp_path / 'data.py'
    content = torch.load(checkpoint, weights_only=False)
    Config(content[SUPERNET_INFO]['config']).dump(data)
    assert load_tool('extract_subnet').main([str(checkpoint), 'w32-d3', str(net)]) == 0
    out = tmp_path / 'file'
    assert 'net.pth names no data sets: give --train-data' in run(path=net)[1].err
    assert run('--config', str(data), '--out-dir', str(out), path=net)[0] == 0
    same = ('--subnets', 'w32-d3', '--image-size', '16')  # prepared as the file says
    assert run(*same, '--out-dir', str(tmp_path / 'supernet'))[0] == 0
    (of_file,), (of_supernet,) = table(out), table(tmp_path / 'supernet')
    assert of_file == of_supernet
    out = tmp_path / 'timm'
    options = ('--config', str(data), '--image-size', '32', '--out-dir', str(out), '--baselines')
    code, printed = run(*options, path='test_resnet')
    assert code == 0
    assert 'note: test_resnet has random weights' in printed.err
    (row,) = table(out)
    assert (row['subnet'], row['width'], row['depth']) == ('test_resnet', '', '')
    assert float(row['raw_pixels']) > 5
    assert not (out / 'frontier.png').exists()
    (one, *_) = read_results(out / 'results.jsonl')
    assert (one.source, one.network) == ('timm', 'test_resnet')
    assert "did you mean 'test_resnet'" in run(path='test_resnett')[1].err


def test_a_bank_of_half_precision(run, tmp_path):
    rows = {}
    few = ('--subnets', 'w32-d2', '--max-disk', '0')
    for bank in ('float32', 'float16'):
        assert run('--bank', bank, *few, '--out-dir', str(tmp_path / bank))[0] == 0
        assert not (tmp_path / bank / 'features').exists()
        rows[bank] = [float(row['k20']) for row in table(tmp_path / bank)]
    assert rows['float16'] == pytest.approx(rows['float32'], abs=2.5)  # 40 images
    (one, *_) = read_results(tmp_path / 'float16' / 'results.jsonl')
    assert one.settings['bank'] == 'float16'
