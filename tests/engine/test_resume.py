"""A resumed run does what an uninterrupted one would have done."""

import os

import numpy as np
import pytest
import torch
from mmengine.dist import is_distributed
from ranks import run_distributed
from tiny.networks import VIT
from tiny.poa_runs import make_runner

TERMS = ('loss', 'intact_global', 'elastic_local', 'teacher_temp', 'step', 'iter')


def rows(recorder):
    return [{name: row[name] for name in TERMS} for row in recorder.rows]


@pytest.mark.parametrize('model_changes', [{}, {'model__sampler': {'order': 'independent'}}])
def test_losses_and_weights_go_on_to_the_bit(tmp_path, model_changes):
    whole, whole_record = make_runner(tmp_path / 'whole', max_iters=7, **model_changes)
    whole.train()
    rest, rest_record = make_runner(
        tmp_path / 'rest',
        max_iters=7,
        resume=True,
        load_from=str(tmp_path / 'whole' / 'iter_3.pth'),
        **model_changes,
    )
    rest.train()
    assert [row['iter'] for row in rest_record.rows] == [3, 4, 5, 6]
    assert rows(rest_record) == rows(whole_record)[3:]
    momenta = [run.message_hub.get_scalar('train/momentum').data[0] for run in (whole, rest)]
    assert list(momenta[1][-4:]) == list(momenta[0][-4:])
    for name, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[name], value), name


def test_the_latest_checkpoint_of_the_work_dir_is_found(tmp_path):
    whole, whole_record = make_runner(tmp_path, max_iters=3)
    whole.train()
    longer, longer_record = make_runner(tmp_path, max_iters=4, resume=True)
    longer.train()
    assert [row['iter'] for row in longer_record.rows] == [3]
    assert len({row['loss'] for row in whole_record.rows + longer_record.rows}) == 4


def test_a_run_repeats_itself_from_its_seed_alone(tmp_path):
    records = []
    for number, seed in enumerate((0, 0, 1)):
        runner, record = make_runner(tmp_path / str(number), max_iters=3, randomness__seed=seed)
        runner.train()
        records.append([row['loss'] for row in record.rows])
    assert records[0] == records[1]
    assert records[0] != records[2]


@pytest.mark.parametrize(
    ('seed', 'seed_on_resume'), [(None, None), (0, 1)], ids=['none in the config', 'another one']
)
def test_the_seed_of_the_checkpoint_holds(tmp_path, seed, seed_on_resume):
    whole, whole_record = make_runner(tmp_path / 'whole', max_iters=6, randomness__seed=seed)
    whole.train()
    rest, rest_record = make_runner(
        tmp_path / 'rest',
        max_iters=6,
        randomness__seed=seed_on_resume,
        resume=True,
        load_from=str(tmp_path / 'whole' / 'iter_3.pth'),
    )
    rest.train()
    assert rest.seed == whole.seed
    assert rows(rest_record) == rows(whole_record)[3:]


def test_other_draws_do_not_change_the_order(tmp_path):
    """With a seed for each rank, mmengine itself would draw the sampler's seed from numpy."""
    records = []
    for number in range(2):
        changes = {'randomness__seed': 5, 'randomness__diff_rank_seed': True}
        runner, record = make_runner(tmp_path / str(number), max_iters=2, **changes)
        np.random.seed(number)  # noqa: NPY002  # the generator that mmengine draws from
        runner.train()
        assert runner.train_dataloader.sampler.seed == 5
        records.append(rows(record))
    assert records[0] == records[1]


# Real multi-crop, drop path, masks, loader workers, accumulation: everything that draws.
DRAWING = {
    'model__backbone': {**VIT, 'drop_path_rate': 0.5, 'drop_path_uniform': True},
    'train_dataloader__dataset': {
        'type': 'PhotoPatches',
        'split': 'train',
        'patch_size': 32,
        'patches_per_photo': 2,
        'pipeline': [
            {
                'type': 'MultiCrop',
                'global_size': 16,
                'local_size': 8,
                'num_local': 2,
                'blur_sigma': (0.1, 0.5),
            },
            {'type': 'PackInputs', 'meta_keys': ('sample_idx',)},
        ],
    },
    'model__data_preprocessor': {
        'type': 'SelfSupDataPreprocessor',
        'mean': [123.0] * 3,
        'std': [58.0] * 3,
    },
    'optim_wrapper__accumulative_counts': 2,
    'default_hooks__checkpoint__interval': 4,
}


def interrupted_run(folder, whole_workers, rest_workers):
    """Losses, weights and the rank's own losses: of a run, and of one resumed from its middle."""
    runs = []
    for number, changes in (
        (whole_workers, {}),
        (rest_workers, {'resume': True, 'load_from': f'{folder}/whole/iter_4.pth'}),
    ):
        part = 'rest' if changes else 'whole'
        if is_distributed():
            wrapper = {'type': 'MMDistributedDataParallel', 'device_ids': None}
            changes = {**changes, 'launcher': 'pytorch', 'model_wrapper_cfg': wrapper}
            changes['randomness__diff_rank_seed'] = True
        runner, record = make_runner(
            f'{folder}/{part}',
            max_iters=8,
            train_dataloader__num_workers=number,
            **DRAWING,
            **changes,
        )
        runner.train()
        assert runner.train_dataloader.sampler.seed == 0  # on all ranks
        model = getattr(runner.model, 'module', runner.model)
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        runs.append((rows(record), weights, record.own_losses))
    return runs


def assert_went_on(runs):
    (whole, weights, own), (rest, resumed, own_rest) = runs
    assert rest == whole[4:]
    assert own_rest == own[4:]
    assert len({row['loss'] for row in whole}) == 8
    for name, value in weights.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.parametrize('workers', [(0, 0), (2, 2), (0, 2)], ids='{0[0]} then {0[1]}'.format)
def test_everything_that_draws_goes_on_to_the_bit(tmp_path, workers):
    """Even with another number of workers than before."""
    assert_went_on(interrupted_run(tmp_path, *workers))


def interrupted_rank(rank, folder):
    os.environ.setdefault('LOCAL_RANK', '0')  # as launch.build_runner does on a CPU
    return interrupted_run(folder, 0, 0)


@pytest.mark.slow
def test_two_ranks_go_on_to_the_bit(tmp_path):
    ranks = run_distributed(interrupted_rank, 2, str(tmp_path))
    for runs in ranks:
        assert_went_on(runs)
    # Each rank has its own crops and sub-networks, and both end with the same weights.
    assert ranks[0][0][2] != ranks[1][0][2]
    assert all(map(torch.equal, ranks[0][0][1].values(), ranks[1][0][1].values()))
