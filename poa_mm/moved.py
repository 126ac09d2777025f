"""Find names that have moved to another room under their former address."""

import importlib
from collections.abc import Callable, Mapping

NAMES: Mapping[str, Mapping[str, str]] = {
    'poa_mm.engine': {
        'ClassCheckHook': 'poa_mm.detection',
        'LabelCheckHook': 'poa_mm.segmentation',
        'load_backbone': 'poa_mm.checkpoints',
        'load_config': 'poa_mm.checkpoints',
        'load_from_subnet': 'poa_mm.checkpoints',
        'load_supernet': 'poa_mm.checkpoints',
        'save_backbone': 'poa_mm.checkpoints',
    },
    'poa_mm.engine.hooks': {
        'AnnotationCheckHook': 'poa_mm.detection',
        'ClassCheckHook': 'poa_mm.detection',
        'LabelCheckHook': 'poa_mm.segmentation',
    },
    'poa_mm.evaluation': {
        'Candidate': 'poa_mm.selection',
        'Cost': 'poa_mm.selection',
        'LatencySettings': 'poa_mm.selection',
        'Pick': 'poa_mm.selection',
        'ProfileRow': 'poa_mm.selection',
        'accuracies_from_csv': 'poa_mm.selection',
        'build_on_meta': 'poa_mm.checkpoints',
        'measure_latency': 'poa_mm.selection',
        'module_cost': 'poa_mm.selection',
        'open_supernet': 'poa_mm.checkpoints',
        'params_and_flops': 'poa_mm.selection',
        'pick_subnet': 'poa_mm.selection',
        'profile_from_csv': 'poa_mm.selection',
        'profile_rows': 'poa_mm.selection',
        'save_csv': 'poa_mm.tables',
        'select_subnets': 'poa_mm.elastic',
        'subnet_cost': 'poa_mm.selection',
        'subnet_latency': 'poa_mm.selection',
    },
}
"""The present room of each name, by the room where it was."""


def no_more(name: str) -> object:
    """Find nothing: the ``here`` of a room that imports what it offers at once."""
    raise AttributeError(f'there is no {name!r} here')


def also_former(room: str, here: Callable[[str], object]) -> Callable[[str], object]:
    """Build the ``__getattr__`` of a room, which finds its former names as well.

    Args:
        room: Name of the package.
        here: Its ``__getattr__`` for what it offers now.
    """

    def find(name: str) -> object:
        home = NAMES[room].get(name)
        return here(name) if home is None else getattr(importlib.import_module(home), name)

    return find
