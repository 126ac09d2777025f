"""Both ways to shift the teacher's logits, against plain formulas on whole matrices."""

import pytest
import torch
from mmengine import dist
from ranks import run_distributed

from poa_mm.models.losses import Centering, SinkhornKnopp, chunks, sinkhorn_knopp

PROTOTYPES = (5, 9)
TAU = 0.07


def prototypes():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(k, 4, generator=generator).double() for k in PROTOTYPES]


def kinds(class_tokens=6, patches=11):
    generator = torch.Generator().manual_seed(1)
    return {
        name: [torch.randn(number, 4, generator=generator).double() for _ in PROTOTYPES]
        for name, number in (('class', class_tokens), ('patch', patches))
    }


@pytest.mark.parametrize('limit', [1, 20, 2**24])
def test_sinkhorn_in_chunks_equals_sinkhorn_on_the_matrix(limit, monkeypatch):
    monkeypatch.setattr(chunks, 'MAX_LOGITS', limit)
    shifts = SinkhornKnopp()(kinds(), prototypes(), TAU)
    for kind, heads in kinds().items():
        logits = [z @ w.T for z, w in zip(heads, prototypes(), strict=True)]
        expected = sinkhorn_knopp(logits, TAU)
        for index, whole in enumerate(expected):
            targets = (logits[index] / TAU - shifts[kind][index]).softmax(dim=1)
            torch.testing.assert_close(targets, whole, rtol=0, atol=1e-12)


def sinkhorn_of_rank(rank):
    calls = []
    gather = dist.all_gather
    dist.all_gather = lambda *args: calls.append(1) or gather(*args)
    # The second rank has no masked patches at all, and nobody has any of the third kind.
    mine = {
        name: [z[:4] if rank == 0 else z[4:] for z in heads] for name, heads in kinds(6, 4).items()
    }
    mine['none'] = [z[:0] for z in mine['class']]
    shifts = SinkhornKnopp()(mine, prototypes(), TAU)
    return shifts, len(calls)


def test_ranks_exchange_one_vector_an_iteration_for_all_heads_and_kinds():
    ranks = run_distributed(sinkhorn_of_rank, 2)
    whole = SinkhornKnopp()(kinds(6, 4), prototypes(), TAU)
    for shifts, calls in ranks:
        assert calls == 3
        for kind, heads in whole.items():
            for mine, expected in zip(shifts[kind], heads, strict=True):
                torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)
        assert not any(shift.isnan().any() for shift in shifts['none'])


def centering():
    return Centering(('class', 'patch'), PROTOTYPES, momentum=0.8).double()


def test_centering_uses_the_means_of_the_steps_before():
    """c ← 0.8 c + 0.2 · mean logit, from zero; the targets of a step use c from before it."""
    module = centering()
    first, second = kinds(), kinds(class_tokens=3)
    shifts = module(first, prototypes(), TAU)
    assert all(not shift.any() for heads in shifts.values() for shift in heads)
    module.step(prototypes())
    shifts = module(second, prototypes(), TAU)
    module.step(prototypes())
    for kind, heads in first.items():
        for index, (z, w) in enumerate(zip(heads, prototypes(), strict=True)):
            center = 0.2 * (z @ w.T).mean(dim=0)
            torch.testing.assert_close(shifts[kind][index], center / TAU)
            logits = second[kind][index] @ w.T
            center = 0.8 * center + 0.2 * logits.mean(dim=0)
            torch.testing.assert_close(module.get_buffer(f'center_{kind}_{index}'), center)


def test_centers_are_saved_and_evaluation_leaves_them_alone():
    module = centering()
    module(kinds(), prototypes(), TAU)
    module.step(prototypes())
    state = {name: value.clone() for name, value in module.state_dict().items()}
    assert len(state) == 4
    assert all(value.any() for value in state.values())
    module.eval()
    module(kinds(class_tokens=2), prototypes(), TAU)
    module.step(prototypes())
    assert all(map(torch.equal, module.state_dict().values(), state.values()))


def test_a_step_without_patches_teaches_nothing_about_them():
    module = centering()
    module(kinds(), prototypes(), TAU)
    module.step(prototypes())
    before = module.center_patch_0.clone()
    for tokens in (kinds(patches=0), {'class': kinds()['class']}):
        module(tokens, prototypes(), TAU)
        module.step(prototypes())
    assert torch.equal(module.center_patch_0, before)


def test_batches_of_one_step_move_the_means_once_and_as_one_batch():
    whole, parts = centering(), centering()
    whole(kinds(), prototypes(), TAU)
    whole.step(prototypes())
    for rows in (slice(None, 2), slice(2, None)):
        before = {name: value.clone() for name, value in parts.state_dict().items()}
        parts({k: [z[rows] for z in heads] for k, heads in kinds().items()}, prototypes(), TAU)
        assert all(map(torch.equal, parts.state_dict().values(), before.values()))
    parts.step(prototypes())
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=0, atol=1e-14)


def test_a_discarded_batch_has_not_been_seen():
    module, twin = centering(), centering()
    module(kinds(class_tokens=2), prototypes(), TAU)
    module.discard()
    module.step(prototypes())  # of nothing
    assert not any(value.any() for value in module.state_dict().values())
    for net in (module, twin):
        net(kinds(), prototypes(), TAU)
        net.step(prototypes())
    assert all(map(torch.equal, module.state_dict().values(), twin.state_dict().values()))


def center_of_rank(rank):
    module = centering()
    mine = {name: [z[:2] if rank else z[2:] for z in heads] for name, heads in kinds().items()}
    if rank:  # the other rank has drawn no mask
        mine['patch'] = [z[:0] for z in mine['patch']]
    module(mine, prototypes(), TAU)
    module.step(prototypes())
    return dict(module.state_dict())


def test_the_mean_is_over_the_global_batch_with_unequal_shares():
    whole, seen = centering(), kinds()
    seen['patch'] = [z[2:] for z in seen['patch']]
    whole(seen, prototypes(), TAU)
    whole.step(prototypes())
    for state in run_distributed(center_of_rank, 2):
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=0, atol=1e-14)
