"""Saved classifiers give the logits of the head on the supernet's features."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from tiny.families import SIZE, TINY, build, images

from poa_mm.evaluation import SharedPrefixes
from poa_mm.evaluation.probe.classifier import (
    classifier_config,
    save_classifier,
    stock_of_state,
    stock_of_subnet,
)
from poa_mm.evaluation.probe.sources import SOURCES, probe_columns
from poa_mm.models.backbones.pretrained import load_pretrained
from poa_mm.registry import MODELS

CLASSES = ('ant', 'bee', 'cat')
PREPROCESSOR = {'mean': [0.0] * 3, 'std': [1.0] * 3, 'type': 'SelfSupDataPreprocessor'}


@pytest.mark.parametrize('family', TINY)
@pytest.mark.parametrize('source', SOURCES)
@torch.inference_mode()
def test_the_classifier_computes_what_the_head_computes(family, source, tmp_path):
    backbone = build(family, **TINY[family])
    subnet = backbone.subnets[1]
    batch = images(family, batch=3)
    ((_, *tokens),) = SharedPrefixes(backbone, [subnet]).tokens_and_levels(batch)
    features, sources = probe_columns(*tokens)
    inputs = sources.split(features)[source]
    weight, bias = torch.randn(3, inputs.shape[1]), torch.randn(3)
    extracted = backbone.extract(subnet)
    from_file = stock_of_state(backbone.subnet_cfg(subnet), extracted.state_dict(), source)
    for number, stock in enumerate((stock_of_subnet(backbone, subnet, source), from_file)):
        grid = backbone.mask_grid(SIZE[family], SIZE[family])
        cfg = classifier_config(
            stock, source, CLASSES, inputs.shape[1], grid, PREPROCESSOR, {'type': 'ImageFolder'}
        )
        files = save_classifier(tmp_path, f'head{number}', cfg, stock, weight, bias, CLASSES)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(Config.fromfile(files[0]).model).eval()
        load_pretrained(model, str(files[1]))  # every weight, and no others
        logits = model(batch, mode='tensor')
        torch.testing.assert_close(logits, inputs @ weight.T + bias, rtol=1e-4, atol=1e-5)
