"""Detection configs against the protocol behind Table 2, and at full size."""

import functools
import math
import re

import numpy as np
import pytest
import torch
from helpers import ROOT, load_config, load_tool
from mmengine.optim import build_optim_wrapper
from mmengine.registry import TRANSFORMS

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.models.backbones.pretrained import _misfits
from poa_mm.registry import MODELS

FOLDER = ROOT / 'configs' / 'det'
ENTRIES = sorted(path.stem for path in FOLDER.glob('cascade_poa_*.py') if 'tiny' not in path.stem)


def load(name):
    return load_config(f'det/{name}.py')


@functools.cache
def build(name):
    """The detector of a config, at full size, without memory for its weights."""
    return build_on_meta({'_scope_': 'mmdet', **load(name).model})


def test_all_sizes_of_all_families_are_there():
    sizes = ('resnet-50', 'resnet-101', 'resnet-152', 'swin-t', 'swin-s', 'swin-b', 'vit-s')
    assert {f'cascade_poa_{size}' for size in (*sizes, 'vit-b', 'vit-l')} == set(ENTRIES)


@pytest.mark.parametrize('name', ENTRIES)
def test_each_says_where_it_comes_from(name):
    text = (FOLDER / f'{name}.py').read_text().split('"""')[1]
    assert re.search(r'^Paper: (Table 2; expected box AP|not in it; )', text, re.MULTILINE)
    assert f'Command: tools/dist_train.sh configs/det/{name}.py 8' in text
    assert 'Hardware: 8 GPUs × 2 images, float32' in text


# ------------------------------------------------------------------ the protocol


@pytest.mark.parametrize(
    ('name', 'arch', 'img_size', 'drop_path', 'lr', 'decay'),
    [
        ('vit-s', (384, 12, 6, 1536), (800, 1008), 0.1, 3e-4, 0.7),
        ('vit-b', (768, 12, 12, 3072), (672, 1088), 0.2, 1e-4, 0.65),
    ],
)
def test_what_differs_between_the_two_of_the_paper(name, arch, img_size, drop_path, lr, decay):
    cfg = load(f'cascade_poa_{name}')
    vit = cfg.model.backbone
    keys = ('embed_dims', 'num_layers', 'num_heads', 'feedforward_channels')
    assert tuple(vit.arch[key] for key in keys) == arch
    assert (vit.img_size, vit.drop_path_rate) == (img_size, drop_path)
    assert (vit.type, vit.out_indices) == ('mmpretrain.VisionTransformer', [3, 5, 7, 11])
    assert (vit.patch_size, vit.final_norm, vit.out_type) == (16, False, 'featmap')
    assert cfg.optim_wrapper.optimizer == {
        'type': 'AdamW',
        'lr': lr,
        'betas': (0.9, 0.999),
        'weight_decay': 0.05,
    }
    assert cfg.optim_wrapper.paramwise_cfg == {'layer_decay': decay}
    assert cfg.optim_wrapper.type == 'OptimWrapper'  # float32, no clipping
    assert 'clip_grad' not in cfg.optim_wrapper


@pytest.mark.parametrize('name', ENTRIES)
def test_schedule(name):
    cfg = load(name)
    warmup, steps = cfg.param_scheduler
    assert (warmup.type, warmup.start_factor, warmup.end) == ('LinearLR', 0.001, 500)
    assert not warmup.by_epoch
    assert (steps.type, steps.milestones, steps.gamma) == ('MultiStepLR', [27, 33], 0.1)
    assert steps.by_epoch
    assert (cfg.train_cfg.type, cfg.train_cfg.max_epochs) == ('EpochBasedTrainLoop', 36)
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.auto_scale_lr == {'enable': False, 'base_batch_size': 16}
    assert cfg.custom_hooks == [{'type': 'PretrainedCheckHook'}, {'type': 'ClassCheckHook'}]
    kinds = [backend.type for backend in cfg.visualizer.vis_backends]
    assert kinds == ['LocalVisBackend', 'TensorboardVisBackend']


@pytest.mark.parametrize('name', ENTRIES)
def test_heads(name):
    model = load(name).model
    neck = model.neck[-1] if isinstance(model.neck, list) else model.neck
    assert (neck.type, neck.out_channels, neck.num_outs) == ('FPN', 256, 5)
    rpn, roi = model.rpn_head, model.roi_head
    anchors = rpn.anchor_generator
    assert (anchors.scales, anchors.ratios) == ([8], [0.5, 1.0, 2.0])
    assert anchors.strides == [4, 8, 16, 32, 64]
    assert (rpn.loss_cls.type, rpn.loss_cls.use_sigmoid) == ('CrossEntropyLoss', True)
    assert (rpn.loss_bbox.type, rpn.loss_bbox.beta) == ('SmoothL1Loss', 1 / 9)
    assert (roi.type, roi.num_stages, roi.stage_loss_weights) == (
        'CascadeRoIHead',
        3,
        [1, 0.5, 0.25],
    )
    stds = [0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]
    for head, std in zip(roi.bbox_head, stds, strict=True):
        assert (head.type, head.num_shared_convs, head.num_shared_fcs) == ('ConvFCBBoxHead', 4, 1)
        assert (head.fc_out_channels, head.norm_cfg.type) == (1024, 'SyncBN')
        assert (head.reg_class_agnostic, head.reg_decoded_bbox) == (False, True)
        assert (head.loss_bbox.type, head.loss_bbox.loss_weight) == ('GIoULoss', 10.0)
        assert (head.loss_cls.type, head.loss_cls.loss_weight) == ('CrossEntropyLoss', 1.0)
        assert head.bbox_coder.target_stds == std
    assert (roi.mask_head.num_convs, roi.mask_head.conv_out_channels) == (4, 256)
    for extractor, size in ((roi.bbox_roi_extractor, 7), (roi.mask_roi_extractor, 14)):
        layer = extractor.roi_layer
        assert (layer.type, layer.output_size, layer.sampling_ratio) == ('RoIAlign', size, 0)


@pytest.mark.parametrize('name', ENTRIES)
def test_assignment_and_suppression(name):
    model = load(name).model
    train, test = model.train_cfg, model.test_cfg
    assigner = train.rpn.assigner
    assert (assigner.pos_iou_thr, assigner.neg_iou_thr, assigner.min_pos_iou) == (0.7, 0.3, 0.3)
    assert (train.rpn.sampler.num, train.rpn.sampler.pos_fraction) == (256, 0.5)
    proposals = train.rpn_proposal
    assert (proposals.nms_pre, proposals.max_per_img, proposals.nms.iou_threshold) == (
        2000,
        2000,
        0.7,
    )
    for stage, threshold in zip(train.rcnn, (0.5, 0.6, 0.7), strict=True):
        thresholds = (stage.assigner.pos_iou_thr, stage.assigner.neg_iou_thr)
        assert thresholds == (threshold, threshold)
        assert (stage.sampler.num, stage.sampler.pos_fraction, stage.mask_size) == (512, 0.25, 28)
    assert (test.rpn.nms_pre, test.rpn.max_per_img, test.rpn.nms.iou_threshold) == (1000, 1000, 0.7)
    assert (test.rcnn.score_thr, test.rcnn.nms.iou_threshold) == (0.05, 0.5)
    assert (test.rcnn.max_per_img, test.rcnn.mask_thr_binary) == (100, 0.5)


SHORT_SIDES = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
RESIZE = {
    'type': 'RandomChoiceResize',
    'scales': [(side, 1333) for side in SHORT_SIDES],
    'keep_ratio': True,
}
# "The long side at most 4200": no limit, for an image of COCO.
RESIZE_FIRST = {**RESIZE, 'scales': [(400, 4200), (500, 4200), (600, 4200)]}
CROP = {
    'type': 'RandomCrop',
    'crop_type': 'absolute_range',
    'crop_size': (384, 600),
    'allow_negative_crop': True,
}


@pytest.mark.parametrize('name', ENTRIES)
def test_image_settings_of_the_protocol(name):
    cfg = load(name)
    train = cfg.train_dataloader.dataset
    assert train.pipeline == [
        {'type': 'LoadImageFromFile', 'ignore_empty': True},
        {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'RandomChoice', 'transforms': [[RESIZE], [RESIZE_FIRST, CROP, RESIZE]]},
        {'type': 'PackDetInputs'},
    ]
    assert train.filter_cfg == {'filter_empty_gt': True, 'min_size': 32}
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        assert loader.dataset.ann_file == f'annotations/instances_{split}2017.json'
        assert loader.dataset.data_prefix == {'img': f'{split}2017/'}
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.test_mode
        kinds = [step.type for step in loader.dataset.pipeline]
        assert kinds == ['LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackDetInputs']
        assert loader.dataset.pipeline[1] == {
            'type': 'Resize',
            'scale': (1333, 800),
            'keep_ratio': True,
        }
    assert cfg.model.data_preprocessor.pad_size_divisor == 32
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert (evaluator.type, evaluator.metric) == ('CocoMetric', ['bbox', 'segm'])


def test_image_sizes():
    """Of many draws: DETR's policy, of which half the draws crop."""
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    choice = load('cascade_poa_vit-s').train_dataloader.dataset.pipeline[3]
    policy = TRANSFORMS.build({'_scope_': 'mmdet', **choice})
    np.random.seed(0)  # noqa: NPY002 - mmcv draws from it
    cropped = []
    for _ in range(60):
        image = {
            'img': np.zeros((480, 640, 3), np.uint8),
            'img_shape': (480, 640),
            'gt_bboxes': np.array([[300.0, 200, 420, 330]], np.float32),
            'gt_bboxes_labels': np.array([1]),
            'gt_ignore_flags': np.array([False]),
        }
        height, width = policy(image)['img'].shape[:2]
        short, long = sorted((height, width))
        assert long <= 1333
        assert short in SHORT_SIDES or long == 1333
        cropped.append(not math.isclose(width / height, 4 / 3, rel_tol=0.01))
    assert 15 < sum(cropped) < 45


# ------------------------------------------------------------------ built


@pytest.fixture(scope='module')
def vit_s():
    """The detector of the paper's ViT-S at full size, with random weights."""
    from mmengine.model import revert_sync_batchnorm

    model = load('cascade_poa_vit-s').model
    return revert_sync_batchnorm(MODELS.build({'_scope_': 'mmdet', **model}))


def test_layer_decay_of_the_protocol(vit_s):
    """rate^(13 − id): 0 for the embedding, i + 1 for block i, 13 for all that is not backbone."""
    cfg = load('cascade_poa_vit-s')
    names = {parameter: name for name, parameter in vit_s.named_parameters()}
    wrapper = build_optim_wrapper(vit_s, cfg.optim_wrapper)
    found = {}
    for group in wrapper.optimizer.param_groups:
        for parameter in group['params']:
            found[names[parameter]] = (group['lr'], group['weight_decay'])
    assert set(found) == set(names.values())
    for name, (lr, weight_decay) in found.items():
        layer = 13
        if name.startswith('backbone.layers.'):
            layer = int(name.split('.')[2]) + 1
        elif name.startswith('backbone.'):
            layer = 0
        assert lr == pytest.approx(3e-4 * 0.7 ** (13 - layer)), name
        # Unlike the authors' code, which means to spare the embeddings but looks for other names.
        spared = vit_s.get_parameter(name).ndim == 1 or name.endswith(('cls_token', 'pos_embed'))
        assert weight_decay == (0.0 if spared or name.endswith('.bias') else 0.05), name


def test_the_pyramid_has_the_strides_that_the_heads_assume(vit_s):
    vit_s.eval()
    with torch.no_grad():
        maps = vit_s.extract_feat(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]


def test_a_real_step_of_the_full_size_vit_s(vit_s):
    """Forward and backward, on a small image; every weight learns."""
    vit_s.train()
    for sampler in vit_s.roi_head.bbox_sampler:
        sampler.num = 32  # the 512 of training are most of the time
    torch.manual_seed(0)
    data = vit_s.data_preprocessor(
        load_tool('det_step', 'benchmarks').batch(1, 128, 160, seed=0), training=True
    )
    total, terms = vit_s.parse_losses(vit_s(**data, mode='loss'))
    assert all(math.isfinite(value) for value in terms.values())
    assert {
        f's{stage}.loss_{kind}' for stage in range(3) for kind in ('cls', 'bbox', 'mask')
    } < set(terms)
    total.backward()
    without = [name for name, p in vit_s.named_parameters() if p.grad is None]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in vit_s.parameters())


def listed(column):
    """Millions of parameters that configs/det/README.md states."""
    text = (FOLDER / 'README.md').read_text()
    rows = re.findall(
        r'^\| `configs/det/(\S+)\.py` \| ([\d.]+) M \| ([\d.]+) M \|', text, re.MULTILINE
    )
    return {row[0]: float(row[column]) for row in rows}


@pytest.mark.parametrize('name', ENTRIES)
def test_the_readme_counts_the_parameters(name):
    model = build(name)
    for module, column in ((model.backbone, 1), (model, 2)):
        millions = sum(parameter.numel() for parameter in module.parameters()) / 1e6
        assert listed(column)[name] == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    'supernet', ['poa_vit-l', 'poa_swin-b', 'poa_resnet-152'], ids=['vit', 'swin', 'resnet']
)
def test_every_backbone_fits_the_supernet_of_its_family(supernet):
    cfg = load_config(f'pretrain/{supernet}.py')
    family = supernet.removeprefix('poa_').split('-')[0]
    net = build_on_meta(cfg.model.backbone)
    names = [entry for entry in ENTRIES if f'_{family}-' in entry]
    assert len(names) == 3
    for name in names:
        source = load(name).model.backbone.init_cfg
        scheme, _, rest = source.checkpoint.partition('://')
        subnet, _, path = rest.partition('@')
        assert (scheme, subnet) == ('subnet', name.removeprefix('cascade_poa_'))
        assert path == f'work_dirs/{supernet}/iter_{cfg.max_iters}.pth'  # what that run leaves
        assert _misfits(build(name).backbone, net.subnet_state_dict(subnet)) == []
