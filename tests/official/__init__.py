"""Checkpoints as the authors' code writes them, and what their networks compute, written plainly.

One file a family, each with the dimensions of a tiny network, the names and shapes of its weights,
a random state dict, and what a sub-network makes of images.
"""
