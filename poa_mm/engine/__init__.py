"""Around the training loop: hooks, schedules, checkpoints."""

from poa_mm.engine.checkpoint import load_backbone, load_config, load_supernet, save_backbone
from poa_mm.engine.hooks import (
    ActivationCheckpointHook,
    ClassCheckHook,
    LabelCheckHook,
    NanGuardHook,
    POAHook,
    PretrainedCheckHook,
    StepSeedHook,
    SupernetInfoHook,
    ThroughputHook,
)
from poa_mm.engine.optim import LayerDecayConstructor
from poa_mm.engine.optim_wrapper import GuardedAmpOptimWrapper, GuardedOptimWrapper
from poa_mm.engine.subnet_init import load_from_subnet

__all__ = [
    'ActivationCheckpointHook',
    'ClassCheckHook',
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LabelCheckHook',
    'LayerDecayConstructor',
    'NanGuardHook',
    'POAHook',
    'PretrainedCheckHook',
    'StepSeedHook',
    'SupernetInfoHook',
    'ThroughputHook',
    'load_backbone',
    'load_config',
    'load_from_subnet',
    'load_supernet',
    'save_backbone',
]
