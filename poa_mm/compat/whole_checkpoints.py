"""Replace a checkpoint only by a complete file.

Defect (all versions of mmengine): a checkpoint is written over the file that it replaces, from a
second copy in memory. A run that is killed meanwhile leaves neither the old file nor the new one,
and hard links to the file, as in a copy of the run's folder, change with it. Fix: write beside the
file, then rename.
"""

from mmengine import runner
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.runner import checkpoint as module

__all__ = ['install']

_mmengine_save = module.save_checkpoint


def _save_checkpoint(
    checkpoint: dict,
    filename: str,
    file_client_args: dict | None = None,
    backend_args: dict | None = None,
) -> None:
    """Save a checkpoint; on a local disk, completely or not at all."""
    from poa_mm.files import write_file  # imported late: it builds on this package

    if file_client_args is None and '://' not in filename:
        backend = get_file_backend(filename, backend_args=backend_args)
        if isinstance(backend, LocalBackend):
            write_file(checkpoint, filename)
            return
    _mmengine_save(checkpoint, filename, file_client_args, backend_args)


def install() -> None:
    """Let mmengine write checkpoints beside the files that they replace."""
    module.save_checkpoint = _save_checkpoint
    runner.save_checkpoint = _save_checkpoint  # for code that imports it from the package
    runner.runner.save_checkpoint = _save_checkpoint
