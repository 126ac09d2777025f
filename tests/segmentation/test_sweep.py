"""Heads of a sweep do as they would alone."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny.segmentation import CLASSES, CROP, SIZE, tiny_config

import poa_mm.segmentation.mmseg_modules  # noqa: F401

NUMBER = 3


def build(cfg, **changes):
    torch.manual_seed(0)
    model = MODELS.build({**cfg.model, '_scope_': 'mmseg', **changes})
    model.init_weights()
    return model.eval()


@pytest.fixture
def config(tmp_path):
    return tiny_config('linear_poa_vit-s', tmp_path, tmp_path)


@pytest.fixture
def alone(config):
    return build(config)


@pytest.fixture
def sweep(config):
    head = {'type': 'SweepHead', 'head': config.model.decode_head, 'number': NUMBER}
    return build(config, type='SweepEncoderDecoder', decode_head=head)


def samples(number):
    metas = {'ori_shape': SIZE, 'img_shape': SIZE, 'pad_shape': SIZE}
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(number):
        mask = torch.randint(0, len(CLASSES), (1, *SIZE), generator=generator)
        made.append(SegDataSample(metainfo=metas, gt_sem_seg=PixelData(data=mask)))
    return made


def test_all_heads_start_as_one_alone_does(sweep, alone):
    """And the backbone, too: copies draw no random numbers."""
    expected = alone.decode_head.state_dict()
    assert len(sweep.decode_head.heads) == NUMBER
    for head in sweep.decode_head.heads:
        assert head.state_dict().keys() == expected.keys()
        assert all(torch.equal(v, expected[n]) for n, v in head.state_dict().items())
    for name, value in alone.backbone.state_dict().items():
        assert torch.equal(value, sweep.backbone.state_dict()[name])
    pointers = {head.conv_seg.weight.data_ptr() for head in sweep.decode_head.heads}
    assert len(pointers) == NUMBER


def test_losses_and_gradients_are_those_of_each_head_alone(sweep, alone):
    images, data = torch.randn(2, 3, *SIZE), samples(2)
    for index, head in enumerate(sweep.decode_head.heads):
        torch.nn.init.normal_(head.conv_seg.weight, std=0.1 * (index + 1))
    losses = sweep.loss(images, data)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for index, head in enumerate(sweep.decode_head.heads):
        alone.decode_head.load_state_dict(head.state_dict())
        alone.zero_grad()
        expected = alone.loss(images, data)
        expected['decode.loss_ce'].backward()
        for name in ('loss_ce', 'acc_seg'):
            assert losses[f'decode.{index}.{name}'].item() == pytest.approx(
                expected[f'decode.{name}'].item(), rel=1e-6
            )
        for ours, theirs in zip(head.parameters(), alone.decode_head.parameters(), strict=True):
            assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)


@pytest.mark.parametrize('mode', ['slide', 'whole'])
def test_predictions_are_those_of_each_head_alone(sweep, alone, mode):
    images = torch.randn(2, 3, *SIZE)
    for index, head in enumerate(sweep.decode_head.heads):
        torch.nn.init.normal_(head.conv_seg.weight, std=0.1 * (index + 1))
    for model in (sweep, alone):
        model.test_cfg.mode = mode
    with torch.no_grad():
        predicted = sweep.predict(images, samples(2))
        for index, head in enumerate(sweep.decode_head.heads):
            alone.decode_head.load_state_dict(head.state_dict())
            expected = alone.predict(images, samples(2))
            for ours, theirs in zip(predicted, expected, strict=True):
                ours = ours.get(f'pred_head_{index}').data
                assert tuple(ours.shape) == (1, *SIZE)
                assert torch.equal(ours, theirs.pred_sem_seg.data)
    assert not any('seg_logits' in sample for sample in predicted)


def test_the_backbone_runs_once_for_all_heads(sweep):
    calls = []
    sweep.backbone.register_forward_hook(lambda *_: calls.append(1))
    sweep.loss(torch.randn(1, 3, CROP, CROP), samples(1))
    assert len(calls) == 1


def test_a_sweep_without_heads_is_refused(config):
    with pytest.raises(ValueError, match='number must be at least 1, got 0'):
        MODELS.build(
            {'_scope_': 'mmseg', 'type': 'SweepHead', 'head': config.model.decode_head, 'number': 0}
        )


def test_images_without_samples_are_predicted_by_every_head(sweep, alone):
    """mmseg's ``predict`` and ``inference`` allow that, in samples of their own."""
    images = torch.randn(2, 3, CROP, CROP)
    for index, head in enumerate(sweep.decode_head.heads):
        torch.nn.init.normal_(head.conv_seg.weight, std=0.1 * (index + 1))
    with torch.no_grad():
        results = sweep.predict(images)
        assert len(results) == 2
        for index, head in enumerate(sweep.decode_head.heads):
            alone.decode_head.load_state_dict(head.state_dict())
            for result, expected in zip(results, alone.predict(images), strict=True):
                ours = result.get(f'pred_head_{index}').data
                assert torch.equal(ours, expected.pred_sem_seg.data)
    assert set(results[0].keys()) == {f'pred_head_{index}' for index in range(NUMBER)}
