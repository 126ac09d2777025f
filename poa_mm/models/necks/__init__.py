"""Necks between frozen backbones and linear heads."""

from poa_mm.models.necks.probe_features import ProbeFeatures

__all__ = ['ProbeFeatures']
