"""One option turns a config into the authors' run."""

import pytest
from mmengine.config import Config

from poa_mm.engine.run_length import merge_options


def config(**changes):
    return Config(
        {
            'model': {'type': 'Net', 'drop': 0.1},
            'train_cfg': {'max_epochs': 10},
            'official_settings': {'model.drop': 0.0, 'train_cfg.max_epochs': 20},
            **changes,
        }
    )


def test_without_it_nothing_changes():
    cfg = config()
    merge_options(cfg, {})
    assert (cfg.model.drop, cfg.train_cfg.max_epochs, cfg.official) == (0.1, 10, False)
    assert 'official_settings' in cfg


def test_its_settings_are_applied_before_other_options():
    cfg = config()
    merge_options(cfg, {'official': True, 'train_cfg.max_epochs': 5})
    assert (cfg.model.drop, cfg.train_cfg.max_epochs, cfg.official) == (0.0, 5, True)


def test_the_copy_in_the_work_dir_is_the_run_that_was_made():
    cfg = config()
    merge_options(cfg, {'official': True, 'model.drop': 0.3})
    again = Config(cfg.to_dict())
    merge_options(again, {})
    assert (again.model.drop, again.official) == (0.3, True)
    merge_options(again, {'official': True})
    assert again.model.drop == 0.3
    with pytest.raises(ValueError, match='no official_settings, they are applied already'):
        merge_options(again, {'official': False})


def test_a_file_may_set_it():
    cfg = config(official=True)
    merge_options(cfg, {})
    assert cfg.model.drop == 0.0
    cfg = config(official=True)
    merge_options(cfg, {'official': False})
    assert cfg.model.drop == 0.1


@pytest.mark.parametrize(
    ('changes', 'value', 'words'),
    [
        ({}, 'yes', "official must be True or False, got 'yes'"),
        ({'official_settings': None}, True, 'official=True: the config has no official_settings'),
        ({'official_settings': {'modle.drop': 0.0}}, True, "did you mean 'model'"),
    ],
)
def test_mistakes(changes, value, words):
    with pytest.raises(ValueError, match=words):
        merge_options(config(**changes), {'official': value})
