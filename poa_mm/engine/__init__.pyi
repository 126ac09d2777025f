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
from .inner_model import inner_model
from .launch import (
    CheckedRunner,
    CPUDistributedDataParallel,
    build_runner,
    merge_options,
    set_amp,
    set_auto_scale_lr,
    set_resume,
    set_work_dir,
)
from .launch_test import build_test_runner
from .optim_wrapper import GuardedAmpOptimWrapper, GuardedOptimWrapper
from .parameter_groups import LayerDecayConstructor

__all__ = [
    'ActivationCheckpointHook',
    'CPUDistributedDataParallel',
    'CheckedRunner',
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
    'build_test_runner',
    'inner_model',
    'merge_options',
    'set_amp',
    'set_auto_scale_lr',
    'set_resume',
    'set_work_dir',
]
