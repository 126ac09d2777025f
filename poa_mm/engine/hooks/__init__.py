"""Hooks of the training loop."""

from poa_mm.engine.hooks.activation_checkpoint_hook import ActivationCheckpointHook
from poa_mm.engine.hooks.checkpoint_hook import RunCheckpointHook
from poa_mm.engine.hooks.history_hook import HistoryHook
from poa_mm.engine.hooks.name_check_hook import NameCheckHook
from poa_mm.engine.hooks.nan_guard_hook import NanGuardHook
from poa_mm.engine.hooks.poa_hook import POAHook
from poa_mm.engine.hooks.pretrained_check_hook import PretrainedCheckHook
from poa_mm.engine.hooks.resume_hook import ResumeHook
from poa_mm.engine.hooks.schedule_check_hook import ScheduleCheckHook
from poa_mm.engine.hooks.step_seed_hook import StepSeedHook
from poa_mm.engine.hooks.supernet_info_hook import SupernetInfoHook
from poa_mm.engine.hooks.throughput_hook import ThroughputHook
from poa_mm.moved import also_former, no_more

__all__ = [
    'ActivationCheckpointHook',
    'HistoryHook',
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
]

__getattr__ = also_former(__name__, no_more)
