"""Shared by tests of all rooms: where the repository is, its tools and configs."""

import contextlib
import copy
import functools
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin

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


@contextlib.contextmanager
def globals_of_mmengine_restored():
    """Leave mmengine's default scope, loggers, message hubs and visualisers as they are now.

    It finds them by the name of the run, which is the config's and the time in seconds: in one
    process, a second run within the second would write into the folder of the first.
    """
    before = {owner: dict(owner._instance_dict) for owner in _owners_of_globals(ManagerMixin)}
    try:
        yield
    finally:
        for owner in _owners_of_globals(ManagerMixin):
            # Asked for again: a scope overwritten for a while leaves another dict behind.
            owner._instance_dict.clear()
            owner._instance_dict.update(before.get(owner, {}))


def _owners_of_globals(owner) -> Iterator[type]:
    yield owner
    for child in owner.__subclasses__():
        yield from _owners_of_globals(child)


@contextlib.contextmanager
def recorded_log(level=logging.DEBUG):
    """What mmengine's current logger logs, as a list of the name of the level and the text."""
    messages = []

    class Recorder(logging.Handler):
        def emit(self, record):
            record.getMessage().encode('utf-8')  # as a terminal does
            messages.append((record.levelname, record.getMessage()))

    logger = MMLogger.get_current_instance()
    handler = Recorder(level)
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def install_metadata(folder, package, group, *entries):
    """Write what the installation of a package with entry points leaves in ``folder``."""
    info = folder / f'{package.replace("-", "_")}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('\n'.join([f'[{group}]', *entries, '']))
