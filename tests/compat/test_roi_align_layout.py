import importlib

import pytest
import torch

from poa_mm.compat import _mmcv_ext, roi_align_layout

mmcv_roi_align = importlib.import_module('mmcv.ops.roi_align')  # after poa_mm, which fixes it


class PointerKernels:
    """The operators as compiled: they read memory in order, whatever the strides say."""

    @staticmethod
    def roi_align_forward(features, rois, output, *args, **kwargs):
        features = torch.as_strided(features, features.shape, torch.empty(features.shape).stride())
        _mmcv_ext.roi_align_forward(features, rois, output, *args, **kwargs)

    roi_align_backward = staticmethod(_mmcv_ext.roi_align_backward)


@pytest.fixture
def _compiled(monkeypatch):
    monkeypatch.setattr(mmcv_roi_align, 'ext_module', PointerKernels)


@pytest.fixture
def features():
    return torch.randn(2, 5, 12, 16, generator=torch.Generator().manual_seed(0))


ROIS = torch.tensor([[0, 4.0, 4, 40, 30], [1, 10, 0, 60, 44]])


@pytest.mark.usefixtures('_compiled')
def test_channels_may_come_last(features):
    expected = mmcv_roi_align.roi_align(features, ROIS, 7, 0.25)
    last = features.to(memory_format=torch.channels_last).requires_grad_()
    found = mmcv_roi_align.RoIAlign(7, 0.25)(last, ROIS)
    assert torch.equal(found, expected)
    found.square().sum().backward()
    reference = features.clone().requires_grad_()
    mmcv_roi_align.roi_align(reference, ROIS, 7, 0.25).square().sum().backward()
    assert torch.equal(last.grad, reference.grad)
    assert last.grad.abs().sum() > 0


@pytest.mark.usefixtures('_compiled')
def test_the_defect_is_there_without_the_mend(features, monkeypatch):
    plain = staticmethod(mmcv_roi_align.RoIAlignFunction.forward.__wrapped__)
    expected = mmcv_roi_align.roi_align(features, ROIS, 7, 0.25)
    monkeypatch.setattr(mmcv_roi_align.RoIAlignFunction, 'forward', plain)
    found = mmcv_roi_align.roi_align(features.to(memory_format=torch.channels_last), ROIS, 7, 0.25)
    assert not torch.allclose(found, expected)


def test_installing_twice_wraps_once():
    roi_align_layout.install()
    assert not hasattr(mmcv_roi_align.RoIAlignFunction.forward.__wrapped__, '__wrapped__')
