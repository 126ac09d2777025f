"""Checks of the arguments of mmpretrain's classes in an elastic network.

They run before anything is built. mmpretrain itself finds some wrong arguments in the first forward
pass, some by an assertion without a message, and some never.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mmcv.cnn import build_activation_layer
from mmengine.registry import DefaultScope

Check = Callable[[str, Any], None]

PADDINGS = ('corner', 'same')  # adaptive ones, of a patch embedding
BLOCK_OPTIONS = ('act_cfg',)  # of layer_cfgs: nothing that changes a shape, no regularisation


def check_options(owner: str, options: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Check arguments by name.

    Args:
        owner: Class that the arguments belong to, for errors.
        options: Arguments by name.
        checks: Check of each known argument.

    Raises:
        TypeError: An unknown argument.
        ValueError: A value that its check refuses.
    """
    unknown = _unknown(owner, options, checks)
    if unknown:
        raise TypeError(unknown)
    for name, value in options.items():
        checks[name](name, value)


def _unknown(owner: str, options: Mapping[str, Any], checks: Mapping[str, Check]) -> str:
    """Describe unknown names, '' if there are none."""
    unknown = [repr(str(name)) for name in options if name not in checks]
    return f'{owner} takes {", ".join(sorted(checks))}; got {", ".join(unknown)}' if unknown else ''


def anything(name: str, value: Any) -> None:
    """Accept any value."""


def whole(least: int, most: int | None = None) -> Check:
    """Check for a whole number from ``least`` to ``most``."""
    bound = f'of at least {least}' if most is None else f'within {least}…{most}'

    def check(name: str, value: Any) -> None:
        fine = isinstance(value, int) and value >= least and (most is None or value <= most)
        if not fine:
            raise ValueError(f'{name} must be a whole number {bound}, got {value!r}')

    return check


def pair(least: int) -> Check:
    """Check for a whole number of at least ``least``, or two of them for height and width."""

    def check(name: str, value: Any) -> None:
        sides = value if isinstance(value, list | tuple) else (value, value)
        if len(sides) != 2 or not all(isinstance(side, int) and side >= least for side in sides):
            raise ValueError(
                f'{name} must be a whole number of at least {least}, or two of them (height, '
                f'width), got {value!r}'
            )

    return check


def rate(name: str, value: Any) -> None:
    """Check for a probability below 1."""
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f'{name} must be a number within [0, 1), got {value!r}')


def one_of(*valid: Any) -> Check:
    """Check for one of the valid values."""

    def check(name: str, value: Any) -> None:
        if value not in valid:
            raise ValueError(f'{name} must be one of {valid}, got {value!r}')

    return check


def norm(kind: str, optional: bool = False) -> Check:
    """Check for the config of a normalisation layer of one kind, or None if that is optional."""

    def check(name: str, value: Any) -> None:
        if value is None and optional:
            return
        found = value.get('type') if isinstance(value, Mapping) else value
        if found != kind:
            more = ' or None' if optional else ''
            raise ValueError(f'{name} must be of type {kind!r}{more}, got {found!r}')

    return check


def unset(name: str, value: Any) -> None:
    """Check that an argument without an elastic form stays at a default that does nothing."""
    if value:
        raise ValueError(f'{name} cannot be set in an elastic network, got {value!r}')


def patch_options(name: str, value: Any) -> None:
    """Check ``patch_cfg``: arguments of mmcv's ``PatchEmbed`` that no other argument sets."""
    if not isinstance(value, Mapping):
        raise ValueError(f'{name} must be a dict, got {value!r}')
    unknown = _unknown(name, value, _PATCH_OPTIONS)
    if unknown:
        raise ValueError(unknown)
    for key, item in value.items():
        _PATCH_OPTIONS[key](f'{name}: {key}', item)


def _stride(name: str, value: Any) -> None:
    if value is not None:
        pair(1)(name, value)


def _padding(name: str, value: Any) -> None:
    if isinstance(value, str):
        one_of(*PADDINGS)(name, value)
    else:
        pair(0)(name, value)


_PATCH_OPTIONS: dict[str, Check] = {
    'bias': anything,
    'conv_type': one_of('Conv2d'),
    'dilation': pair(1),
    'in_channels': whole(1),
    'init_cfg': anything,
    'kernel_size': pair(1),
    'norm_cfg': norm('LN', optional=True),
    'padding': _padding,
    'stride': _stride,
}


def block_options(depth: int) -> Check:
    """Check ``layer_cfgs``: settings of all blocks, or of each of ``depth``."""

    def check(name: str, value: Any) -> None:
        several = isinstance(value, list | tuple)
        if several and len(value) != depth:
            raise ValueError(f'{name} must be one dict or {depth} of them, got {len(value)}')
        for cfg in value if several else [value]:
            if not isinstance(cfg, Mapping):
                raise ValueError(f'{name} must be one dict or a list of them, got {cfg!r}')
            wrong = sorted(set(cfg) - set(BLOCK_OPTIONS))
            if wrong:
                raise ValueError(f'{name} takes {BLOCK_OPTIONS} in an elastic network, got {wrong}')
            if 'act_cfg' in cfg:
                _activation(f'{name}: act_cfg', cfg['act_cfg'])

    return check


def _activation(name: str, value: Any) -> None:
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            layer = build_activation_layer(dict(value))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an activation such as dict(type='GELU'), got {value!r}"
        ) from error
    if any(True for _ in layer.parameters()):
        raise ValueError(
            f'{name} must be an activation without parameters, which have no elastic form, got '
            f'{value!r}'
        )


def indices(name: str, value: Any) -> None:
    """Check for one whole number or several."""
    numbers = value if isinstance(value, list | tuple | range) else [value]
    if not numbers or not all(isinstance(number, int) for number in numbers):
        raise ValueError(f'{name} must be whole numbers, at least one, got {value!r}')


def architecture(
    value: Any, zoo: Mapping[str, Mapping[str, Any]], sizes: Collection[str]
) -> Mapping[str, Any]:
    """Look up the sizes that ``arch`` means.

    Args:
        value: A name in ``zoo``, or the sizes themselves.
        zoo: Known architectures by name.
        sizes: Names of the sizes that must be given.

    Raises:
        ValueError: Unknown name, or missing sizes.
    """
    if isinstance(value, str):
        if value.lower() not in zoo:
            raise ValueError(f'arch must be one of {", ".join(sorted(zoo))}, got {value!r}')
        return zoo[value.lower()]
    if not isinstance(value, Mapping) or not set(sizes) <= set(value):
        raise ValueError(f'arch must be a name or a dict of {", ".join(sizes)}, got {value!r}')
    return value


def positive_list(name: str, value: Any, length: int) -> None:
    """Check for a list of ``length`` positive whole numbers."""
    numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(numbers) != length or not all(isinstance(n, int) and n > 0 for n in numbers):
        raise ValueError(f'{name} must be {length} positive whole numbers, got {value!r}')
