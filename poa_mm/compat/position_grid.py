"""Save the grid of position embeddings with them, and resize from it.

Defect (all versions of mmpretrain): a ViT resizes the position embeddings that it loads, but
guesses their grid from their number. 64 positions of 4 × 16 patches are read as 8 × 8, without an
error, and a network of 8 × 8 patches takes them as they are.

Fix: each ViT writes its grid into the metadata of its state dict, in which torch keeps the version
of each module, and reads the grid of what it loads. torch and mmengine save and load metadata with
the tensors. Files keep their format, and open without this package.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmengine.logging import print_log
from torch import Tensor

if TYPE_CHECKING:
    from mmpretrain.models.backbones.vision_transformer import VisionTransformer

GRID = 'position_grid'  # key of the metadata of a module
Grid = tuple[int, int]  # rows and columns


def fit_positions(
    table: Tensor, source: Grid | None, target: Grid, extra: int, mode: str = 'bicubic'
) -> Tensor:
    """Resize position embeddings from one grid to another.

    Args:
        table: (1, tokens, D): extra tokens, then the source grid row by row. A class token is
            left out if the target has none.
        source: Their grid; ``None`` if unknown: the target grid if their number fits, otherwise a
            square one.
        target: The grid to resize to.
        extra: Tokens before the patches in the target, such as the class token.
        mode: Interpolation.

    Raises:
        ValueError: The number of tokens does not fit the source grid, or the grid is unknown and
            not square.
    """
    from mmpretrain.models.utils import resize_pos_embed

    count = table.shape[1]
    rows, columns = source or _guess(count, target, extra)
    before = count - rows * columns
    if before == 1 and extra == 0:
        table, before = table[:, 1:], 0
    if before != extra:
        raise ValueError(
            f'{count} position embeddings do not fit {rows} × {columns} patches and {extra} '
            'other tokens'
        )
    return resize_pos_embed(table, (rows, columns), tuple(target), mode, extra)


def _guess(count: int, target: Grid, extra: int) -> Grid:
    """Return the most likely grid of so many tokens, one of which may be a class token."""
    patches = [count - extra, *([count - 1] if extra == 0 else [])]
    if math.prod(target) in patches:
        return target
    for number in patches:
        side = math.isqrt(max(number, 0))
        if side and side**2 == number:
            return side, side
    raise ValueError(
        f'{count} position embeddings fit no square grid of patches and {extra} other tokens, '
        'and the file does not name their grid'
    )


def with_grid(state: Mapping[str, Tensor], grid: Grid | None) -> 'OrderedDict[str, Tensor]':
    """Return the state dict of a ViT with the grid of its position embeddings.

    Args:
        state: Weights, with or without metadata.
        grid: Rows and columns; ``None`` leaves the metadata as they are.
    """
    metadata = {name: dict(facts) for name, facts in getattr(state, '_metadata', {}).items()}
    if grid is not None:
        metadata.setdefault('', {})[GRID] = tuple(grid)
    told: Any = OrderedDict(state)
    told._metadata = OrderedDict(metadata)
    return told


def _prepare_pos_embed(
    self: 'VisionTransformer',
    state_dict: dict[str, Tensor],
    prefix: str,
    local_metadata: dict,
    *args: object,
) -> None:
    """Resize position embeddings before they are loaded, as mmpretrain's hook of this name."""
    name = f'{prefix}pos_embed'
    table, own = state_dict.get(name), getattr(self, 'pos_embed', None)
    if table is None or own is None or table.ndim != 3:
        return
    source = local_metadata.get(GRID)
    try:
        fitted = fit_positions(
            table, source, self.patch_resolution, self.num_extra_tokens, self.interpolate_mode
        )
    except ValueError as error:
        raise ValueError(f'{name} cannot be loaded: {error}') from error
    if fitted is not table:
        print_log(
            f'{name}: {tuple(table.shape[1:])} of {source or "a guessed grid"} is loaded as '
            f'{tuple(fitted.shape[1:])} of {tuple(self.patch_resolution)}',
            logger='current',
        )
    state_dict[name] = fitted


def install() -> None:
    """Let mmpretrain's ViTs save the grid in their state dicts, and read it."""
    from mmpretrain.models.backbones.vision_transformer import VisionTransformer

    save = VisionTransformer._save_to_state_dict

    def save_with_grid(
        self: VisionTransformer, destination: dict[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        save(self, destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', None)
        if metadata is not None and getattr(self, 'pos_embed', None) is not None:
            metadata.setdefault(prefix[:-1], {})[GRID] = tuple(self.patch_resolution)

    VisionTransformer._save_to_state_dict = save_with_grid
    VisionTransformer._prepare_pos_embed = _prepare_pos_embed
