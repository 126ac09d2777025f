"""Starting a backbone, elastic or stock, from weights that fit it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mmengine.dist import barrier, get_local_rank
from mmengine.runner import CheckpointLoader
from torch import Tensor, hub, nn

from poa_mm.files import read_file

# What a backbone may have and the weights may lack: the mask token of pre-training, the output
# norms of Swin's first stages, which pre-training does not use, and what Swin computes by itself.
MAY_BE_NEW = r'mask_token|norm[012]\.(weight|bias)|.*\.relative_position_index'
# What the weights may have and a backbone may lack: the norm of an output that it does not give
# (ViT with final_norm=False, Swin without its last stage).
MAY_BE_UNUSED = r'ln1\.(weight|bias)|norm3\.(weight|bias)'
SHOWN = 4  # names of each kind in an error


def load_pretrained(backbone: nn.Module, checkpoint: str, prefix: str | None = None) -> None:
    """Load all weights of a backbone: mmengine's own loading would only warn of those it cannot.

    Position embeddings of another image size and relative ones of another window are resized, as
    the backbone has it.

    Args:
        backbone: The backbone to fill.
        checkpoint: File or http(s) address of a training checkpoint or a state dict.
        prefix: What the names of the backbone's weights start with in there, such as
            ``'teacher.backbone.'``; ``None`` if it holds nothing else.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint, one with code in it, or names or shapes that do not fit; says
            which.
    """
    content = _read(checkpoint)
    state = content.get('state_dict', content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f'{checkpoint} holds no state dict')
    prefix = prefix or ''
    state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not state:
        raise ValueError(f'{checkpoint} has no weights that start with {prefix!r}')
    misfits = _misfits(backbone, state)
    if misfits:
        advice = '' if prefix else _advice(checkpoint, state)
        raise ValueError(f'the weights in {checkpoint} do not fit: {"; ".join(misfits)}{advice}')


def _read(checkpoint: str) -> Any:
    """Content of a file, or of an address by way of torch's cache."""
    if '://' not in checkpoint:
        return read_file(Path(checkpoint).expanduser())
    address = urlparse(checkpoint)
    if address.scheme not in ('http', 'https'):  # subnet:// and mmengine's storages
        return CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    path = Path(hub.get_dir(), 'checkpoints', Path(address.path).name)
    if get_local_rank() == 0 and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(checkpoint, str(path))
    barrier()
    return read_file(path)


def _misfits(backbone: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Load, and say what does not fit, in few enough words to be read."""
    own = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    verdict = ''
    try:
        backbone.load_state_dict(state, strict=False)
    except (AssertionError, RuntimeError) as error:  # assertions of resizing
        verdict = str(error)
    kinds = {
        'missing': [n for n in own if n not in state and not re.fullmatch(MAY_BE_NEW, n)],
        'unexpected': [n for n in state if n not in own and not re.fullmatch(MAY_BE_UNUSED, n)],
        # Torch's word, because the backbone has resized what it can.
        'of another shape': [
            f'{name} {tuple(state[name].shape)} instead of {shape}'
            for name, shape in own.items()
            if f'size mismatch for {name}:' in verdict
        ],
    }
    misfits = [f'{len(names)} {kind}: {_listed(names)}' for kind, names in kinds.items() if names]
    return misfits or ([verdict] if verdict else [])


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ', '.join(names[:SHOWN]) + (f' and {rest} more' if rest > 0 else '')


def _advice(checkpoint: str, state: Mapping[str, Tensor]) -> str:
    if not any(name.startswith('teacher.backbone.') for name in state):
        return ''
    return (
        '. It is a training checkpoint: name the sub-network to cut out of it, as in '
        f"checkpoint='subnet://vit-s@{checkpoint}'"
    )
