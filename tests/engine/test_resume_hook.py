"""A checkpoint goes on with the run; the config says what the run is like."""

import pytest
import torch
from tiny.line_runs import by_epochs, config, log_of, names, train, warnings_of

from poa_mm import files
from poa_mm.engine import launch


@pytest.fixture
def whole(tmp_path):
    """A run of eight iterations, its checkpoints and its rates."""
    _, rates = train(tmp_path / 'whole', iters=8)
    return tmp_path / 'whole', rates


def told(folder):
    """What a resumed run has said of its checkpoint, one sentence each."""
    lines = warnings_of(folder)
    return [line.partition('.pth: ')[2] for line in lines if line.startswith('resumed from')]


def settings(runner):
    group = runner.optim_wrapper.optimizer.param_groups[0]
    return {name: value for name, value in group.items() if name != 'params'}


def test_the_same_config_goes_on_without_a_word(tmp_path, whole):
    folder, rates = whole
    _, rest = train(tmp_path / 'rest', str(folder / 'iter_4.pth'), iters=8)
    assert rest == {step: rates[step] for step in range(4, 8)}
    assert told(tmp_path / 'rest') == []
    last = [files.read_file(part / 'iter_8.pth') for part in (folder, tmp_path / 'rest')]
    for name, value in last[0]['state_dict'].items():
        assert torch.equal(value, last[1]['state_dict'][name])


def test_a_longer_run_goes_on_where_its_own_schedule_is(tmp_path, whole):
    """Not from the 0 at which the shorter one has ended."""
    folder, _ = whole
    _, expected = train(tmp_path / 'long', iters=16)
    _, rest = train(tmp_path / 'rest', str(folder / 'iter_8.pth'), iters=16)
    assert rest == {step: expected[step] for step in range(8, 16)}
    assert told(tmp_path / 'rest') == [
        'max_iters is 16 instead of 8: what depends on the length of the run continues as in a run '
        'of the new length',
        "PolyLR is the config's: end 16 in place of 8, total_iters 15 in place of 7",
        f"the learning rate continues at {0.1 * 7 / 15:.6g}, where the config's schedules are at "
        'this iteration, instead of 0',
    ]


SCHEDULES = {
    'another rate': {'optim_wrapper__optimizer__lr': 0.3},
    'other schedules': {
        'param_scheduler': [
            {'type': 'LinearLR', 'by_epoch': False, 'end': 3},
            {'type': 'CosineAnnealingLR', 'by_epoch': False, 'begin': 3, 'eta_min': 0.01},
        ]
    },
    'another kind': {'param_scheduler': [{'type': 'StepLR', 'by_epoch': False, 'step_size': 3}]},
    'milestones': {
        'param_scheduler': [{'type': 'MultiStepLR', 'by_epoch': False, 'milestones': [2, 6]}]
    },
    'weight decay, too': {
        'param_scheduler': [
            {'type': 'PolyLR', 'by_epoch': False},
            {
                'type': 'mmpretrain.CosineAnnealingWeightDecay',
                'by_epoch': False,
                'eta_min': 0.4,
            },
        ]
    },
}


@pytest.mark.parametrize('changes', SCHEDULES.values(), ids=SCHEDULES)
def test_rates_are_those_of_a_run_that_had_them_from_the_start(tmp_path, whole, changes):
    folder, _ = whole
    _, expected = train(tmp_path / 'other', iters=8, **changes)
    _, rest = train(tmp_path / 'rest', str(folder / 'iter_4.pth'), iters=8, **changes)
    assert list(rest) == [4, 5, 6, 7]
    for step, row in rest.items():
        assert row == pytest.approx(expected[step], rel=1e-12)
    assert ' continues at ' in ''.join(told(tmp_path / 'rest'))


@pytest.mark.parametrize('scheduler', [None, []])
def test_no_schedules_any_more(tmp_path, whole, scheduler):
    folder, _ = whole
    _, rest = train(
        tmp_path / 'rest', str(folder / 'iter_4.pth'), iters=8, param_scheduler=scheduler
    )
    assert set(rest.values()) == {(0.1, 0.01)}


def test_a_checkpoint_without_schedules(tmp_path):
    options = {'default_hooks__checkpoint__save_param_scheduler': False}
    _, rates = train(tmp_path / 'whole', iters=8, **options)
    _, rest = train(tmp_path / 'rest', str(tmp_path / 'whole' / 'iter_4.pth'), iters=8)
    assert rest == {step: rates[step] for step in range(4, 8)}


def test_settings_of_the_optimiser_are_the_config_s(tmp_path, whole):
    folder, _ = whole
    changes = {'betas': (0.5, 0.9), 'weight_decay': 0.3, 'eps': 1e-6}
    runner, rest = train(
        tmp_path / 'rest',
        str(folder / 'iter_4.pth'),
        iters=8,
        optim_wrapper__optimizer={'type': 'AdamW', 'lr': 0.1, **changes},
    )
    assert {name: settings(runner)[name] for name in changes} == changes
    assert {decay for _, decay in rest.values()} == {0.3}
    assert told(tmp_path / 'rest') == [
        "betas is the config's (0.5, 0.9), in place of (0.9, 0.999)",
        "eps is the config's 1e-06, in place of 1e-08",
        "weight_decay is the config's 0.3, in place of 0.01",
    ]


def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, whole):
    folder, _ = whole
    checkpoint = str(folder / 'iter_4.pth')
    with pytest.raises(ValueError, match=r'with \[.betas.\], the config has SGD with'):
        train(tmp_path / 'a', checkpoint, optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}})
    with pytest.raises(ValueError, match=r'iter_4\.pth is no checkpoint of this model: 1 weight'):
        train(tmp_path / 'b', checkpoint, model__features=3)
    with pytest.raises(ValueError, match='1 parameter groups of 2 parameters, the config makes 2'):
        train(tmp_path / 'c', checkpoint, optim_wrapper__paramwise_cfg={'bias_decay_mult': 0})
    for folder in 'abc':
        assert names(tmp_path / folder) == []


def test_the_best_checkpoint_has_no_state_to_go_on_from(tmp_path):
    train(tmp_path / 'one', scores=[1, 2])
    best = str(tmp_path / 'one' / 'best_score_iter_4.pth')
    with pytest.raises(ValueError, match=r'best_score_iter_4\.pth has no optimizer, so it cannot'):
        train(tmp_path / 'two', best)


def test_a_schedule_that_follows_a_metric_resumes_as_it_was(tmp_path):
    plateau = {'type': 'ReduceOnPlateauLR', 'monitor': 'score', 'rule': 'greater', 'patience': 0}
    options = {**by_epochs(4), 'scores': [4, 3, 2, 1], 'param_scheduler': [plateau]}
    _, rates = train(tmp_path / 'one', **options)
    start = str(tmp_path / 'one' / 'epoch_3.pth')
    _, rest = train(tmp_path / 'two', start, **{**options, 'scores': [1]})
    # mmengine saves an epoch before it validates it.
    assert rest == dict.fromkeys(range(12, 16), rates[11])
    assert len({rate for rate, _ in rates.values()}) > 1
    options['param_scheduler'] = [{**plateau, 'factor': 0.5}]
    with pytest.raises(ValueError, match='follows a metric can only be resumed as it was'):
        train(tmp_path / 'three', start, **options)


def test_the_seed_and_the_classes_are_told(tmp_path, whole):
    folder, _ = whole
    runner, _ = train(
        tmp_path / 'rest',
        str(folder / 'iter_8.pth'),
        iters=8,
        randomness__seed=3,
        train_dataloader__dataset__classes=('one', 'zwei', 'drei'),
    )
    assert runner.seed == 0
    assert told(tmp_path / 'rest') == [
        "train_dataloader.dataset.classes is ('one', 'zwei', 'drei') in place of not set",
        "the seed stays 0 instead of the config's 3: images and random numbers are those of an "
        'uninterrupted run',
        'its heads were trained on other classes; those of the data are used: class 1 was '
        "'two' and is 'zwei'",
        'it has done 8 iterations of 8: there is nothing left to train',
    ]


def test_the_hub_keeps_what_is_of_this_run(tmp_path, whole):
    folder, _ = whole
    runner, _ = train(tmp_path / 'rest', str(folder / 'iter_4.pth'), iters=12)
    info = runner.message_hub.runtime_info
    assert (info['max_iters'], info['iter']) == (12, 11)
    assert info['experiment_name'] == runner.experiment_name
    assert str(tmp_path / 'rest') in info['cfg']
    assert 'is not defined in message_hub' not in log_of(tmp_path / 'rest')


WARMUP = [
    {'type': 'LinearLR', 'by_epoch': False, 'end': 6},
    {'type': 'MultiStepLR', 'milestones': [1, 2]},
]


def test_epochs_go_on_at_the_start_of_one(tmp_path):
    """Saved by iterations: at 4, where the first epoch ends, and at 6, in the second one."""
    options = {**by_epochs(3), 'param_scheduler': WARMUP}
    options |= {
        'default_hooks__checkpoint__by_epoch': False,
        'default_hooks__checkpoint__interval': 2,
    }
    _, rates = train(tmp_path / 'whole', **options)
    for step in (4, 6):
        folder = tmp_path / f'from{step}'
        runner, rest = train(folder, str(tmp_path / 'whole' / f'iter_{step}.pth'), **options)
        assert list(rest) == list(range(4, 12))
        assert all(row == pytest.approx(rates[step]) for step, row in rest.items())
        assert (runner.iter, runner.epoch) == (12, 3)
        assert any('resumes at the start of epoch 2' in line for line in told(folder)) == (
            step == 6
        )


def test_epochs_of_another_batch(tmp_path):
    """Four iterations of two images become two of four: schedules by iteration shrink with it."""
    options = {**by_epochs(3), 'param_scheduler': WARMUP}
    train(tmp_path / 'one', **options)
    options['train_dataloader__batch_size'] = 4
    _, expected = train(tmp_path / 'other', **options)
    start = str(tmp_path / 'one' / 'epoch_1.pth')
    runner, rest = train(tmp_path / 'two', start, **options)
    assert list(rest) == list(range(2, 6))
    assert all(row == pytest.approx(expected[step]) for step, row in rest.items())
    assert (runner.iter, runner.epoch) == (6, 3)
    assert 'epochs have 2 iterations instead of 4' in ''.join(told(tmp_path / 'two'))


def test_gradients_of_half_a_step_are_told_to_be_lost(tmp_path):
    options = {'optim_wrapper__accumulative_counts': 4, 'iters': 8}
    train(tmp_path / 'one', **options)
    train(tmp_path / 'two', str(tmp_path / 'one' / 'iter_6.pth'), **options)
    assert told(tmp_path / 'two') == [
        'it was saved within a step of 4 batches; their gradients are lost'
    ]


def test_a_config_that_resumes_itself(tmp_path, whole):
    """``resume=True`` in the config, whose folder has moved."""
    folder, _ = whole
    folder.rename(tmp_path / 'moved')
    cfg = config(tmp_path / 'moved', iters=10, resume=True)
    launch.set_resume(cfg, None)
    launch.build_runner(cfg)
    assert cfg.load_from == str(tmp_path / 'moved' / 'iter_8.pth')
    cfg = config(tmp_path / 'moved', resume=True, load_from=str(tmp_path / 'iter_2.pth'))
    with pytest.raises(FileExistsError, match='holds the checkpoints of an earlier run'):
        launch.build_runner(cfg)


def test_nothing_to_resume_from_starts_anew_and_says_so(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_4.pth')
    _, rates = train(tmp_path, 'auto')
    assert list(rates) == [0, 1, 2, 3]
    assert any('holds no checkpoint to resume from' in line for line in warnings_of(tmp_path))


def test_weights_of_another_model_are_no_start(tmp_path):
    """mmengine would warn of names, and train on from random weights."""
    path = tmp_path / 'other.pth'
    torch.save({'state_dict': {'conv.weight': torch.ones(1)}}, path)
    with pytest.raises(ValueError, match=r'other\.pth: none of its 1 weights .* such as line\.'):
        train(tmp_path / 'run', load_from=str(path))
    torch.save({'line.bias': torch.ones(1)}, path)  # a part will do, in a file of weights alone
    train(tmp_path / 'run', load_from=str(path))
