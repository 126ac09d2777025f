"""Exports for PyTorch alone and for ONNX Runtime, opened to be measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poa_mm.evaluation.networks.measured import Tokens
from poa_mm.export.formats import FORMATS

__all__ = ['Exported', 'open_onnx', 'open_torchscript']

KEY = 'poa_mm'  # of what tools/export_subnet.py writes about the network


class Exported(NamedTuple):
    """An export.

    Attributes:
        run: From images (B, C, H, W) to tokens.
        about: What its file says of it.
    """

    run: Callable[[Tensor], Tokens]
    about: dict[str, Any]


def open_torchscript(path: Path, device: torch.device) -> Exported:
    """Open a file of ``tools/export_subnet.py --to torchscript``.

    Raises:
        ValueError: A damaged file, or one of another program.
    """
    extra = {f'{KEY}.json': ''}
    try:
        net = torch.jit.load(path, map_location=device, _extra_files=extra)
    except RuntimeError as error:
        raise ValueError(f'{path} cannot be read: {str(error).splitlines()[0]}') from error
    return Exported(lambda images: _tokens(*net(images)), _about(extra[f'{KEY}.json'], path))


def open_onnx(path: Path, device: torch.device) -> Exported:
    """Open a file of ``tools/export_subnet.py --to onnx``, on a GPU if the runtime has it.

    Raises:
        ModuleNotFoundError: ONNX Runtime is not installed.
        ValueError: A damaged file, or one of another program.
    """
    FORMATS['onnx'].check_packages()
    import onnxruntime

    wanted = ['CPUExecutionProvider']
    if device.type == 'cuda' and 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        wanted.insert(0, 'CUDAExecutionProvider')
    try:
        session = onnxruntime.InferenceSession(path, providers=wanted)
    except Exception as error:  # of classes that the runtime does not export
        raise ValueError(f'{path} cannot be read: {str(error).splitlines()[0]}') from error
    about = _about(session.get_modelmeta().custom_metadata_map.get(KEY, ''), path)

    def run(images: Tensor) -> Tokens:
        outputs = session.run(None, {'images': images.float().cpu().numpy()})
        return _tokens(*(torch.from_numpy(output).to(images.device) for output in outputs))

    return Exported(run, about)


def _about(text: str | bytes, path: Path) -> dict[str, Any]:
    if not text:
        raise ValueError(
            f'{path} was not written by tools/export_subnet.py: it does not say what images it '
            'expects'
        )
    return json.loads(text)


def _tokens(features: Tensor, feature_map: Tensor) -> Tokens:
    rows, columns = feature_map.shape[-2:]
    return Tokens(features, feature_map.flatten(2).mT, (rows, columns))
