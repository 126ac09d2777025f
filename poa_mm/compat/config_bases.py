"""Resolve ``_base_ = 'mmseg::…'`` and ``_base_ = 'poa_mm::…'`` in config files.

mmengine turns ``package::path`` into a file of that package. Three defects of all versions:

* It looks for mmseg under the name of the upstream distribution, mmsegmentation, and does not find
  OneDL's (its ``get_config`` would install mmsegmentation beside it). Fix: the import name, under
  which both are found.
* It supports the packages of OpenMMLab only, and marks what a config takes from such a base with
  the package's name as registry scope. poa_mm registers in mmpretrain's registries, its
  downstream configs in mmdet's and mmseg's scope. Fix: its configs count as local files, without a
  scope. They are in ``configs/`` beside the package, as in a checkout or an editable install.
* It reads all metafiles of the package, about a hundred in mmdet, for each base, although none
  describes a file of ``_base_``: seconds for one detection config. Fix: read none for these.
"""

from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.config import config as mmengine_config
from mmengine.config.utils import MODULE2PACKAGE

__all__ = ['install']

_PREFIX = 'poa_mm::'
_CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
_mmengine_cfg_path = Config._get_cfg_path
_mmengine_described_path = mmengine_config._get_external_cfg_path


def install() -> None:
    """Make ``mmdet::``, ``mmpretrain::``, ``mmseg::`` and ``poa_mm::`` bases resolve."""
    if find_spec('mmseg') is not None:  # else mmengine rightly asks for mmsegmentation
        MODULE2PACKAGE['mmseg'] = 'mmseg'
    Config._get_cfg_path = staticmethod(_cfg_path)
    mmengine_config._get_external_cfg_path = _described_path


def _cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
    """Resolve one base of ``filename`` to a file and the scope of its registries."""
    if cfg_path.startswith(_PREFIX):
        return str(_own_config(cfg_path.removeprefix(_PREFIX))), None
    return _mmengine_cfg_path(cfg_path, filename)


def _described_path(package_path: str, cfg_path: str) -> str:
    """Find a config by the metafiles of its package.

    Raises:
        ValueError: No metafile describes it; mmengine then takes ``cfg_path`` as a path.
    """
    if cfg_path.startswith('_base_/'):
        raise ValueError(f'metafiles do not describe {cfg_path}')
    return _mmengine_described_path(package_path, cfg_path)


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
