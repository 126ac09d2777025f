"""Around the training loop: hooks, schedules, checkpoints."""

from poa_mm.engine.checkpoint import load_backbone, load_config, load_supernet, save_backbone
from poa_mm.engine.hooks import (
    NanGuardHook,
    POAHook,
    StepSeedHook,
    SupernetInfoHook,
    ThroughputHook,
)
from poa_mm.engine.optim import LayerDecayConstructor
from poa_mm.engine.optim_wrapper import GuardedAmpOptimWrapper, GuardedOptimWrapper

__all__ = [
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LayerDecayConstructor',
    'NanGuardHook',
    'POAHook',
    'StepSeedHook',
    'SupernetInfoHook',
    'ThroughputHook',
    'load_backbone',
    'load_config',
    'load_supernet',
    'save_backbone',
]
