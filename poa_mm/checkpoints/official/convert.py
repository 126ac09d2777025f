"""Convert checkpoints of the authors' code into checkpoints of this package.

Theirs is ``{'teacher': state_dict}``, or has ``'student'`` beside it. Weights keep their values:
both sides store the intact network and scale by α when a sub-network runs.
"""

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from poa_mm.checkpoints.checkpoint import SUPERNET_INFO
from poa_mm.checkpoints.official.resnet import RESNET
from poa_mm.checkpoints.official.settings import OfficialSettings
from poa_mm.checkpoints.official.swin import SWIN
from poa_mm.checkpoints.official.tables import (
    Family,
    Key,
    State,
    count,
    shape_of,
)
from poa_mm.checkpoints.official.vit import VIT
from poa_mm.elastic import SearchSpace
from poa_mm.file_kinds import kind_of_content, with_kind
from poa_mm.files import check_free, read_file, write_file
from poa_mm.models.selfsup import POA
from poa_mm.registry import build_model

FAMILIES = (VIT, SWIN, RESNET)
HEAD_KEYS = (
    Key('dino_head.mlp#.0.linear.*', 'head.heads.#.mlp.0.*'),
    Key('dino_head.mlp#.2.*', 'head.heads.#.mlp.2.*'),
    Key('dino_head.mlp#.4.*', 'head.heads.#.mlp.4.*'),
    Key('dino_head.last_layer#.weight_g', 'head.heads.#.prototypes.weight_g'),
    Key('dino_head.last_layer#.weight_v', 'head.heads.#.prototypes.weight_v'),
)
BRANCHES = {'teacher': 'teacher.', 'student': ''}  # key of a file of theirs: our prefix
WRAPPERS = {'module', '_fsdp_wrapped_module'}  # parts of names that DDP and FSDP insert
CHUNK = re.compile(r'(?<=^backbone\.blocks\.)\d+\.(?=\d+\.)')  # the next number is the block's own


class Conversion(NamedTuple):
    """Say what was in a converted checkpoint.

    Attributes:
        model: Config of the POA model that the written state dict fits.
        space: The sub-networks of its backbone.
        student_is_copy: The file had no student, so the student is a copy of the teacher.
    """

    model: dict[str, Any]
    space: SearchSpace
    student_is_copy: bool


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
        with torch.device('meta'), _ValuesOfLinspace():  # names and shapes, without memory
            model = cast(POA, build_model(cfg))
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


class _ValuesOfLinspace(TorchFunctionMode):
    """Let mmpretrain read drop rates off a linspace where all other tensors have no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return func(*args, **({**kwargs, 'device': 'cpu'} if func is torch.linspace else kwargs))


def _branches(content: Any) -> dict[str, State]:
    """Return state dicts by branch, without what chunks and wrappers add to their keys."""
    if not isinstance(content, dict) or 'teacher' not in content:
        message = "it has no 'teacher', so it is not a checkpoint of the authors' code"
        raise ValueError(with_kind(message, kind_of_content(content)))
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
        'backbone': family.backbone(state, family.complete(settings)),
        'head': _head_config(state),
    }


def _head_config(state: State) -> dict[str, Any]:
    numbers = range(count(state, 'dino_head.last_layer'))
    last_layers = [shape_of(state, f'dino_head.last_layer{i}.weight_v', 2) for i in numbers]
    if not last_layers:
        raise ValueError('it has no projection heads (dino_head.last_layer0…)')
    return {
        'type': 'MultiProjectionHead',
        'num_prototypes': [prototypes for prototypes, _ in last_layers],
        'hidden': shape_of(state, 'dino_head.mlp0.2.weight', 2)[0],
        'bottleneck': last_layers[0][1],
    }


def _translate(
    branch: str, state: State, keys: Sequence[Key], shapes: Mapping[str, torch.Size]
) -> State:
    """Rename the weights to our names.

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
