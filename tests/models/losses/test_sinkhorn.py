"""Sinkhorn-Knopp against the textbook form of Eq. 5: exponentials, sums and divisions in loops."""

import math

import pytest
import torch
from ranks import run_distributed

from poa_mm.models.losses import sinkhorn_knopp

HEADS = (6, 11)
BATCHES = {'equal': [5, 5], 'unequal': [2, 7]}
TEMPERATURE = 0.05


def reference(logits, temperature, num_iters=3):
    """Eq. 5 on one head in plain Python floats."""
    matrix = [[math.exp(value / temperature) for value in row] for row in logits.tolist()]
    num_samples, num_prototypes = len(matrix), len(matrix[0])
    for _ in range(num_iters):
        for k in range(num_prototypes):
            column = sum(matrix[i][k] for i in range(num_samples))
            for i in range(num_samples):
                matrix[i][k] /= column * num_prototypes
        for i in range(num_samples):
            row = sum(matrix[i])
            matrix[i] = [value / (row * num_samples) for value in matrix[i]]
    return torch.tensor(matrix, dtype=torch.float64) * num_samples


def random_logits(batch, heads=HEADS, dtype=torch.float64):
    """Cosines, as the heads emit them."""
    generator = torch.Generator().manual_seed(batch)
    return [2 * torch.rand(batch, k, generator=generator, dtype=dtype) - 1 for k in heads]


@pytest.mark.parametrize('num_iters', [1, 2, 3, 10])
@pytest.mark.parametrize('temperature', [0.04, 0.07, 1.0])
def test_equals_the_textbook_form(temperature, num_iters):
    logits = random_logits(9)
    for head, targets in zip(logits, sinkhorn_knopp(logits, temperature, num_iters), strict=True):
        expected = reference(head, temperature, num_iters)
        torch.testing.assert_close(targets, expected, rtol=0, atol=1e-12)


def test_three_iterations_are_the_default():
    logits = random_logits(9)
    for default, three in zip(
        sinkhorn_knopp(logits, 0.1), sinkhorn_knopp(logits, 0.1, 3), strict=True
    ):
        assert torch.equal(default, three)


def test_rows_sum_to_one_and_in_the_limit_prototypes_are_used_alike():
    logits = random_logits(12)
    for iterations, limit in ((1, False), (3, False), (2000, True)):
        for targets in sinkhorn_knopp(logits, 0.2, iterations):
            torch.testing.assert_close(targets.sum(dim=1), torch.ones(12).double())
            share = targets.sum(dim=0)
            even = torch.full_like(share, 12 / len(share))
            assert torch.allclose(share, even, rtol=0, atol=1e-9) == limit


def test_two_samples_that_agree_are_pulled_apart():
    # Both prefer prototype 0, the first one more so. By hand: with e^(l/τ) = [[4, 1], [2, 1]] the
    # columns sum to 6 and 2: [[2/3, 1/2], [1/3, 1/2]], and rows then to one.
    logits = torch.tensor([[4.0, 1.0], [2.0, 1.0]]).double().log()
    (targets,) = sinkhorn_knopp([logits], 1.0, num_iters=1)
    expected = torch.tensor([[4 / 7, 3 / 7], [2 / 5, 3 / 5]]).double()
    torch.testing.assert_close(targets, expected)


def test_extreme_logits_neither_overflow_nor_underflow():
    """±1e4 at τ = 0.01 are exponents of ±1e6."""
    signs = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    (targets,) = sinkhorn_knopp([1e4 * signs], 0.01)
    torch.testing.assert_close(targets, torch.eye(3))
    generator = torch.Generator().manual_seed(0)
    for targets in sinkhorn_knopp(
        [1e4 * torch.randn(6, k, generator=generator) for k in HEADS], 0.01
    ):
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_worked_on_in_float32(dtype):
    logits = [head.to(dtype) for head in random_logits(9)]
    for head, targets in zip(logits, sinkhorn_knopp(logits, 0.04), strict=True):
        assert targets.dtype == torch.float32
        torch.testing.assert_close(
            targets.double(), reference(head.double(), 0.04), rtol=0, atol=2e-5
        )


def test_precision_is_kept_and_the_input_is_left_alone():
    for dtype in (torch.float32, torch.float64):
        logits = [head.to(dtype).requires_grad_() for head in random_logits(4)]
        before = [head.detach().clone() for head in logits]
        for targets in sinkhorn_knopp(logits, 1.0):
            assert targets.dtype == dtype
            assert not targets.requires_grad
        for head, copy in zip(logits, before, strict=True):
            assert torch.equal(head, copy)


def test_a_single_sample_uses_all_prototypes_alike():
    (targets,) = sinkhorn_knopp(random_logits(1, heads=(5,)), 0.04)
    torch.testing.assert_close(targets, torch.full((1, 5), 0.2).double())


def test_autocast_does_not_lower_the_precision():
    logits = random_logits(9, dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        inside = sinkhorn_knopp(logits, 0.04)
    for targets, expected in zip(inside, sinkhorn_knopp(logits, 0.04), strict=True):
        assert torch.equal(targets, expected)


def targets_of_rank(rank):
    parts = {}
    for name, sizes in BATCHES.items():
        logits = [head.split(sizes)[rank] for head in random_logits(sum(sizes))]
        parts[name] = sinkhorn_knopp(logits, TEMPERATURE)
        parts[f'{name} extreme'] = sinkhorn_knopp([1e4 * head for head in logits], 0.01)
    return parts


def test_two_processes_equal_one_with_the_whole_batch():
    """Also where the ranks hold unequal shares of it."""
    ranks = run_distributed(targets_of_rank, 2)
    for name, sizes in BATCHES.items():
        whole = sinkhorn_knopp(random_logits(sum(sizes)), TEMPERATURE)
        for number, expected in enumerate(whole):
            joined = torch.cat([parts[name][number] for parts in ranks])
            torch.testing.assert_close(joined, expected, rtol=0, atol=1e-13)
            alone = torch.cat(
                [
                    sinkhorn_knopp([part], TEMPERATURE)[0]
                    for part in random_logits(sum(sizes))[number].split(sizes)
                ]
            )
            assert (alone - expected).abs().max() > 0.01  # the batches really are joined
            extreme = torch.cat([parts[f'{name} extreme'][number] for parts in ranks])
            torch.testing.assert_close(extreme.sum(dim=1), torch.ones(len(extreme)).double())
