"""Show what poa_mm needs, which of it is installed from where, and how to fix what is not."""

import argparse
import contextlib
import importlib
import io
import platform
import sys
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec

MIN_PYTHON = (3, 10)
OK, PROBLEM, OPTIONAL = 'ok', 'PROBLEM', '-'


@dataclass(frozen=True)
class Package:
    """An import name and the distributions it may come from, of which there must be one only."""

    module: str
    distributions: tuple[str, ...]
    needed: bool = True


OPENMMLAB = (  # OneDL's distribution first, then upstream's
    Package('mmengine', ('onedl-mmengine', 'mmengine', 'mmengine-lite')),
    Package('mmcv', ('onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite')),
    Package('mmdet', ('onedl-mmdetection', 'mmdet')),
    Package('mmseg', ('onedl-mmsegmentation', 'mmsegmentation')),
    Package('mmpretrain', ('onedl-mmpretrain', 'mmpretrain')),
)
PACKAGES = (
    Package('numpy', ('numpy',)),
    Package('torch', ('torch',)),
    Package('torchvision', ('torchvision',)),
    *OPENMMLAB,
    Package('lazy_loader', ('lazy_loader',)),
    Package('matplotlib', ('matplotlib',)),
    Package('PIL', ('pillow',)),
    Package('rich', ('rich',)),
    Package('skimage', ('scikit-image',)),
    Package('sklearn', ('scikit-learn',)),
    Package('tensorboard', ('tensorboard',)),
    Package('timm', ('timm',), needed=False),
    Package('poa_mm', ('poa_mm',)),
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: package or device.
        version: its version, if any.
        source: where it comes from.
        status: ``OK``, ``PROBLEM`` or ``OPTIONAL`` (missing, but not needed).
        note: what is wrong.
        fix: command that fixes it, where there is one.
    """

    name: str
    version: str = ''
    source: str = ''
    status: str = OK
    note: str = ''
    fix: str = ''


def installed(distributions: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    versions = {}
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def install_command() -> str:
    """Write the command that installs all, from the OpenMMLab family that most packages are of."""
    names = installed(name for package in OPENMMLAB for name in package.distributions)
    onedl = sum(name.startswith('onedl-') for name in names)
    upstream = len(names) - onedl
    extra = 'openmmlab' if upstream > onedl else 'onedl'
    return f"pip install -e '.[{extra}]'"


def import_error(module: str, with_traceback: bool = False) -> str:
    """Import a module; return the kind and first line of the error, or an empty string."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # some packages chat
            importlib.import_module(module)
    except Exception as error:  # a broken package may raise anything, and that is the finding
        if with_traceback:
            traceback.print_exc()
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    return ''


def package_row(package: Package, with_traceback: bool = False) -> Row:
    """Check that a package comes from a single distribution and can be imported."""
    versions = installed(package.distributions)
    name, version, source = package.module, ', '.join(versions.values()), ', '.join(versions)
    command = install_command() if package.needed else f'pip install {name}'
    reinstall = f'pip uninstall -y {" ".join(versions)} && {command}'
    if len(versions) > 1:
        note = f'{source} overwrite each other: one only'
        return Row(name, version, source, PROBLEM, note, reinstall)

    spec = find_spec(name)
    if spec is None:
        status = PROBLEM if package.needed else OPTIONAL
        if versions:  # as after uninstalling the other family's distribution
            return Row(name, version, source, status, f'files of {source} are gone', reinstall)
        return Row(name, status=status, note='not installed', fix=command)

    error = import_error(name, with_traceback)
    if error:
        fix = command if error.startswith('ModuleNotFoundError') else ''
        return Row(name, version, source, PROBLEM, f'import fails: {error}', fix)
    return Row(name, version, source or f'{spec.origin}, not installed')


def python_row() -> Row:
    """Check the version of the interpreter."""
    version = platform.python_version()
    if sys.version_info >= MIN_PYTHON:
        return Row('python', version, sys.executable)
    note = f'poa_mm needs Python {".".join(map(str, MIN_PYTHON))} or newer'
    return Row('python', version, sys.executable, PROBLEM, note)


def ops_row(with_traceback: bool = False) -> Row:
    """Tell whether mmcv has compiled operators; without them poa_mm uses torchvision's."""
    spec = find_spec('mmcv')
    if spec is None:
        return Row('mmcv ops', source='no mmcv')
    # find_spec('mmcv._ext') would find poa_mm's stand-in.
    if PathFinder.find_spec('mmcv._ext', spec.submodule_search_locations) is None:
        return Row('mmcv ops', source='not compiled; nms and roi_align by torchvision')
    error = import_error('mmcv._ext', with_traceback)
    if error:
        return Row('mmcv ops', status=PROBLEM, note=f'compiled, but fail: {error}')
    return Row('mmcv ops', source='compiled')


def gpu_row() -> Row:
    """List the CUDA devices."""
    if import_error('torch'):
        return Row('GPU', source='unknown without torch')
    import torch

    version = f'CUDA {torch.version.cuda}' if torch.version.cuda else 'no CUDA'
    devices = Counter(map(torch.cuda.get_device_name, range(torch.cuda.device_count())))
    source = ', '.join(f'{count} x {name}' for name, count in devices.items())
    return Row('GPU', version, source or 'none')


def print_table(rows: list[Row]) -> None:
    """Print the rows with rich, or in plain columns where rich is missing."""
    header = ('', 'package', 'version', 'from')
    cells = [(row.status, row.name, row.version, row.note or row.source) for row in rows]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
        for line in (header, *cells):
            columns = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            print('  '.join(columns).rstrip())
        return
    table = Table(*header)
    styles = {OK: None, PROBLEM: 'bold red', OPTIONAL: 'dim'}
    for row, line in zip(rows, cells, strict=True):
        table.add_row(*line, style=styles[row.status])
    Console().print(table, markup=False)


def print_fixes(rows: list[Row]) -> None:
    """Print each command once, after the names of the packages that it fixes."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.fix:
            names.setdefault(row.fix, []).append(row.name)
    for command, fixed in names.items():
        print(f'{", ".join(fixed)}:\n    {command}')


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Exit code: 0 when all that is needed works, 1 otherwise.',
    )
    parser.add_argument(
        '--traceback', action='store_true', help='show where in the code an import fails'
    )
    args = parser.parse_args()
    packages = (package_row(package, args.traceback) for package in PACKAGES)
    rows = [python_row(), *packages, ops_row(args.traceback), gpu_row()]
    print_table(rows)
    print_fixes(rows)
    return int(any(row.status == PROBLEM for row in rows))


if __name__ == '__main__':
    sys.exit(main())
