# What the room offers, imported when it is used.
from .hooks import (
    ActivationCheckpointHook,
    HistoryHook,
    NameCheckHook,
    NanGuardHook,
    POAHook,
    PretrainedCheckHook,
    ResumeHook,
    RunCheckpointHook,
    ScheduleCheckHook,
    StepSeedHook,
    SupernetInfoHook,
    ThroughputHook,
)
from .launch import build_runner
from .optim_wrapper import GuardedAmpOptimWrapper, GuardedOptimWrapper
from .parameter_groups import LayerDecayConstructor

__all__ = [
    'ActivationCheckpointHook',
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'HistoryHook',
    'LayerDecayConstructor',
    'NameCheckHook',
    'NanGuardHook',
    'POAHook',
    'PretrainedCheckHook',
    'ResumeHook',
    'RunCheckpointHook',
    'ScheduleCheckHook',
    'StepSeedHook',
    'SupernetInfoHook',
    'ThroughputHook',
    'build_runner',
]
