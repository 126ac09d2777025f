"""Export formats and the names of their files. Help texts need them, so torch is not imported."""

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm.files import check_free

if TYPE_CHECKING:
    from poa_mm.export.job import Job, Written

__all__ = ['CONFIG', 'FORMATS', 'WEIGHTS', 'Format', 'card_paths', 'check_targets', 'put']

WEIGHTS, CONFIG = 'model.safetensors', 'config.json'  # in a folder for timm, by its rule
FOLDER_CARDS = ('card.json', 'README.md')
# A name with one of these is meant for a file, not for a folder.
FILE_SUFFIXES = (
    '.bin', '.ckpt', '.h5', '.json', '.npz', '.onnx', '.pkl', '.pt', '.pth', '.safetensors',
    '.tar', '.zip',
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """An export format: a kind of file, or of folder.

    Args:
        suffix: Suffix of its files; '' for a folder.
        writer: Module of this package and function that writes a file or folder, opens it again as
            users do, and compares the outputs.
        packages: Optional packages that the format needs, and their oldest versions; as in the
            extra ``export``.
        contents: Names of the files in a folder, the file with the weights first, without the model
            card.
    """

    suffix: str
    writer: str
    packages: Mapping[str, str] = field(default_factory=dict)
    contents: tuple[str, ...] = ()

    def write(self, job: 'Job', path: Path) -> 'Written':
        """Write one sub-network into ``path``."""
        module, _, function = self.writer.partition('.')
        return getattr(importlib.import_module(f'poa_mm.export.{module}'), function)(job, path)

    def check_packages(self) -> None:
        """Check that the packages are installed.

        Raises:
            ModuleNotFoundError: One is missing or too old; the message has the command that
                installs it.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            names = ' '.join(missing)
            raise ModuleNotFoundError(f'this needs {", ".join(missing)}: pip install {names}')
        for name, oldest in self.packages.items():
            version = importlib.metadata.version(name)
            if _numbers(version) < _numbers(oldest):
                raise ModuleNotFoundError(
                    f'this needs {name} {oldest} or newer, here is {version}: pip install -U {name}'
                )


def _numbers(version: str) -> list[int]:
    """Return the leading numbers of a version: [1, 0, 31] of 1.0.31.dev0."""
    numbers = []
    for part in version.split('+')[0].split('.'):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return numbers


FORMATS = {
    'mmpretrain': Format('.pth', 'stock.write_mmpretrain'),
    # Before this release, timm misread Swin Transformers without a classifier.
    'timm': Format('', 'timm.write_timm', {'timm': '1.0.31'}, (WEIGHTS, CONFIG)),
    'safetensors': Format('.safetensors', 'stock.write_safetensors'),
    'onnx': Format(
        '.onnx', 'onnx.write_onnx', {'onnx': '1.18', 'onnxruntime': '1.22', 'onnxscript': '0.6'}
    ),
    'torchscript': Format('.pt', 'torchscript.write_torchscript'),
}


def card_paths(path: Path, to: str) -> tuple[Path, Path]:
    """Return the paths of the model card as JSON and as Markdown.

    They lie in the folder of the export, or beside its file.

    Example:
        >>> [path.name for path in card_paths(Path('net.onnx'), 'onnx')]
        ['net.onnx.json', 'net.onnx.md']
    """
    if FORMATS[to].contents:
        return path / FOLDER_CARDS[0], path / FOLDER_CARDS[1]
    return path.with_name(f'{path.name}.json'), path.with_name(f'{path.name}.md')


def check_targets(path: Path, to: str, overwrite: bool) -> None:
    """Check that an export can be written, before the network is loaded.

    Args:
        path: File or folder to write.
        to: One of ``FORMATS``.
        overwrite: Replace an earlier export.

    Raises:
        FileExistsError: The file, the folder or a card exists and ``overwrite`` is not set, or what
            exists is not an earlier export.
        ModuleNotFoundError: The format needs packages that are not installed, or newer ones.
        ValueError: The format is unknown, or the name has the suffix of another format.
    """
    if to not in FORMATS:
        raise ValueError(f'a format is one of {", ".join(FORMATS)}, got {to!r}')
    chosen = FORMATS[to]
    if chosen.contents:
        if path.suffix.lower() in FILE_SUFFIXES:
            raise ValueError(f'{to} takes a folder, got the file name {path.name}: try {path.stem}')
        check_free(path, overwrite)
        _check_replaceable(path, {*chosen.contents, *FOLDER_CARDS})
    else:
        if path.suffix != chosen.suffix:
            raise ValueError(f'a file for {to} ends in {chosen.suffix}, got {path.name}')
        for target in (path, *card_paths(path, to)):
            check_free(target, overwrite)
            if target.is_dir():
                raise FileExistsError(f'{target} is a folder; choose another file')
    chosen.check_packages()


def _check_replaceable(path: Path, known: set[str]) -> None:
    """Check that a folder, if it exists, holds the files of an export and no others."""
    if not path.exists():
        return
    if not path.is_dir():
        raise FileExistsError(f'{path} is a file; choose another folder')
    others = sorted(file.name for file in path.iterdir() if file.name not in known)
    if others:
        names = ', '.join(others[:3]) + (', …' if others[3:] else '')
        raise FileExistsError(
            f'{path} also holds {names}, so it is not replaced; choose another folder'
        )


def put(part: Path, target: Path) -> None:
    """Move a finished file or folder to its name; delete an old folder once the new one is there.

    Args:
        part: The finished file or folder, in a temporary folder on the same disk.
        target: Its name.
    """
    if not target.is_dir():
        part.replace(target)
        return
    aside = part.with_name(f'{part.name}.replaced')  # deleted with the temporary folder
    target.rename(aside)
    try:
        part.rename(target)
    except BaseException:
        aside.rename(target)
        raise
