"""Folders that ``timm.create_model('local-dir:…')`` opens, in the format of the Hub."""

import json
import math
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poa_mm.checkpoints.preprocessing import ABOUT, Preprocessing
from poa_mm.checkpoints.safetensors_file import read_tensors, write_tensors
from poa_mm.export.check import largest_difference
from poa_mm.export.formats import CONFIG, WEIGHTS
from poa_mm.export.job import Job, Written
from poa_mm.export.timm_forms import TimmForm, timm_form

TOLERANCE = 1e-9  # for the outputs, in float64
LOAD = """\
import timm
import torch

net = timm.create_model({source!r}, pretrained=True)
net.eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net))
images = torch.rand(1, {shape})  # prepared as above, or by transform
features = net(images)"""


def write_timm(job: Job, path: Path) -> Written:
    """Write weights under timm's names, and a config, in the format of the Hub.

    Raises:
        ValueError: timm has no such network, or its outputs differ.
    """
    net = job.network()
    form = timm_form(net.backbone, job.preprocessing.image_size)
    config = _config(form, job)
    path.mkdir()
    (path / CONFIG).write_text(json.dumps(config, indent=2) + '\n', encoding='utf-8')
    write_tensors(form.state, {ABOUT: json.dumps(job.about)}, path / WEIGHTS)
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
        snippet=LOAD.format(
            source=f'local-dir:{path.name}', shape=', '.join(map(str, job.input_shape))
        ),
        difference=difference,
        tolerance=TOLERANCE,
        build=config,
    )


def load_timm(path: str | PathLike, **overrides: Any) -> nn.Module:
    """Open a folder that was exported to timm, and check that its weights are intact.

    ``timm.create_model('local-dir:…', pretrained=True)`` also opens it, without this check and
    always in float32.

    Args:
        path: Folder of ``tools/export_subnet.py --to timm``.
        **overrides: Arguments of ``timm.create_model`` to set or replace, such as ``num_classes``,
            ``img_size``, ``drop_path_rate`` or ``features_only``.

    Returns:
        The network on the CPU, in evaluation mode, with weights of the data type in the folder. It
        maps images (B, C, H, W) to pooled features (B, D).

    Raises:
        FileNotFoundError: There is no such folder, or a file in it is missing.
        ValueError: It is not an export to timm, it is damaged, or weights do not fit.
    """
    import timm

    path = Path(path)
    if path.is_file():
        raise ValueError(f'{path} is a file, where an export to timm is a folder')
    for name in (WEIGHTS, CONFIG):
        if not (path / name).is_file():
            raise FileNotFoundError(f'no {name} in {path}, so it is no export to timm')
    dtype = _dtype(read_tensors(path / WEIGHTS)[0])
    if dtype != torch.float32:
        overrides = {'dtype': dtype, **overrides}
    try:
        net = timm.create_model(f'local-dir:{path}', pretrained=True, **overrides)
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f'timm cannot load {path}: {" ".join(str(error).split())}') from error
    return net.eval()


def _dtype(state: dict[str, Tensor]) -> torch.dtype:
    return next(tensor.dtype for tensor in state.values() if tensor.is_floating_point())


def _config(form: TimmForm, job: Job) -> dict[str, Any]:
    """Make the config that timm's own ``save_for_hf`` writes.

    Raises:
        ValueError: timm cannot build the network.
    """
    import timm

    try:
        with torch.device('meta'):
            net = timm.create_model(form.model, num_classes=0, **form.kwargs)
    except (AssertionError, RuntimeError, TypeError) as error:
        raise ValueError(
            f'timm cannot build {form.model}: {" ".join(str(error).split())}'
        ) from error
    known = net.pretrained_cfg
    pool = getattr(net.global_pool, 'pool_type', net.global_pool)
    return {
        'architecture': form.model,
        'num_classes': 0,
        'num_features': net.num_features,
        'global_pool': pool,
        'model_args': {**form.kwargs, 'num_classes': 0, 'global_pool': pool},
        'pretrained_cfg': {
            'custom_load': False,
            'input_size': list(job.input_shape),
            'fixed_input_size': known.get('fixed_input_size', False),
            **_images(job.preprocessing),
            'num_classes': 0,
            'pool_size': None,
            'first_conv': known['first_conv'],
            'classifier': known['classifier'],
        },
    }


def _images(preprocessing: Preprocessing) -> dict[str, Any]:
    """Make the entries that ``timm.data.resolve_model_data_config`` reads."""
    return {
        'interpolation': preprocessing.interpolation.replace('-exact', ''),  # the same in PIL
        'crop_pct': _crop_share(preprocessing),
        'crop_mode': 'center',
        'mean': list(preprocessing.unit_mean),
        'std': list(preprocessing.unit_std),
    }


def _crop_share(preprocessing: Preprocessing) -> float:
    """Return a crop share from which timm, which rounds down, computes the same resize size."""
    side = min(preprocessing.image_size)
    resized = round(side / preprocessing.crop_ratio)
    share = side / resized
    return share if math.floor(side / share) == resized else math.nextafter(share, 0)
