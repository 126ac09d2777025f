"""Load families of other packages, which name themselves by an entry point."""

import importlib
from importlib.metadata import EntryPoint, entry_points

GROUP = 'poa_mm.families'


def load_families() -> None:
    """Import the modules that installed packages name in the entry point group ``GROUP``.

    Importing one registers its classes. It may be under way already, since a family imports poa_mm.

    Raises:
        ImportError: A module that cannot be imported.
    """
    for entry in entry_points(group=GROUP):
        try:
            importlib.import_module(entry.module)
        except Exception as error:  # whatever a module may raise
            raise ImportError(
                f'{_package(entry)} is installed and names a family of poa_mm, '
                f'{entry.name} = {entry.value!r} (entry point group {GROUP}), which cannot be '
                f'imported: {type(error).__name__}: {error}'
            ) from error


def _package(entry: EntryPoint) -> str:
    return f'package {entry.dist.name}' if entry.dist else 'a package'
