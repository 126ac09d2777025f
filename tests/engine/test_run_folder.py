"""Which checkpoint a run goes on from."""

import os
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from poa_mm.engine import run_folder


def run(work_dir, **checkpoint_hook):
    return Config(
        {'work_dir': str(work_dir), 'default_hooks': {'checkpoint': dict(checkpoint_hook)}}
    )


def save(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        torch.save({'weights': torch.arange(100.0)}, folder / name)


def newest(cfg):
    path, notes = run_folder.newest_complete(cfg)
    return (path and path.name), notes


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_numbers_are_numbers(tmp_path):
    save(tmp_path, 'iter_10.pth', 'iter_9.pth', 'iter_100.pth', 'iter_99.pth')
    assert newest(run(tmp_path)) == ('iter_100.pth', [])


def test_files_that_are_no_regular_checkpoints_are_left_alone(tmp_path):
    names = ['best_mIoU_iter_9.pth', 'iter_9.pth.partial', 'iter_x.pth', 'lr_1.pth', 'iter_.pth']
    save(tmp_path, 'iter_2.pth', 'iter_8-1a2b3c4d.pth', *names)
    assert newest(run(tmp_path)) == ('iter_2.pth', [])


@pytest.mark.parametrize('text', [None, '', '/other/iter_2.pth', '/other/iter_9.pth', '\0'])
def test_what_last_checkpoint_says_is_a_name_at_most(tmp_path, text):
    save(tmp_path, 'iter_2.pth', 'iter_4.pth')
    if text is not None:
        (tmp_path / 'last_checkpoint').write_text(text)
    assert newest(run(tmp_path)) == ('iter_4.pth', [])


def test_a_copied_run_goes_on_from_its_own_files(tmp_path):
    save(tmp_path / 'one', 'iter_2.pth', 'iter_4.pth')
    (tmp_path / 'one' / 'last_checkpoint').write_text(str(tmp_path / 'one' / 'iter_4.pth'))
    shutil.copytree(tmp_path / 'one', tmp_path / 'two')
    path, _ = run_folder.newest_complete(run(tmp_path / 'two'))
    assert path == tmp_path / 'two' / 'iter_4.pth'


def test_a_run_that_was_set_back_goes_on_from_where_it_has_come(tmp_path):
    """From iteration 2 of a run that had been at 6, to 4."""
    save(tmp_path, 'iter_2.pth', 'iter_6.pth', 'iter_4.pth')
    (tmp_path / 'last_checkpoint').write_text('/anywhere/iter_4.pth')
    for name, time in (('iter_6.pth', 1), ('iter_2.pth', 2), ('iter_4.pth', 3)):
        os.utime(tmp_path / name, (time, time))
    assert newest(run(tmp_path))[0] == 'iter_4.pth'
    cut(tmp_path / 'iter_4.pth')
    assert newest(run(tmp_path))[0] == 'iter_2.pth'
    assert [
        path.name for path in run_folder.later_than(tmp_path / 'iter_2.pth', run(tmp_path))
    ] == [*('iter_4.pth', 'iter_6.pth')]


def test_a_run_that_was_killed_before_it_had_noted_the_latest(tmp_path):
    save(tmp_path, 'iter_2.pth', 'iter_4.pth')
    (tmp_path / 'last_checkpoint').write_text('iter_2.pth')
    assert newest(run(tmp_path))[0] == 'iter_4.pth'


def test_a_folder_and_names_of_their_own(tmp_path):
    cfg = run(tmp_path / 'run', out_dir=str(tmp_path / 'disk'), filename_tmpl='at[{}].pt')
    save(tmp_path / 'disk' / 'run', 'at[2].pt', 'at[10].pt')
    assert run_folder.newest_complete(cfg)[0] == tmp_path / 'disk' / 'run' / 'at[10].pt'
    assert run_folder.holds_a_run(cfg)
    assert run_folder.lies_in_run(tmp_path / 'disk' / 'run' / 'at[2].pt', cfg)
    assert not run_folder.lies_in_run(tmp_path / 'disk' / 'at[2].pt', cfg)


def test_iterations_and_epochs_in_one_folder_go_by_their_time(tmp_path):
    save(tmp_path, 'iter_900.pth', 'epoch_3.pth')
    os.utime(tmp_path / 'iter_900.pth', (1, 1))
    assert newest(run(tmp_path))[0] == 'epoch_3.pth'


def test_nothing_to_go_on_from(tmp_path):
    assert newest(run(tmp_path / 'none')) == (None, [])
    assert not run_folder.holds_a_run(run(tmp_path / 'none'))
    save(tmp_path, 'iter_2.pth', 'iter_4.pth')
    for path in tmp_path.glob('*.pth'):
        cut(path)
    with pytest.raises(ValueError, match=r'no complete checkpoint \(.*iter_4.* is damaged'):
        run_folder.newest_complete(run(tmp_path))


@pytest.mark.parametrize('name', ['last_checkpoint', 'best_mIoU_iter_2.pth', 'epoch_1.pth'])
def test_what_tells_that_there_was_a_run(tmp_path, name):
    (tmp_path / name).touch()
    assert run_folder.holds_a_run(run(tmp_path))


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.sets(st.integers(1, 2000), min_size=1, max_size=4),
    damage=st.lists(st.tuples(st.booleans(), st.floats(0, 0.999)), min_size=4, max_size=4),
)
def test_the_newest_of_the_complete_ones(tmp_path_factory, steps, damage):
    """A file is damaged by a cut anywhere, or by any byte that has changed its tensors."""
    folder = tmp_path_factory.mktemp('run')
    whole = {}
    for step, (is_damaged, place) in zip(sorted(steps), damage, strict=False):
        path = folder / f'iter_{step}.pth'
        save(folder, path.name)
        whole[step] = not is_damaged
        if is_damaged:
            content = path.read_bytes()
            path.write_bytes(content[: int(place * len(content))])
    left = [step for step, is_whole in whole.items() if is_whole]
    if not left:
        with pytest.raises(ValueError, match='no complete checkpoint'):
            run_folder.newest_complete(run(folder))
        return
    name, notes = newest(run(folder))
    assert name == f'iter_{max(left)}.pth'
    assert len(notes) == sum(step > max(left) for step in whole)


def test_a_byte_that_has_changed(tmp_path):
    save(tmp_path, 'iter_2.pth', 'iter_4.pth')
    content = bytearray((tmp_path / 'iter_4.pth').read_bytes())
    place = bytes(content).index(torch.tensor(50.0).numpy().tobytes())
    content[place] ^= 1
    (tmp_path / 'iter_4.pth').write_bytes(bytes(content))
    name, notes = newest(run(tmp_path))
    assert name == 'iter_2.pth'
    assert 'iter_4.pth is damaged: the check sum of' in notes[0]
