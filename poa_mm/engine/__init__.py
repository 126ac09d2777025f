"""Around the training loop: hooks, schedules, checkpoints."""

from poa_mm.engine.checkpoint import load_backbone, load_config, load_supernet, save_backbone
from poa_mm.engine.hooks import POAHook, SupernetInfoHook, ThroughputHook
from poa_mm.engine.optim import LayerDecayConstructor

__all__ = [
    'LayerDecayConstructor',
    'POAHook',
    'SupernetInfoHook',
    'ThroughputHook',
    'load_backbone',
    'load_config',
    'load_supernet',
    'save_backbone',
]
