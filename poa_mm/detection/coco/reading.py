"""Read annotation files of any program and system."""

import gc
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poa_mm.detection.coco.findings import Content

GZIP, ZIP = b'\x1f\x8b', b'PK\x03\x04'
LISTS = ('images', 'categories', 'annotations')

# Files of other programs and formats, by what only they have. Each test gets the first of a list,
# or an object, and the first of its annotations.
_Test = Callable[[dict, dict], bool]
FOREIGN_LISTS: list[tuple[str, _Test]] = [
    ('a list of results (predictions)', lambda item, _: 'score' in item and 'image_id' in item),
    ("Label Studio's own JSON", lambda item, _: 'data' in item),
    ("CreateML's JSON", lambda item, _: 'image' in item and 'annotations' in item),
    ('a list of annotations alone', lambda item, _: 'image_id' in item),
]
FOREIGN_OBJECTS: list[tuple[str, _Test]] = [
    ("VIA's own JSON", lambda content, _: any(key.startswith('_via_') for key in content)),
    ("VIA's own JSON", lambda content, _: 'regions' in next(iter(content.values()), ())),
    ("labelme's JSON of one image", lambda content, _: 'shapes' in content),
    ("Datumaro's own JSON", lambda content, _: 'items' in content and 'images' not in content),
    ("FiftyOne's own JSON", lambda content, _: 'samples' in content),
    ("COCO's panoptic format", lambda _, annotation: 'segments_info' in annotation),
    ("COCO's captions", lambda _, annotation: 'caption' in annotation),
]


def read_annotations(path: str, name: str | None = None) -> Content:
    """Read an annotation file of COCO's format.

    UTF-8, UTF-16 and UTF-32, with or without a byte order mark, and gzip are supported.

    Args:
        path: File on this machine.
        name: Name of the file in messages, if ``path`` is a temporary copy.

    Returns:
        The object of the file, with lists of objects as ``images``, ``categories`` and
        ``annotations``; without annotations the last one is empty.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A damaged file or one of another format.
    """
    prefix = f'{name or path} is no file of COCO: '
    data = Path(path).read_bytes()
    if data.startswith(GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f'{prefix}damaged gzip data ({error})') from error
    _check_bytes(data, prefix)
    try:
        content = _parse(data)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = f'{type(error).__name__}: {error}'  # the repr of one of them holds all bytes
        if _is_json_lines(data):
            reason = 'JSON Lines, an object a line'
        raise ValueError(prefix + reason) from error
    _check_format(content, prefix)
    return content


def _parse(data: bytes) -> Any:
    """Parse JSON without garbage collection, which would scan millions of lists in use."""
    searching = gc.isenabled()
    gc.disable()
    try:
        return json.loads(data)
    finally:
        if searching:
            gc.enable()


def _check_bytes(data: bytes, prefix: str) -> None:
    start = data[:100].lstrip(b'\xef\xbb\xbf\xff\xfe \t\r\n\0')
    if not start:
        raise ValueError(f'{prefix}it is empty')
    if start.startswith(ZIP):
        raise ValueError(f'{prefix}a ZIP archive; unpack it')
    if start.startswith(b'<'):
        raise ValueError(f'{prefix}XML or HTML; export the annotations as COCO')


def _is_json_lines(data: bytes) -> bool:
    lines = data.split(b'\n', 2)[:2]
    try:
        return len(lines) == 2 and all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return False


def _check_format(content: object, prefix: str) -> None:
    """Check for an object with lists of objects; add ``annotations`` if missing."""
    foreign = _foreign_format(content)
    if foreign is not None:
        raise ValueError(f'{prefix}{foreign}; export the annotations as COCO instances')
    if not isinstance(content, dict):
        raise ValueError(f'{prefix}a JSON {_kind(content)}, not an object')
    content.setdefault('annotations', [])  # images without annotations can be tested
    missing = [key for key in LISTS if key not in content]
    if missing:
        raise ValueError(f'{prefix}no {", ".join(missing)}; it has {", ".join(content)}')
    for key in LISTS:
        if not isinstance(content[key], list):
            raise ValueError(f'{prefix}{key} is a JSON {_kind(content[key])}, not a list')
        for index, entry in enumerate(content[key]):
            if type(entry) is not dict:
                raise ValueError(
                    f'{prefix}entry {index} of {key} is a JSON {_kind(entry)}, not an object'
                )
    if not content['images']:
        raise ValueError(f'{prefix}the list of images is empty')


def _foreign_format(content: object) -> str | None:
    """Return the name of another format, if it is a known one."""
    if isinstance(content, list):
        known, first = FOREIGN_LISTS, next(iter(content), None)
        annotation: Any = {}
    else:
        known, first = FOREIGN_OBJECTS, content
        annotations = content.get('annotations') if isinstance(content, dict) else None
        annotation = annotations[0] if isinstance(annotations, list) and annotations else {}
    if not isinstance(first, dict) or not isinstance(annotation, dict):
        return None
    for name, test in known:
        try:
            if test(first, annotation):
                return name
        except TypeError:  # a value that holds nothing
            continue
    return None


def _kind(value: object) -> str:
    names = {dict: 'object', list: 'list', str: 'string', bool: 'boolean', type(None): 'null'}
    return names.get(type(value), 'number')
