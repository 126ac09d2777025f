"""Tests of poa_mm.selection.latency."""

import pytest
import torch
from tiny.networks import VIT

from poa_mm.registry import MODELS
from poa_mm.selection import measure_latency, subnet_latency


def test_latency_of_a_network(net):
    layer = torch.nn.Conv2d(3, 4, 3)
    assert 0 < measure_latency(layer, 8, batch_size=2, seconds=0.01) < 1
    assert 0 < subnet_latency(net, 'smallest', 16, seconds=0.01) < 1
    with pytest.raises(ValueError, match='must be positive, got 0 and 1'):
        measure_latency(layer, 8, batch_size=0)


def test_latency_with_grey_images():
    net = MODELS.build({**VIT, 'in_channels': 1})
    assert 0 < subnet_latency(net, 'smallest', 16, seconds=0.01) < 1
