"""Ways to train a detector with less memory leave its losses and gradients as they are."""

from types import SimpleNamespace

import torch
from mmengine.optim import OptimWrapper
from tiny.scenes import small_detector, small_scene

from poa_mm.engine import ActivationCheckpointHook


def step(model, seed):
    """Losses and gradients of a step with its own draws, all else equal."""
    model.train()
    model.zero_grad()
    torch.manual_seed(seed)
    data = model.data_preprocessor(small_scene(), training=True)
    total, terms = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return {name: term.item() for name, term in terms.items()}, gradients


def test_recomputed_blocks_change_nothing():
    model = small_detector()
    expected = step(model, seed=0)
    calls = []
    model.backbone.layers[1].ffn.register_forward_pre_hook(lambda *_: calls.append(1))
    ActivationCheckpointHook(['backbone.layers']).before_train(SimpleNamespace(model=model))
    losses, gradients = step(model, seed=0)
    assert len(calls) == 2  # once more, in the backward pass
    assert losses == expected[0]
    assert all(torch.equal(gradients[name], value) for name, value in expected[1].items())


def test_accumulated_batches_make_one_step_of_their_mean():
    """SGD moves by the mean of both gradients, after the second."""
    model = small_detector()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    first, second = (step(model, seed)[1] for seed in (0, 1))
    assert not torch.equal(first['rpn_head.rpn_cls.weight'], second['rpn_head.rpn_cls.weight'])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = OptimWrapper(optimizer, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    model.zero_grad()
    for seed in (0, 1):
        assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
        torch.manual_seed(seed)
        model.train_step(small_scene(), wrapper)
    for name, parameter in model.named_parameters():
        mean = (first[name] + second[name]) / 2
        assert torch.allclose(parameter, before[name] - 0.1 * mean, rtol=1e-4, atol=1e-6), name
