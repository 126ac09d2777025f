"""Read and draw lists of a part of the images of a data set, such as 1 % of ImageNet."""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from random import Random
from typing import NamedTuple

from poa_mm.datasets.listing import EXTENSIONS, first_of
from poa_mm.errors import printable
from poa_mm.files import check_file, replaced

__all__ = ['draw_subset', 'read_subset', 'write_subset']

LABELLED = re.compile(r'(.*\S)\s+(\d+)')  # a line of mmpretrain's lists
UTF_16 = (b'\xff\xfe', b'\xfe\xff')  # as Windows' PowerShell writes text


class Line(NamedTuple):
    """A line of a list: its number from 1, and what it says."""

    number: int
    text: str


class Reading(NamedTuple):
    """What a line may mean: a name and, behind it, a label."""

    name: str
    label: int | None = None


def read_subset(
    path: str | PathLike, root: str, images: Sequence[str], labels: Sequence[int] | None = None
) -> list[int]:
    """Read which images a list names.

    A list has the name of a file in each line, such as ``n01440764_10042.JPEG``, in any order. The
    class folder may stand before it and the extension may be another or none; names that more than
    one image has need the folder. After the name may stand a label, as in mmpretrain's lists, which
    must be that of the image. Blank lines, a byte order mark and the line ends of Windows mean
    nothing.

    Args:
        path: The list.
        root: Folder of the images, for messages.
        images: Their paths below it.
        labels: Their labels, if any.

    Returns:
        Rows of the images, in ascending order.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It names an image that is not there, or one twice, or has another label; the
            message names it and its line. It is no text, or names nothing.
    """
    lines = list(_lines(path))
    if not lines:
        raise ValueError(f'{path} names no image: one file name a line is expected')
    index = _index(images, lines)
    unknown: list[Line] = []
    chosen: dict[int, Line] = {}
    for line in lines:
        reading, rows = _find(line.text, images, index)
        if not rows:
            unknown.append(line)
            continue
        if len(rows) > 1:
            several = first_of(images[row] for row in rows)
            raise _error(path, line, f'may be any of {several}: write its folder before it')
        (row,) = rows
        if row in chosen:
            raise _error(path, line, f'is listed twice, first in line {chosen[row].number}')
        if labels is not None and reading.label not in (None, labels[row]):
            raise _error(path, line, f'is the label of another folder: its own is {labels[row]}')
        chosen[row] = line
    if unknown:
        others = f', nor are {len(unknown) - 1} other names of {len(lines)}' * (len(unknown) > 1)
        raise _error(path, unknown[0], f'is not in {printable(root)}{others}')
    return sorted(chosen)


def draw_subset(
    classes: Sequence[str], *, percent: float | None = None, per_class: int | None = None, seed: int
) -> list[int]:
    """Draw as many images from each class.

    A share of the images is spread as evenly over the classes as it goes, rounded down but to no
    less than one of each: 1 % of ImageNet, 12,811 images, are 12 or 13 of a class. A class that has
    fewer gives all, and the others the rest. Of one seed, larger subsets contain smaller ones.

    Args:
        classes: Name of the class of each image.
        percent: Share of all images, above 0 and up to 100; or
        per_class: images of each class.
        seed: Of the draw. It depends on nothing else, such as other classes.

    Returns:
        Rows of the images, in ascending order.

    Raises:
        ValueError: Numbers out of range, not one of the two, or a class with less than
            ``per_class`` images.

    Example:
        >>> draw_subset(['cat'] * 50 + ['dog'] * 50, percent=4, seed=0)
        [32, 42, 75, 92]
    """
    sizes = Counter(classes)
    if (percent is None) == (per_class is None):
        raise ValueError('a subset needs either a percentage or a number of images per class')
    if percent is not None:
        if not 0 < percent <= 100:
            raise ValueError(f'a percentage must be above 0 and at most 100, got {percent:g}')
        total = max(int(round(len(classes) * percent / 100, 6)), len(sizes))
        shares = _shares(sizes, total, seed)
    else:
        assert per_class is not None
        shares = dict.fromkeys(sizes, per_class)
        few = [name for name in sizes if sizes[name] < per_class]
        if per_class < 1 or few:
            least = f'at most {sizes[few[0]]}, which is all of {printable(few[0])}' if few else '1'
            raise ValueError(f'images per class must be {least}, got {per_class}')
    rows = defaultdict(list)
    for row, name in enumerate(classes):
        rows[name].append(row)
    return sorted(
        row for name, found in rows.items() for row in _drawn(found, shares[name], f'{seed}/{name}')
    )


def write_subset(path: str | PathLike, images: Sequence[str], rows: Sequence[int]) -> None:
    """Write a list of the images in some rows, which appears complete or not at all.

    File names alone, if no two images have the same, as in ImageNet; else with their folders.

    Args:
        path: The list; folders are made.
        images: Paths of all images below the folder of the data set.
        rows: Those to list.

    Raises:
        ValueError: The name of a file has a line break.
    """
    names = [_last(image) for image in images]
    if len(set(names)) < len(names):
        names = list(images)
    broken = next((names[row] for row in rows if re.search(r'[\r\n]', names[row])), None)
    if broken is not None:
        raise ValueError(f'{printable(broken)} has a line break in its name: no list can hold it')
    text = ''.join(f'{names[row]}\n' for row in rows)
    with replaced(path) as partial:
        partial.write_bytes(text.encode(errors='surrogateescape'))


def _lines(path: str | PathLike) -> Iterator[Line]:
    """Yield the lines of a list that are not blank."""
    try:
        check_file(path, 'subset list')
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{error}; tools/make_subset.py makes one') from error
    data = Path(path).read_bytes()
    try:
        wide = data.startswith(UTF_16)
        text = data.decode(
            'utf-16' if wide else 'utf-8-sig', 'strict' if wide else 'surrogateescape'
        )
    except UnicodeDecodeError:
        text = '\0'
    if '\0' in text:
        raise ValueError(f'{path} is no list of file names: it is not text')
    for number, line in enumerate(re.split(r'\r\n|\n|\r', text), start=1):
        if line.strip():
            yield Line(number, line.replace('\\', '/'))  # as Windows writes paths


def _readings(text: str) -> Iterator[Reading]:
    """Yield what a line may mean, the likeliest first: names may have blanks and numbers."""
    yield Reading(text)
    yield Reading(text.strip())
    if labelled := LABELLED.fullmatch(text.strip()):
        yield Reading(labelled[1], int(labelled[2]))


def _index(images: Sequence[str], lines: Sequence[Line]) -> dict[str, list[int]]:
    """Return the rows of the images that lines may mean, by file name without extension."""
    meant = (_stem(reading.name) for line in lines for reading in _readings(line.text))
    index: dict[str, list[int]] = {_last(stem): [] for stem in meant}
    for row, image in enumerate(images):
        rows = index.get(_stem(_last(image)))
        if rows is not None:
            rows.append(row)
    return index


def _find(
    text: str, images: Sequence[str], index: Mapping[str, list[int]]
) -> tuple[Reading, list[int]]:
    """Find the images that a line may mean: one, several or none."""
    for reading in _readings(text):
        stem = _stem(reading.name)
        alike = [row for row in index[_last(stem)] if _ends_alike(_stem(images[row]), stem)]
        same = [row for row in alike if _ends_alike(images[row], reading.name)]
        if alike:
            return reading, same or alike
    return Reading(text), []


def _last(path: str) -> str:
    return path.rpartition('/')[2]


def _stem(path: str) -> str:
    """Remove the extension of an image from a path, if it has one."""
    stem, dot, ending = path.rpartition('.')
    return stem if f'{dot}{ending}'.lower() in EXTENSIONS else path


def _ends_alike(one: str, other: str) -> bool:
    """Tell whether two paths are the same as far as both of them go, from the end."""
    pairs = zip(reversed(one.split('/')), reversed(other.split('/')), strict=False)
    return all(a == b or a in ('', '.') or b in ('', '.') for a, b in pairs)


def _error(path: str | PathLike, line: Line, text: str) -> ValueError:
    return ValueError(f'{path}, line {line.number}: {printable(line.text.strip())} {text}')


def _shares(sizes: Mapping[str, int], total: int, seed: int) -> dict[str, int]:
    """Spread a number of images over classes: as many of each, and one more of some."""

    def images(level: int) -> int:
        return sum(min(size, level) for size in sizes.values())

    level = bisect_right(range(max(sizes.values()) + 1), total, key=images) - 1
    shares = {name: min(size, level) for name, size in sizes.items()}
    larger = sorted(name for name in sizes if sizes[name] > level)
    for name in _drawn(larger, total - images(level), f'{seed}'):
        shares[name] += 1
    return shares


def _drawn(items: Sequence, number: int, seed: str) -> list:
    """Draw some items; a larger number of them begins with the same ones."""
    pool, random = list(items), Random(seed)
    for place in range(number):
        other = random.randrange(place, len(pool))
        pool[place], pool[other] = pool[other], pool[place]
    return pool[:number]
