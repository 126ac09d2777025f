"""A supernet that starts from a backbone alone."""

import copy

import pytest
import torch
from tiny import TINY_BACKBONE, TINY_POA, randomise

from poa_mm.registry import MODELS


def checkpoint_of(path, prefix='', **overrides):
    """A file with the weights of a supernet, and these."""
    net = randomise(MODELS.build({**TINY_BACKBONE, 'with_mask_token': True, **overrides}))
    state = {f'{prefix}{name}': value for name, value in net.state_dict().items()}
    torch.save({'state_dict': {**state, 'head.weight': torch.ones(2)}} if prefix else state, path)
    return net


def build(path, prefix=None):
    init = {'type': 'Pretrained', 'checkpoint': str(path), 'prefix': prefix}
    cfg = copy.deepcopy(TINY_POA)
    cfg['backbone']['init_cfg'] = init
    model = MODELS.build(cfg)
    model.init_weights()
    return model


@pytest.mark.parametrize('prefix', ['teacher.backbone.', ''])
def test_students_and_teacher_start_from_it_and_the_heads_afresh(tmp_path, prefix):
    net = checkpoint_of(tmp_path / 'b.pth', prefix)
    poa = build(tmp_path / 'b.pth', prefix or None)
    for name, value in net.state_dict().items():
        assert torch.equal(poa.backbone.state_dict()[name], value), name
    student = [*poa.backbone.parameters(), *poa.head.parameters()]
    assert all(map(torch.equal, poa.teacher.parameters(), student))


def test_a_stock_backbone_has_no_mask_token(tmp_path):
    net = checkpoint_of(tmp_path / 'full.pth')
    stock = net.extract().state_dict()
    torch.save(stock, tmp_path / 'stock.pth')
    poa = build(tmp_path / 'stock.pth')
    assert not poa.backbone.mask_token.any()
    assert all(torch.equal(poa.backbone.state_dict()[name], stock[name]) for name in stock)


def test_weights_that_do_not_fit(tmp_path):
    arch = {**TINY_BACKBONE['arch'], 'num_layers': 3}
    checkpoint_of(tmp_path / 'shallow.pth', arch=arch, depths=[2, 3])
    with pytest.raises(ValueError, match=r'(?s)shallow\.pth do not fit: .*layers\.3\.ln1'):
        build(tmp_path / 'shallow.pth')
    checkpoint_of(tmp_path / 'b.pth', 'backbone.')
    with pytest.raises(ValueError, match=r"no weights that start with 'teacher\.backbone\.'"):
        build(tmp_path / 'b.pth', 'teacher.backbone.')
    with pytest.raises(FileNotFoundError, match=r'nothing\.pth'):
        build(tmp_path / 'nothing.pth')
