"""Checkpoints of the authors' code (github.com/alipay/POA), turned into ones of this package.

Theirs is ``{'teacher': state_dict}``, or has ``'student'`` beside it. Weights keep their values:
both sides store the intact network and scale by α when a sub-network runs. What the result
computes equals the original for images of the size that the position embedding is made for; for
others theirs resizes it by a factor of (n + 0.1)/N, ours to the grid.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poa_mm.elastic import SearchSpace
from poa_mm.engine.checkpoint import SUPERNET_INFO, check_free, read_file, write_file
from poa_mm.registry import MODELS

State = dict[str, Tensor]

BRANCHES = {'teacher': 'teacher.', 'student': ''}  # key of a file of theirs: our prefix
WRAPPERS = {'module', '_fsdp_wrapped_module'}  # parts of names that DDP and FSDP insert
CHUNK = re.compile(r'(?<=^backbone\.blocks\.)\d+\.(?=\d+\.)')  # the next number is the block's own
LAYER_SCALE_INIT = 1e-5  # of the authors' config; any value but 0 makes room for the weights


@dataclass(frozen=True)
class OfficialSettings:
    """What the tensors cannot tell. Defaults are the values of the authors' ViT config.

    Args:
        head_dim: Channels of one attention head.
        min_width: Smallest elastic width.
        min_depth: Smallest elastic depth.
        width_interval: Step of the elastic widths in channels, from the smallest one up. Defaults
            to ``head_dim``.
        depth_interval: Step of the elastic depths.
        gamma: γ of the sampling weights (Eq. 14).
    """

    head_dim: int = 64
    min_width: int = 384
    min_depth: int = 12
    width_interval: int | None = None
    depth_interval: int = 1
    gamma: float = 3.0


class Conversion(NamedTuple):
    """What a conversion has found.

    Attributes:
        model: Config of the POA model that the written state dict fits.
        space: The sub-networks of its backbone.
        student_is_copy: The file had no student, so the student is a copy of the teacher.
    """

    model: dict[str, Any]
    space: SearchSpace
    student_is_copy: bool


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


class Key(NamedTuple):
    """One row of a key table.

    Attributes:
        theirs: Name in the authors' code. ``#`` is a number, ``*`` is weight or bias.
        ours: Name here, with the same ``#`` and ``*`` in the same order.
        convert: What becomes of the tensor.
    """

    theirs: str
    ours: str
    convert: Callable[[Tensor], Tensor] = _unchanged

    def rename(self, name: str) -> str | None:
        """Our name for one of theirs, ``None`` if it is of another row."""
        pattern = re.escape(self.theirs).replace(r'\#', r'(\d+)').replace(r'\*', '(weight|bias)')
        match = re.fullmatch(pattern, name)
        if match is None:
            return None
        values = iter(match.groups())
        return re.sub(r'[#*]', lambda _: next(values), self.ours)


class Family(NamedTuple):
    """A family of backbones.

    Attributes:
        name: What users call it.
        mark: How names of its weights start, and of no other family's.
        keys: Key table of the backbone.
        backbone: Reads the config of the elastic backbone off the weights of a branch.
    """

    name: str
    mark: str
    keys: tuple[Key, ...]
    backbone: Callable[[State, OfficialSettings], dict[str, Any]]


HEAD_KEYS = (
    Key('dino_head.mlp#.0.linear.*', 'head.heads.#.mlp.0.*'),
    Key('dino_head.mlp#.2.*', 'head.heads.#.mlp.2.*'),
    Key('dino_head.mlp#.4.*', 'head.heads.#.mlp.4.*'),
    Key('dino_head.last_layer#.weight_g', 'head.heads.#.prototypes.weight_g'),
    Key('dino_head.last_layer#.weight_v', 'head.heads.#.prototypes.weight_v'),
)
VIT_KEYS = (
    Key('backbone.cls_token', 'backbone.cls_token'),
    Key('backbone.pos_embed', 'backbone.pos_embed'),
    Key('backbone.mask_token', 'backbone.mask_token', lambda token: token.unsqueeze(0)),
    Key('backbone.patch_embed.proj.*', 'backbone.patch_embed.projection.*'),
    Key('backbone.blocks.#.norm1.norm.*', 'backbone.layers.#.ln1.*'),
    Key('backbone.blocks.#.attn.qkv.linear.*', 'backbone.layers.#.attn.qkv.*'),
    Key('backbone.blocks.#.attn.proj.linear.*', 'backbone.layers.#.attn.proj.*'),
    Key('backbone.blocks.#.ls1.gamma', 'backbone.layers.#.attn.gamma1.weight'),
    Key('backbone.blocks.#.norm2.norm.*', 'backbone.layers.#.ln2.*'),
    Key('backbone.blocks.#.mlp.fc1.linear.*', 'backbone.layers.#.ffn.layers.0.0.*'),
    Key('backbone.blocks.#.mlp.fc2.linear.*', 'backbone.layers.#.ffn.layers.1.*'),
    Key('backbone.blocks.#.ls2.gamma', 'backbone.layers.#.ffn.gamma2.weight'),
    Key('backbone.norm.norm.*', 'backbone.ln1.*'),
)


def convert_official(
    source: str | PathLike,
    target: str | PathLike,
    settings: OfficialSettings | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Convert a checkpoint of the authors' code, completely or not at all.

    :func:`poa_mm.load_supernet` opens the result without a config; training starts from it with
    ``load_from``. If the file has no student, the student is a copy of the teacher.

    Args:
        source: Their checkpoint. Opening it runs no code that came with it.
        target: File to write; folders are made.
        settings: What the tensors cannot tell.
        overwrite: Replace an existing file.

    Raises:
        FileNotFoundError: No such source.
        FileExistsError: ``target`` exists and ``overwrite`` is not set.
        ValueError: Not a checkpoint of the authors' code, settings that do not fit it, or weights
            on either side that have no counterpart; they are listed.
    """
    check_free(target, overwrite)
    content = read_file(source)
    try:
        branches = _branches(content)
        family = _family(branches['teacher'])
        cfg = _model_config(branches['teacher'], family, settings or OfficialSettings())
        with torch.device('meta'):  # names and shapes, without memory or random numbers
            model: Any = MODELS.build(cfg)
        keys = (*family.keys, *HEAD_KEYS)
        shapes = {name: weight.shape for name, weight in model.teacher.state_dict().items()}
        translated = {
            name: _translate(name, state, keys, shapes) for name, state in branches.items()
        }
    except ValueError as error:
        raise ValueError(f'{source} cannot be converted: {error}') from error
    states = {'student': translated['teacher'], **translated}
    write_file(
        {
            'state_dict': {
                BRANCHES[branch] + name: weight
                for branch, state in states.items()
                for name, weight in state.items()
            },
            SUPERNET_INFO: {
                'backbone': model.backbone.config,
                'config': {'default_scope': 'mmpretrain', 'model': cfg},
            },
        },
        target,
    )
    return Conversion(cfg, model.backbone.space, 'student' not in branches)


def _branches(content: Any) -> dict[str, State]:
    """State dicts by branch, without what chunks and wrappers add to their keys."""
    if not isinstance(content, dict) or 'teacher' not in content:
        raise ValueError("it has no 'teacher', so it is not a checkpoint of the authors' code")
    unknown = sorted(str(key) for key in content if key not in BRANCHES)
    if unknown:
        raise ValueError(f'it holds {", ".join(unknown)}; known: {", ".join(BRANCHES)}')
    return {branch: _plain_keys(branch, state) for branch, state in content.items()}


def _plain_keys(branch: str, state: Any) -> State:
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ValueError(f'its {branch} is not a state dict: names with tensors')
    plain: State = {}
    for key, tensor in state.items():
        name = CHUNK.sub('', '.'.join(part for part in key.split('.') if part not in WRAPPERS))
        if name in plain:
            raise ValueError(f'its {branch} holds {name} twice, the second time as {key}')
        plain[name] = tensor.detach()
    return plain


def _family(state: State) -> Family:
    for family in FAMILIES:
        if any(key.startswith(family.mark) for key in state):
            return family
    known = ', '.join(f'{family.name} ({family.mark}…)' for family in FAMILIES)
    raise ValueError(f'its backbone is of none of the families {known}')


def _model_config(state: State, family: Family, settings: OfficialSettings) -> dict[str, Any]:
    return {
        'type': 'POA',
        'backbone': family.backbone(state, settings),
        'head': _head_config(state),
    }


def _head_config(state: State) -> dict[str, Any]:
    numbers = range(_count(state, 'dino_head.last_layer'))
    last_layers = [_shape(state, f'dino_head.last_layer{i}.weight_v', 2) for i in numbers]
    if not last_layers:
        raise ValueError('it has no projection heads (dino_head.last_layer0…)')
    return {
        'type': 'MultiProjectionHead',
        'num_prototypes': [prototypes for prototypes, _ in last_layers],
        'hidden': _shape(state, 'dino_head.mlp0.2.weight', 2)[0],
        'bottleneck': last_layers[0][1],
    }


def _vit_config(state: State, settings: OfficialSettings) -> dict[str, Any]:
    _, tokens, width = _shape(state, 'backbone.pos_embed', 3)
    _, channels, _, patch = _shape(state, 'backbone.patch_embed.proj.weight', 4)
    hidden, _ = _shape(state, 'backbone.blocks.0.mlp.fc1.linear.weight', 2)
    depth = _count(state, 'backbone.blocks.')
    side = math.isqrt(tokens - 1)
    if not side or side**2 != tokens - 1:
        raise ValueError(
            f'backbone.pos_embed has {tokens} tokens, not those of a square grid and a class token'
        )
    head_dim = settings.head_dim
    if head_dim < 1 or width % head_dim:
        raise ValueError(f'head_dim must divide the width {width}, got {head_dim}')
    interval = head_dim if settings.width_interval is None else settings.width_interval
    for name, value in (('min_width', settings.min_width), ('width_interval', interval)):
        if value % head_dim:
            raise ValueError(f'{name} must be a multiple of head_dim {head_dim}, got {value}')
    scaled = any(key.endswith('.ls1.gamma') for key in state)
    return {
        'type': 'ElasticVisionTransformer',
        'arch': {
            'embed_dims': width,
            'num_layers': depth,
            'num_heads': width // head_dim,
            'feedforward_channels': hidden,
        },
        'img_size': side * patch,
        'patch_size': patch,
        'in_channels': channels,
        'widths': _axis('width', width, settings.min_width, interval),
        'depths': _axis('depth', depth, settings.min_depth, settings.depth_interval),
        'gamma': settings.gamma,
        'layer_scale_init_value': LAYER_SCALE_INIT if scaled else 0.0,
    }


def _axis(name: str, intact: int, smallest: int, interval: int) -> list[int]:
    """Elastic widths or depths, from the smallest one in steps as far as the intact one."""
    if not 1 <= smallest <= intact:
        raise ValueError(f'min_{name} must be within 1…{intact}, the intact {name}, got {smallest}')
    if interval < 1:
        raise ValueError(f'{name}_interval must be positive, got {interval}')
    return list(range(smallest, intact + 1, interval))


def _shape(state: State, key: str, dimensions: int) -> tuple[int, ...]:
    """Shape of a weight that dimensions are read off."""
    if key not in state:
        raise ValueError(f'its teacher lacks {key}')
    shape = tuple(state[key].shape)
    if len(shape) != dimensions or 0 in shape:
        raise ValueError(f'{key} must have {dimensions} dimensions and not be empty, got {shape}')
    return shape


def _count(state: State, prefix: str) -> int:
    """How many numbers follow ``prefix`` in names."""
    pattern = re.compile(re.escape(prefix) + r'(\d+)\.')
    return len({match[1] for match in map(pattern.match, state) if match})


def _translate(
    branch: str, state: State, keys: Sequence[Key], shapes: Mapping[str, torch.Size]
) -> State:
    """Weights under our names.

    Args:
        branch: What errors call it.
        state: Weights under the names of the authors' code.
        keys: Key tables.
        shapes: The weights that there must be, no more and no less.

    Raises:
        ValueError: The two sides do not match.
    """
    translated: State = {}
    unknown, misshapen = [], []
    for name, tensor in state.items():
        ours, weight = _renamed(name, tensor, keys)
        if ours is None or ours not in shapes:
            unknown.append(name)
            continue
        translated[ours] = weight
        if weight.shape != shapes[ours]:
            misshapen.append(f'{name} {tuple(weight.shape)} for {tuple(shapes[ours])}')
    problems = {
        'keys without a place here': unknown,
        'weights here without a value': [name for name in shapes if name not in translated],
        'shapes that do not fit': misshapen,
    }
    found = [f'{problem}: {", ".join(names)}' for problem, names in problems.items() if names]
    if found:
        raise ValueError(f'its {branch} does not match; {"; ".join(found)}')
    return translated


def _renamed(name: str, tensor: Tensor, keys: Sequence[Key]) -> tuple[str | None, Tensor]:
    for key in keys:
        ours = key.rename(name)
        if ours is not None:
            return ours, key.convert(tensor)
    return None, tensor


FAMILIES = (Family('ViT', 'backbone.blocks.', VIT_KEYS, _vit_config),)
