"""What the data sets have in common whose labels are in a file of their own."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mat4py

from poa_mm.datasets.image_files import ImageFiles
from poa_mm.errors import printable
from poa_mm.files import check_file


class Labels(NamedTuple):
    """What a file says.

    Attributes:
        source: The file.
        images: Paths of the images.
        labels: Their classes, from 0.
    """

    source: Path
    images: Sequence[Path]
    labels: Sequence[int]


class AnnotatedImages(ImageFiles):
    """Images whose labels are in a file of their own; all of them must be there.

    Args:
        data_root: Folder of the data set. ``~`` stands for the home folder.
        **kwargs: Arguments of :class:`mmpretrain.datasets.BaseDataset` (``pipeline``,
            ``test_mode`` …).

    Raises:
        FileNotFoundError: The folder, the file or some of the images are not there; the message
            names the first.
        ValueError: The file is of another kind, or a label in it is none of the classes.
    """

    NAME: str
    """What messages call the data set."""

    def __init__(self, data_root: str | Path, **kwargs: Any) -> None:
        root = Path(data_root).expanduser()
        if not root.is_dir():
            raise FileNotFoundError(f'there is no folder {printable(root)} of {self.NAME}')
        super().__init__(ann_file='', data_root=str(root), **kwargs)

    @property
    def root(self) -> Path:
        """The folder of the data set."""
        return Path(self.data_root)

    @abstractmethod
    def read_labels(self) -> Labels:
        """Read the file, and set the classes if they are in it."""

    def list_images(self) -> list[dict]:
        """List the images in the order of the file, each as ``dict(img_path, gt_label)``."""
        source, images, labels = self.read_labels()
        if not images:
            raise ValueError(f'{source} lists no images')
        classes = len(self.CLASSES)
        wrong = [row for row, label in enumerate(labels) if not 0 <= label < classes]
        if wrong:
            first = wrong[0]
            raise ValueError(
                f'{source}: class {labels[first]} of {images[first].name} (from 0) is none of the '
                f'{classes} of {self.NAME}'
            )
        absent = missing(images)
        if absent:
            raise FileNotFoundError(
                f'{len(absent)} of {len(images)} images of {printable(source)} are not there, the '
                f'first is {printable(absent[0])}'
            )
        return [
            {'img_path': str(image), 'gt_label': label}
            for image, label in zip(images, labels, strict=True)
        ]


def missing(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are not there; each folder is listed once, which is fast.

    Args:
        paths: Files, of which many are in the same folder.
    """
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        by_folder[path.parent].append(path)
    absent = []
    for folder, files in by_folder.items():
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        absent += [path for path in files if path.name not in there]
    return absent


def read_mat(path: Path, keys: Sequence[str], what: str) -> dict[str, Any]:
    """Read variables of a MATLAB file.

    Args:
        path: The file.
        keys: Variables that it must have.
        what: It should be, for messages.

    Returns:
        All variables: numbers and texts, lists of them, and dicts of structs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Another kind of file, or one without a variable.
    """
    check_file(path, what)
    try:
        content: dict[str, Any] = mat4py.loadmat(str(path))
    except OSError:
        raise
    except Exception as error:  # of damaged files it raises anything
        raise ValueError(f'{path} is no {what} that can be read: {error}') from error
    absent = [key for key in keys if key not in content]
    if absent:
        found = ', '.join(sorted(content)) or 'nothing'
        raise ValueError(f'{path} is no {what}: it holds {found}, not {", ".join(absent)}')
    return content


def flat(values: Any) -> list:
    """Return the elements of a row or column of a MATLAB file; a single one is no list in it."""
    if not isinstance(values, list):
        return [values]
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
