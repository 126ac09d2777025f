"""tools/train.py on the demo's config, a few iterations at a time."""

import sys
from pathlib import Path

import pytest
import torch
from helpers import CONFIG, load_tool
from PIL import Image
from tool_outcome import outcome

import poa_mm
from poa_mm.checkpoints import load_config
from poa_mm.engine import POAHook
from poa_mm.models.selfsup import POA

SMALL = [
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'train_dataloader.dataset.patches_per_photo=1',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=2',
]


@pytest.fixture(scope='module')
def tool():
    return load_tool('train')


@pytest.fixture
def train(tool, monkeypatch, tmp_path):
    """Run the tool below ``tmp_path``; the result is what it exits with, ``None`` if all went well.

    mmengine keeps its loggers by the name of the experiment, so each run needs one of its own.
    """
    monkeypatch.chdir(tmp_path)
    runs = iter(range(100))

    def run(*args, config=CONFIG, iters=2, batch=4):
        options = [*SMALL, f'train_cfg.max_iters={iters}', f'train_dataloader.batch_size={batch}']
        options.append(f'experiment_name={tmp_path.name}-{next(runs)}')
        argv = ['train.py', str(config), *args, '--cfg-options', *options]
        monkeypatch.setattr(sys, 'argv', argv)
        return outcome(tool.main)

    return run


def read(path):
    return torch.load(path, weights_only=False)


def test_a_run_leaves_a_checkpoint_that_opens(train, tmp_path):
    assert train() is None
    folder = tmp_path / 'work_dirs' / CONFIG.stem  # the default, below the current folder
    path = folder / 'iter_2.pth'
    assert path.samefile((folder / 'last_checkpoint').read_text())
    student, teacher = (poa_mm.load_supernet(path, branch) for branch in ('student', 'teacher'))
    state = read(path)['state_dict']
    for name, value in student.state_dict().items():
        assert torch.equal(value, state[f'backbone.{name}'])
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, state[f'teacher.backbone.{name}'])
    cfg = load_config(path)
    assert cfg.train_dataloader.batch_size == 4  # --cfg-options are part of the config
    assert cfg.launcher == 'none'


def test_the_terminal_says_what_a_run_is_and_how_to_go_on(train, capsys):
    assert train() is None
    folder = f'work_dirs/{CONFIG.stem}'
    before, *steps = capsys.readouterr().out.split('Iter(train)')
    lines = before.splitlines()
    assert len(lines) <= 12
    said = {line.partition('  ')[0]: line.partition('  ')[2].strip() for line in lines}
    assert said['data'] == '20 images of 20 classes from PhotoPatches'
    assert said['network'].startswith('POA with ElasticVisionTransformer: 9 sub-networks, w32-d2')
    assert said['optimiser'] == 'AdamW, learning rate 0.0008'
    assert said['length'] == '2 iterations of 4 images: 0.4 passes over the data'
    assert said['work dir'] == folder
    assert len(steps) == 2
    assert f'last    {folder}/iter_2.pth' in steps[1]
    assert f'python tools/eval_knn.py {folder}/iter_2.pth' in steps[1]
    (log,) = Path(folder).glob('*/*.log')
    assert str(log) in lines[0]
    written = log.read_text()
    for part in (
        'System environment',
        'train_dataloader = dict(',
        'Hooks will be executed',
        'next:',
    ):
        assert part in written


def test_an_interrupted_run_says_how_to_go_on(train, capsys, monkeypatch):
    done = POAHook.after_train_iter

    def interrupt(self, runner, *args, **kwargs):
        if runner.iter == 3:
            raise KeyboardInterrupt
        done(self, runner, *args, **kwargs)

    monkeypatch.setattr(POAHook, 'after_train_iter', interrupt)
    assert train('--work-dir', 'w', iters=6) == 130
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith(
        f'stopped after iteration 3 of 6; resume from w/iter_2.pth with: python train.py {CONFIG} '
    )
    assert printed.err.rstrip().endswith('--resume')
    monkeypatch.undo()


def test_work_dir_decides_where_a_run_writes(train, tmp_path):
    assert train('--work-dir', 'here/below') is None
    assert (tmp_path / 'here' / 'below' / 'iter_2.pth').is_file()
    assert not (tmp_path / 'work_dirs').exists()


def test_a_second_run_does_not_write_over_the_first(train, tmp_path):
    assert train('--work-dir', 'w') is None
    before = {path: path.read_bytes() for path in (tmp_path / 'w').glob('*.pth')}
    message = train('--work-dir', 'w')
    assert message == (
        'error: w holds the checkpoints of an earlier run; resume it with --resume, '
        'or choose another --work-dir'
    )
    assert {path: path.read_bytes() for path in (tmp_path / 'w').glob('*.pth')} == before


@pytest.mark.parametrize('named', [True, False], ids=['named', 'latest'])
def test_resume_goes_on(train, tmp_path, named):
    assert train('--work-dir', 'w') is None
    first = (tmp_path / 'w' / 'iter_2.pth').read_bytes()
    resume = ['--resume', 'w/iter_2.pth'] if named else ['--resume']
    # A named checkpoint may come from another folder, the latest one lies in this one.
    assert train('--work-dir', 'v' if named else 'w', *resume, iters=4) is None
    assert (tmp_path / 'w' / 'iter_2.pth').read_bytes() == first
    old, new = (
        read(tmp_path / 'w' / 'iter_2.pth'),
        read(tmp_path / ('v' if named else 'w') / 'iter_4.pth'),
    )
    assert (old['meta']['iter'], new['meta']['iter']) == (2, 4)
    steps = [{s['step'].item() for s in c['optimizer']['state'].values()} for c in (old, new)]
    assert steps == [{2.0}, {4.0}]
    # Two steps at most, not four from a fresh start: the weights are still near the first run's.
    for branch in ('backbone', 'teacher.backbone'):
        key = f'{branch}.patch_embed.projection.weight'
        distance = (new['state_dict'][key] - old['state_dict'][key]).abs().max()
        assert 0 < distance < 0.01


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--resume', 'none.pth'], 'error: no checkpoint to resume from at none.pth'),
        pytest.param(
            ['--amp'],
            'error: --amp needs a GPU; on a CPU train in float32',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU'),
        ),
        (
            ['--auto-scale-lr'],
            'error: --auto-scale-lr needs auto_scale_lr.base_batch_size in the config',
        ),
    ],
    ids=['resume', 'amp', 'auto-scale-lr'],
)
def test_user_errors_are_one_line(train, tmp_path, args, message):
    assert train(*args) == message  # sys.exit prints it and exits with 1
    assert not list(tmp_path.iterdir())


def test_a_missing_config_is_one_line(train, tmp_path):
    message = train(config=tmp_path / 'none.py')
    assert message.startswith('error: ')
    assert 'none.py' in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ('name', 'text'), [('broken.py', 'x = = 1'), ('config.txt', 'x = 1'), ('other.py', 'x = 1')]
)
def test_a_config_that_cannot_be_used_is_one_line(train, tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    message = train(config=path)
    assert message.startswith('error: ')
    assert len(message.splitlines()) == 1


def test_resuming_one_run_does_not_write_over_another(train, tmp_path):
    assert train('--work-dir', 'one') is None
    assert train('--work-dir', 'two', iters=4) is None
    before = (tmp_path / 'two' / 'iter_4.pth').read_bytes()
    message = train('--work-dir', 'two', '--resume', 'one/iter_2.pth', iters=4)
    assert (tmp_path / 'two' / 'iter_4.pth').read_bytes() == before
    assert message.startswith('error: two holds the checkpoints of an earlier run')


def test_an_unknown_launcher_is_refused(train, capsys):
    assert train('--launcher', 'mpi') == 2
    assert "invalid choice: 'mpi'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--cfg-options', 'model.backbone.widths=[30]'), 'widths must be multiples'),
        (('--cfg-options', 'train_dataloader.dataset.split=none'), "'none'"),
        (('--resume', 'junk.pth'), 'junk.pth is not a checkpoint'),
    ],
)
def test_what_shows_when_a_run_is_built_is_one_line(train, tmp_path, options, message):
    (tmp_path / 'junk.pth').write_text('junk')
    answer = train(*options)
    assert answer.startswith('error: ')
    assert message in answer
    assert len(answer.splitlines()) == 1


def derived_config(path, text):
    path.write_text(f'_base_ = {str(CONFIG)!r}\n{text}')
    return path


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            "model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='Pretrained', "
            "checkpoint='none.pth')))",
            'none.pth',
        ),
        (
            "custom_hooks = [dict(type='POAHook', freeze_last_layer_epochs=0), "
            "dict(type='KnnMonitorHook', interval=1, subnets=['vit-x'])]",
            "no sub-network 'vit-x'; valid:",
        ),
    ],
    ids=['weights', 'hook'],
)
def test_what_shows_just_before_the_first_step_is_one_line(train, tmp_path, text, message):
    answer = train('--cfg-options', 'optim_wrapper.optimizer.type=AdamWW')
    assert answer == "error: there is no optimizer 'AdamWW'; did you mean 'AdamW'?"
    answer = train(config=derived_config(tmp_path / 'c.py', text))
    assert answer.startswith('error: ')
    assert message in answer
    assert '\n' not in answer


@pytest.mark.parametrize('moment', ['before the first step', 'in a step'])
def test_a_bug_keeps_its_traceback_on_the_terminal_and_in_the_log(
    train, monkeypatch, capsys, moment
):
    def buggy(self, *args, **kwargs):
        return {}['tau']

    monkeypatch.setattr(
        *(POA, 'loss') if moment == 'in a step' else (POAHook, 'before_train'), buggy
    )
    assert train('--work-dir', 'w') == 1
    printed = capsys.readouterr()
    (log,) = Path('w').glob('*/*.log')
    *trace, _, last = printed.err.splitlines()
    assert last == f'error: unexpected KeyError; its traceback is above and in {log}'
    for text in ('\n'.join(trace), log.read_text()):
        assert "return {}['tau']" in text
        assert 'Traceback (most recent call last):' in text
    assert 'Traceback' not in printed.out


def test_the_log_has_the_traceback_of_a_mistake(train, capsys):
    answer = train('--work-dir', 'w', '--cfg-options', 'model.backbone.widths=[30]')
    assert answer.startswith('error: widths must be multiples')
    (log,) = Path('w').glob('*/*.log')
    assert 'in check_axes' in log.read_text()
    assert 'Traceback' not in capsys.readouterr().err


def test_a_batch_too_small_for_koleo_is_one_line(train, tmp_path):
    text = 'model = dict(koleo_weight=0.1)'
    answer = train(config=derived_config(tmp_path / 'c.py', text), batch=1)
    assert answer.startswith('error: KoLeo needs at least 2 images')


def test_misspelled_settings_are_one_line(train, tmp_path):
    assert "no setting 'modle'; did you mean 'model'?" in train('--cfg-options', 'modle.x=1')
    answer = train(config=derived_config(tmp_path / 'a.py', 'model = dict(koleo_wieght=0.1)'))
    assert answer.startswith(
        "error: POA has no argument 'koleo_wieght'; did you mean 'koleo_weight'?"
    )
    answer = train(config=derived_config(tmp_path / 'b.py', "model = dict(type='POAA')"))
    assert answer == "error: there is no model 'POAA'; did you mean 'POA'?"
    answer = train('--cfg-options', 'optim_wrapper.optimizer.type=AdamWW')
    assert answer == "error: there is no optimizer 'AdamWW'; did you mean 'AdamW'?"
    answer = train(config=derived_config(tmp_path / 'c.py', 'param_schedular = []'))
    assert answer.endswith(
        "sets 'param_schedular', which nothing reads; did you mean 'param_scheduler'?"
    )


def test_the_monitor_measures_on_one_s_own_folders(train, tmp_path):
    for split in ('train', 'val'):
        for color, name in ((30, 'dark'), (220, 'light')):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(10):
                Image.new('RGB', (40, 40), (color + index,) * 3).save(
                    tmp_path / split / name / f'{index}.png'
                )
    own = ('--train-data', str(tmp_path / 'train'), '--test-data', str(tmp_path / 'val'))
    assert train('--work-dir', 'w', *own) is None
    lines = (tmp_path / 'w' / 'knn_curve.csv').read_text().splitlines()
    assert lines[1:] == [
        f'{iteration},{name},20,{100:.3f}'
        for iteration in (1, 2)
        for name in ('smallest', 'largest')
    ]
