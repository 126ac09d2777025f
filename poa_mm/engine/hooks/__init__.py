"""Hooks of the training loop."""

from poa_mm.engine.hooks.poa_hook import POAHook
from poa_mm.engine.hooks.supernet_info_hook import SupernetInfoHook
from poa_mm.engine.hooks.throughput_hook import ThroughputHook

__all__ = ['POAHook', 'SupernetInfoHook', 'ThroughputHook']
