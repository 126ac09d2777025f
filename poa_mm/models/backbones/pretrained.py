"""Starting a supernet from the weights of a backbone."""

from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

OPTIONAL = {'mask_token'}  # of pre-training: a stock backbone has none


def load_pretrained(backbone: nn.Module, checkpoint: str, prefix: str | None = None) -> None:
    """Load all weights of a backbone, or none: mmengine's own loading would only warn.

    Args:
        backbone: The backbone to fill.
        checkpoint: File or address of a training checkpoint or a state dict.
        prefix: What the names of the backbone's weights start with in there, such as
            ``'teacher.backbone.'``; ``None`` if it holds nothing else.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Names or shapes that do not fit.
    """
    content = _load_checkpoint(checkpoint, map_location='cpu')
    state = content.get('state_dict', content)
    prefix = prefix or ''
    state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not state:
        raise ValueError(f'{checkpoint} has no weights that start with {prefix!r}')
    own = backbone.state_dict()
    state = {**{name: own[name] for name in OPTIONAL & set(own)}, **state}
    try:
        backbone.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(f'the weights in {checkpoint} do not fit: {error}') from error
