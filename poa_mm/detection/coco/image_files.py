"""Find the images of an annotation file, also if it was written on another system."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from poa_mm.detection.coco.findings import Entry, warn_once
from poa_mm.errors import printable


def find_images(infos: Sequence[Entry], folder: str, ann_file: str) -> None:
    """Check that all images exist; correct ``img_path`` if a name matches exactly one file.

    Annotation files may have names of another program or system: backslashes, folders of that
    machine, characters escaped as in URLs, another letter case. Such a name means the file below
    ``folder`` whose path ends with it, if there is exactly one that is not another image's.

    Args:
        infos: Samples of a data set.
        folder: Folder of the images, on this machine.
        ann_file: Name of the annotation file in messages.

    Raises:
        FileNotFoundError: Images are missing; the message says how many, and names the first.
    """
    lost = _lost(infos)
    if not lost:
        return
    files = _Files(folder)
    known = {info['img_path'] for info in infos}
    found: dict[str, str] = {}
    for info in lost:
        path = info['img_path']
        place = files.find(path.removeprefix(folder))
        if place is not None and place not in known:
            found[path] = place
            known.add(place)
    missing = [info for info in lost if info['img_path'] not in found]
    if missing:
        raise FileNotFoundError(
            f'{ann_file}: {len(missing)} of {len(infos)} images are missing; the first has id '
            f'{missing[0]["img_id"]!r}, {printable(missing[0]["img_path"])}'
        )
    first = lost[0]['img_path']
    warn_once(
        f'{ann_file}: {len(lost)} of {len(infos)} images found under other names than its own; '
        f'the first is {printable(first)}, found as {printable(found[first])}'
    )
    for info in lost:
        info['img_path'] = found[info['img_path']]


def _lost(infos: Sequence[Entry]) -> list[Entry]:
    """Return samples whose image does not exist; each folder is listed once."""
    folders: defaultdict[str, list[Entry]] = defaultdict(list)
    for info in infos:
        folders[os.path.dirname(info['img_path'])].append(info)  # noqa: PTH120  # 10 times faster
    lost = []
    for folder, inside in folders.items():
        try:
            names = set(os.listdir(folder or '.'))  # noqa: PTH208
        except OSError:
            names = set()
        lost += [i for i in inside if os.path.basename(i['img_path']) not in names]  # noqa: PTH119
    return lost


class _Files:
    """Files below a folder, by path without letter case."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._paths: defaultdict[str, list[str]] = defaultdict(list)
        for place, _, names in os.walk(folder):
            below = Path(place).relative_to(folder)
            for name in names:
                self._paths[_key(str(below / name))].append(str(Path(place, name)))

    def find(self, name: str) -> str | None:
        """Return the only file whose path ends like ``name``, trying the longest ending first."""
        for variant in dict.fromkeys((name, unquote(name))):
            parts = [part for part in variant.replace('\\', '/').split('/') if part]
            for start in range(len(parts)):
                paths = self._paths.get(_key('/'.join(parts[start:])), [])
                if len(paths) == 1:
                    return paths[0]
                if paths:
                    return None
        return None


def _key(path: str) -> str:
    return unicodedata.normalize('NFC', path.replace('\\', '/')).casefold()
