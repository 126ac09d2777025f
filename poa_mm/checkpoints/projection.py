"""Projection heads, or their first layers, from the checkpoint of pre-training."""

import re
from os import PathLike
from typing import Any

from torch import Tensor, nn

from poa_mm.checkpoints.subnet_scheme import SCHEME
from poa_mm.elastic import ElasticInputLinear, set_alpha_scaling
from poa_mm.file_kinds import kind_of_content, with_kind
from poa_mm.files import SUPERNET_INFO, read_file
from poa_mm.models.heads.projection_head import ProjectionHead

HIDDEN = 2  # layers of a projection head that a GELU follows
PREFIX = 'teacher.head.heads.'


def load_projection(
    source: str | PathLike, width: int, num_layers: int = 1, head: int = 0
) -> list[dict[str, Tensor]]:
    """Load the hidden layers with which a projection head of the teacher begins.

    The first one is sliced and, if α was on in training, scaled by its α (Sec. 3.2).

    Args:
        source: Training or converted checkpoint, by its path or by ``subnet://NAME@CHECKPOINT``, as
            a backbone names it.
        width: Channels of the sub-network's features.
        num_layers: How many layers.
        head: Which of the projection heads, from 0.

    Returns:
        ``weight`` and ``bias`` of each layer.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file without projection heads, or one without these layers or of another
            width; says what it has.
    """
    path, content, state = _read(source, head)
    if not 1 <= num_layers <= HIDDEN:
        raise ValueError(f'a projection head has {HIDDEN} hidden layers, not {num_layers}')
    layers = [
        {key: state[f'{PREFIX}{head}.mlp.{2 * place}.{key}'] for key in ('weight', 'bias')}
        for place in range(num_layers)
    ]
    layers[0] = _sliced(layers[0], width, path, _alpha_scaling(content))
    return layers


def load_head(source: str | PathLike, head: int = 0) -> ProjectionHead:
    """Load a projection head of the teacher, which takes features of every elastic width.

    Args:
        source: Training or converted checkpoint, as :func:`load_projection` takes it.
        head: Which of the projection heads, from 0.

    Returns:
        The head on the CPU, in evaluation mode, with its prototypes.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file without projection heads, without this one, or with other layers.
    """
    path, content, state = _read(source, head)
    prefix = f'{PREFIX}{head}.'
    own = {
        name.removeprefix(prefix): part for name, part in state.items() if name.startswith(prefix)
    }
    hidden, full = own['mlp.0.weight'].shape
    try:
        prototypes, bottleneck = own['prototypes.weight_v'].shape
        built = ProjectionHead(full, prototypes, hidden, bottleneck)
        built.load_state_dict(own)
    except (KeyError, RuntimeError) as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'projection head {head} in {path} has other layers: {reason}') from error
    set_alpha_scaling(built, _alpha_scaling(content))
    return built.eval()


def _read(source: str | PathLike, head: int) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Read a checkpoint that has a projection head: its path, all of it, and its weights."""
    path = str(source)
    if path.startswith(SCHEME):
        path = path.removeprefix(SCHEME).partition('@')[2]
    content = read_file(path)
    state = content.get('state_dict', content) if isinstance(content, dict) else {}
    found = [re.match(rf'{re.escape(PREFIX)}(\d+)\.mlp\.0\.weight$', str(name)) for name in state]
    heads = sorted(int(match[1]) for match in found if match)
    if not heads:
        message = f'{path} has no projection heads: name the checkpoint of the pre-training'
        raise ValueError(with_kind(message, kind_of_content(content)))
    if head not in heads:
        raise ValueError(f'{path} has the projection heads {heads}, not {head!r}')
    return path, content, state


def _alpha_scaling(content: dict[str, Any]) -> bool:
    return content.get(SUPERNET_INFO, {}).get('backbone', {}).get('alpha_scaling', True)


def _sliced(
    layer: dict[str, Tensor], width: int, path: str, alpha_scaling: bool
) -> dict[str, Tensor]:
    outputs, full = layer['weight'].shape
    if width > full:
        raise ValueError(f'the projection heads of {path} take {full} channels, fewer than {width}')
    elastic = ElasticInputLinear(full, outputs, device='meta')
    set_alpha_scaling(elastic, alpha_scaling)
    elastic.weight, elastic.bias = (nn.Parameter(layer[key]) for key in ('weight', 'bias'))
    return {key: value.detach().clone() for key, value in elastic.sliced(width).items()}
