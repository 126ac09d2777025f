"""Files for mmpretrain: torch's format, and safetensors that hold the config."""

import json
from pathlib import Path

import torch

from poa_mm.checkpoints.checkpoint import BACKBONE_INFO, load_backbone, save_backbone
from poa_mm.checkpoints.preprocessing import ABOUT
from poa_mm.checkpoints.safetensors_file import write_tensors
from poa_mm.export.job import Job, Written
from poa_mm.export.network import image_size_argument
from poa_mm.registry import package_to_import

OUTPUTS = "a tuple of features, those of mmpretrain's class"
OWN_CLASS = 'import {package}  # registers the class\n'
LOAD_PTH = """\
import torch
{imports}from mmpretrain.registry import MODELS

content = torch.load({name!r}, weights_only=True)
net = MODELS.build(content['backbone'])
net.load_state_dict(content['state_dict'])
net.eval()
images = torch.rand(1, {shape})  # prepared as above
features = net(images)[-1]"""
LOAD_SAFETENSORS = """\
import json
import torch
{imports}from mmpretrain.registry import MODELS
from safetensors import safe_open
from safetensors.torch import load_file

with safe_open({name!r}, framework='pt') as file:
    net = MODELS.build(json.loads(file.metadata()['backbone']))
net.load_state_dict(load_file({name!r}))
net.eval()
images = torch.rand(1, {shape})  # prepared as above
features = net(images)[-1]"""


def write_mmpretrain(job: Job, path: Path) -> Written:
    """Write the file of ``tools/extract_subnet.py``."""
    size = image_size_argument(job.supernet, job.subnet, job.preprocessing.image_size)
    preprocessing = job.preprocessing.as_dict()
    save_backbone(job.supernet, job.subnet, path, preprocessing=preprocessing, **size)
    return _checked(job, path, LOAD_PTH)


def write_safetensors(job: Job, path: Path) -> Written:
    """Write weights under mmpretrain's names, and the config as metadata."""
    size = image_size_argument(job.supernet, job.subnet, job.preprocessing.image_size)
    metadata = {
        BACKBONE_INFO: json.dumps(job.supernet.subnet_cfg(job.subnet, **size)),
        ABOUT: json.dumps(job.about),
    }
    write_tensors(job.supernet.extract(job.subnet, **size).state_dict(), metadata, path)
    return _checked(job, path, LOAD_SAFETENSORS)


def _checked(job: Job, path: Path, snippet: str) -> Written:
    """Compare every weight of the file with the sub-network's.

    Raises:
        ValueError: A weight differs.
    """
    size = image_size_argument(job.supernet, job.subnet, job.preprocessing.image_size)
    expected = job.supernet.extract(job.subnet, **size).state_dict()
    got = load_backbone(path).state_dict()
    wrong = [
        name for name, value in expected.items() if not torch.equal(got[name].to(value), value)
    ]
    if wrong:
        raise ValueError(f'{wrong[0]} differs after writing; nothing was written')
    cfg = job.supernet.subnet_cfg(job.subnet, **size)
    package = package_to_import(cfg)
    imports = OWN_CLASS.format(package=package) if package else ''
    shape = ', '.join(map(str, job.input_shape))
    return Written(
        outputs=OUTPUTS,
        snippet=snippet.format(name=path.name, imports=imports, shape=shape),
        difference=0.0,
        tolerance=0.0,
        build=cfg,
    )
