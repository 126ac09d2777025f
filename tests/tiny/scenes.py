"""A generated COCO-format set, cut-outs on photographs, and a detector small enough for it."""

import itertools
import json
import math

import numpy as np
import torch
from helpers import ROOT
from mmengine.config import Config
from PIL import Image, ImageDraw
from skimage import data as photos

CLASSES = ('triangle', 'square', 'hexagon')
CORNERS = (3, 4, 6)
SIZE = 128
WIDTH, CHANNELS = 96, 32  # of the backbone and of all heads
_numbers = itertools.count()  # mmengine keeps loggers by the name of the experiment
OVERFIT = ROOT / 'configs' / 'det' / 'cascade_poa_vit-tiny_overfit.py'


def write_coco(folder, images=4, seed=0):
    """Write scenes of one to three cut-outs below ``folder``, as COCO lays them out.

    Every class is a shape cut out of one photograph, so it can be told by form and texture.
    """
    rng = np.random.default_rng(seed)
    backgrounds = [photos.astronaut(), photos.chelsea(), photos.coffee(), photos.rocket()]
    textures = [picture(photos.brick()), picture(photos.grass()), picture(photos.moon())]
    annotations = []
    (folder / 'train2017').mkdir(parents=True)
    (folder / 'annotations').mkdir()
    for image_id in range(1, images + 1):
        scene = picture(backgrounds[image_id % len(backgrounds)])
        quarters = rng.permutation(4)[: rng.integers(1, 4)]  # no cut-out hides another
        for quarter in quarters.tolist():
            label = int(rng.integers(len(CLASSES)))
            polygon = outline(label, quarter, rng)
            mask = Image.new('L', scene.size)
            ImageDraw.Draw(mask).polygon(polygon, fill=255)
            scene.paste(textures[label], mask=mask)
            annotations.append(annotation(len(annotations) + 1, image_id, label, polygon))
        scene.save(folder / 'train2017' / f'{image_id}.png')
    content = {
        'images': [
            {'id': i, 'file_name': f'{i}.png', 'width': SIZE, 'height': SIZE}
            for i in range(1, images + 1)
        ],
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)],
        'annotations': annotations,
    }
    (folder / 'annotations' / 'instances_train2017.json').write_text(json.dumps(content))


def picture(photo):
    return Image.fromarray(photo).convert('RGB').resize((SIZE, SIZE))


def outline(label, quarter, rng):
    """Corners of a regular polygon within a quarter of the scene."""
    half = SIZE / 2
    radius = rng.uniform(0.3, 0.48) * half
    centre = (half * (quarter % 2 + 0.5), half * (quarter // 2 + 0.5))
    turn = rng.uniform(0, 2 * math.pi)
    angles = [turn + 2 * math.pi * corner / CORNERS[label] for corner in range(CORNERS[label])]
    return [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]


def annotation(number, image_id, label, polygon):
    x, y = zip(*polygon, strict=True)
    following = [*polygon[1:], polygon[0]]
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, following, strict=True))
    return {
        'id': number,
        'image_id': image_id,
        'category_id': label + 1,
        'bbox': [min(x), min(y), max(x) - min(x), max(y) - min(y)],
        'segmentation': [[coordinate for point in polygon for coordinate in point]],
        'area': abs(twice) / 2,
        'iscrowd': 0,
    }


def write_config(path, coco, text=''):
    """Write the over-fitting config for the set in ``coco``, two iterations, and ``text``."""
    classes = f'classes={CLASSES!r}'
    path.write_text(f"""
_base_ = {str(OVERFIT)!r}
heads = [
    {{**head, 'num_classes': {len(CLASSES)}, 'in_channels': {CHANNELS},
     'conv_out_channels': {CHANNELS}, 'fc_out_channels': 64}}
    for head in _base_.model.roi_head.bbox_head
]
pyramid, fpn = _base_.model.neck
model = dict(
    backbone=dict(arch=dict(embed_dims={WIDTH}, feedforward_channels={2 * WIDTH})),
    neck=[
        {{**pyramid, 'embed_dim': {WIDTH}}},
        {{**fpn, 'in_channels': {[WIDTH] * 4}, 'out_channels': {CHANNELS}}},
    ],
    rpn_head=dict(in_channels={CHANNELS}, feat_channels={CHANNELS}),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels={CHANNELS}),
        bbox_head=heads,
        mask_roi_extractor=dict(out_channels={CHANNELS}),
        mask_head=dict(
            num_classes={len(CLASSES)}, in_channels={CHANNELS}, conv_out_channels={CHANNELS}
        ),
    ),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=100),
        rcnn=[
            {{**stage, 'sampler': {{**stage.sampler, 'num': 32}}}}
            for stage in _base_.model.train_cfg.rcnn
        ],
    ),
    test_cfg=dict(rpn=dict(max_per_img=100), rcnn=dict(score_thr=0.0)),
)
resize = dict(type='Resize', scale=({SIZE}, {SIZE}), keep_ratio=True)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        data_root={str(coco)!r},
        metainfo=dict({classes}),
        pipeline=[*_base_.load, resize, dict(type='PackDetInputs')],
    ),
)
test_pipeline = _base_.val_dataloader.dataset.pipeline
val_dataloader = dict(
    dataset=dict(
        data_root={str(coco)!r},
        metainfo=dict({classes}),
        pipeline=[test_pipeline[0], resize, *test_pipeline[2:]],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={str(coco / 'annotations/instances_train2017.json')!r})
test_evaluator = val_evaluator
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
experiment_name = {f'scenes-{next(_numbers)}'!r}
{text}""")
    return path


def small_detector():
    """The over-fitting config's model with random weights of seed 0."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.model import revert_sync_batchnorm

    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(OVERFIT).model
    cfg.test_cfg.rcnn.score_thr = 0.0
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return revert_sync_batchnorm(model)


def small_scene():
    """One image of noise with one box and its mask, as a loader collates it."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    generator = torch.Generator().manual_seed(0)
    mask = np.zeros((1, SIZE, SIZE), np.uint8)
    mask[:, 8:72, 16:100] = 1
    shape = (SIZE, SIZE)
    sample = DetDataSample(
        metainfo={'img_shape': shape, 'ori_shape': shape, 'scale_factor': (1.0, 1.0)},
        gt_instances=InstanceData(
            bboxes=torch.tensor([[16.0, 8, 100, 72]]),
            labels=torch.tensor([1]),
            masks=BitmapMasks(mask, SIZE, SIZE),
        ),
    )
    image = torch.randint(0, 256, (3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return {'inputs': [image], 'data_samples': [sample]}
