"""Measures that need no labels, and what they say of a training run."""
