"""The kinds of files that can be exported. The tool's help reads them: no torch."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm.files import check_free

if TYPE_CHECKING:
    from poa_mm.export.job import Job, Written

__all__ = ['FORMATS', 'Format', 'check_targets']


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        suffix: Of its files.
        writer: Module of this room and function that writes a file, opens it again as its users
            will, and compares.
        packages: Optional packages that this needs, as in the extra ``export``.
    """

    suffix: str
    writer: str
    packages: tuple[str, ...] = ()

    def write(self, job: 'Job', path: Path) -> 'Written':
        """Write one sub-network into ``path``."""
        module, _, function = self.writer.partition('.')
        return getattr(importlib.import_module(f'poa_mm.export.{module}'), function)(job, path)

    def check_packages(self) -> None:
        """Refuse to start without the packages.

        Raises:
            ModuleNotFoundError: Some are missing; the message has the line that installs them.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            names = ' '.join(missing)
            raise ModuleNotFoundError(f'this needs {", ".join(missing)}: pip install {names}')


FORMATS = {
    'mmpretrain': Format('.pth', 'stock.write_mmpretrain'),
    'timm': Format('.safetensors', 'timm.write_timm', ('timm',)),
    'safetensors': Format('.safetensors', 'stock.write_safetensors'),
    'onnx': Format('.onnx', 'onnx.write_onnx', ('onnx', 'onnxruntime', 'onnxscript')),
    'torchscript': Format('.pt', 'torchscript.write_torchscript'),
}


def check_targets(path: Path, to: str, overwrite: bool) -> list[Path]:
    """Refuse what cannot be written, before the network is there.

    Args:
        path: File to write.
        to: One of ``FORMATS``.
        overwrite: Replace existing files.

    Returns:
        The file, and its card as JSON and as Markdown.

    Raises:
        FileExistsError: One of them exists and ``overwrite`` is not set.
        ModuleNotFoundError: The format needs packages that are not installed.
        ValueError: Unknown format, or a name with another suffix.
    """
    if to not in FORMATS:
        raise ValueError(f'a format is one of {", ".join(FORMATS)}, got {to!r}')
    if path.suffix != FORMATS[to].suffix:
        raise ValueError(f'a file for {to} ends in {FORMATS[to].suffix}, got {path.name}')
    targets = [path, path.with_name(f'{path.name}.json'), path.with_name(f'{path.name}.md')]
    for target in targets:
        check_free(target, overwrite)
    FORMATS[to].check_packages()
    return targets
