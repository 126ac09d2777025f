"""Settings that nothing reads are refused, with what was meant."""

import re

import pytest
from helpers import CONFIG, ROOT
from mmengine.config import Config

from poa_mm.engine.config_check import COUNTS, RUN_SETTINGS, check_config, override


@pytest.fixture
def cfg():
    return Config.fromfile(str(CONFIG))


@pytest.mark.parametrize(
    ('key', 'words'),
    [
        ('modle.koleo_weight', "no setting 'modle'; did you mean 'model'?"),
        ('optim_wraper.optimizer.lr', "did you mean 'optim_wrapper'?"),
        ('seed', "no setting 'seed'; valid: "),
        ('max_iters', 'max_iters is a variable of the config file'),
        ('multi_crop.num_local', 'multi_crop is a variable of the config file'),
        ('model.koleo_weight.a', "model.koleo_weight is 0.0, it has no 'a'"),
        ('model.backbone.arch.embed_dim', "did you mean 'embed_dims'?"),
        ('optim_wrapper.paramwise_cfg.layer_deacy', "did you mean 'layer_decay'?"),
        ('default_hooks.chekpoint.interval', "did you mean 'checkpoint'?"),
        ('param_scheduler.7.end', "param_scheduler is a list of 2, it has no '7'"),
        ('param_scheduler.end', "param_scheduler is a list of 2, it has no 'end'"),
        ('train_dataloader.batchsize', "did you mean 'batch_size'?"),
        ('randomness.sed', "did you mean 'seed'?"),
        ('env_cfg.mp_cfg.start_method', "did you mean 'mp_start_method'?"),
    ],
)
def test_a_key_that_nothing_reads_is_refused(cfg, key, words):
    def change_and_check():
        override(cfg, {key: 1})
        check_config(cfg)

    with pytest.raises(ValueError, match=re.escape(words)) as error:
        change_and_check()
    assert key.split('.')[0] in str(error.value)


@pytest.mark.parametrize(
    'key',
    [
        'model.koleo_weight',
        'model.backbone.with_cp',  # new to the config: an argument of the class
        'param_scheduler.0.end',
        'train_dataloader.prefetch_factor',
        'randomness.deterministic',
        'load_from',
        'auto_scale_lr.enable',
        'env_cfg.resource_limit',
        'val_cfg.type',  # None until now
    ],
)
def test_a_key_that_something_reads_is_set(cfg, key):
    override(cfg, {key: 1})
    check_config(cfg)
    value = cfg
    for part in key.split('.'):
        value = value[int(part) if part.isdigit() else part]
    assert value == 1


def test_a_tool_refuses_what_it_does_not_read(cfg):
    with pytest.raises(ValueError, match=r'nothing reads model here; valid: custom_imports'):
        override(cfg, {'model.koleo_weight': 1}, read={'custom_imports'})


@pytest.mark.parametrize(
    ('name', 'meant'),
    [('param_schedular', 'param_scheduler'), ('modle', 'model'), ('custom_hook', 'custom_hooks')],
)
def test_a_misspelled_setting_of_a_config_file_is_refused(cfg, name, meant):
    cfg[name] = [{'type': 'X'}]
    with pytest.raises(ValueError, match=f"sets '{name}', .* did you mean '{meant}'"):
        check_config(cfg)


@pytest.mark.parametrize('name', ['test_pipeline', 'conv_cfg', 'gallery_dataloader'])
def test_variables_of_a_config_file_may_have_any_other_name(cfg, name):
    cfg[name] = cfg.val_evaluator_dice = [{'type': 'X'}]
    check_config(cfg)


def test_configs_of_the_package_pass():
    paths = [p for p in sorted((ROOT / 'configs').rglob('*.py')) if '_base_' not in p.parts]
    assert len(paths) > 30
    for path in paths:
        check_config(Config.fromfile(str(path)))


def test_the_settings_of_a_run_are_those_of_the_runner():
    assert {'model', 'train_cfg', 'optim_wrapper', 'load_from', 'randomness'} <= RUN_SETTINGS


@pytest.mark.parametrize('key', COUNTS)
@pytest.mark.parametrize('value', [0, -5, 1.5, 'ten', [1]])
def test_counts_are_whole_numbers_of_at_least_one(cfg, key, value):
    with pytest.raises(
        ValueError, match=f'{key} must be .* at least 1, got {re.escape(repr(value))}'
    ):
        override(cfg, {key: value})


def test_a_count_may_be_a_whole_float(cfg):
    override(cfg, {'train_cfg.max_iters': 1e3})
    check_config(cfg)


def test_a_scope_that_no_library_has_is_refused(cfg):
    for scope in ('mmpretrian', 'no.library', ''):
        cfg.default_scope = scope
        with pytest.raises(ValueError, match=f'default_scope={scope!r} is no library'):
            check_config(cfg)
    for scope in ('mmpretrain', 'mmengine'):
        cfg.default_scope = scope
        check_config(cfg)
