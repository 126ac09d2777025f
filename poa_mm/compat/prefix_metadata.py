"""Keep the metadata of a state dict when a part of it is loaded by prefix.

Defect (all versions of mmengine): ``init_cfg=dict(type='Pretrained', prefix=...)`` drops it. It
says how to read the weights: versions of modules, and grids of position embeddings. Fix: keep it,
without the prefix.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> 'OrderedDict[str, Tensor]':
    """Return the part of a state dict below a prefix such as ``'backbone.'``, with metadata."""
    part: Any = OrderedDict(
        (name.removeprefix(prefix), value)
        for name, value in state.items()
        if name.startswith(prefix)
    )
    part._metadata = OrderedDict(
        (f'{name}.'.removeprefix(prefix).removesuffix('.'), facts)
        for name, facts in getattr(state, '_metadata', {}).items()
        if not prefix or f'{name}.'.startswith(prefix)
    )
    return part


def install() -> None:
    """Let ``init_cfg=dict(type='Pretrained', prefix=...)`` keep the metadata."""
    from mmengine.runner import checkpoint

    def load_with_prefix(prefix: str, filename: str, map_location: Any = None) -> Any:
        content = checkpoint._load_checkpoint(filename, map_location=map_location)
        prefix = f'{prefix.removesuffix(".")}.'
        part = without_prefix(content.get('state_dict', content), prefix)
        if not part:
            raise ValueError(f'{filename} has no weights that start with {prefix!r}')
        return part

    checkpoint._load_checkpoint_with_prefix = load_with_prefix
