"""mmpretrain resizes the position biases of windows with a function that SciPy 1.14 has removed.

``scipy.interpolate.interp2d`` of a regular grid is a bivariate spline through its points, which
``RectBivariateSpline`` still is. Where biases are and are wanted follows mmpretrain, which has it
from BEiT: distances within the window that grow geometrically, so that near ones are kept finest.
"""

import sys

import numpy as np
import torch
from torch import Tensor

# Modules of mmpretrain.models that have the function: the first one defines it.
USERS = ('utils.embed', 'utils', 'backbones.swin_transformer', 'backbones.beit')
MAX_DEGREE = 3  # cubic, where a window has points enough


def resize_bias_table(source: int, target: int, table: Tensor, num_heads: int) -> Tensor:
    """Relative position biases of windows of another size.

    Args:
        source: Offsets in each direction that the table has, ``2 · window − 1``.
        target: Offsets in each direction that it is to have.
        table: (source², heads).
        num_heads: Number of heads.

    Returns:
        (target², heads), in the data type of the table.

    Raises:
        ValueError: A table of windows that are not square.
    """
    if len(table) != source**2:
        raise ValueError(
            f'a table of {len(table)} relative positions is that of no square window, so it cannot '
            'be resized'
        )
    from scipy.interpolate import RectBivariateSpline

    if source == 1:  # a window of one place knows one offset
        return table.expand(target**2, -1).clone()
    places = _places(source, target)
    wanted = np.arange(-(target // 2), target // 2 + 1)
    degree = min(MAX_DEGREE, source - 1)
    biases = table.detach().double().cpu().unflatten(0, (source, source)).numpy()
    resized = []
    for head in range(num_heads):
        # Beyond the outermost place, the value there: what interp2d did.
        spline = RectBivariateSpline(places, places, biases[..., head], kx=degree, ky=degree)
        resized.append(spline(wanted, wanted).reshape(-1))
    return torch.from_numpy(np.stack(resized, axis=1)).to(table)


def _places(source: int, target: int) -> np.ndarray:
    """Where the offsets of the source lie among those of the target: the last one at its end."""
    steps, reach = source // 2, target // 2
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio**steps) / (1 - ratio) > reach:
            high = ratio
        else:
            low = ratio
    distances = np.cumsum(ratio ** np.arange(steps))
    return np.concatenate([-distances[::-1], [0], distances])


def install() -> None:
    """Put our function in the place of mmpretrain's, also where it has been imported already."""
    name = 'resize_relative_position_bias_table'
    for module in (sys.modules.get(f'mmpretrain.models.{path}') for path in USERS):
        if hasattr(module, name):
            setattr(module, name, resize_bias_table)
