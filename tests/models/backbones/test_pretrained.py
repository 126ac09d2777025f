"""A supernet that starts from a backbone alone."""

import copy
import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from tiny.networks import TINY_BACKBONE, TINY_POA, randomise

from poa_mm.models.backbones.pretrained import load_into
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


class Trojan:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Where files of a folder can be loaded from."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def test_weights_from_an_address(tmp_path, address):
    net = checkpoint_of(tmp_path / 'b.pth')
    poa = build(f'{address}/b.pth')
    assert torch.equal(poa.backbone.cls_token, net.cls_token)
    (tmp_path / 'b.pth').unlink()
    assert torch.equal(build(f'{address}/b.pth').backbone.cls_token, net.cls_token)  # cached


def test_a_file_in_the_format_of_torch_before_1_6(tmp_path):
    net = checkpoint_of(tmp_path / 'b.pth')
    torch.save(net.state_dict(), tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert torch.equal(build(tmp_path / 'old.pth').backbone.cls_token, net.cls_token)


@pytest.mark.parametrize('by_address', [False, True])
def test_code_in_a_checkpoint_does_not_run(tmp_path, address, by_address):
    path, trace = tmp_path / 'bad.pth', tmp_path / 'trace'
    torch.save({'state_dict': {}, 'more': Trojan(trace)}, path)
    with pytest.raises(ValueError, match=r'bad\.pth is not a checkpoint that can be read'):
        build(f'{address}/bad.pth' if by_address else path)
    assert not trace.exists()


def test_files_that_are_no_checkpoint(tmp_path):
    checkpoint_of(tmp_path / 'b.pth')
    content = (tmp_path / 'b.pth').read_bytes()
    (tmp_path / 'half.pth').write_bytes(content[: len(content) // 2])
    (tmp_path / 'text.pth').write_text('hi')
    for name in ('half.pth', 'text.pth'):
        with pytest.raises(ValueError, match=rf'{name} is not a .*: no file that torch'):
            build(tmp_path / name)
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match=r'list\.pth holds no state dict'):
        build(tmp_path / 'list.pth')


def test_an_image_size_for_a_stock_backbone_is_refused(tmp_path):
    torch.save({}, tmp_path / 'b.pth')
    init = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'b.pth'), 'img_size': 16}
    with pytest.raises(ValueError, match=r'img_size of init_cfg is for elastic .* not for Linear'):
        load_into(torch.nn.Linear(1, 1), init)
