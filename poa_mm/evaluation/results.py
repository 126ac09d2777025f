"""One format for the results of all evaluations: lines of JSON, one for each number.

A line says what was measured, of which sub-network of which file, on which data, with which
settings, how long it took, and with which versions. Lines are appended, so a file keeps what it has
when an evaluation is killed, and results of several tools may share one.
"""

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from os import PathLike, fsync
from pathlib import Path
from typing import Protocol, TypeAlias

from poa_mm.files import check_file
from poa_mm.version import __version__

__all__ = [
    'Result',
    'append_line',
    'append_new',
    'append_results',
    'data_name',
    'data_sha256',
    'file_sha256',
    'latest',
    'read_results',
    'versions',
]

JSON: TypeAlias = 'str | int | float | bool | list[JSON] | dict[str, JSON] | None'
CHUNK = 2**22  # bytes
IMAGENET = {'classes': 1000, 'images': 50_000}  # of the validation set


class LabelledImages(Protocol):
    """What is asked of a data set of mmengine."""

    @property
    def metainfo(self) -> dict: ...

    def __len__(self) -> int: ...

    def get_data_info(self, index: int) -> dict: ...


@dataclass(frozen=True)
class Result:
    """One number.

    Args:
        protocol: How it was measured, such as ``'knn'`` or ``'linear'``.
        metric: What was measured, such as ``'top1'``.
        value: The number, in ``unit``; finite.
        network: Sub-network by width and depth, ``'w384-d12'``, or the name of a timm model.
        name: Well-known name of the sub-network, such as ``'vit-s'``, or ''.
        source: File of the weights as it was named, or ``'timm'``.
        source_sha256: SHA-256 of that file, of :func:`file_sha256`, or ''.
        data: Name of the data set, of :func:`data_name`.
        data_sha256: What tells data sets of one name apart, of :func:`data_sha256`.
        settings: All that can change the number, such as ``{'k': 20, 'temperature': 0.07}``.
        unit: ``'%'`` unless the metric has another.
        seconds: What measuring took; None if not known.
        versions: Of the packages that computed it, by name.

    Raises:
        ValueError: ``value`` is not finite.
    """

    protocol: str
    metric: str
    value: float
    network: str
    name: str = ''
    source: str = ''
    source_sha256: str = ''
    data: str = ''
    data_sha256: str = ''
    settings: Mapping[str, JSON] = field(default_factory=dict)
    unit: str = '%'
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(
                f'{self.protocol} {self.metric} of {self.network} is {self.value}, which is not '
                'a finite number'
            )

    @property
    def key(self) -> tuple[str, ...]:
        """What the same measurement has in common whenever it is repeated."""
        settings = json.dumps(dict(self.settings), sort_keys=True)
        measured = (self.protocol, self.metric, settings)
        return (*measured, self.network, self.source_sha256, self.data, self.data_sha256)


def append_results(path: str | PathLike, results: Iterable[Result]) -> None:
    """Append results to a file, which is made with its folder if it does not exist.

    They are on the disk when this function returns. A line that a killed run has left unfinished is
    closed first, so that it spoils no other.

    Args:
        path: File of lines of JSON.
        results: What to append.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(result), ensure_ascii=False) for result in results]
    path.touch()
    if lines:
        append_line(path, '\n'.join(lines))


def append_line(path: Path, line: str) -> None:
    """Append a line to a file, closing first one that a killed run has left unfinished."""
    text = line + '\n'
    with path.open('a+b') as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b'\n':
                text = '\n' + text
        file.write(text.encode())
        file.flush()
        fsync(file.fileno())


def append_new(path: str | PathLike, results: Iterable[Result]) -> None:
    """Append those results of which the file does not have the same measurement and number yet.

    An evaluation that goes on after it was killed thus repeats no line.

    Raises:
        ValueError: As :func:`read_results`.
    """
    known = {}
    if Path(path).is_file() and Path(path).stat().st_size:
        known = {result.key: result.value for result in read_results(path)}
    append_results(path, [one for one in results if known.get(one.key) != one.value])


def read_results(*paths: str | PathLike) -> Iterator[Result]:
    """Read results of files of :func:`append_results`, in their order.

    Lines that are no JSON at all are what a killed run has left, and are passed over.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A line that is something else than a result, by file and number.
    """
    known = {one.name for one in fields(Result)}
    for path in paths:
        check_file(path, 'file of results')
        # A letter may be cut as well; and only \n ends a line, where splitlines() knows others.
        text = Path(path).read_text(encoding='utf-8', errors='replace')
        for number, line in enumerate(text.split('\n'), 1):
            if not line.strip():
                continue
            try:
                content = json.loads(line)
            except json.JSONDecodeError:
                if number == 1:
                    raise ValueError(f'{path} is no file of results: line 1 is no JSON') from None
                continue
            try:
                yield Result(**{key: content[key] for key in content if key in known})
            except (TypeError, ValueError, AttributeError) as error:
                raise ValueError(f'{path}, line {number} is no result: {error}') from error


def latest(results: Iterable[Result]) -> list[Result]:
    """Keep the last of each measurement, as one that is repeated replaces the one before."""
    return list({result.key: result for result in results}.values())


def file_sha256(path: str | PathLike) -> str:
    """SHA-256 of a file, which tells checkpoints of one name apart; a GiB takes a second or two."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def data_sha256(dataset: LabelledImages) -> str:
    """SHA-256 of what a data set holds: classes, labels, names and sizes of files, or pixels.

    Images that are files count by the last two parts of their path and their size in bytes, so that
    a data set that was moved or renamed stays the same one and nothing needs to be decoded.
    """
    digest = hashlib.sha256()
    classes = dataset.metainfo.get('classes') or ()
    digest.update(json.dumps(list(classes), ensure_ascii=False).encode())
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        digest.update(f'{info.get("gt_label")}'.encode())
        path = info.get('img_path')
        if path is not None:
            parts = Path(path).parts[-2:]
            size = Path(path).stat().st_size if Path(path).is_file() else None
            digest.update(f'{"/".join(parts)} {size}'.encode('utf-8', 'surrogateescape'))
        elif 'img' in info:
            digest.update(info['img'].tobytes())
    return digest.hexdigest()


def data_name(dataset: LabelledImages) -> str:
    """Name of a data set: ``'imagenet-1k'`` for ImageNet's validation set, else where it lies.

    Args:
        dataset: The images that are evaluated.
    """
    classes = dataset.metainfo.get('classes') or ()
    if len(classes) == IMAGENET['classes'] and len(dataset) == IMAGENET['images']:
        return 'imagenet-1k'
    folder = getattr(dataset, 'img_prefix', '') or getattr(dataset, 'data_root', '')
    return '/'.join(Path(folder).parts[-2:]) if folder else type(dataset).__name__


def versions(packages: Sequence[str] = ('torch', 'timm')) -> dict[str, str]:
    """Versions of this package and of others, as far as these are installed."""
    found = {'poa_mm': __version__}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
