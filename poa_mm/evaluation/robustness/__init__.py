"""Accuracy on changed images."""
