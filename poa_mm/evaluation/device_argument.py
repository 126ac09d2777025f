"""The ``--device`` of the tools."""

import argparse

import torch

__all__ = ['default_device', 'device_argument']


def default_device() -> str:
    """``'cuda'`` if there is a GPU."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def device_argument(name: str) -> torch.device:
    """A device that this machine has, as a ``type`` of argparse.

    Raises:
        argparse.ArgumentTypeError: There is none of this name.
    """
    try:
        return torch.empty(0, device=name).device
    except (AssertionError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(f'{name}: {str(error).splitlines()[0]}') from error
