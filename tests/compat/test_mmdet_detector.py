"""mmdet trains and predicts with torchvision's NMS and RoIAlign in place of mmcv's."""

import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn
from torchvision.ops import box_iou

from poa_mm import compat


@pytest.fixture(scope='module')
def mask_rcnn() -> nn.Module:
    compat.install()
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    model = Config.fromstring("_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'", '.py').model
    model.backbone.update(depth=18, init_cfg=None)
    model.neck.update(in_channels=[64, 128, 256, 512], out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    model.roi_head.bbox_roi_extractor.out_channels = 16
    model.roi_head.mask_roi_extractor.out_channels = 16
    model.roi_head.bbox_head.update(in_channels=16, fc_out_channels=32, num_classes=2)
    model.roi_head.mask_head.update(in_channels=16, conv_out_channels=16, num_classes=2)
    model.test_cfg.rcnn.score_thr = 0.0
    torch.manual_seed(0)
    detector = MODELS.build({'_scope_': 'mmdet', **model})
    detector.init_weights()
    return detector


def example() -> dict[str, list]:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 8:40, 16:56] = 1
    sample = DetDataSample(
        metainfo={'img_shape': (64, 64), 'ori_shape': (64, 64), 'scale_factor': (1.0, 1.0)},
        gt_instances=InstanceData(
            bboxes=torch.tensor([[16.0, 8, 56, 40]]),
            labels=torch.tensor([1]),
            masks=BitmapMasks(mask.numpy(), 64, 64),
        ),
    )
    image = (mask.repeat(3, 1, 1) * 200).to(torch.uint8)
    return {'inputs': [image], 'data_samples': [sample]}


def test_trains(mask_rcnn: nn.Module) -> None:
    mask_rcnn.train()
    optimizer = torch.optim.SGD(mask_rcnn.parameters(), lr=0.01, momentum=0.9)
    totals = []
    for _ in range(8):
        torch.manual_seed(0)  # the same samples of anchors and proposals every time
        data = mask_rcnn.data_preprocessor(example(), training=True)
        losses = mask_rcnn(**data, mode='loss')
        total, terms = mask_rcnn.parse_losses(losses)
        assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask'} <= set(terms)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]


def test_roi_losses_reach_the_backbone(mask_rcnn: nn.Module) -> None:
    """Their gradient flows through RoIAlign's backward."""
    mask_rcnn.train()
    data = mask_rcnn.data_preprocessor(example(), training=True)
    losses = mask_rcnn(**data, mode='loss')
    mask_rcnn.zero_grad()
    (losses['loss_cls'] + losses['loss_mask']).backward()
    gradient = mask_rcnn.backbone.layer4[0].downsample[0].weight.grad
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


def test_predicts(mask_rcnn: nn.Module) -> None:
    mask_rcnn.eval()
    with torch.no_grad():
        data = mask_rcnn.data_preprocessor(example())
        result = mask_rcnn(**data, mode='predict')[0].pred_instances
    assert 0 < len(result) <= mask_rcnn.test_cfg.rcnn.max_per_img
    assert result.masks.shape == (len(result), 64, 64)
    assert result.scores.tolist() == sorted(result.scores.tolist(), reverse=True)
    overlap = mask_rcnn.test_cfg.rcnn.nms.iou_threshold
    for label in result.labels.unique():
        boxes = result.bboxes[result.labels == label]
        iou = box_iou(boxes, boxes).fill_diagonal_(0)
        assert iou.max() <= overlap


IMPORTED_FIRST = """
import sys
import mmdet.structures.mask.structures as masks
import mmpretrain.models
import poa_mm
import mmdet.models
import numpy, torch
mask = numpy.zeros((1, 8, 8), numpy.uint8)
mask[:, 2:6, 2:6] = 1
box = numpy.array([[2.0, 2, 6, 6]], numpy.float32)
cut = masks.BitmapMasks(mask, 8, 8).crop_and_resize(box, (4, 4), numpy.array([0]), 'cpu')
nms = sys.modules['mmdet.models.dense_heads.rpn_head'].batched_nms
print(cut.masks.all(), nms.__module__)
"""


@pytest.fixture(scope='module')
def imported_first() -> list[str]:
    """What a Python finds that imported mmdet and mmpretrain before poa_mm."""
    command = [sys.executable, '-c', IMPORTED_FIRST]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].split()


def test_masks_that_were_imported_first_get_their_roi_align(imported_first: list[str]) -> None:
    """The order of mmdet's own entry points: mmdet, then what the config's custom_imports name."""
    assert imported_first[0] == 'True'


def test_detectors_that_were_imported_first_get_their_nms(imported_first: list[str]) -> None:
    """mmpretrain tries to import mmdet, which leaves parts of it behind with an NMS that raises."""
    assert imported_first[1] == 'mmcv.ops.nms'
