"""Opening training checkpoints, and files that hold one extracted backbone.

Opening a file runs no code that came with it: files are unpickled with ``weights_only=True``, and
the backbone they describe must be a registered class.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from torch import nn

from poa_mm.compat import log_buffers
from poa_mm.elastic import Subnet
from poa_mm.engine import tensor_file
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

SUPERNET_INFO = 'supernet'  # key of a training checkpoint, written by SupernetInfoHook
BACKBONE_INFO = 'backbone'  # key of a file with one extracted backbone
PREPROCESSING_INFO = 'preprocessing'  # key of such a file, and of the metadata of exported ones
BRANCHES = {'teacher': 'teacher.backbone.', 'student': 'backbone.'}


def load_supernet(path: str | PathLike, branch: str = 'teacher') -> nn.Module:
    """Open the elastic backbone of a training checkpoint, without a config.

    Args:
        path: Checkpoint of a POA run.
        branch: ``'teacher'``, the one to use downstream, or ``'student'``.

    Returns:
        The backbone on the CPU, in evaluation mode. Sub-networks run with ``net(x, 'vit-s')``, are
        listed by ``net.space`` and cut out by ``net.extract('vit-s')``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Unknown branch, not a checkpoint of POA, or weights that do not fit.
    """
    if branch not in BRANCHES:
        raise ValueError(f'branch must be one of {tuple(BRANCHES)}, got {branch!r}')
    checkpoint = _read(path)
    info = _info(checkpoint, path, SUPERNET_INFO)
    prefix = BRANCHES[branch]
    state = {
        key.removeprefix(prefix): tensor
        for key, tensor in checkpoint['state_dict'].items()
        if key.startswith(prefix)
    }
    backbone = _build(info['backbone'], ELASTIC_BACKBONES, path)
    _fill(backbone, state, path)
    return backbone


def load_config(path: str | PathLike) -> Config:
    """The config of the run that wrote a training checkpoint.

    Reading it is safe; building data sets or models from it calls whatever it names, so do that
    with files of a source you trust.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint of POA.
    """
    return Config(_info(_read(path), path, SUPERNET_INFO)['config'])


def load_backbone(path: str | PathLike) -> nn.Module:
    """Open an extracted backbone as a plain stock module on the CPU, in evaluation mode.

    Args:
        path: File of ``tools/extract_subnet.py`` or, if it ends in ``.safetensors``, of
            ``tools/export_subnet.py --to safetensors``.

    Returns:
        The module, with weights of the data type that the file holds. Images (B, C, H, W) go in,
        already normalised; a tuple of features comes out, as the class in mmpretrain has it.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, a damaged one, or weights that do not fit.
    """
    if Path(path).suffix == tensor_file.SUFFIX:
        content = _read_safetensors(path)
    else:
        content = _read(path)
        _check_sums(path)
    backbone = _build(_info(content, path, BACKBONE_INFO), MODELS, path)
    _fill(backbone, content['state_dict'], path)
    return backbone


def save_backbone(
    supernet: Any,
    subnet: Subnet | str,
    path: str | PathLike,
    overwrite: bool = False,
    *,
    preprocessing: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> None:
    """Extract a sub-network into a file of plain data and tensors.

    Any OpenMMLab library loads it into its stock backbone through
    ``init_cfg=dict(type='Pretrained', checkpoint=path)``, and :func:`load_backbone` without a
    config. The file appears complete or not at all.

    Args:
        supernet: Elastic backbone.
        subnet: Which sub-network.
        path: File to write; folders are made.
        overwrite: Replace an existing file.
        preprocessing: What the network expects of images, as plain data to store with it; see
            :meth:`poa_mm.export.preprocessing.Preprocessing.as_dict`.
        **overrides: Arguments of the stock class to set or replace, such as ``img_size``.

    Raises:
        FileExistsError: ``path`` exists and ``overwrite`` is not set.
        ValueError: Unknown sub-network.
    """
    check_free(path, overwrite)
    subnet = supernet.space.resolve(subnet)
    content = {
        'state_dict': supernet.extract(subnet, **overrides).state_dict(),
        BACKBONE_INFO: supernet.subnet_cfg(subnet, **overrides),
        'subnet': str(subnet),
    }
    if preprocessing is not None:
        content[PREPROCESSING_INFO] = dict(preprocessing)
    write_file(content, path)


def check_free(path: str | PathLike, overwrite: bool) -> None:
    """Refuse to write over a file.

    Raises:
        FileExistsError: ``path`` exists and ``overwrite`` is not set.
    """
    if Path(path).exists() and not overwrite:
        raise FileExistsError(f'{path} exists already; choose another file or ask to overwrite it')


def write_file(content: dict[str, Any], path: str | PathLike) -> None:
    """Save plain data and tensors. The file appears complete or not at all; folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    torch.save(content, partial)
    partial.replace(path)


def read_file(path: str | PathLike) -> Any:
    """What ``torch.save`` wrote, on the CPU, without running code that came with it.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, or one with more than plain data and tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint at {path}')
    if not zipfile.is_zipfile(path):  # torch would talk about memory mapping
        raise ValueError(
            f'{path} is not a checkpoint that can be read: no file that torch.save has finished'
        )
    try:
        with log_buffers.allowed():
            return torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except OSError:  # no permission, a disk that fails: not the file's fault
        raise
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f'{path} is not a checkpoint that can be read: {reason}') from error


def _read(path: str | PathLike) -> dict[str, Any]:
    content = read_file(path)
    if not isinstance(content, dict) or 'state_dict' not in content:
        raise ValueError(f'{path} holds no state_dict, so it is not a checkpoint of POA')
    return content


def _read_safetensors(path: str | PathLike) -> dict[str, Any]:
    state, metadata = tensor_file.read_tensors(path)
    if BACKBONE_INFO not in metadata:
        raise ValueError(
            f'{path} holds no backbone of mmpretrain; if it was exported to timm, open it with '
            'poa_mm.export.load_timm'
        )
    return {'state_dict': state, BACKBONE_INFO: json.loads(metadata[BACKBONE_INFO])}


def _check_sums(path: str | PathLike) -> None:
    """Refuse a file whose tensors are not those that were written: torch does not look."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # as in read_file
        raise ValueError(f'{path} is damaged: {error}') from error
    if damaged:
        raise ValueError(f'{path} is damaged: the check sum of {damaged} does not fit')


def _info(content: dict[str, Any], path: str | PathLike, key: str) -> dict[str, Any]:
    if key in content:
        return content[key]
    kinds = {
        SUPERNET_INFO: 'a training checkpoint of POA (written with SupernetInfoHook)',
        BACKBONE_INFO: 'an extracted backbone (written by tools/extract_subnet.py)',
    }
    found = next((kinds[other] for other in kinds if other in content), 'neither kind')
    raise ValueError(f'{path} is not {kinds[key]}; it looks like {found}')


def _build(cfg: dict[str, Any], registry: Registry, path: str | PathLike) -> nn.Module:
    """Build a backbone that a file describes, from registered classes alone."""
    cfg = {**cfg, 'type': str(cfg.get('type')).removeprefix('mmpretrain.')}
    # mmengine imports and calls what a name with dots stands for, at any depth.
    dotted = [name for name in _type_names(cfg) if '.' in name]
    if dotted or cfg['type'] not in registry.module_dict:
        wrong = dotted[0] if dotted else cfg['type']
        raise ValueError(
            f'{path} describes its backbone with {wrong}, which is no registered class'
        )
    # Within a run of another library, the same name would mean that library's class.
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return registry.build(cfg)


def _type_names(value: Any) -> Iterator[str]:
    """What a config would have mmengine build, at any depth."""
    if isinstance(value, Mapping):
        yield from (str(item) for key, item in value.items() if str(key).endswith('type'))
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _type_names(item)


def _fill(module: nn.Module, state: dict[str, torch.Tensor], path: str | PathLike) -> None:
    """Load all weights, in the precision that the file has them in."""
    tensors = [tensor for tensor in state.values() if isinstance(tensor, torch.Tensor)]
    dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    if len(dtypes) == 1:
        module.to(dtypes.pop())
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(f'the weights in {path} do not fit: {error}') from error
    module.requires_grad_(True)
    module.eval()
