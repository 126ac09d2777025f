"""Map the numbers in masks to labels, and count the labels in the masks of a data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from poa_mm.segmentation.masks import Mask

MOST_NAMES = 20  # of classes, in a message


@dataclass(frozen=True)
class LabelScale:
    """The label of each number in a mask.

    Args:
        num_classes: Of the model, whose labels are 0 to one less.
        ignored: The label that is ignored, or None.
        table: (256,) the label of each number, by :func:`~poa_mm.segmentation.masks.label_table`.
    """

    num_classes: int
    ignored: int | None
    table: np.ndarray

    def wrong(self, counts: np.ndarray) -> list[int]:
        """Return the numbers in a mask (256,) that are neither a class nor ignored."""
        return np.flatnonzero((counts > 0) & ~self._are_classes() & ~self._are_ignored()).tolist()

    def labels(self, counts: np.ndarray) -> tuple[np.ndarray, int]:
        """Count pixels of each class (num_classes,) and ignored ones in a mask (256,)."""
        classes = np.zeros(self.num_classes, dtype=np.int64)
        np.add.at(classes, self.table[self._are_classes()], counts[self._are_classes()])
        return classes, int(counts[self._are_ignored()].sum())

    def __str__(self) -> str:
        """List the numbers that masks may hold."""
        text = ', '.join(_ranges(self._are_classes()))
        ignored = ', '.join(_ranges(self._are_ignored()))
        return f'{text}, and {ignored} for what is ignored' if ignored else text

    def _are_classes(self) -> np.ndarray:
        return (self.table >= 0) & (self.table < self.num_classes) & ~self._are_ignored()

    def _are_ignored(self) -> np.ndarray:
        return self.table == (-1 if self.ignored is None else self.ignored)


def _ranges(chosen: np.ndarray) -> Iterator[str]:
    """Yield the indices of true entries, consecutive ones as ``3 to 7``."""
    numbers = np.flatnonzero(chosen)
    for part in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
        if len(part):
            yield f'{part[0]}' if len(part) == 1 else f'{part[0]} to {part[-1]}'


@dataclass
class MaskContent:
    """The labels in the masks of a data set.

    Args:
        name: Of the data set, in a sentence.
        classes: Their names.
        ignored_label: The label that is ignored, or None.
        present: For each mask (num_classes,) whether it has pixels of a class.
        ignored: For each mask its ignored pixels.
        paths: Of the masks.
        lossy: For each mask whether it is a JPEG file.
        reduced: Whether the zero label of masks is ignored, and 1 the first class.
    """

    name: str
    classes: Sequence[str]
    ignored_label: int | None = None
    present: list[np.ndarray] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lossy: list[bool] = field(default_factory=list)
    reduced: bool = False

    def add(self, path: str, mask: Mask, scale: LabelScale) -> None:
        """Add a mask without wrong numbers."""
        classes, ignored = scale.labels(mask.counts)
        self.present.append(classes > 0)
        self.ignored.append(ignored)
        self.paths.append(path)
        self.lossy.append(mask.lossy)

    def check(self, training: bool) -> None:
        """Check that the masks hold more than one class.

        The usual case is two classes as 0 and 255: 255 is ignored, so only the background is left,
        and a model that always predicts it is always right.

        Args:
            training: Whether they are for training, which needs several classes. A test may have
                one class, unless ignored pixels could be another one.

        Raises:
            ValueError: No pixel has a label, or all have the same.
        """
        if not self.paths:
            return
        found = np.flatnonzero(np.any(self.present, axis=0))
        masks, first = f'{len(self.paths)} masks of {self.name}', f'the first is {self.paths[0]}'
        if not len(found):
            raise ValueError(f'all pixels of the {masks} are ignored; {first}')
        if len(found) > 1 or not (training or any(self.ignored)):
            return
        rest = 'all other pixels are ignored' if any(self.ignored) else 'there are no other pixels'
        hint = (
            ' (two classes are 0 and 1 in masks, not 0 and 255)' if len(self.classes) == 2 else ''
        )
        raise ValueError(
            f'of {len(self.classes)} classes the {masks} hold {self.classes[found[0]]!r} alone, '
            f'{rest}{hint}; {first}'
        )

    def remarks(self) -> list[str]:
        """Return warnings about masks that can be used, a sentence each."""
        return [*self._on_classes(), *self._on_files()] if self.paths else []

    def _on_classes(self) -> Iterator[str]:
        label = self.ignored_label
        if label is not None and 0 <= label < len(self.classes):
            yield f'the ignored label {label} is class {self.classes[label]!r}: it is not learned'
        found = np.any(self.present, axis=0)
        absent = [repr(self.classes[i]) for i in np.flatnonzero(~found) if i != label]
        if absent:
            more = [f'{len(absent) - MOST_NAMES} more'] if len(absent) > MOST_NAMES else []
            shifted = self.reduced and not found[-1]  # as if the first number were 0
            how = ' (reduce_zero_label=True: 1 is the first class in masks)' if shifted else ''
            yield (
                f'{len(absent)} of {len(self.classes)} classes have no pixel in the '
                f'{len(self.paths)} masks of {self.name}{how}: '
                f'{", ".join([*absent[:MOST_NAMES], *more])}'
            )

    def _on_files(self) -> Iterator[str]:
        present = np.array(self.present)
        empty = ~present.any(axis=1)
        yield from self._count(np.flatnonzero(empty), 'hold only ignored pixels')
        lossy = np.flatnonzero(self.lossy)
        yield from self._count(lossy, 'are JPEG files, whose compression changes labels')
        if len(self.classes) == 2:
            second, ignored = present[:, 1], np.array(self.ignored) > 0
            # Where both ways of writing two classes meet, no mask has all three numbers.
            if second.any() and not (second & ignored).any():
                first, other = self.classes
                yield from self._count(
                    np.flatnonzero(ignored & ~second & ~empty),
                    f'hold {first!r} and ignored pixels, the others {first!r} and {other!r} (if '
                    f'{other!r} is 255 in some, save it as 1)',
                )

    def _count(self, indices: np.ndarray, what: str) -> Iterator[str]:
        """Yield a sentence on some of the masks, if there are any."""
        if len(indices):
            yield (
                f'{len(indices)} of {len(self.paths)} masks of {self.name} {what}; the first is '
                f'{self.paths[indices[0]]}'
            )
