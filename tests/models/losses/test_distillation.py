"""Eq. 6 to 9 against loops over images, views and prototypes in float64."""

import itertools
import math

import pytest
import torch

from poa_mm.models.losses import (
    NUM_GLOBAL,
    cross_view_global_loss,
    cross_view_local_loss,
    same_view_loss,
    soft_cross_entropy,
    student_log_probs,
)

BATCH, PROTOTYPES = 3, 7
TAU = 0.1


def softmax(logits, temperature):
    exps = [math.exp(value / temperature) for value in logits]
    return [value / sum(exps) for value in exps]


def cross_entropy(target, prediction):
    return -sum(p * math.log(q) for p, q in zip(target, prediction, strict=True))


def cross_view_reference(targets, global_logits, local_logits):
    """Eq. 6 and 8 of each image, with T = G(G − 1) + G·V pairs of views."""
    teacher, globals_, locals_ = (x.tolist() for x in (targets, global_logits, local_logits))
    num_pairs = NUM_GLOBAL * (NUM_GLOBAL - 1) + NUM_GLOBAL * len(locals_)
    rows = []
    for image in range(BATCH):
        global_sum = sum(
            cross_entropy(teacher[a][image], softmax(globals_[b][image], TAU))
            for a, b in itertools.permutations(range(NUM_GLOBAL), 2)
        )
        local_sum = sum(
            cross_entropy(teacher[a][image], softmax(view[image], TAU))
            for a, view in itertools.product(range(NUM_GLOBAL), locals_)
        )
        rows.append((global_sum / num_pairs, local_sum / num_pairs))
    return zip(*rows, strict=True)


def same_view_reference(target_logits, logits):
    """Eq. 7 and 9, ES2, of each image: a plain mean over its views."""
    views = list(zip(target_logits.tolist(), logits.tolist(), strict=True))
    return [
        sum(
            cross_entropy(softmax(target[image], TAU), softmax(prediction[image], TAU))
            for target, prediction in views
        )
        / len(views)
        for image in range(BATCH)
    ]


@pytest.fixture(params=[1, 2, 5], ids='{} local'.format)
def batch(request):
    """Teacher targets, and the logits of both students for global and local views."""
    generator = torch.Generator().manual_seed(request.param)

    def logits(views):
        shape = (views, BATCH, PROTOTYPES)
        return 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1

    intact = (logits(NUM_GLOBAL), logits(request.param))
    elastic = (logits(NUM_GLOBAL), logits(request.param))
    return (logits(NUM_GLOBAL) / 0.05).softmax(dim=-1), intact, elastic


def cross_view_losses(targets, logits):
    global_log_probs, local_log_probs = (student_log_probs(part, TAU) for part in logits)
    return (
        cross_view_global_loss(targets, global_log_probs, len(local_log_probs)),
        cross_view_local_loss(targets, local_log_probs),
    )


def test_cross_view_losses_equal_the_loops(batch):
    targets, intact, _ = batch
    for loss, expected in zip(
        cross_view_losses(targets, intact), cross_view_reference(targets, *intact), strict=True
    ):
        assert loss.tolist() == pytest.approx(expected, abs=1e-10)


def test_every_pair_of_views_counts_alike():
    """With uniform predictions each pair costs log K, and so does the mean over all pairs."""
    for num_local in (1, 4, 8):
        uniform = [torch.zeros(views, BATCH, PROTOTYPES) for views in (NUM_GLOBAL, num_local)]
        targets = torch.rand(NUM_GLOBAL, BATCH, PROTOTYPES).softmax(dim=-1)
        pairs = 2 + 2 * num_local
        for loss, share in zip(
            cross_view_losses(targets, uniform), (2 / pairs, 2 * num_local / pairs), strict=True
        ):
            assert loss.tolist() == pytest.approx([share * math.log(PROTOTYPES)] * BATCH, rel=1e-6)


def test_a_global_view_learns_from_the_other_view_alone():
    generator = torch.Generator().manual_seed(0)
    logits = torch.rand(2, BATCH, PROTOTYPES, generator=generator, requires_grad=True)
    targets = torch.zeros(2, BATCH, PROTOTYPES)
    targets[1, :, 0] = 1  # only view 2 of the teacher says anything
    cross_view_global_loss(targets, student_log_probs(logits, TAU), 1).sum().backward()
    assert logits.grad[0].abs().min() > 0
    assert logits.grad[1].abs().max() == 0


def test_same_view_loss_equals_the_loops(batch):
    _, intact, elastic = batch
    for target, logits in zip(intact, elastic, strict=True):
        loss = same_view_loss(student_log_probs(target, TAU), student_log_probs(logits, TAU))
        assert loss.tolist() == pytest.approx(same_view_reference(target, logits), abs=1e-10)


def test_the_intact_student_gets_no_gradient_from_the_same_view_loss(batch):
    _, (intact, _), (elastic, _) = batch
    intact.requires_grad_()
    elastic.requires_grad_()
    loss = same_view_loss(student_log_probs(intact, TAU), student_log_probs(elastic, TAU))
    loss.sum().backward()
    assert intact.grad is None
    # d/dz of the mean cross-entropy over the views: (softmax − target) / τ / G.
    slope = ((elastic / TAU).softmax(-1) - (intact / TAU).softmax(-1)) / TAU / NUM_GLOBAL
    torch.testing.assert_close(elastic.grad, slope.detach(), rtol=0, atol=1e-12)


def test_soft_cross_entropy_of_one_row():
    targets = torch.tensor([[0.5, 0.25, 0.25]]).double()
    predictions = torch.tensor([[0.25, 0.5, 0.25]]).double()
    loss = soft_cross_entropy(targets, predictions.log())
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(1.75 * math.log(2))  # 0.5·2 + 0.25·1 + 0.25·2 bits


@pytest.mark.parametrize(
    ('dtype', 'kept'),
    [
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_log_probs_are_computed_in_float32_at_least(dtype, kept):
    logits = torch.tensor([[0.5, -0.25, 0.0]], dtype=dtype)  # exact in bf16
    result = student_log_probs(logits, TAU)
    assert result.dtype == kept
    expected = torch.tensor([softmax([0.5, -0.25, 0.0], TAU)]).double().log()
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-5)


def test_log_probs_of_extreme_logits_are_finite():
    result = student_log_probs(torch.tensor([[1e4, -1e4]]), 0.01)
    torch.testing.assert_close(result, torch.tensor([[0.0, -2e6]]))
