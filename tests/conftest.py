"""Puts tests/ on the path, so that any test imports from ``helpers``."""
