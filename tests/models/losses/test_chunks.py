"""Chunks: their sizes, and what they keep for the backward pass."""

from unittest import mock

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poa_mm.models.losses import PrototypeLogits, chunks, sum_over_chunks


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.integers(1, 200), st.integers(1, 50), st.integers(1, 2000))
def test_slices_cover_everything_once_within_the_limit(length, each, limit):
    with mock.patch.object(chunks, 'MAX_LOGITS', limit):
        slices = list(chunks.chunk_slices(length, each))
    covered = [index for part in slices for index in range(length)[part]]
    assert covered == list(range(length))
    assert all((part.stop - part.start) * each <= max(limit, each) for part in slices)
    # As few as the limit allows.
    assert len(slices) == -(-length // max(1, limit // each))


@pytest.mark.parametrize('limit', [1, 60, 10**6])
def test_values_and_gradients_are_those_of_the_whole(limit, monkeypatch):
    monkeypatch.setattr(chunks, 'MAX_LOGITS', limit)
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    w = torch.randn(20, 4, generator=torch.Generator().manual_seed(1)).double().requires_grad_()

    def terms(rows):
        logits = x[rows] @ w.T
        return {'peak': logits.logsumexp(dim=1).sum(), 'square': logits.square().sum()}

    part = sum_over_chunks(terms, 30, 20)
    gradients = torch.autograd.grad(2 * part['peak'] + 3 * part['square'], [x, w])
    whole = terms(slice(None))
    expected = torch.autograd.grad(2 * whole['peak'] + 3 * whole['square'], [x, w])
    torch.testing.assert_close(part, whole)
    for mine, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_backward_pass_keeps_features_not_logits():
    """Counted in numbers that autograd saves: the logits are 40 × 1000."""
    x, w = torch.randn(40, 4, requires_grad=True), torch.randn(1000, 4, requires_grad=True)

    def saved(limit):
        sizes = []
        hooks = (lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor)
        with (
            mock.patch.object(chunks, 'MAX_LOGITS', limit),
            torch.autograd.graph.saved_tensors_hooks(*hooks),
        ):
            sum_over_chunks(lambda rows: {'peak': (x[rows] @ w.T).logsumexp(1).sum()}, 40, 1000)
        return sum(sizes)

    assert saved(10**6) >= 40_000
    assert saved(5000) < 1000


@pytest.mark.parametrize('limit', [1, 12, 10**6])
@pytest.mark.parametrize('images', [0, 5])
def test_logits_are_those_of_the_tokens_asked_for(images, limit, monkeypatch):
    monkeypatch.setattr(chunks, 'MAX_LOGITS', limit)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, images, 4, generator=generator).double()
    prototypes = torch.randn(3, 4, generator=generator).double()
    logits = PrototypeLogits(features, prototypes)
    whole = torch.einsum('vid,kd->vik', features, prototypes)
    torch.testing.assert_close(logits[:, 1:4], whole[:, 1:4])
    parts = list(logits)  # of no token, one chunk without rows
    torch.testing.assert_close(torch.cat(parts), whole.flatten(0, 1))
    assert all(len(part) <= max(1, limit // 3) for part in parts)
