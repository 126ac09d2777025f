"""What differs between the config of a checkpoint and that of the run which goes on."""

import pytest
from tiny.poa_runs import make_runner, training_config

from poa_mm.engine import launch
from poa_mm.engine.config_diff import (
    SHOWN,
    Difference,
    check_supernet,
    differences,
    parse_config,
    shown,
)


def test_differences_are_found_where_they_stand():
    old = {
        'model': {'type': 'POA', 'koleo_weight': 0.0, 'backbone': {'widths': [16, 32]}},
        'custom_hooks': [{'type': 'A', 'x': 1}],
        'a_variable': 1,
        'work_dir': 'a',
        'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'lr': 1}},
    }
    new = {
        'model': {'type': 'POA', 'koleo_weight': 0.1, 'backbone': {'widths': (16, 24, 32)}},
        'custom_hooks': [{'type': 'A', 'x': 2}],
        'a_variable': 2,
        'work_dir': 'b',
        'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'lr': 2}, 'clip_grad': None},
    }
    assert differences(old, new) == [
        Difference('custom_hooks.0.x', 1, 2),
        Difference('model.backbone.widths', [16, 32], (16, 24, 32)),
        Difference('model.koleo_weight', 0.0, 0.1),
        Difference('optim_wrapper.clip_grad', 'not set', None),
    ]
    assert differences(new, new) == []


def test_lists_of_files_are_equal_to_tuples():
    assert (
        differences({'model': {'mask_ratio': [0.1, 0.5]}}, {'model': {'mask_ratio': (0.1, 0.5)}})
        == []
    )


def test_lists_of_other_lengths_are_shown_by_type():
    old, new = (
        {'custom_hooks': [{'type': name, 'x': 1} for name in names]} for names in ('A', 'AB')
    )
    assert differences(old, new) == [Difference('custom_hooks', ['A'], ['A', 'B'])]


@pytest.mark.parametrize(
    ('path', 'refused'),
    [
        ('model.backbone.widths', True),
        ('model.backbone.type', True),
        ('model.head.num_prototypes', True),
        ('model.backbone.arch.embed_dims', True),
        ('model.backbone.drop_path_rate', False),
        ('model.koleo_weight', False),
        ('train_dataloader.batch_size', False),
    ],
)
def test_what_defines_a_supernet_cannot_change(path, refused):
    found = [Difference(path, 1, 2)]
    if refused:
        with pytest.raises(
            ValueError, match=f'x.pth is of another supernet.*{path} is 2 in place of 1'
        ):
            check_supernet(found, 'x.pth')
    else:
        check_supernet(found, 'x.pth')


def test_many_differences_are_counted():
    found = [Difference(f'model.s{index}', 0, 1) for index in range(SHOWN + 3)]
    lines = list(shown(found))
    assert lines[0] == 'model.s0 is 1 in place of 0'
    assert lines[SHOWN:] == [f'3 more settings differ, from model.s{SHOWN} on']


def test_values_are_shown_in_short():
    assert str(Difference('model.a', 'not set', 1)) == 'model.a is 1 in place of not set'
    long = str(Difference('model', list(range(100)), None))
    assert long.startswith('model is None in place of [0, 1, 2,')
    assert long.endswith('…')
    assert len(long) < 120


def test_a_config_s_text_is_read_without_running_it(tmp_path):
    cfg = training_config(tmp_path)
    parsed = parse_config(cfg.pretty_text)
    assert parsed['model']['head']['num_prototypes'] == list(cfg.model.head.num_prototypes)
    assert differences(parsed, cfg.to_dict()) == []
    with pytest.raises(ValueError, match='malformed'):
        parse_config("x = __import__('os').getcwd()")
    with pytest.raises(ValueError, match='no text of a config'):
        parse_config('x = = 1')


def test_a_resumed_run_lists_what_differs_and_refuses_another_space(tmp_path):
    make_runner(tmp_path, max_iters=3)[0].train()
    going_on = {'resume': True, 'load_from': str(tmp_path / 'iter_3.pth'), 'max_iters': 4}
    other = launch.build_runner(
        training_config(tmp_path / 'a', model__backbone__widths=[16, 32], **going_on)
    )
    with pytest.raises(ValueError, match=r'model.backbone.widths is \[16, 32\] in place of'):
        other.train()
    rest = launch.build_runner(training_config(tmp_path / 'b', model__koleo_weight=0.0, **going_on))
    lines = []
    rest.logger.warning = lines.append
    rest.train()
    assert 'resumed from iter_3.pth: model.koleo_weight is 0.0 in place of' in '\n'.join(lines)
    assert rest.iter == 4
