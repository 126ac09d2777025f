"""A resumed run does what an uninterrupted one would have done."""

import pytest
import torch
from tiny_training import make_runner

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
