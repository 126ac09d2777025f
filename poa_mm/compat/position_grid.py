"""mmpretrain takes the grid of position embeddings that it loads for a square, or for its own.

Weights that come from images of another size have their positions resized when they are loaded.
mmpretrain's ViT guesses their grid from their number: 64 positions of 4 × 16 patches are read as
8 × 8, without an error, and taken as they are by a network of 8 × 8 patches.

A state dict does have room for such a fact: the metadata in which torch keeps the version of each
module, and which torch and mmengine save and load with the tensors. Each ViT writes its grid there,
and reads the grid of what it loads. Files keep their format, and open without this package, too.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

GRID = 'position_grid'  # key of the metadata of a module
Grid = tuple[int, int]  # rows and columns


def fit_positions(
    table: Tensor, source: Grid | None, target: Grid, extra: int, mode: str = 'bicubic'
) -> Tensor:
    """Position embeddings of one grid for another one.

    Args:
        table: (1, tokens, D): extra tokens, then the source grid row by row. A class token that the
            target does not have is left out.
        source: The grid that they are of; ``None`` if unknown. They are then of the target grid if
            their number fits, or else of a square one.
        target: The grid that they are to be of.
        extra: Tokens before the patches in the target, such as the class token.
        mode: Interpolation.

    Raises:
        ValueError: A number of tokens that the source grid does not have, or an unknown grid that
            is no square.
    """
    from mmpretrain.models.utils import resize_pos_embed

    count = table.shape[1]
    rows, columns = source or _guess(count, target, extra)
    before = count - rows * columns
    if before == 1 and extra == 0:
        table, before = table[:, 1:], 0
    if before != extra:
        raise ValueError(
            f'{count} position embeddings are not those of {rows} × {columns} patches and {extra} '
            'more tokens'
        )
    return resize_pos_embed(table, (rows, columns), tuple(target), mode, extra)


def _guess(count: int, target: Grid, extra: int) -> Grid:
    """The likeliest grid of so many tokens, of which a class token may be one too many."""
    patches = [count - extra, *([count - 1] if extra == 0 else [])]
    if math.prod(target) in patches:
        return target
    for number in patches:
        side = math.isqrt(max(number, 0))
        if side and side**2 == number:
            return side, side
    raise ValueError(
        f'{count} position embeddings are those of no square grid of patches and {extra} more '
        'tokens, and the file does not tell of which grid'
    )


def with_grid(state: Mapping[str, Tensor], grid: Grid | None) -> 'OrderedDict[str, Tensor]':
    """A state dict of one ViT that tells the grid of its position embeddings.

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
    self: Any, state_dict: dict[str, Tensor], prefix: str, local_metadata: dict, *args: Any
) -> None:
    """Resize position embeddings that are about to be loaded; mmpretrain's hook by this name."""
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
    """Have mmpretrain's ViTs tell the grid in their state dicts, and read it."""
    from mmpretrain.models.backbones.vision_transformer import VisionTransformer

    save = VisionTransformer._save_to_state_dict

    def save_with_grid(self: Any, destination: Any, prefix: str, keep_vars: bool) -> None:
        save(self, destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', None)
        if metadata is not None and getattr(self, 'pos_embed', None) is not None:
            metadata.setdefault(prefix[:-1], {})[GRID] = tuple(self.patch_resolution)

    VisionTransformer._save_to_state_dict = save_with_grid
    VisionTransformer._prepare_pos_embed = _prepare_pos_embed
