"""Hooks of the training loop."""

from poa_mm.engine.hooks.nan_guard_hook import NanGuardHook
from poa_mm.engine.hooks.poa_hook import POAHook
from poa_mm.engine.hooks.step_seed_hook import StepSeedHook
from poa_mm.engine.hooks.supernet_info_hook import SupernetInfoHook
from poa_mm.engine.hooks.throughput_hook import ThroughputHook

__all__ = ['NanGuardHook', 'POAHook', 'StepSeedHook', 'SupernetInfoHook', 'ThroughputHook']
