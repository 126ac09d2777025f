"""Shared by tests of all rooms: where the repository is, its tools and configs."""

import copy
import functools
import importlib.util
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs' / 'pretrain' / 'poa_vit-tiny_photos.py'


def load_config(path):
    """The config in a file below ``configs/``, read once in a session; each call gets its own."""
    return copy.deepcopy(_read_config(path))


@functools.cache
def _read_config(path):
    return Config.fromfile(ROOT / 'configs' / path)


def load_tool(name, folder='tools'):
    """Module of ``tools/<name>.py``, or of a script in another folder."""
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install_metadata(folder, package, group, *entries):
    """Write what the installation of a package with entry points leaves in ``folder``."""
    info = folder / f'{package.replace("-", "_")}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('\n'.join([f'[{group}]', *entries, '']))
