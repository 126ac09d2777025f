"""``_base_ = 'mmseg::…'`` and ``_base_ = 'poa_mm::…'`` in config files.

Two defects of mmengine, which turns ``package::path`` into a file of that package:

* It looks for mmseg under the name of the upstream distribution, mmsegmentation, which is not
  there where OneDL's is installed (and its ``get_config`` would then install it on top). The
  import name finds both.
* It serves the packages of OpenMMLab only, and marks what a config takes from such a base with
  the package's name as registry scope. poa_mm registers in mmpretrain's registries, its
  downstream configs in mmdet's and mmseg's scope, so its configs count as local files, without a
  scope. They are in ``configs/`` beside the package, as in a checkout or an editable install.
"""

from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

__all__ = ['install']

_PREFIX = 'poa_mm::'
_CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
_mmengine_cfg_path = Config._get_cfg_path


def install() -> None:
    """Make ``mmdet::``, ``mmpretrain::``, ``mmseg::`` and ``poa_mm::`` bases resolve."""
    if find_spec('mmseg') is not None:  # else mmengine rightly asks for mmsegmentation
        MODULE2PACKAGE['mmseg'] = 'mmseg'
    Config._get_cfg_path = staticmethod(_cfg_path)


def _cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
    """Resolve one base of ``filename`` to a file and the scope of its registries."""
    if cfg_path.startswith(_PREFIX):
        return str(_own_config(cfg_path.removeprefix(_PREFIX))), None
    return _mmengine_cfg_path(cfg_path, filename)


def _own_config(name: str) -> Path:
    if not _CONFIGS.is_dir():
        raise FileNotFoundError(
            f'{_PREFIX}{name}: there is no folder {_CONFIGS}. The configs are in the source '
            'checkout: clone poa_mm and install it with `pip install -e .`'
        )
    path = _CONFIGS / name
    if not path.is_file():
        known = sorted(config.relative_to(_CONFIGS).as_posix() for config in _CONFIGS.rglob('*.py'))
        raise FileNotFoundError(f'{_PREFIX}{name} is not in {_CONFIGS}, which has {known}')
    return path
