"""Resize relative position biases with any SciPy.

Defect (all versions of mmpretrain with SciPy >= 1.14): they are resized by
``scipy.interpolate.interp2d``, which has been removed. Fix: on a regular grid, that is a bivariate
spline through its points, as ``RectBivariateSpline`` is. The positions of biases are those of
mmpretrain, as in BEiT: distances grow geometrically, so that small ones have the finest resolution.
"""

import sys

import numpy as np
import torch
from torch import Tensor

# Modules of mmpretrain.models that have the function: the first one defines it.
USERS = ('utils.embed', 'utils', 'backbones.swin_transformer', 'backbones.beit')
MAX_DEGREE = 3  # cubic, if a window has enough points


def resize_bias_table(source: int, target: int, table: Tensor, num_heads: int) -> Tensor:
    """Resize relative position biases to windows of another size.

    Args:
        source: Number of offsets in each direction, ``2 · window − 1``.
        target: The same after resizing.
        table: (source², heads).
        num_heads: Number of heads.

    Returns:
        (target², heads), in the data type of the table.

    Raises:
        ValueError: The table is not that of a square window.
    """
    if len(table) != source**2:
        raise ValueError(
            f'a table of {len(table)} relative positions does not belong to a square window, so it '
            'cannot be resized'
        )
    from scipy.interpolate import RectBivariateSpline

    if source == 1:  # a window of one position has one offset
        return table.expand(target**2, -1).clone()
    places = _places(source, target)
    wanted = np.arange(-(target // 2), target // 2 + 1)
    degree = min(MAX_DEGREE, source - 1)
    biases = table.detach().double().cpu().unflatten(0, (source, source)).numpy()
    resized = []
    for head in range(num_heads):
        # Beyond the outermost position, the value there, as interp2d did.
        spline = RectBivariateSpline(places, places, biases[..., head], kx=degree, ky=degree)
        resized.append(spline(wanted, wanted).reshape(-1))
    return torch.from_numpy(np.stack(resized, axis=1)).to(table)


def _places(source: int, target: int) -> np.ndarray:
    """Return where the offsets of the source lie among those of the target, the ends alike."""
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
    """Replace mmpretrain's function, also where it has been imported already."""
    name = 'resize_relative_position_bias_table'
    for module in (sys.modules.get(f'mmpretrain.models.{path}') for path in USERS):
        if hasattr(module, name):
            setattr(module, name, resize_bias_table)
