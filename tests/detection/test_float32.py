"""Under bf16, boxes stay where they are, with torchvision's kernels and with mmcv's."""

import importlib

import pytest
import torch
from tiny.scenes import small_detector, small_scene

from poa_mm.compat import _mmcv_ext

ODD = torch.tensor([[0, 803.0, 331, 1205, 715], [0, 13.5, 200.25, 1003.75, 600], [0, 5, 5, 30, 25]])
BF16 = {'device_type': 'cpu', 'dtype': torch.bfloat16}


@pytest.fixture(scope='module')
def detector():
    return small_detector()


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(0)
    sizes = [(200, 336), (100, 168), (50, 84), (25, 42)]
    return [torch.randn(1, 64, *size, generator=generator).bfloat16() for size in sizes]


@pytest.fixture
def pooled_boxes(monkeypatch):
    """All boxes that RoIAlign sees; kernels that, like the compiled ones, have no bf16."""
    seen = []

    class Kernels:
        roi_align_backward = staticmethod(_mmcv_ext.roi_align_backward)

        @staticmethod
        def roi_align_forward(features, rois, *args, **kwargs):
            assert features.dtype == rois.dtype == torch.float32
            seen.append(rois.clone())
            _mmcv_ext.roi_align_forward(features, rois, *args, **kwargs)

    monkeypatch.setattr(importlib.import_module('mmcv.ops.roi_align'), 'ext_module', Kernels)
    return seen


@pytest.mark.parametrize('part', ['bbox_roi_extractor', 'mask_roi_extractor'])
def test_boxes_reach_roi_align_as_they_are(detector, maps, pooled_boxes, part):
    extractor = getattr(detector.roi_head, part)
    extractor = extractor[0] if part.startswith('bbox') else extractor[-1]
    with torch.autocast(**BF16):
        found = extractor(maps, ODD)
    seen = torch.cat(pooled_boxes)
    assert torch.equal(seen[seen[:, 1].argsort()], ODD[ODD[:, 1].argsort()])
    expected = extractor([m.float() for m in maps], ODD)
    assert (found.dtype, expected.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(found, expected.bfloat16())
    assert expected.abs().sum() > 0


def test_anchors_and_proposals_are_those_of_float32(detector):
    from mmdet.models import RPNHead

    generator = torch.Generator().manual_seed(0)
    sizes = [(200, 336), (100, 168), (50, 84), (25, 42), (13, 21)]
    scores, deltas = (
        [torch.randn(1, n, *size, generator=generator).bfloat16() for size in sizes]
        for n in (3, 12)
    )
    meta = [{'img_shape': (800, 1344)}]
    cfg = detector.test_cfg.rpn
    head = detector.rpn_head
    with torch.autocast(**BF16):
        (found,) = head.predict_by_feat(scores, deltas, batch_img_metas=meta, cfg=cfg)
    exact = [[t.float() for t in level] for level in (scores, deltas)]
    (expected,) = RPNHead.predict_by_feat(head, *exact, batch_img_metas=meta, cfg=cfg)
    assert found.bboxes.dtype == torch.float32
    assert torch.equal(found.bboxes, expected.bboxes)
    assert len(found.bboxes) > 100


@pytest.mark.usefixtures('pooled_boxes')
def test_a_step_in_bf16(detector):
    detector.train()
    data = detector.data_preprocessor(small_scene(), training=True)
    with torch.autocast(**BF16):
        total, terms = detector.parse_losses(detector(**data, mode='loss'))
    total.backward()
    assert {'loss_rpn_bbox', 's0.loss_cls', 's2.loss_bbox', 's2.loss_mask'} <= set(terms)
    assert torch.isfinite(total)
    gradients = [p.grad for p in detector.parameters() if p.requires_grad]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert detector.backbone.patch_embed.projection.weight.grad.abs().sum() > 0
