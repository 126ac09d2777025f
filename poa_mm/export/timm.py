"""Files for timm: safetensors that ``timm.create_model`` loads strictly."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poa_mm.engine.tensor_file import read_tensors, write_tensors
from poa_mm.export.check import largest_difference
from poa_mm.export.job import Job, Written
from poa_mm.export.timm_forms import timm_form
from poa_mm.preprocessing import ABOUT

BUILD = 'timm'  # key of the metadata
TOLERANCE = 1e-9  # of the outputs, in float64
# What create_model loads weights or configs from; a file has no say in this.
SOURCES = ('pretrained', 'checkpoint_path', 'cache_dir', 'pretrained_cfg_overlay')


def write_timm(job: Job, path: Path) -> Written:
    """Write weights under timm's names, and how timm builds the network as metadata.

    Raises:
        ValueError: timm has no such network, or its outputs differ.
    """
    net = job.network()
    form = timm_form(net.backbone, job.preprocessing.image_size)
    kwargs = {**form.kwargs, 'num_classes': 0, 'pretrained_cfg': _data_cfg(job)}
    build = {'model': form.model, 'kwargs': kwargs}
    metadata = {BUILD: json.dumps(build), ABOUT: json.dumps(job.about)}
    write_tensors(form.state, metadata, path)
    opened = load_timm(path).double()
    net.double()
    difference = largest_difference(
        lambda images: (opened(images),),
        lambda images: net(images)[:1],
        job.input_shape,
        TOLERANCE,
        torch.float64,
    )
    return Written(
        outputs=f'(B, {opened.num_features}), {net.pooling}',
        snippet=_snippet(path.name, build, job),
        difference=difference,
        tolerance=TOLERANCE,
        build=build,
    )


def load_timm(path: str | PathLike, **overrides: Any) -> nn.Module:
    """Build the timm network of a file that was exported to timm, and load its weights strictly.

    Args:
        path: File of ``tools/export_subnet.py --to timm``.
        **overrides: Arguments of ``timm.create_model`` to set or replace, such as
            ``drop_path_rate`` or ``dynamic_img_size``.

    Returns:
        The network on the CPU, in evaluation mode, with weights of the data type that the file
        holds. Images (B, C, H, W) go in, pooled features (B, D) come out.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, a damaged one, or weights that do not fit.
    """
    import timm

    state, metadata = read_tensors(path)
    if BUILD not in metadata:
        raise ValueError(f'{path} was not exported to timm; poa_mm.load_backbone may open it')
    build = json.loads(metadata[BUILD])
    foreign = [name for name in SOURCES if name in build['kwargs']]
    if foreign or not timm.is_model(build['model']):
        raise ValueError(f'{path} would have timm load {foreign or build["model"]}: refused')
    try:
        net = timm.create_model(build['model'], **{**build['kwargs'], **overrides})
        net.to(_dtype(state)).load_state_dict(state, strict=True)
    except (AssertionError, RuntimeError, TypeError) as error:
        raise ValueError(f'timm cannot load {path}: {error}') from error
    return net.eval()


def _dtype(state: dict[str, Tensor]) -> torch.dtype:
    return next(tensor.dtype for tensor in state.values() if tensor.is_floating_point())


def _data_cfg(job: Job) -> dict[str, Any]:
    """What ``timm.data.resolve_model_data_config`` reads from a network."""
    preprocessing = job.preprocessing
    return {
        'input_size': list(job.input_shape),
        'mean': list(preprocessing.unit_mean),
        'std': list(preprocessing.unit_std),
        'crop_pct': preprocessing.crop_ratio,
        'interpolation': preprocessing.interpolation,
    }


def _snippet(name: str, build: dict[str, Any], job: Job) -> str:
    arguments = ''.join(f'    {key}={value!r},\n' for key, value in build['kwargs'].items())
    shape = ', '.join(map(str, job.input_shape))
    return (
        'import timm\nimport torch\n\n'
        f'net = timm.create_model(\n    {build["model"]!r},\n'
        f'    checkpoint_path={name!r},\n{arguments})\n'
        'net.eval()\n'
        'transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net))\n'
        f'images = torch.rand(1, {shape})  # prepared as above, or by transform\n'
        'features = net(images)'
    )
