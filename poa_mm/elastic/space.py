"""Sub-networks and the space they come from (paper Sec. 3.1)."""

import math
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, SupportsIndex, overload

import numpy as np
import torch

RandomState = random.Random | np.random.Generator | torch.Generator
Depth = int | tuple[int, ...]
AXES = ('width', 'depth')


@dataclass(frozen=True, order=True)
class Subnet:
    """One sub-network of a supernet, as an immutable value.

    Args:
        width: Channels of a token (ViT), of the first stage (Swin), or of the middle layer of the
            first stage's bottlenecks (ResNet).
        depth: Number of active blocks (ViT, Swin), or that of each stage (ResNet).

    Example:
        >>> str(Subnet(384, 12)), str(Subnet(64, (3, 4, 6, 3)))
        ('w384-d12', 'w64-d3-4-6-3')
        >>> Subnet(64, (3, 4, 6, 3)).num_blocks
        16
    """

    width: int
    depth: Depth

    def __post_init__(self) -> None:
        if isinstance(self.depth, list):  # as it comes out of files: must be hashable
            object.__setattr__(self, 'depth', tuple(self.depth))

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """The depth as a tuple, of one number where stages are not told apart."""
        return self.depth if isinstance(self.depth, tuple) else (self.depth,)

    @property
    def num_blocks(self) -> int:
        """Number of active blocks over all stages."""
        return sum(self.stage_depths)

    def __str__(self) -> str:
        return f'w{self.width}-d{"-".join(map(str, self.stage_depths))}'


def head_widths(num_heads: int, head_dims: int) -> range:
    """Return the widths of whole attention heads, ``D_i = (N_h − i) · D_h`` (Eq. 1).

    Args:
        num_heads: Heads N_h of the intact network.
        head_dims: Channels D_h of a head, the same at every width.

    Returns:
        All widths from one head to all, in ascending order.

    Example:
        >>> list(head_widths(num_heads=3, head_dims=64))
        [64, 128, 192]
    """
    return range(head_dims, num_heads * head_dims + 1, head_dims)


def active_blocks(depth: int, max_depth: int) -> tuple[int, ...]:
    """Return the blocks of the supernet that a sub-network of ``depth`` keeps (Eq. 4).

    They are spread evenly and hold the first and the last block. A depth of one, for which the
    equation is undefined, keeps the first block.

    Raises:
        ValueError: ``depth`` lies outside 1…``max_depth``.

    Example:
        >>> active_blocks(12, 24)
        (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23)
    """
    if not 1 <= depth <= max_depth:
        raise ValueError(f'depth {depth} is outside 1…{max_depth}')
    if depth == 1:
        return (0,)
    return tuple((max_depth - 1) * j // (depth - 1) for j in range(depth))


class SearchSpace(Sequence[Subnet]):
    """All sub-networks of a supernet: every width with every depth.

    Iterates from the smallest to the largest sub-network. A member is looked up by position, by
    name (``'vit-s'``, ``'smallest'``, ``'largest'``) or by its ``str`` (``'w384-d12'``).

    Args:
        widths: Elastic widths (Eq. 1), in any order.
        depths: Elastic depths, in any order. Tuples, of the blocks of each stage, rank by their
            sum, as in the authors' code.
        gamma: γ of Eq. 14: how much more often the smallest width (and depth) is drawn than the
            largest one. 1 draws all candidates alike.
        intact: The supernet itself. It is never drawn: it trains in a branch of its own. Defaults
            to the largest width and depth.
        names: Well-known names of members. Names of sub-networks outside the space are dropped.
        size: What "small to large" means, usually the parameter count. Defaults to
            blocks · width².
        weighted: The axes whose smaller values are drawn more often. Both of them in Eq. 14;
            the authors' code for ResNet weights ``('depth',)`` alone.

    Raises:
        ValueError: No width or depth, a value that is not a positive integer, a value given
            twice, depths of different numbers of stages, γ < 1, or an unknown axis.

    Example:
        The space of the paper's ViT-L, of 11 widths and 13 depths:

        >>> space = SearchSpace(range(384, 1025, 64), range(12, 25))
        >>> len(space)
        143
        >>> space.smallest, space['w768-d12']
        (Subnet(width=384, depth=12), Subnet(width=768, depth=12))
        >>> print(space.sample(random.Random(0)))
        w1024-d12
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[Depth],
        gamma: float = 3.0,
        intact: Subnet | None = None,
        names: Mapping[str, Subnet] | None = None,
        size: Callable[[Subnet], float] | None = None,
        weighted: Sequence[str] = AXES,
    ) -> None:
        if not isinstance(gamma, int | float) or not gamma >= 1:  # NaN too
            raise ValueError(f'gamma must be at least 1, got {gamma}')
        if not set(weighted) <= set(AXES):
            raise ValueError(f'weighted must be among {AXES}, got {tuple(weighted)}')
        self.widths: tuple[int, ...] = _checked_axis('widths', widths)
        self.depths: tuple[Depth, ...] = _checked_depths(depths)
        self.gamma = gamma
        self.weighted = tuple(weighted)
        self.intact = intact or Subnet(self.widths[-1], self.depths[-1])
        size = size or (lambda subnet: subnet.num_blocks * subnet.width**2)
        members = [Subnet(width, depth) for width in self.widths for depth in self.depths]
        self._members = tuple(sorted(members, key=lambda subnet: (size(subnet), subnet)))
        members.append(self.intact)
        known = {name: subnet for name, subnet in (names or {}).items() if subnet in members}
        self.names: Mapping[str, Subnet] = {
            **known,
            'smallest': self.smallest,
            'largest': self.largest,
        }

    @property
    def smallest(self) -> Subnet:
        """The sub-network of the smallest width and depth."""
        return self._members[0]

    @property
    def largest(self) -> Subnet:
        """The sub-network of the largest width and depth."""
        return self._members[-1]

    @property
    def candidates(self) -> tuple[Subnet, ...]:
        """What the elastic student may be: every member but the intact network."""
        return tuple(subnet for subnet in self._members if subnet != self.intact)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Subnet]:
        return iter(self._members)

    def __contains__(self, subnet: object) -> bool:
        return subnet in self._members

    @overload
    def __getitem__(self, key: SupportsIndex | str | Subnet) -> Subnet: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[Subnet, ...]: ...

    def __getitem__(self, key: SupportsIndex | str | Subnet | slice) -> Subnet | tuple[Subnet, ...]:
        if isinstance(key, slice | SupportsIndex):
            return self._members[key]
        return self.resolve(key)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(widths={list(self.widths)}, depths={list(self.depths)}, '
            f'gamma={self.gamma})'
        )

    def resolve(self, subnet: str | Subnet | None) -> Subnet:
        """Return the member that a name or a ``Subnet`` means; ``None`` is the intact network.

        Raises:
            ValueError: Unknown name, or a width or depth that the space does not have.
            TypeError: Neither a name nor a ``Subnet``.
        """
        if subnet is None:
            return self.intact
        if isinstance(subnet, str):
            return self._parse(subnet)
        if not isinstance(subnet, Subnet):
            raise TypeError(f'a sub-network is a Subnet or a name, got {subnet!r}')
        if subnet not in self and subnet != self.intact:
            raise ValueError(f'no sub-network {subnet}; {self._valid()}')
        return subnet

    def weight(self, subnet: Subnet) -> float:
        """Return the sampling weight ``s_ij`` of a member (Eq. 14).

        Of width i of M and depth j of N, in ascending order from 1, it is the product of
        ``1 + (γ − 1)(M − i) / (M − 1)`` and ``1 + (γ − 1)(N − j) / (N − 1)``.
        """
        axes = {'width': (self.widths, subnet.width), 'depth': (self.depths, subnet.depth)}
        return math.prod(self._axis_weight(*axes[axis]) for axis in self.weighted)

    def probabilities(self, among: Sequence[Subnet] | None = None) -> tuple[float, ...]:
        """Return the probability of each of these, its share of all weights.

        Args:
            among: Members; :attr:`candidates` by default.
        """
        weights = [self.weight(subnet) for subnet in (self.candidates if among is None else among)]
        total = sum(weights)
        return tuple(weight / total for weight in weights)

    def sample(self, rng: RandomState, among: Sequence[Subnet] | None = None) -> Subnet:
        """Draw one sub-network by its :meth:`weight`.

        Args:
            rng: ``random.Random``, a NumPy ``Generator`` or a torch ``Generator``.
            among: The members to draw from; :attr:`candidates` by default.

        Raises:
            ValueError: There is none to draw, as the intact network is the only member.
        """
        among = self.candidates if among is None else among
        if not among:
            raise ValueError(f'{self!r} holds nothing but the intact network: nothing to draw')
        if isinstance(rng, torch.Generator):
            point = torch.rand((), generator=rng, device=rng.device).item()
        else:
            point = rng.random()
        cumulative = list(accumulate(self.probabilities(among)))
        # Rounding can leave the last sum a hair below one, and the point above it.
        return among[min(bisect_right(cumulative, point), len(cumulative) - 1)]

    def _axis_weight(self, axis: Sequence[Depth], value: Depth) -> float:
        if len(axis) == 1:
            return 1.0
        rank = axis.index(value) + 1
        return 1 + (self.gamma - 1) * (len(axis) - rank) / (len(axis) - 1)

    def _parse(self, name: str) -> Subnet:
        if name in self.names:
            return self.names[name]
        subnet = subnet_of_name(name)
        if subnet is None or (subnet not in self and subnet != self.intact):
            raise ValueError(f'no sub-network {name!r}; {self._valid()}')
        return subnet

    def _valid(self) -> str:
        widths = ', '.join(map(str, self.widths))
        return (
            f'valid: {", ".join(self.names)}, or w<width>-d<depth> with a width of {widths} '
            f'and a depth of {self._valid_depths()}'
        )

    def _valid_depths(self) -> str:
        if isinstance(self.depths[0], int):
            return ', '.join(map(str, self.depths))
        # All combinations would fill the screen.
        stages = zip(*(Subnet(0, depth).stage_depths for depth in self.depths), strict=True)
        ranges = (f'{min(stage)}…{max(stage)}' for stage in stages)
        return f'<blocks of each stage, joined by ->: {", ".join(ranges)}'


def subnet_of_name(name: str) -> Subnet | None:
    """Return the sub-network whose ``str`` a text is, or ``None``.

    Example:
        >>> subnet_of_name('w64-d3-4-6-3'), subnet_of_name('vit-s')
        (Subnet(width=64, depth=(3, 4, 6, 3)), None)
    """
    match = re.fullmatch(r'w(\d+)-d(\d+(?:-\d+)*)', name)
    if match is None:
        return None
    stages = tuple(map(int, match[2].split('-')))
    return Subnet(int(match[1]), stages if len(stages) > 1 else stages[0])


def select_subnets(space: SearchSpace, which: str) -> list[Subnet]:
    """Return the sub-networks that a user asks for.

    Args:
        space: The supernet's sub-networks.
        which: ``'all'``, ``'named'`` (those with a name) or names separated by commas.

    Returns:
        Sub-networks without repetition, from small to large unless listed one by one.

    Raises:
        ValueError: On an unknown name; lists the valid ones.

    Example:
        >>> space = SearchSpace([64, 128], [2, 4])
        >>> [str(subnet) for subnet in select_subnets(space, 'smallest, w64-d4')]
        ['w64-d2', 'w64-d4']
    """
    if which == 'all':
        return list(space)
    if which == 'named':
        return [subnet for subnet in space if subnet in space.names.values()]
    return list(dict.fromkeys(space[name.strip()] for name in which.split(',')))


def well_known_name(space: SearchSpace, subnet: Subnet) -> str:
    """Return a sub-network's name, rather 'vit-s' than 'smallest', or '' if it has none."""
    names = [name for name, member in space.names.items() if member == subnet]
    return min(names, key=lambda name: name in ('smallest', 'largest'), default='')


def _checked_depths(depths: Sequence[Depth]) -> tuple[Depth, ...]:
    depths = list(depths)
    if all(isinstance(depth, int | float) for depth in depths):
        return _checked_axis('depths', depths)
    stages = [tuple(depth) if isinstance(depth, list | tuple) else (depth,) for depth in depths]
    if len({len(stage) for stage in stages}) > 1:
        raise ValueError(f'depths must all have the same number of stages, got {depths}')
    for stage in stages:
        wrong = [blocks for blocks in stage if not isinstance(blocks, int) or blocks < 1]
        if wrong or not stage:
            raise ValueError(f'depths must hold positive integers, got {stage}')
    if len(set(stages)) != len(stages):
        raise ValueError(f'depths holds a value twice: {depths}')
    return tuple(sorted(stages, key=lambda stage: (sum(stage), stage)))


def _checked_axis(name: str, values: Sequence[Any]) -> tuple[int, ...]:
    values = list(values)
    if not values:
        raise ValueError(f'{name} is empty')
    wrong = [value for value in values if not isinstance(value, int) or value < 1]
    if wrong:
        raise ValueError(f'{name} must be positive integers, got {wrong}')
    if len(set(values)) != len(values):
        raise ValueError(f'{name} holds a value twice: {values}')
    return tuple(sorted(values))
