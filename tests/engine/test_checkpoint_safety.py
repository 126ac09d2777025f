"""Opening a file never runs code that came with it."""

import io
import os
import zipfile

import pytest
import torch
from helpers import poa_config

from poa_mm.engine import load_backbone, load_config, load_supernet

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
