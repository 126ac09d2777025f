"""Eq. 6 to 10 against loops over images, views and prototypes in float64."""

import itertools
import math

import pytest
import torch

from poa_mm.models.losses import (
    NUM_GLOBAL,
    branch_loss,
    cross_view_losses,
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


def by_view(rows):
    """(views, images, prototypes) nested lists of a view-major batch."""
    rows = rows.tolist()
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def cross_view_reference(targets, global_logits, local_logits):
    """Eq. 6 and 8 with T = G(G − 1) + G·V pairs of views."""
    teacher = by_view(targets)
    students = [by_view(global_logits), by_view(local_logits)]
    num_pairs = NUM_GLOBAL * (NUM_GLOBAL - 1) + NUM_GLOBAL * len(students[1])
    global_sum = local_sum = 0.0
    for image in range(BATCH):
        for a, b in itertools.permutations(range(NUM_GLOBAL), 2):
            student = softmax(students[0][b][image], TAU)
            global_sum += cross_entropy(teacher[a][image], student)
        for a, view in itertools.product(range(NUM_GLOBAL), students[1]):
            local_sum += cross_entropy(teacher[a][image], softmax(view[image], TAU))
    return global_sum / num_pairs / BATCH, local_sum / num_pairs / BATCH


def same_view_reference(target_logits, logits):
    """Eq. 7 and 9, ES2: a plain mean over the views of all images."""
    losses = [
        cross_entropy(softmax(target, TAU), softmax(prediction, TAU))
        for target, prediction in zip(target_logits.tolist(), logits.tolist(), strict=True)
    ]
    return sum(losses) / len(losses)


@pytest.fixture(params=[1, 2, 5], ids='{} local'.format)
def batch(request):
    """Teacher targets, and the logits of both students for global and local views."""
    generator = torch.Generator().manual_seed(request.param)

    def logits(views):
        shape = (views * BATCH, PROTOTYPES)
        return 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1

    intact = (logits(NUM_GLOBAL), logits(request.param))
    elastic = (logits(NUM_GLOBAL), logits(request.param))
    return (logits(NUM_GLOBAL) / 0.05).softmax(dim=-1), intact, elastic


def log_probs(logits):
    return [student_log_probs(part, TAU) for part in logits]


def test_cross_view_losses_equal_the_loops(batch):
    targets, intact, _ = batch
    losses = [loss.item() for loss in cross_view_losses(targets, *log_probs(intact))]
    assert losses == pytest.approx(cross_view_reference(targets, *intact), abs=1e-10)


def test_every_pair_of_views_counts_alike():
    """With uniform predictions each pair costs log K, and so does the mean over all pairs."""
    for num_local in (1, 4, 8):
        uniform = torch.zeros(2 * BATCH, PROTOTYPES), torch.zeros(num_local * BATCH, PROTOTYPES)
        targets = torch.rand(2 * BATCH, PROTOTYPES).softmax(dim=-1)
        pairs = 2 + 2 * num_local
        global_loss, local_loss = cross_view_losses(targets, *log_probs(uniform))
        assert global_loss.item() == pytest.approx(2 / pairs * math.log(PROTOTYPES), rel=1e-6)
        assert local_loss.item() == pytest.approx(
            2 * num_local / pairs * math.log(PROTOTYPES), rel=1e-6
        )


def test_a_global_view_learns_from_the_other_view_alone():
    generator = torch.Generator().manual_seed(0)
    logits = torch.rand(2 * BATCH, PROTOTYPES, generator=generator, requires_grad=True)
    local = torch.zeros(BATCH, PROTOTYPES)
    targets = torch.zeros(2 * BATCH, PROTOTYPES)
    targets[BATCH:, 0] = 1  # only view 2 of the teacher says anything
    global_loss, _ = cross_view_losses(targets, *log_probs((logits, local)))
    global_loss.backward()
    assert logits.grad[:BATCH].abs().min() > 0
    assert logits.grad[BATCH:].abs().max() == 0


def test_same_view_loss_equals_the_loops(batch):
    _, intact, elastic = batch
    for target, logits in zip(intact, elastic, strict=True):
        loss = same_view_loss(student_log_probs(target, TAU), student_log_probs(logits, TAU))
        assert loss.item() == pytest.approx(same_view_reference(target, logits), abs=1e-10)


def test_the_intact_student_gets_no_gradient_from_the_same_view_loss(batch):
    _, (intact, _), (elastic, _) = batch
    intact.requires_grad_()
    elastic.requires_grad_()
    same_view_loss(student_log_probs(intact, TAU), student_log_probs(elastic, TAU)).backward()
    assert intact.grad is None
    # d/dz of the mean cross-entropy: (softmax − target) / τ / N.
    slope = ((elastic / TAU).softmax(-1) - (intact / TAU).softmax(-1)) / TAU / len(intact)
    torch.testing.assert_close(elastic.grad, slope.detach(), rtol=0, atol=1e-12)


def test_branch_loss_adds_views_and_weighs_patches():
    terms = {
        'intact_global': torch.tensor([1.0, 2.0]),
        'intact_local': torch.tensor([10.0, 20.0]),
        'intact_patch': torch.tensor([100.0, 200.0]),
        'same_view_global': torch.tensor([3.0, 4.0]),
        'same_view_local': torch.tensor([30.0, 40.0]),
    }
    torch.testing.assert_close(branch_loss(terms, 'intact', 0.5), torch.tensor([61.0, 122.0]))
    torch.testing.assert_close(branch_loss(terms, 'same_view', 0.5), torch.tensor([33.0, 44.0]))


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
