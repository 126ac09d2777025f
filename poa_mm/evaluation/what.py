"""Tell files, folders and names of timm's models apart, before anything slow is imported."""

from pathlib import Path

from poa_mm.files import check_file

__all__ = ['TIMM_PREFIX', 'check_what', 'is_timm_name']

TIMM_PREFIX = 'timm:'
# What names of files end with. Names of timm's models have dots as well: vit_small_patch14.dino.
SUFFIXES = frozenset(
    ['.bin', '.ckpt', '.h5', '.onnx', '.pkl', '.pt', '.pth', '.py', '.safetensors', '.tar', '.zip']
)
TIMM_FOLDER = ('model.safetensors', 'config.json')


def is_timm_name(what: str | Path) -> bool:
    """Tell whether something names a model of timm rather than a file or folder.

    Example:
        >>> is_timm_name('resnet18'), is_timm_name('timm:resnet18'), is_timm_name('run/iter_9')
        (True, True, False)
    """
    text = str(what)
    if text.startswith(TIMM_PREFIX):
        return True
    return '/' not in text and Path(text).suffix not in SUFFIXES and not Path(text).exists()


def check_what(what: str | Path) -> None:
    """Check that a file or folder to measure exists; names of timm's models are checked later.

    Raises:
        FileNotFoundError: There is none, or a folder that is no export to timm.
    """
    path = Path(what)
    is_export = path.is_dir() and all((path / name).is_file() for name in TIMM_FOLDER)
    if not is_timm_name(what) and not is_export:
        check_file(path, 'checkpoint')
