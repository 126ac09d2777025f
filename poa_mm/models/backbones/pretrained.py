"""Load pre-trained weights into a backbone, elastic or stock."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlparse

from mmengine.dist import barrier, get_local_rank
from mmengine.runner import CheckpointLoader
from torch import Tensor, hub, nn

from poa_mm.compat.position_grid import GRID, Grid, with_grid
from poa_mm.compat.prefix_metadata import without_prefix
from poa_mm.file_kinds import kind_of_content, with_kind
from poa_mm.files import BACKBONE_INFO, BRANCHES, SUPERNET_INFO, read_file
from poa_mm.models.backbones.vit_layers import PATCH_OPTIONS, patch_grid

# Names that the weights may lack: the mask token of pre-training, the output norms of Swin's first
# stages, which pre-training does not use, and Swin's computed indices.
MAY_BE_NEW = r'mask_token|norm[012]\.(weight|bias)|.*\.relative_position_index'
# Names that a backbone may lack: the norm of an output that it does not have (ViT with
# final_norm=False, Swin without its last stage).
MAY_BE_UNUSED = r'ln1\.(weight|bias)|norm3\.(weight|bias)'
SHOWN = 4  # names of each kind in an error


@runtime_checkable
class HasMaskGrid(Protocol):
    """A backbone that knows the grid of its patches, as elastic ones do."""

    def mask_grid(self, height: int, width: int) -> Grid:
        """Return the rows and columns of the patches of an image."""


def load_into(backbone: nn.Module, init_cfg: Mapping[str, Any]) -> None:
    """Load the weights that an ``init_cfg`` of the type ``Pretrained`` names.

    Args:
        backbone: The backbone to fill.
        init_cfg: ``checkpoint``, ``prefix`` and, for elastic ViTs, ``img_size``: see
            :func:`load_pretrained`.

    Raises:
        FileNotFoundError: As :func:`load_pretrained`.
        ValueError: As :func:`load_pretrained`, or an image size that is not positive,
            or one for a backbone that is not elastic.
    """
    size = init_cfg.get('img_size')
    grid = None
    if size is not None:
        sides = (size, size) if isinstance(size, int) else tuple(size)
        if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
            raise ValueError(
                f'img_size of init_cfg must be the height and width of the images that the '
                f'weights are made for, got {size}'
            )
        if not isinstance(backbone, HasMaskGrid):
            raise ValueError(
                f'img_size of init_cfg is for elastic backbones, not for {type(backbone).__name__}'
            )
        grid = backbone.mask_grid(*sides)
    load_pretrained(backbone, init_cfg['checkpoint'], init_cfg.get('prefix'), grid)


def load_pretrained(
    backbone: nn.Module, checkpoint: str, prefix: str | None = None, grid: Grid | None = None
) -> None:
    """Load all weights of a backbone, or raise an error where mmengine would only warn.

    The backbone resizes position embeddings of another image size and relative ones of another
    window. Their grid is in the metadata of the state dict, or follows from the config in the file.
    Without both, their number must be that of the backbone's own grid or of a square one.

    Args:
        backbone: The backbone to fill.
        checkpoint: File or http(s) address of a training checkpoint or a state dict.
        prefix: Prefix of the backbone's weights in the file, such as ``'teacher.backbone.'``;
            ``None`` if it holds nothing else.
        grid: Rows and columns of the position embeddings in the file, where it does not state them.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a checkpoint, one that contains code, or names or shapes that do not fit,
            which the message lists.
    """
    content = _read(checkpoint)
    state = content.get('state_dict', content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(with_kind(f'{checkpoint} holds no state dict', kind_of_content(content)))
    prefix = prefix or ''
    state = without_prefix(state, prefix)
    if not state:
        raise ValueError(f'{checkpoint} has no weights that start with {prefix!r}')
    if GRID not in getattr(state, '_metadata', {}).get('', {}):
        state = with_grid(state, grid or _described_grid(content, prefix))
    misfits = _misfits(backbone, state)
    if misfits:
        advice = '' if prefix else _advice(checkpoint, content, state)
        raise ValueError(f'the weights in {checkpoint} do not fit: {"; ".join(misfits)}{advice}')


def _read(checkpoint: str) -> Any:
    """Read a file, or an address by way of torch's cache."""
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


def _described_grid(content: Mapping[str, Any], prefix: str) -> Grid | None:
    """Find the grid of position embeddings from the config of a ViT in the file, if it has one."""
    if prefix in BRANCHES.values() and isinstance(content.get(SUPERNET_INFO), Mapping):
        cfg = content[SUPERNET_INFO].get('backbone')
    else:
        cfg = None if prefix else content.get(BACKBONE_INFO)
    if not isinstance(cfg, Mapping) or not str(cfg.get('type')).endswith('VisionTransformer'):
        return None
    size, patch = cfg.get('img_size', 224), cfg.get('patch_size', 16)
    options = {'kernel_size': patch, 'stride': patch, **cfg.get('patch_cfg', {})}
    return patch_grid(
        (size, size) if isinstance(size, int) else tuple(size),
        **{key: options[key] for key in PATCH_OPTIONS if key in options},
    )


def _misfits(backbone: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Load the state, and describe shortly what does not fit."""
    own = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    verdict = ''
    try:
        backbone.load_state_dict(state, strict=False)
    except (AssertionError, RuntimeError, ValueError) as error:  # raised by resizing
        verdict = str(error)
    kinds = {
        'missing': [n for n in own if n not in state and not re.fullmatch(MAY_BE_NEW, n)],
        'unexpected': [n for n in state if n not in own and not re.fullmatch(MAY_BE_UNUSED, n)],
        # From torch's message, since the backbone may have resized a tensor.
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


def _advice(checkpoint: str, content: Any, state: Mapping[str, Tensor]) -> str:
    """Advise on what the file is instead, if that is known."""
    if any(name.startswith('teacher.backbone.') for name in state):
        return (
            '. It is a training checkpoint: name the sub-network to cut out of it, as in '
            f"checkpoint='subnet://vit-s@{checkpoint}'"
        )
    if isinstance(content.get('subnet'), str) and '://' in checkpoint:
        return f'; {content["subnet"]} is another network than model.backbone describes'
    kind = kind_of_content(content)
    return '' if kind is None or BACKBONE_INFO in content else f'; {kind}'
