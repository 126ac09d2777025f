"""Tests of poa_mm.checkpoints.open_supernet."""

import pytest
from tiny.networks import VIT

from poa_mm.checkpoints import open_supernet


def test_a_supernet_from_a_config(tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(f'model = dict(type="POA", backbone={VIT})')
    assert len(open_supernet(config).space) == 6
    config.write_text('model = dict(backbone=dict(type="ResNet", depth=50))')
    with pytest.raises(ValueError, match=r'of type ResNet; elastic are .*ElasticVisionTransformer'):
        open_supernet(config)
    with pytest.raises(FileNotFoundError, match=r'no config at .*missing\.py'):
        open_supernet(tmp_path / 'missing.py')
