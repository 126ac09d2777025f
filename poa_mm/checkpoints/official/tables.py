"""Describe how a family's weights are renamed, and read dimensions off tensors."""

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

from torch import Tensor

from poa_mm.checkpoints.official.settings import DEFAULTS, OfficialSettings, Settings

State = dict[str, Tensor]


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


class Key(NamedTuple):
    """One row of a key table.

    Attributes:
        theirs: Name in the authors' code. ``#`` is a number, ``*`` is weight or bias.
        ours: Name here, with the same ``#`` and ``*`` in the same order.
        convert: What becomes of the tensor. It must take any shape: what does not fit is found
            afterwards.
    """

    theirs: str
    ours: str
    convert: Callable[[Tensor], Tensor] = _unchanged

    def rename(self, name: str) -> str | None:
        """Return our name for one of theirs, ``None`` if this row is not about it."""
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
    backbone: Callable[[State, Settings], dict[str, Any]]

    @property
    def defaults(self) -> Settings:
        """Return the settings that the family takes, with the values of the authors' config."""
        return DEFAULTS[self.name]

    def complete(self, settings: OfficialSettings) -> Settings:
        """Return the settings of this family, with its defaults where ``settings`` has none.

        Raises:
            ValueError: ``settings`` holds one that the family does not take.
        """
        given = {field.name: getattr(settings, field.name) for field in fields(settings)}
        given = {name: value for name, value in given.items() if value is not None}
        foreign = [name for name in given if name not in self.defaults]
        if foreign:
            raise ValueError(
                f'it is a {self.name}, which takes {", ".join(self.defaults)}; '
                f'got {", ".join(foreign)}'
            )
        return {**self.defaults, **given}


def shape_of(state: State, key: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape of a weight, checked.

    Raises:
        ValueError: No such weight, another number of dimensions, or no elements.
    """
    if key not in state:
        raise ValueError(f'its teacher has no {key}')
    shape = tuple(state[key].shape)
    if len(shape) != dimensions or 0 in shape:
        raise ValueError(f'{key} must have {dimensions} dimensions and not be empty, got {shape}')
    return shape


def count(state: State, prefix: str) -> int:
    """Count the different numbers that follow ``prefix`` in names."""
    pattern = re.compile(re.escape(prefix) + r'(\d+)\.')
    return len({match[1] for match in map(pattern.match, state) if match})


def elastic_widths(intact: int, settings: Settings, unit: str, size: int) -> list[int]:
    """List the elastic widths, in multiples of a head or group.

    Args:
        intact: Width of the intact network.
        settings: Those of a family.
        unit: What errors call the channels that are dropped together.
        size: Their number.

    Raises:
        ValueError: Settings that do not fit the intact width or the unit.
    """
    interval = size if settings['width_interval'] is None else settings['width_interval']
    for name, value in (('min_width', settings['min_width']), ('width_interval', interval)):
        if value % size:
            raise ValueError(f'{name} must be a multiple of {unit} {size}, got {value}')
    return elastic_axis('width', settings['min_width'], intact, interval)


def elastic_axis(name: str, smallest: Any, intact: int, interval: int, least: int = 1) -> list[int]:
    """List the elastic widths or depths, in steps from the smallest to the intact one.

    Raises:
        ValueError: ``smallest`` lies outside ``least``…``intact``, or a step that is not positive.
    """
    if not isinstance(smallest, int) or not least <= smallest <= intact:
        raise ValueError(
            f'min_{name} must be within {least}…{intact}, the intact {name}, got {smallest}'
        )
    if interval < 1:
        raise ValueError(f'{name}_interval must be positive, got {interval}')
    return list(range(smallest, intact + 1, interval))
