"""Eq. 10 with weights that tell every term apart."""

import pytest
import torch

from poa_mm.models.losses import elastic_part, intact_part

HEADS = 2
NAMES = ('global', 'local', 'patch')
TERMS = {
    **{f'intact_{name}': torch.tensor([1.0, 3.0]) * 10**i for i, name in enumerate(NAMES)},
    **{f'elastic_{name}': torch.tensor([2.0, 4.0]) * 10**i for i, name in enumerate(NAMES)},
    'same_view_global': torch.tensor([1000.0, 3000.0]),
    'same_view_local': torch.tensor([10000.0, 30000.0]),
    'intact_koleo': torch.tensor(7.0),
    'elastic_koleo': torch.tensor(9.0),
}


def without(*names):
    return {name: term for name, term in TERMS.items() if not name.endswith(names)}


def test_the_intact_part_is_weighed_by_lambda():
    # Means over heads: 2 and 20 for class tokens, 200 for patches.
    assert intact_part(TERMS, 0.75, 0.5, 0.25).item() == 0.75 * (2 + 20 + 0.5 * 200) + 0.25 * 7
    assert intact_part(without('patch', 'koleo'), 0.75, 0.5, 0.25).item() == 0.75 * 22


@pytest.mark.parametrize(
    ('sources', 'mean'),
    [
        ((True, True), 3 + 30 + 0.5 * 300 + 22000),
        ((True, False), 3 + 30 + 0.5 * 300),
        ((False, True), 22000),
    ],
)
def test_the_elastic_part_is_weighed_by_the_rest(sources, mean):
    part = elastic_part(TERMS, 0.75, 0.5, 0.25, *sources)
    assert part.item() == 0.25 * mean + 0.25 * 9
    part = elastic_part(without('patch', 'koleo'), 0.75, 0.5, 0.25, *sources)
    assert part.item() == 0.25 * (mean - (150 if sources[0] else 0))
