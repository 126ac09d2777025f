"""A tiny supernet and two small data sets of real patches."""

import pytest
import torch
from mmengine.config import Config

from poa_mm.evaluation import KnnEvaluator
from poa_mm.registry import ELASTIC_BACKBONES

PIPELINE = [{'type': 'NumpyToPIL', 'to_rgb': True}, {'type': 'PackInputs'}]


def patches(split, count):
    return {
        'type': 'PhotoPatches',
        'split': split,
        'patch_size': 16,
        'patches_per_photo': count,
        'test_mode': True,
        'pipeline': PIPELINE,
    }


@pytest.fixture(scope='module')
def cfg():
    return Config(
        {
            'knn_train_dataset': patches('train', 3),
            'knn_test_dataset': patches('test', 2),
            'data_preprocessor': {
                'type': 'SelfSupDataPreprocessor',
                'mean': [123.675, 116.28, 103.53],
                'std': [58.395, 57.12, 57.375],
            },
        }
    )


@pytest.fixture(scope='module')
def backbone():
    torch.manual_seed(1)
    arch = {'embed_dims': 64, 'num_layers': 3, 'num_heads': 4, 'feedforward_channels': 128}
    net = ELASTIC_BACKBONES.build(
        {
            'type': 'ElasticVisionTransformer',
            'arch': arch,
            'widths': [32, 48, 64],
            'depths': [2, 3],
            'img_size': 16,
            'patch_size': 4,
        }
    )
    net.eval()
    return net


@pytest.fixture(scope='module')
def evaluator(cfg):
    return KnnEvaluator.from_config(cfg, progress=False)
