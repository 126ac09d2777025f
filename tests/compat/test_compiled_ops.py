"""mmcv's compiled operators and torchvision in their place give the same results.

Needs an mmcv with compiled operators; without them the summary at the end of the run says that this
was not checked.
"""

import importlib

import pytest
import torch
from tiny.scenes import small_detector, small_scene

from poa_mm.compat import _mmcv_ext as stand_in

TOLERANCE = {'rtol': 1e-4, 'atol': 1e-4}


def compiled():
    extension = importlib.import_module('mmcv._ext')
    return None if extension.__file__ == stand_in.__file__ else extension


pytestmark = [
    pytest.mark.compiled_ops,
    pytest.mark.skipif(
        compiled() is None, reason='NOT CHECKED: this mmcv has no compiled ops to compare with'
    ),
]
DEVICES = [
    'cpu',
    pytest.param(
        'cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
    ),
]


def boxes(number, size, device):
    generator = torch.Generator().manual_seed(number)
    corners = torch.rand(number, 2, 2, generator=generator).mul(size).sort(dim=1).values
    return corners.flatten(1).to(device), torch.rand(number, generator=generator).to(device)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.7])
@pytest.mark.parametrize('offset', [0, 1])
def test_nms(device, threshold, offset):
    corners, scores = boxes(500, 200, device)
    arguments = {'iou_threshold': threshold, 'offset': offset}
    kept = [extension.nms(corners, scores, **arguments) for extension in (compiled(), stand_in)]
    assert torch.equal(*kept)
    assert 0 < len(kept[0]) < 500


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align(device, sampling_ratio, aligned):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, 30, 40, generator=generator).to(device)
    corners, _ = boxes(60, 120, device)
    rois = torch.cat((torch.arange(60, device=device)[:, None] % 2, corners), dim=1)
    upstream = torch.randn(60, 5, 7, 7, generator=generator).to(device)
    settings = {
        'aligned_height': 7,
        'aligned_width': 7,
        'spatial_scale': 0.25,
        'sampling_ratio': sampling_ratio,
        'pool_mode': 1,
        'aligned': aligned,
    }
    results = []
    for extension in (compiled(), stand_in):
        output, gradient = torch.zeros_like(upstream), torch.zeros_like(features)
        unused = output.new_zeros(0)
        extension.roi_align_forward(features, rois, output, unused, unused, **settings)
        extension.roi_align_backward(upstream, rois, unused, unused, gradient, **settings)
        results.append((output, gradient))
    for found, expected in zip(*results, strict=True):
        assert expected.abs().sum() > 0
        assert torch.allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize('device', DEVICES)
def test_roi_align_of_maps_with_channels_last(device, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, 30, 40, generator=generator).to(device)
    corners, _ = boxes(60, 120, device)
    rois = torch.cat((torch.arange(60, device=device)[:, None] % 2, corners), dim=1)
    module = importlib.import_module('mmcv.ops.roi_align')
    monkeypatch.setattr(module, 'ext_module', compiled())
    pooled = [
        module.roi_align(features.to(memory_format=layout), rois, 7, 0.25)
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    assert pooled[0].abs().sum() > 0
    assert torch.equal(*pooled)


@pytest.mark.parametrize('device', DEVICES)
def test_a_cascade_mask_rcnn(device, monkeypatch):
    """Losses, gradients and predictions of a whole detector."""
    results = []
    for extension in (compiled(), stand_in):
        for name in ('mmcv.ops.nms', 'mmcv.ops.roi_align'):
            module = importlib.import_module(name)
            monkeypatch.setattr(module, 'ext_module', extension)
        model = small_detector().to(device)
        torch.manual_seed(0)
        data = model.data_preprocessor(small_scene(), training=True)
        losses, _ = model.parse_losses(model(**data, mode='loss'))
        losses.backward()
        gradient = model.backbone.patch_embed.projection.weight.grad
        model.eval()
        with torch.no_grad():
            data = model.data_preprocessor(small_scene(), training=False)
            predictions = model(**data, mode='predict')[0].pred_instances
        results.append((losses.detach(), gradient, predictions.bboxes, predictions.scores))
    for found, expected in zip(*results, strict=True):
        assert expected.numel() > 0
        assert torch.allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize('device', DEVICES)
def test_a_step_in_bf16(device, monkeypatch):
    """The compiled RoIAlign has no bf16; the losses are those of torchvision's, but for rounding.

    Those of the last stage, whose boxes depend on all before, are left out.
    """
    results = []
    for extension in (compiled(), stand_in):
        for name in ('mmcv.ops.nms', 'mmcv.ops.roi_align'):
            monkeypatch.setattr(importlib.import_module(name), 'ext_module', extension)
        model = small_detector().to(device)
        torch.manual_seed(0)
        data = model.data_preprocessor(small_scene(), training=True)
        with torch.autocast(device, torch.bfloat16):
            total, terms = model.parse_losses(model(**data, mode='loss'))
        total.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        results.append({name: term.item() for name, term in terms.items() if name[:2] != 's2'})
    assert 's1.loss_mask' in results[1]
    assert results[0] == pytest.approx(results[1], rel=0.05)
