"""What contradicts the length of a run is said before its first step."""

import pytest
from tiny.line_runs import by_epochs, log_of, train, warnings_of
from tiny.poa_runs import training_config

from poa_mm.engine import launch

LR = 'of the learning rate'
STILL = (
    'the learning rate stands still from {} of the run on, where its schedules end: leave out '
    'their end to have them follow the length of the run'
)
FIRST_EPOCH = {'type': 'MultiStepLR', 'milestones': [1], 'by_epoch': True}


def poly(**changes):
    return {'type': 'PolyLR', 'by_epoch': False, **changes}


def warmup(**changes):
    return {'type': 'LinearLR', 'by_epoch': False, 'start_factor': 0.01, **changes}


def said(tmp_path, **changes):
    train(tmp_path, iters=8, **changes)
    known = ('FileClient', 'LocalBackend', 'The prefix')
    return [line for line in warnings_of(tmp_path) if not any(word in line for word in known)]


CASES = {
    'fits': ([warmup(end=3), poly(begin=3)], []),
    'fits, with its end': ([warmup(end=3), poly(begin=3, end=8)], []),
    'constant after a warm-up': ([warmup(end=3)], []),
    'none': ([], []),
    'never leaves the warm-up': (
        [warmup(end=500)],
        [
            f'LinearLR {LR} ends at 500: the run never leaves the warm-up (in iterations; the run '
            'ends at 8)'
        ],
    ),
    'a constant factor, too': (
        [{'type': 'ConstantLR', 'by_epoch': False, 'end': 8}],
        [
            f'ConstantLR {LR} ends at 8: the run never leaves the warm-up (in iterations; the run '
            'ends at 8)'
        ],
    ),
    'never begins': (
        [warmup(end=3), poly(begin=8, end=100)],
        [f'PolyLR {LR} begins at 8: it never begins (in iterations; the run ends at 8)'],
    ),
    'cut off': (
        [poly(end=100)],
        [f'PolyLR {LR} ends at 100: it is cut off on the way (in iterations; the run ends at 8)'],
    ),
    'stands still': ([poly(end=6)], [STILL.format('75%')]),
    'falls with a line': ([warmup(start_factor=1.0, end_factor=0.1, end=8)], []),
    'goes up again': (
        [{'type': 'CosineAnnealingLR', 'by_epoch': False, 'T_max': 4}],
        [
            f'CosineAnnealingLR {LR} goes through 200% of its cosine of T_max=4, where 100% is '
            'expected (in iterations; the run ends at 8)'
        ],
    ),
    'hardly falls': (
        [{'type': 'CosineAnnealingLR', 'by_epoch': False, 'T_max': 800}],
        [
            f'CosineAnnealingLR {LR} goes through 1% of its cosine of T_max=800, where 100% is '
            'expected (in iterations; the run ends at 8)'
        ],
    ),
    'milestones beyond the end': (
        [{'type': 'MultiStepLR', 'by_epoch': False, 'milestones': [4, 9]}],
        [
            f'MultiStepLR {LR} has milestones at [4, 9]: some come too late (in iterations; the '
            'run ends at 8)'
        ],
    ),
    'periods that end': (
        [
            {
                'type': 'CosineRestartLR',
                'by_epoch': False,
                'periods': [2, 2],
                'restart_weights': [1, 1],
                'eta_min': 0,
            }
        ],
        [
            f'CosineRestartLR {LR} has periods that end at 4: it stands still from there (in '
            'iterations; the run ends at 8)'
        ],
    ),
    'counts epochs': (
        [{'type': 'PolyLR', 'end': 8}],
        [
            f'PolyLR {LR} counts epochs (by_epoch=True, the default), the run counts iterations, '
            'so it never moves: set by_epoch=False'
        ],
    ),
    'weight decay': (
        [{'type': 'mmpretrain.CosineAnnealingWeightDecay', 'by_epoch': False, 'end': 4}],
        [STILL.format('50%').replace('learning rate', 'weight decay')],
    ),
}


@pytest.mark.parametrize(('schedule', 'expected'), CASES.values(), ids=CASES)
def test_schedules(tmp_path, schedule, expected):
    assert said(tmp_path, param_scheduler=schedule) == expected


EPOCH_CASES = {
    'fits': ([warmup(end=5), FIRST_EPOCH], []),
    'for more epochs': (
        [{**FIRST_EPOCH, 'end': 12, 'milestones': [8, 11]}],
        [
            f'MultiStepLR {LR} ends at 12: it is cut off on the way (in epochs; the run ends at 3)',
            f'MultiStepLR {LR} has milestones at [8, 11]: some come too late (in epochs; the '
            'run ends at 3)',
        ],
    ),
    'epochs taken for iterations': (
        [poly(end=3)],
        [STILL.format('25%')],
    ),
    'warm-up of iterations': (
        [warmup(end=500), FIRST_EPOCH],
        [
            f'LinearLR {LR} ends at 500: the run never leaves the warm-up (in iterations; the run '
            'ends at 12)'
        ],
    ),
}


@pytest.mark.parametrize(('schedule', 'expected'), EPOCH_CASES.values(), ids=EPOCH_CASES)
def test_schedules_of_epochs(tmp_path, schedule, expected):
    assert said(tmp_path, **by_epochs(3), param_scheduler=schedule) == expected


def test_a_schedule_that_would_end_the_run(tmp_path):
    one_cycle = {'type': 'OneCycleLR', 'by_epoch': False, 'eta_max': 0.1, 'total_steps': 4}
    with pytest.raises(ValueError, match='OneCycleLR has total_steps=4 and would end the run'):
        train(tmp_path, iters=8, param_scheduler=[one_cycle])


def test_epochs_that_would_never_end(tmp_path):
    sampler = {'type': 'InfiniteSampler', '_delete_': True}
    with pytest.raises(ValueError, match=r'needs a sampler that comes to an end.*InfiniteSampler'):
        train(tmp_path, **{**by_epochs(2), 'train_dataloader__sampler': sampler})


SAVING = {
    'by epoch': (
        {'by_epoch': True},
        'CheckpointHook counts epochs (by_epoch=True, the default), the run counts iterations, so '
        'it saves once, at the end: set by_epoch=False',
    ),
    'nothing': (
        {'interval': -1, 'save_last': False},
        'CheckpointHook saves nothing: set its interval, or save_last=True',
    ),
    'best of nothing': (
        {'save_best': 'mIoU'},
        "CheckpointHook has save_best=['mIoU'], the run has no validation",
    ),
    'within a step': (
        {'interval': 3},
        'CheckpointHook saves every 3 iterations, a step takes 2 '
        '(optim_wrapper.accumulative_counts): resuming within a step loses gradients',
    ),
}


@pytest.mark.parametrize(('hook', 'expected'), SAVING.values(), ids=SAVING)
def test_saving(tmp_path, hook, expected):
    changes = {f'default_hooks__checkpoint__{key}': value for key, value in hook.items()}
    assert said(tmp_path, optim_wrapper__accumulative_counts=2, **changes) == [expected]


def test_a_config_may_say_it_in_one_setting(tmp_path):
    """Without ``end`` and ``T_max``, mmengine's schedules end with the run."""
    schedule = [
        warmup(end=3),
        {'type': 'CosineAnnealingLR', 'by_epoch': False, 'begin': 3, 'eta_min': 0.01},
    ]
    assert said(tmp_path, param_scheduler=schedule) == []
    assert 'WARNING' not in log_of(tmp_path).replace('WARNING - "', '').replace('WARNING - The', '')


def test_what_a_short_run_of_poa_does_not_come_to(tmp_path):
    """An epoch has six iterations, the run four."""
    cfg = training_config(tmp_path, max_iters=4, log_level='WARNING')
    cfg.param_scheduler[0].T_max = 4
    cfg.optim_wrapper.type = 'GuardedOptimWrapper'
    cfg.custom_hooks[0].update(freeze_last_layer_epochs=2, ibot_start_epoch=0.5)
    launch.build_runner(cfg).train()
    after = 'iterations before that, the run has 4 iterations'
    assert [line for line in warnings_of(tmp_path) if 'POAHook' in line] == [
        'the teacher temperature does not reach its final value: '
        f'POAHook has 1 epochs of 6 {after}',
        f'the prototypes are never trained: POAHook has 2 epochs of 6 {after}',
    ]
