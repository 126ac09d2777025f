"""Write and read safetensors files with a digest, so that damage is noticed."""

import hashlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from poa_mm.files import check_file

SUFFIX = '.safetensors'
DIGEST = 'sha256'  # key of the metadata
ABOUT = 'poa_mm'  # key of the metadata of exported files: where they come from, as JSON


def write_tensors(
    tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str], path: str | PathLike
) -> None:
    """Write a safetensors file in place; libraries that know the format open it, too.

    Args:
        tensors: By name. They may share memory.
        metadata: Text to store with them.
        path: File to write; an existing one is replaced.
    """
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {'format': 'pt', **metadata}
    content = save(tensors, {**metadata, DIGEST: _digest(tensors, metadata)})
    Path(path).write_bytes(content)  # its save_file hides files from other users


def read_tensors(path: str | PathLike) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read the tensors, on the CPU, and the metadata of a file of :func:`write_tensors`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, or one that has changed since it was written.
    """
    check_file(path, 'checkpoint')
    try:
        with safe_open(path, framework='pt') as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no dict
    except SafetensorError as error:
        raise ValueError(f'{path} is not a safetensors file that can be read: {error}') from error
    written = metadata.pop(DIGEST, None)
    if written is None:
        raise ValueError(f'{path} is a safetensors file, but not of poa_mm: it has no digest')
    if written != _digest(tensors, metadata):
        raise ValueError(f'{path} has changed since it was written: its digest does not fit')
    return tensors, metadata


def _digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
