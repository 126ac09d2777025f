"""Checks that timm has a network's layers. Messages name the setting that a layer comes from.

A ``config.json`` holds plain data: timm builds an activation or a norm from its name alone, without
further arguments and with timm's ε.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

ACTIVATIONS = (
    'gelu', 'gelu_tanh', 'quick_gelu', 'relu', 'relu6', 'leaky_relu', 'elu', 'celu', 'selu', 'silu',
    'mish', 'sigmoid', 'tanh', 'hard_sigmoid', 'hard_swish', 'identity',
)  # fmt: skip
ANOTHER = 'another format takes it'


class Norm(Protocol):
    """A normalisation layer."""

    @property
    def eps(self) -> float:
        """ε, added to the variance."""

    @property
    def weight(self) -> Tensor | None:
        """Scale, if any."""

    @property
    def bias(self) -> Tensor | None:
        """Shift, if any."""


def activation(layers: Iterable[nn.Module]) -> str:
    """Find timm's name of the activation that all of these layers compute.

    Raises:
        ValueError: The layers differ, or timm has no such activation.
    """
    layers = list(layers)
    names = {_activation_name(layer) for layer in layers}
    (name, *others) = names
    if name is None or others:
        found = ', '.join(sorted({str(layer) for layer in layers}))
        raise ValueError(
            'timm has one activation for all blocks, with the settings that it has for it; '
            f'layer_cfgs with act_cfg gives this network {found}; {ANOTHER}'
        )
    return name


def _activation_name(layer: nn.Module) -> str | None:
    """Find the first of timm's activations that gives the same values."""
    from timm.layers import get_act_layer

    if any(True for _ in layer.parameters()):
        return None
    probes = torch.linspace(-8, 8, 321, dtype=torch.float64)
    expected = layer(probes.clone())  # layers may work in place
    for name in ACTIVATIONS:
        if torch.allclose(get_act_layer(name)()(probes.clone()), expected, rtol=0, atol=1e-12):
            return name
    return None


def check_convolution(projection: nn.Conv2d, bias: bool) -> None:
    """Check that a patch embedding projects patches side by side, as timm's does.

    Args:
        projection: The convolution of the patch embedding.
        bias: Whether timm's convolution has a bias.

    Raises:
        ValueError: Strides, padding, dilation, groups or bias differ.
    """
    expected: dict[str, object] = {
        'stride': projection.kernel_size,
        'padding': (0, 0),
        'dilation': (1, 1),
        'groups': 1,
    }
    wrong = {
        key: getattr(projection, key)
        for key, value in expected.items()
        if getattr(projection, key) != value
    }
    if (projection.bias is not None) != bias:
        wrong['bias'] = projection.bias is not None
    if wrong:
        settings = ', '.join(f'{key}={value!r}' for key, value in wrong.items())
        raise ValueError(
            'timm embeds patches side by side, with a bias unless pre_norm is set; patch_cfg gives '
            f'this network {settings}; {ANOTHER}'
        )


def common_eps(
    norms: Collection[Norm], kind: type[nn.Module], valid: Collection[float], setting: str
) -> float:
    """Return the ε that all these norms have.

    Args:
        norms: The norms.
        kind: Class of timm's norms, ``nn.LayerNorm`` or ``nn.GroupNorm``.
        valid: Values of ε that timm has.
        setting: Argument of the backbone that sets the norms.

    Raises:
        ValueError: The class or ε differ, or norms have no weight or bias.
    """
    given = f'{setting} gives this network'
    others = sorted({type(norm).__name__ for norm in norms if not isinstance(norm, kind)})
    if others:
        raise ValueError(f'timm has {kind.__name__} there, {given} {", ".join(others)}; {ANOTHER}')
    if any(norm.weight is None or norm.bias is None for norm in norms):
        raise ValueError(f"timm's norms have weight and bias, {given} some without; {ANOTHER}")
    found = sorted({float(norm.eps) for norm in norms})
    if len(found) != 1 or found[0] not in valid:
        raise ValueError(
            f'timm has norms with eps={" or ".join(map(str, valid))} there, {given} '
            f'eps={" and ".join(map(str, found))}; {ANOTHER}'
        )
    return found[0]
