import importlib
import inspect
import pickle
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torchvision
from torch import Tensor

from poa_mm import compat
from poa_mm.compat import _mmcv_ext as stand_in
from poa_mm.compat import mmcv_ops


@pytest.fixture(scope='module')
def ops() -> ModuleType:
    compat.install()
    return importlib.import_module('mmcv.ops')


# ------------------------------------------------------------------ which module is mmcv._ext


def import_ext_of_fake_mmcv(folder: Path) -> 'subprocess.CompletedProcess[str]':
    code = (
        f'import runpy, sys; sys.path.insert(0, {str(folder)!r}); '
        f"runpy.run_path({mmcv_ops.__file__!r})['install'](); "
        'import mmcv._ext; print(mmcv._ext.__file__)'
    )
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)


@pytest.fixture
def fake_mmcv(tmp_path: Path) -> Path:
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').touch()
    return package


def test_stands_in_where_there_are_no_compiled_ops(fake_mmcv: Path) -> None:
    result = import_ext_of_fake_mmcv(fake_mmcv.parent)
    assert result.stdout.strip() == stand_in.__file__, result.stderr


def test_compiled_ops_win(fake_mmcv: Path) -> None:
    (fake_mmcv / '_ext.py').touch()
    result = import_ext_of_fake_mmcv(fake_mmcv.parent)
    assert result.stdout.strip() == str(fake_mmcv / '_ext.py'), result.stderr


def test_broken_compiled_ops_fail_with_their_own_error(fake_mmcv: Path) -> None:
    extension = fake_mmcv / f'_ext{EXTENSION_SUFFIXES[0]}'
    extension.write_bytes(b'not a shared library')
    result = import_ext_of_fake_mmcv(fake_mmcv.parent)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f'ImportError: {extension}')


def test_install_twice_adds_one_finder() -> None:
    compat.install()
    finders = list(sys.meta_path)
    compat.install()
    assert sys.meta_path == finders


# ------------------------------------------------------------------ a module like any other


def test_finds_no_other_module() -> None:
    compat.install()
    assert find_spec('mmcv._no_such_module') is None


def test_behaves_like_a_module(ops: ModuleType) -> None:
    ext = sys.modules['mmcv._ext']
    assert sys.modules['mmcv']._ext is ext
    assert find_spec('mmcv._ext') is ext.__spec__
    assert inspect.getmodule(ext.nms) is ext
    assert pickle.loads(pickle.dumps(ext.nms)) is ext.nms
    with pytest.raises(AttributeError, match='__path__'):
        _ = stand_in.__path__


def test_other_ops_resolve_but_say_what_they_need() -> None:
    with pytest.raises(NotImplementedError, match='softnms') as info:
        stand_in.softnms(torch.zeros(1, 4), iou_threshold=0.5)
    assert 'mim install onedl-mmcv' in str(info.value)
    assert 'mim install mmcv' in str(info.value)


def test_compiler_versions_for_collect_env(ops: ModuleType) -> None:
    env = importlib.import_module('mmcv.utils').collect_env()
    assert env['MMCV Compiler']
    assert env['MMCV CUDA Compiler']


def test_libraries_that_need_ops_import(ops: ModuleType) -> None:
    assert importlib.import_module('mmdet.models').MaskRCNN
    assert importlib.import_module('mmseg.models').EncoderDecoder


# ------------------------------------------------------------------ NMS


def plain_nms(boxes: Tensor, scores: Tensor, threshold: float, offset: int) -> list[int]:
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        x1, y1, x2, y2 = boxes[index].double().tolist()
        for other in kept:
            u1, v1, u2, v2 = boxes[other].double().tolist()
            width = max(min(x2, u2) - max(x1, u1) + offset, 0)
            height = max(min(y2, v2) - max(y1, v1) + offset, 0)
            area = (x2 - x1 + offset) * (y2 - y1 + offset)
            other_area = (u2 - u1 + offset) * (v2 - v1 + offset)
            if width * height / (area + other_area - width * height) > threshold:
                break
        else:
            kept.append(index)
    return kept


def random_boxes(number: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * 6
    sizes = torch.rand(number, 2, generator=generator) * 6 + 2
    return torch.cat([corners, corners + sizes], 1), torch.rand(number, generator=generator)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.1, 0.3, 0.7])
def test_nms_equals_plain_loops(ops: ModuleType, threshold: float, offset: int) -> None:
    boxes, scores = random_boxes(60, seed=offset)
    dets, kept = ops.nms(boxes, scores, threshold, offset=offset)
    expected = plain_nms(boxes, scores, threshold, offset)
    assert 1 < len(expected) < 60
    assert kept.tolist() == expected
    torch.testing.assert_close(dets, torch.cat([boxes, scores[:, None]], 1)[expected])


def test_nms_offset_by_hand(ops: ModuleType) -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 5, 9, 14]])
    scores = torch.tensor([0.9, 0.8])
    # IoU 36 / 126 = 0.29 in continuous coordinates, 50 / 150 = 0.33 in pixels
    assert ops.nms(boxes, scores, 0.3, offset=0)[1].tolist() == [0, 1]
    assert ops.nms(boxes, scores, 0.3, offset=1)[1].tolist() == [0]
    assert boxes.tolist() == [[0, 0, 9, 9], [0, 5, 9, 14]]


def test_nms_score_threshold_and_max_num(ops: ModuleType) -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2], [10, 0, 12, 2], [20, 0, 22, 2], [30, 0, 32, 2]])
    scores = torch.tensor([0.1, 0.6, 0.9, 0.7])
    _, kept = ops.nms(boxes, scores, 0.5, score_threshold=0.5, max_num=2)
    assert kept.tolist() == [2, 3]


def test_nms_of_no_boxes(ops: ModuleType) -> None:
    dets, kept = ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5)
    assert kept.tolist() == []


def test_nms_takes_low_precision_scores(ops: ModuleType) -> None:
    boxes, scores = random_boxes(20, seed=0)
    rounded = scores.bfloat16()
    _, kept = ops.nms(boxes, rounded, 0.3)
    assert kept.tolist() == ops.nms(boxes, rounded.float(), 0.3)[1].tolist()


def test_batched_nms_works_by_class(ops: ModuleType) -> None:
    boxes, scores = random_boxes(40, seed=3)
    classes = torch.arange(40) % 3
    _, kept = ops.batched_nms(boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.3})
    expected = []
    for label in range(3):
        members = (classes == label).nonzero()[:, 0]
        expected += members[plain_nms(boxes[members], scores[members], 0.3, 0)].tolist()
    assert sorted(kept.tolist()) == sorted(expected)
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)


# ------------------------------------------------------------------ RoIAlign


ROIS = torch.tensor([[0.0, 2, 4, 20, 26], [1, 0, 0, 31, 15], [1, 8.5, 3.25, 9, 30]])


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('spatial_scale', [1.0, 0.25])
def test_roi_align_equals_torchvision(
    ops: ModuleType, aligned: bool, sampling_ratio: int, spatial_scale: float
) -> None:
    features = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pooled = ops.RoIAlign((3, 2), spatial_scale, sampling_ratio, aligned=aligned)(features, ROIS)
    expected = torchvision.ops.roi_align(
        features, ROIS, (3, 2), spatial_scale, sampling_ratio, aligned
    )
    assert pooled.shape == (3, 3, 3, 2)
    torch.testing.assert_close(pooled, expected)


def test_roi_align_of_a_ramp_is_its_value_at_bin_centres(ops: ModuleType) -> None:
    ys, xs = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing='ij')
    features = (10 * ys + xs)[None, None]
    roi = torch.tensor([[0.0, 4, 2, 8, 8]])  # 4 wide, 6 high: bins of 2 x 2
    pooled = ops.RoIAlign((3, 2), aligned=True)(features, roi)
    # pixel i has its centre at i + 0.5, bins theirs at x = 5, 7 and y = 3, 5, 7
    expected = [[10 * y + x for x in (4.5, 6.5)] for y in (2.5, 4.5, 6.5)]
    torch.testing.assert_close(pooled[0, 0], torch.tensor(expected))


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align_gradient(ops: ModuleType, aligned: bool, sampling_ratio: int) -> None:
    features = torch.randn(2, 2, 8, 8, dtype=torch.double, requires_grad=True)
    pool = ops.RoIAlign((3, 2), 0.25, sampling_ratio, aligned=aligned)
    assert torch.autograd.gradcheck(lambda x: pool(x, ROIS.double()), features)


def test_roi_align_adds_to_the_gradient_given() -> None:
    grad_output, empty = torch.ones(3, 1, 2, 2), torch.zeros(0)
    gradients = []
    for start in (0.0, 5.0):
        grad_input = torch.full((2, 1, 8, 8), start)
        stand_in.roi_align_backward(
            grad_output, ROIS, empty, empty, grad_input, 2, 2, 0.25, 2, 1, True
        )
        gradients.append(grad_input)
    assert gradients[0].sum().item() == pytest.approx(12)  # every average passes on all of its 1
    torch.testing.assert_close(gradients[1], gradients[0] + 5)


def test_roi_align_in_bfloat16(ops: ModuleType) -> None:
    features = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    features.requires_grad_()
    pool = ops.RoIAlign((3, 2))
    pooled = pool(features, ROIS.bfloat16())
    pooled.sum().backward()
    assert pooled.dtype == features.grad.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), pool(features.float(), ROIS), rtol=1e-2, atol=1e-2)


def test_roi_align_by_max_says_what_it_needs() -> None:
    out, empty = torch.zeros(3, 1, 2, 2), torch.zeros(0)
    with pytest.raises(NotImplementedError, match=r"pool_mode='max'.*mim install"):
        stand_in.roi_align_forward(
            torch.zeros(2, 1, 8, 8), ROIS, out, out, out, 2, 2, 1.0, 0, 0, True
        )
    with pytest.raises(NotImplementedError, match=r"pool_mode='max'.*mim install"):
        stand_in.roi_align_backward(
            out, ROIS, empty, empty, torch.zeros(2, 1, 8, 8), 2, 2, 1.0, 0, 0, True
        )
