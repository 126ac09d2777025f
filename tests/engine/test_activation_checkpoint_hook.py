"""Recomputed activations change nothing but memory."""

from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS
from tiny.poa_runs import make_runner, training_config
from torch import nn

from poa_mm.engine import ActivationCheckpointHook


def run(work_dir, **changes):
    runner, recorder = make_runner(work_dir, max_iters=3, **changes)
    runner.train()
    return runner, [row['loss'] for row in recorder.rows]


def test_losses_and_weights_stay_the_same(tmp_path):
    hooks = training_config(tmp_path).custom_hooks
    hook = {'type': 'ActivationCheckpointHook', 'modules': ['backbone.layers']}
    plain, expected = run(tmp_path / 'plain')
    runner, losses = run(tmp_path / 'recomputed', custom_hooks=[*hooks, hook])
    assert losses == expected
    state = runner.model.state_dict()
    assert list(state) == list(plain.model.state_dict())
    assert all(torch.equal(state[name], value) for name, value in plain.model.state_dict().items())


def test_blocks_of_a_stock_network_run_again_in_the_backward_pass():
    model = nn.Module()
    model.backbone = MODELS.build({'type': 'VisionTransformer', 'arch': 'deit-t', 'img_size': 32})
    ActivationCheckpointHook('backbone.layers').before_train(SimpleNamespace(model=model))
    calls = []
    model.backbone.layers[1].ffn.register_forward_pre_hook(lambda *_: calls.append(1))
    (out,) = model.backbone(torch.randn(2, 3, 32, 32))
    assert len(calls) == 1
    out.sum().backward()
    assert len(calls) == 2


def test_an_unknown_list_names_the_valid_ones(tmp_path):
    hooks = training_config(tmp_path).custom_hooks
    hook = {'type': 'ActivationCheckpointHook', 'modules': ['backbone.stages']}
    with pytest.raises(ValueError, match=r"'backbone\.stages'; .*\['backbone\.layers'"):
        run(tmp_path, custom_hooks=[*hooks, hook])
