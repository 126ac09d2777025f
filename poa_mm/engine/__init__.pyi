# What the room offers, imported when it is used.
from .checkpoint import load_backbone, load_config, load_supernet, save_backbone
from .hooks import (
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
from .optim import LayerDecayConstructor
from .optim_wrapper import GuardedAmpOptimWrapper, GuardedOptimWrapper
from .subnet_init import load_from_subnet

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
