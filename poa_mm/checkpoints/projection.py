"""The first layers of a projection head, from the checkpoint of pre-training."""

import re
from os import PathLike

from torch import Tensor, nn

from poa_mm.checkpoints.subnet_scheme import SCHEME
from poa_mm.elastic import ElasticInputLinear, set_alpha_scaling
from poa_mm.file_kinds import kind_of_content, with_kind
from poa_mm.files import SUPERNET_INFO, read_file

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
    if not 1 <= num_layers <= HIDDEN:
        raise ValueError(f'a projection head has {HIDDEN} hidden layers, not {num_layers}')
    layers = [
        {key: state[f'{PREFIX}{head}.mlp.{2 * place}.{key}'] for key in ('weight', 'bias')}
        for place in range(num_layers)
    ]
    backbone = content.get(SUPERNET_INFO, {}).get('backbone', {})
    layers[0] = _sliced(layers[0], width, path, backbone.get('alpha_scaling', True))
    return layers


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
