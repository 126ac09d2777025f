"""Augmentations of other libraries are functions of an image's position."""

# ruff: noqa: NPY002  # the generators that the transforms draw from
import random

import numpy as np
import pytest
import torch
from mmcv.transforms import TRANSFORMS

from poa_mm.datasets import SampleIndex


def draws(position, before=0, run_seed=0):
    """What the three generators give after seeding, whatever they have given before."""
    np.random.random(before)
    torch.rand(before)
    index = SampleIndex(5, position, run_seed)
    results = TRANSFORMS.build({'type': 'SeedByPosition'})({'sample_idx': index})
    assert results == {'sample_idx': 5}
    return random.random(), np.random.random(), torch.rand(1).item()


def test_the_same_position_draws_the_same_numbers():
    assert draws(3) == draws(3, before=7)


@pytest.mark.parametrize('other', [{'position': 4}, {'position': 3, 'run_seed': 1}])
def test_other_positions_and_runs_draw_others(other):
    assert all(a != b for a, b in zip(draws(3), draws(**other), strict=True))


def test_under_other_samplers_the_generators_go_on():
    np.random.seed(0)
    expected = np.random.random(2)
    np.random.seed(0)
    first = np.random.random()
    TRANSFORMS.build({'type': 'SeedByPosition'})({'sample_idx': 5})
    assert [first, np.random.random()] == list(expected)
