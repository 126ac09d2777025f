"""Signs of collapse, from targets whose entropies and first choices are known."""

import math

import pytest
import torch
from ranks import run_distributed

from poa_mm.evaluation import rankme
from poa_mm.evaluation.label_free.collapse import TeacherState, TeacherWatch, collapse_signs
from poa_mm.models.losses import PrototypeLogits, TeacherHead, TeacherTargets, teacher_probs

HEADS = (16, 6)
WIDTH = 8


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(seed, images=5):
    """Class tokens of two views, (2B, D), and targets of two heads."""
    heads = []
    for number, prototypes in enumerate(HEADS):
        features = noise(2, images, 4, seed=10 * seed + number)
        logits = PrototypeLogits(features, noise(prototypes, 4, seed=number))
        shift = noise(prototypes, seed=7 + number)
        heads.append(TeacherHead(TeacherTargets(logits, 0.5, shift)))
    return noise(2 * images, WIDTH, seed=seed), heads


def seen(*batches, **arguments):
    watch = TeacherWatch(**arguments)
    for tokens, heads in batches:
        watch(tokens, heads)
    return watch.state()


def test_a_state_is_what_the_definitions_say(monkeypatch):
    monkeypatch.setattr('poa_mm.models.losses.chunks.MAX_LOGITS', 40)  # one image at a time
    batches = [batch(1), batch(2)]
    state = seen(*batches)
    assert state.rankme == pytest.approx(rankme(torch.cat([tokens for tokens, _ in batches])))
    for number, prototypes in enumerate(HEADS):
        targets = [heads[number].class_tokens for _, heads in batches]
        probs = torch.cat(
            [teacher_probs(t.logits[:], t.temperature, t.shift).flatten(0, 1) for t in targets]
        )
        entropy = -(probs * probs.log()).sum(dim=1).mean() / math.log(prototypes)
        assert state.entropy[number] == pytest.approx(entropy.item(), rel=1e-5)
        most = min(prototypes, len(probs))
        assert state.in_use[number] == len(set(probs.argmax(dim=1).tolist())) / most
    assert state.num_prototypes == HEADS
    assert state.scalars['target_entropy'] == pytest.approx(sum(state.entropy) / 2)


def test_only_so_many_tokens_are_kept():
    tokens = torch.cat([batch(seed)[0] for seed in (1, 2, 3)])
    assert seen(*map(batch, (1, 2, 3)), max_tokens=14).rankme == pytest.approx(rankme(tokens[:14]))


def test_what_is_not_finite_is_left_out():
    tokens, heads = batch(1)
    broken = tokens * torch.nan, heads
    assert seen((tokens, heads), broken).rankme == pytest.approx(rankme(tokens))
    assert seen(broken) is None
    assert seen((torch.zeros_like(tokens), heads)).rankme == 1


def state_of_rank(rank):
    state = seen(batch(rank), batch(rank + 2, images=3))  # ranks differ
    return tuple(state)


def test_two_ranks_see_the_same_of_all_batches():
    first, second = run_distributed(state_of_rank, 2)
    assert first == second
    alone = seen(batch(0), batch(2, images=3), batch(1), batch(3, images=3))
    for mine, theirs in zip(first, alone, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(
    ('change', 'kinds'),
    [
        ({}, []),
        ({'rankme': 1.01}, ['alike']),
        ({'in_use': (0.5, 0.01)}, ['few prototypes']),
        ({'entropy': (0.999, 0.6)}, ['uniform']),
        ({'rankme': 1.0, 'entropy': (1.0, 1.0)}, ['alike', 'uniform']),
    ],
)
def test_signs_are_named(change, kinds):
    healthy = TeacherState(20.0, (0.5, 0.6), (0.5, 0.4), (4096, 65536))
    signs = dict(collapse_signs(healthy._replace(**change)))
    assert list(signs) == kinds


def test_the_head_is_named():
    state = TeacherState(20.0, (0.5, 0.999), (0.01, 0.4), (4096, 65536))
    signs = dict(collapse_signs(state))
    assert 'entropy is 99.9% of the most that there is, in the head of 65,536' in signs['uniform']
    assert '1.0% of those that could be in use are, in the head of 4,096' in signs['few prototypes']
