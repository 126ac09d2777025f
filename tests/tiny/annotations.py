"""Annotation files in memory and on disk, and predictions that are their objects."""

import json

import numpy as np
import torch

from tiny.scenes import CLASSES

ANNOTATIONS = 'annotations/instances_train2017.json'
BOXES = ([8, 10, 40, 50], [60.5, 20, 30, 44], [4, 70, 90, 20], [100, 100, 20, 25])


def corners(box):
    """A rectangle as a polygon."""
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def small_content():
    """Two images of 128 × 128 pixels, two classes, four rectangles with masks."""
    return {
        'images': [{'id': i, 'file_name': f'{i}.png', 'width': 128, 'height': 128} for i in (1, 2)],
        'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}],
        'annotations': [
            {
                'id': number,
                'image_id': 1 + number % 2,
                'category_id': 1 + number // 3,
                'bbox': list(box),
                'segmentation': [corners(box)],
                'area': box[2] * box[3],
                'iscrowd': 0,
            }
            for number, box in enumerate(BOXES, start=1)
        ],
    }


def edit(folder, change):
    """Change the annotation file of a generated set."""
    path = folder / ANNOTATIONS
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def perfect_scores(metric, dataset):
    """What a metric says of predictions that are the objects of a data set with masks."""
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        truth = sample.gt_instances
        predicted = {
            'bboxes': truth.bboxes.tensor if hasattr(truth.bboxes, 'tensor') else truth.bboxes,
            'scores': torch.ones(len(truth)),
            'labels': truth.labels,
            'masks': torch.as_tensor(truth.masks.to_ndarray().astype(np.uint8)),
        }
        metric.process({}, [{**sample.metainfo, 'pred_instances': predicted}])
    return metric.evaluate(len(dataset))


def masked_pipeline():
    """Loading as in the detection configs, at the size of the file."""
    keys = ('img_id', 'img_path', 'ori_shape', 'img_shape')
    return [
        {'type': 'LoadImageFromFile'},
        {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        {'type': 'mmdet.PackDetInputs', 'meta_keys': keys},
    ]


def settings(folder, classes=CLASSES, **options):
    """Arguments of a data set in a folder of :func:`tiny.scenes.write_coco`."""
    return {
        'data_root': str(folder),
        'ann_file': ANNOTATIONS,
        'data_prefix': {'img': 'train2017/'},
        'metainfo': {'classes': classes},
        **options,
    }
