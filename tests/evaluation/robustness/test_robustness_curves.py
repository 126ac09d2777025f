"""Curves of accuracy over the strength of corruptions."""

import itertools

import pytest
import torch

from poa_mm.evaluation.robustness.curves import (
    Corruption,
    Drawing,
    corrupt,
    corruptions,
    robustness_accuracies,
)

LISTED = corruptions((16, 16), (4, 4))
HALF = Corruption('occlusion', (4, 4), 5)


def images(count=10):
    """Images without a zero, each of another brightness."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(count, 3, 16, 16, generator=generator)
    return noise + torch.arange(1.0, count + 1).view(-1, 1, 1, 1)


def batches(size, count=10):
    return zip(images(count).split(size), torch.arange(count).split(size), strict=True)


def by_brightness(batch):
    """Two networks: one finds the image by its brightest pixel, the other guesses the first."""
    brightest = batch.flatten(1).amax(dim=1)
    yield 'sees', brightest.long() - 1
    yield 'guesses', torch.zeros(len(batch), dtype=torch.long)


def test_the_paper_has_ten_shares_and_seven_grids():
    assert len(corruptions((224, 224))) == 17
    assert [one.strength for one in corruptions((224, 224))][:3] == [0, 10, 20]
    assert [one.level for one in LISTED][-5:] == ['2x4', '4x4', '4x8', '8x8', '16x16']


def test_accuracies_are_shares_of_right_answers():
    found = robustness_accuracies(batches(4), LISTED, by_brightness, repeats=2)
    assert set(found) == set(LISTED)
    for what, by_network in found.items():
        assert by_network['guesses'] == (10.0, 10.0)
        assert len(by_network['sees']) == 2
        if what.kind == 'shuffle' or not what.tenths:
            assert by_network['sees'] == (100.0, 100.0)  # no pixel is lost


@pytest.mark.parametrize('what', [HALF, Corruption('shuffle', (4, 4))])
def test_batches_do_not_change_the_images(what):
    whole = corrupt(images(), 0, what)
    parts = [corrupt(part, 3 * i, what) for i, part in enumerate(images().split(3))]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(corrupt(images(), 0, what), whole)
    assert not torch.equal(corrupt(images(), 0, what, repeat=1), whole)
    assert not torch.equal(corrupt(images(), 0, what, Drawing(seed=7)), whole)


def test_the_authors_drop_the_same_patches_of_a_whole_batch():
    gone = corrupt(images(), 0, HALF, Drawing.official()).eq(0)
    assert gone.all(dim=0).equal(gone.any(dim=0))
    assert Drawing.official().seed == 1
    gone = corrupt(images(), 0, HALF).eq(0)
    assert not gone.all(dim=0).equal(gone.any(dim=0))


def test_more_dropped_patches_are_added_to_fewer():
    gone = [corrupt(images(), 0, one).eq(0) for one in LISTED if one.kind == 'occlusion']
    assert not gone[0].any()
    for fewer, more in itertools.pairwise(gone):
        assert more[fewer].all()
        assert more.sum() > fewer.sum()


def test_nothing_to_measure_is_named():
    with pytest.raises(ValueError, match='there is no image'):
        robustness_accuracies([], LISTED, by_brightness)
    with pytest.raises(ValueError, match='repeats must be at least 1, got 0'):
        robustness_accuracies(batches(4), LISTED, by_brightness, repeats=0)
