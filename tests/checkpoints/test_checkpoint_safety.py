"""Opening a file never runs code that came with it."""

import io
import os
import zipfile

import pytest
import torch
from tiny.networks import poa_config

from poa_mm.checkpoints import load_backbone, load_config, load_supernet
from poa_mm.registry import MODELS

LOADERS = pytest.mark.parametrize('load', [load_supernet, load_config, load_backbone])


class Trojan:
    """Touches a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


@LOADERS
def test_pickled_code_does_not_run(load, tmp_path):
    path, trace = tmp_path / 'bad.pth', tmp_path / 'trace'
    torch.save({'state_dict': {}, 'supernet': Trojan(trace), 'backbone': Trojan(trace)}, path)
    with pytest.raises(ValueError, match='not a checkpoint that can be read'):
        load(path)
    assert not trace.exists()


def pickled_call_through_getattr(code):
    """``eval(code)``, with ``eval`` reached from the function ``getattr`` alone."""

    def function(module, name):
        return f'c{module}\n{name}\n'.encode()

    def text(value):
        return b'X' + len(value).to_bytes(4, 'little') + value.encode()

    getattr_ = function('__builtin__', 'getattr')
    builtins = getattr_ + getattr_ + text('__self__') + b'\x86R'
    evaluate = getattr_ + builtins + text('eval') + b'\x86R'
    # A function that torch trusts, and that calls its first argument.
    call = function('torch._tensor', '_rebuild_from_type_v2') + b'(' + evaluate
    call += function('torch', 'Tensor') + text(code) + b'\x85' + b'N' + b't' + b'R'
    return b'\x80\x02}' + text('state_dict') + call + b's.'


@LOADERS
def test_pickled_code_does_not_run_by_way_of_getattr(load, tmp_path):
    path, trace = tmp_path / 'bad.pth', tmp_path / 'trace'
    harmless = io.BytesIO()
    torch.save({'state_dict': {}}, harmless)
    with zipfile.ZipFile(harmless) as source, zipfile.ZipFile(path, 'w') as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith('data.pkl'):
                content = pickled_call_through_getattr(f'open({str(trace)!r}, "w")')
            target.writestr(name, content)
    with pytest.raises(ValueError, match='not a checkpoint that can be read'):
        load(path)
    assert not trace.exists()


@pytest.mark.parametrize('load', [load_supernet, load_backbone])
@pytest.mark.parametrize('nested', [False, True])
def test_configs_in_files_call_nothing(load, nested, tmp_path):
    path, trace = tmp_path / 'bad.pth', tmp_path / 'trace'
    cfg = {'type': 'subprocess.getoutput', 'cmd': f'touch {trace}'}
    if nested:
        backbone = poa_config()['backbone']
        if load is load_backbone:
            backbone = {'type': 'VisionTransformer', 'arch': backbone['arch']}
        cfg = {**backbone, 'layer_cfgs': {'act_cfg': cfg}}
    torch.save(
        {'state_dict': {}, 'supernet': {'backbone': cfg, 'config': {}}, 'backbone': cfg}, path
    )
    with pytest.raises(ValueError, match=r'subprocess\.getoutput'):
        load(path)
    assert not trace.exists()


def described(cfg):
    return {'state_dict': {}, 'supernet': {'backbone': cfg, 'config': {}}, 'backbone': cfg}


def stock_config():
    return {'type': 'VisionTransformer', 'arch': poa_config()['backbone']['arch']}


@pytest.mark.parametrize('name', ['CLIPGenerator', 'TimmClassifier', 'TIMMBackbone', 'ResNeXt'])
def test_registered_classes_that_are_no_backbones_of_ours_are_not_built(name, tmp_path):
    """Some of what OpenMMLab registers opens the file or address that it is given."""
    path = tmp_path / 'bad.pth'
    torch.save(described({'type': name}), path)
    with pytest.raises(ValueError, match=rf'described as {name}, which is no registered family'):
        load_supernet(path)
    with pytest.raises(ValueError, match=rf'as {name}, which no registered family extracts to'):
        load_backbone(path)
    layers = {'layer_cfgs': {'act_cfg': {'type': name}}}
    torch.save(described({**poa_config()['backbone'], **layers}), path)
    with pytest.raises(ValueError, match=rf'described with {name}, which is no known layer'):
        load_supernet(path)
    torch.save(described({**stock_config(), **layers}), path)
    with pytest.raises(ValueError, match=rf'described with {name}, which is no known layer'):
        load_backbone(path)


def test_what_a_file_would_initialise_from_is_left_alone(tmp_path):
    net = MODELS.build(stock_config())
    init = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'other.pth')}
    cfg = {**stock_config(), 'init_cfg': init}
    torch.save({'state_dict': net.state_dict(), 'backbone': cfg}, tmp_path / 'net.pth')
    assert load_backbone(tmp_path / 'net.pth').init_cfg != init


@pytest.mark.parametrize(
    'content',
    [
        {'state_dict': 3},
        {'state_dict': {3: torch.ones(1)}},
        {'state_dict': {}},
        {'state_dict': {}, 'supernet': {}, 'backbone': {}},
        {'state_dict': {}, 'supernet': 'x', 'backbone': 'x'},
        described('x'),
        described({3: 4}),
        described({'type': 'VisionTransformer', 'arch': 'no-such'}),
        described({'type': 'VisionTransformer', 'no_such_argument': 1}),
        described({'type': 'ElasticVisionTransformer', 'arch': 'no-such'}),
        described({'type': 'ElasticVisionTransformer', 'no_such_argument': 1}),
    ],
    ids=str,
)
@LOADERS
def test_foreign_content_is_named(load, content, tmp_path):
    if load is load_config and isinstance(content.get('supernet', {}), dict):
        content = {**content, 'supernet': {'backbone': {}}}
    torch.save(content, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match=r'foreign\.pth'):
        load(tmp_path / 'foreign.pth')


@pytest.mark.parametrize('load', [load_supernet, load_backbone])
def test_weights_that_are_no_tensors_are_named(load, tmp_path):
    content = described(poa_config()['backbone'] if load is load_supernet else stock_config())
    content['state_dict'] = {'cls_token': 'x', 'teacher.backbone.cls_token': 'x'}
    torch.save(content, tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match=r'foreign\.pth .* tensor as cls_token'):
        load(tmp_path / 'foreign.pth')
