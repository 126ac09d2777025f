"""Open training checkpoints, and files that hold one extracted backbone.

Opening a file runs no code that came with it: files are unpickled with ``weights_only=True``, and
what they describe is built by :mod:`poa_mm.checkpoints.build`.
"""

import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch
from mmengine.config import Config
from torch import nn

from poa_mm.checkpoints import safetensors_file as tensor_file
from poa_mm.checkpoints.build import build_elastic, build_stock
from poa_mm.elastic import Subnet
from poa_mm.file_kinds import kind_of_content, kind_of_file, with_kind
from poa_mm.files import (
    BACKBONE_INFO,
    BRANCHES,
    SUPERNET_INFO,
    check_free,
    check_sums,
    read_file,
    write_file,
)
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone

PREPROCESSING_INFO = 'preprocessing'  # key of such a file, and of the metadata of exported ones

Network = TypeVar('Network', bound=nn.Module)


def load_supernet(path: str | PathLike, branch: str | None = None) -> ElasticBackbone:
    """Open the elastic backbone of a training checkpoint, without a config.

    Args:
        path: Checkpoint of a run of POA, one of its variants or SEED.
        branch: ``'teacher'`` or ``'student'``. By default the one to use downstream: the teacher,
            or the student where the run's teacher is another network, which the file does not hold.

    Returns:
        The backbone on the CPU, in evaluation mode. Sub-networks run with ``net(x, 'vit-s')``, are
        listed by ``net.space`` and cut out by ``net.extract('vit-s')``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A branch that is unknown or not in the file, not a checkpoint of POA, or weights
            that do not fit.

    Examples:
        ``iter_1000.pth`` is the checkpoint of a small ViT for images of 16 × 16 pixels.

        >>> import torch
        >>> import poa_mm
        >>> supernet = poa_mm.load_supernet('iter_1000.pth')
        >>> [str(subnet) for subnet in supernet.subnets[:3]]
        ['w16-d2', 'w16-d3', 'w16-d4']
        >>> images = torch.zeros(2, 3, 16, 16)
        >>> supernet(images, 'w24-d3')[-1].shape
        torch.Size([2, 24])
        >>> backbone = supernet.extract('w24-d3')
        >>> type(backbone).__name__
        'VisionTransformer'
        >>> torch.equal(backbone(images)[-1], supernet(images, 'w24-d3')[-1])
        True
    """
    if branch is not None and branch not in BRANCHES:
        raise ValueError(f'branch must be one of {tuple(BRANCHES)}, got {branch!r}')
    checkpoint = _read(path)
    check_sums(path)
    info = _info(checkpoint, path, SUPERNET_INFO)
    weights = checkpoint['state_dict']
    branch = _branch(weights, branch, path)
    prefix = BRANCHES[branch]
    state = {
        key.removeprefix(prefix): tensor
        for key, tensor in weights.items()
        if key.startswith(prefix)
    }
    backbone = _build(build_elastic, info.get('backbone'), path)
    _fill(backbone, state, path)
    backbone.run_config = info.get('config') or {}  # for poa_mm.image_transform
    backbone.branch = branch
    return backbone


def load_config(path: str | PathLike) -> Config:
    """Read the config of the run that wrote a training checkpoint.

    Reading it is safe; building data sets or models from it calls whatever it names, so do that
    with files of a source you trust.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint of POA.
    """
    config = _info(_read(path), path, SUPERNET_INFO).get('config')
    if not isinstance(config, dict):
        raise ValueError(f'{path} holds no config of its run')
    return Config(config)


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

    Examples:
        ``smallest.pth`` is written by :func:`save_backbone` or ``tools/extract_subnet.py``.

        >>> import poa_mm
        >>> backbone = poa_mm.load_backbone('smallest.pth')
        >>> type(backbone).__name__, backbone.embed_dims, backbone.num_layers
        ('VisionTransformer', 16, 2)
    """
    content = read_backbone(path)
    backbone = _build(build_stock, content[BACKBONE_INFO], path)
    _fill(backbone, content['state_dict'], path)
    # For poa_mm.image_transform.
    setattr(backbone, PREPROCESSING_INFO, content.get(PREPROCESSING_INFO))
    return backbone


def read_backbone(path: str | PathLike) -> dict[str, Any]:
    """Read what the file of an extracted sub-network holds; see :func:`load_backbone`.

    Returns:
        ``state_dict``, the config of the stock class as ``BACKBONE_INFO``, and what it expects of
        images as ``PREPROCESSING_INFO``, if the file says so.
    """
    if Path(path).suffix == tensor_file.SUFFIX:
        return _read_safetensors(path)
    content = _read(path)
    check_sums(path)
    _info(content, path, BACKBONE_INFO)
    return content


def save_backbone(
    supernet: ElasticBackbone,
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
        supernet: Where it is cut out of.
        subnet: Which sub-network.
        path: File to write; folders are made.
        overwrite: Replace an existing file.
        preprocessing: What the network expects of images, as plain data to store with it; see
            :meth:`poa_mm.checkpoints.preprocessing.Preprocessing.as_dict`.
        **overrides: Arguments of the stock class to set or replace, such as ``img_size``.

    Raises:
        FileExistsError: ``path`` exists and ``overwrite`` is not set.
        ValueError: Unknown sub-network.

    Examples:
        >>> import poa_mm
        >>> supernet = poa_mm.load_supernet('iter_1000.pth')
        >>> save_backbone(supernet, 'w24-d3', 'w24-d3.pth')
        >>> poa_mm.load_backbone('w24-d3.pth').embed_dims
        24
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


def _branch(state: Mapping[str, Any], branch: str | None, path: str | PathLike) -> str:
    """Choose the branch of a checkpoint that holds one or both."""
    held = any(name.startswith(BRANCHES['teacher']) for name in state)
    if branch == 'teacher' and not held:
        raise ValueError(
            f'{path} holds no teacher, only the student: its run learned from a frozen network; '
            "leave out branch='teacher' (--branch teacher)"
        )
    return branch or ('teacher' if held else 'student')


def _read(path: str | PathLike) -> dict[str, Any]:
    content = read_file(path)
    state = content.get('state_dict') if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        message = f'{path} holds no state_dict, so it is not a checkpoint of POA'
        raise ValueError(with_kind(message, kind_of_content(content) or kind_of_file(path)))
    return content


def _read_safetensors(path: str | PathLike) -> dict[str, Any]:
    state, metadata = tensor_file.read_tensors(path)
    if BACKBONE_INFO not in metadata:
        raise ValueError(
            f'{path} holds no backbone of mmpretrain; if it was exported to timm, open its folder '
            'with poa_mm.export.load_timm'
        )
    return {
        'state_dict': state,
        BACKBONE_INFO: json.loads(metadata[BACKBONE_INFO]),
        PREPROCESSING_INFO: json.loads(metadata.get(tensor_file.ABOUT, '{}')).get(
            PREPROCESSING_INFO
        ),
    }


def _info(content: dict[str, Any], path: str | PathLike, key: str) -> dict[str, Any]:
    if isinstance(content.get(key), dict):
        return content[key]
    wanted = {
        SUPERNET_INFO: 'a training checkpoint of POA (written with SupernetInfoHook)',
        BACKBONE_INFO: 'an extracted backbone (written by tools/extract_subnet.py)',
    }
    message = f'{path} is not {wanted[key]}'
    raise ValueError(with_kind(message, kind_of_content(content)))


def _build(build: Callable[[Any], Network], cfg: Any, path: str | PathLike) -> Network:
    try:
        return build(cfg)
    except ValueError as error:
        raise ValueError(f'{path} cannot be opened: {error}') from error


def _fill(module: nn.Module, state: dict[str, torch.Tensor], path: str | PathLike) -> None:
    """Load all weights, in the precision that the file has them in."""
    others = [name for name, tensor in state.items() if not isinstance(tensor, torch.Tensor)]
    if others:
        raise ValueError(f'{path} has something else than a tensor as {others[0]}')
    dtypes = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    if len(dtypes) == 1:
        module.to(dtypes.pop())
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(f'the weights in {path} do not fit: {error}') from error
    module.requires_grad_(True)
    module.eval()
