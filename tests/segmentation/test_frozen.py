"""A frozen backbone: no gradient, no optimiser state, no drop paths, no autograd."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.optim.optimizer import default_constructor
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny.segmentation import CLASSES, CROP, tiny_config

import poa_mm.segmentation.mmseg_modules  # noqa: F401


@pytest.fixture
def config(tmp_path):
    cfg = tiny_config('linear_poa_vit-s', tmp_path, tmp_path)
    cfg.model.backbone.drop_path_rate = 0.9  # what evaluation mode must keep from showing
    return cfg


@pytest.fixture
def segmentor(config):
    torch.manual_seed(0)
    model = MODELS.build({**config.model, '_scope_': 'mmseg'})
    model.init_weights()
    return model


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, 3, CROP, CROP), generator=generator, dtype=torch.uint8)
    samples = []
    for _ in images:
        mask = torch.randint(0, len(CLASSES), (1, CROP, CROP), generator=generator)
        sample = SegDataSample(metainfo={'img_shape': (CROP, CROP), 'ori_shape': (CROP, CROP)})
        sample.gt_sem_seg = PixelData(data=mask)
        samples.append(sample)
    return images, samples


def optim_wrapper(model, cfg):
    wrapper = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    wrapper.pop('dtype', None)
    return build_optim_wrapper(model, wrapper)


def test_it_stays_in_evaluation_mode(segmentor):
    for module in (segmentor, segmentor.train(), segmentor.train(True)):
        assert module is segmentor
        assert not any(part.training for part in segmentor.backbone.modules())
        assert all(part.training for part in segmentor.decode_head.modules())
    assert not segmentor.eval().decode_head.training


def test_paths_are_not_dropped_in_training(segmentor):
    images = torch.randn(2, 3, CROP, CROP)
    expected = segmentor.eval().extract_feat(images)
    for ours, theirs in zip(segmentor.train().extract_feat(images), expected, strict=True):
        assert torch.equal(ours, theirs)
    segmentor.backbone.train()  # the same network not frozen
    assert not torch.equal(segmentor.backbone(images)[0], expected[0])


def test_it_runs_without_autograd(segmentor):
    images = torch.randn(1, 3, CROP, CROP, requires_grad=True)
    features = segmentor.train().extract_feat(images)
    assert [tuple(f.shape) for f in features] == [(1, 32, CROP // 8, CROP // 8)] * 4
    assert not any(f.requires_grad for f in features)
    with torch.no_grad():  # the head learns from them, so they are no tensors of inference mode
        assert not any(f.is_inference() for f in features)


def test_the_optimiser_holds_the_head_alone(segmentor, config):
    wrapper = optim_wrapper(segmentor, config)
    held = {id(p) for group in wrapper.optimizer.param_groups for p in group['params']}
    assert held == {id(p) for p in segmentor.decode_head.parameters()}
    weight, bias = segmentor.decode_head.conv_seg.weight, segmentor.decode_head.conv_seg.bias
    assert tuple(weight.shape) == (len(CLASSES), 4 * 32, 1, 1)
    assert bias is not None
    assert {group['weight_decay'] for group in wrapper.optimizer.param_groups} == {0.05}


def test_a_step_moves_the_head_alone(segmentor, config):
    wrapper = optim_wrapper(segmentor, config)
    before = {name: value.clone() for name, value in segmentor.state_dict().items()}
    images, samples = batch()
    losses = segmentor.train_step({'inputs': list(images), 'data_samples': samples}, wrapper)
    assert losses['loss'].item() > 0
    moved = {n for n, v in segmentor.state_dict().items() if not torch.equal(v, before[n])}
    assert moved == {'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'}
    assert all(p.grad is None for p in segmentor.backbone.parameters())
    assert len(wrapper.optimizer.state) == 2


def test_the_head_is_one_linear_layer(segmentor):
    """Logits are a matrix times the concatenated features, plus a bias."""
    images = torch.randn(2, 3, CROP, CROP)
    features = torch.cat(list(segmentor.extract_feat(images)), dim=1).double()
    layer = segmentor.decode_head.conv_seg
    by_hand = torch.einsum('oc,nchw->nohw', layer.weight[:, :, 0, 0].double(), features)
    by_hand += layer.bias.double()[:, None, None]
    logits = segmentor.train()(images)
    assert torch.allclose(logits.double(), by_hand, atol=1e-5)


def test_a_neck_stays_trainable(config):
    config.model.neck = {'type': 'Feature2Pyramid', 'embed_dim': 32, 'norm_cfg': {'type': 'BN'}}
    model = MODELS.build({**config.model, '_scope_': 'mmseg'}).train()
    assert model.neck.training
    assert all(f.requires_grad for f in model.extract_feat(torch.randn(2, 3, CROP, CROP))[:2])


def test_single_rates_of_the_head_need_no_word_about_the_backbone(segmentor, config, monkeypatch):
    said = []
    monkeypatch.setattr(default_constructor, 'print_log', lambda text, **_: said.append(text))
    config.optim_wrapper.paramwise_cfg = {'custom_keys': {'conv_seg.bias': {'lr_mult': 2.0}}}
    groups = optim_wrapper(segmentor, config).optimizer.param_groups
    rates = {p: group['lr'] for group in groups for p in group['params']}
    layer, lr = segmentor.decode_head.conv_seg, config.optim_wrapper.optimizer.lr
    assert rates == {layer.weight: lr, layer.bias: 2 * lr}
    assert any('conv_seg' in text for text in said)
    assert not [text for text in said if 'backbone' in text]
