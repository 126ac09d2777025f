"""What the folder of a training run tells: its curves, and what it has cost."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ['RunLog', 'read_run']

SCALARS = '*/vis_data/scalars.json'  # of mmengine: a folder for each start, named by its time
KNN = 'knn/'
TOTAL = 'loss'
# Terms of the loss that are drawn below the total one.
TERMS = ('intact_', 'elastic_', 'same_view_')

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class RunLog:
    """Scalars of a run.

    Args:
        scalars: Points (iteration, value) by name, by iteration.
        files: Where they were read.
    """

    scalars: Mapping[str, Curve]
    files: Sequence[Path]

    @property
    def losses(self) -> dict[str, Curve]:
        """The loss that is trained on, and its terms."""
        names = [name for name in self.scalars if name == TOTAL or name.startswith(TERMS)]
        return {name: self.scalars[name] for name in sorted(names, key=lambda name: name != TOTAL)}

    @property
    def accuracies(self) -> dict[str, Curve]:
        """k-NN accuracy of the teacher's sub-networks in percent, by name."""
        return {
            name.removeprefix(KNN): curve
            for name, curve in self.scalars.items()
            if name.startswith(KNN)
        }

    @property
    def seconds(self) -> float | None:
        """Seconds of all iterations, without evaluations and checkpoints; None if not logged."""
        return self._integral('time')

    @property
    def images(self) -> float | None:
        """Images that the run has read, over all processes; None if not logged."""
        rates = dict(self.scalars.get('images_per_s', []))
        times = self.scalars.get('time', [])
        if not times or any(step not in rates for step, _ in times):
            return None
        spans = zip(_spans(times), times, strict=True)
        return sum(span * seconds * rates[step] for span, (step, seconds) in spans)

    def _integral(self, name: str) -> float | None:
        curve = self.scalars.get(name)
        if not curve:
            return None
        return sum(span * value for span, (_, value) in zip(_spans(curve), curve, strict=True))


def read_run(folder: Path, last: int | None = None) -> RunLog | None:
    """Read the scalars that a run and its resumed parts have logged.

    Args:
        folder: Work dir of the run.
        last: Iteration of the checkpoint; what comes after it is left out.

    Returns:
        The scalars; None if there are none.
    """
    files = sorted(folder.glob(SCALARS))
    scalars: dict[str, dict[int, float]] = {}
    for file in files:
        lines = list(_lines(file))
        start = min((step for step, _ in lines), default=0)
        for points in scalars.values():  # what a resumed run has done again
            for step in [step for step in points if step >= start]:
                del points[step]
        for step, values in lines:
            for name, value in values.items():
                if last is None or step <= last:
                    scalars.setdefault(name, {})[step] = value
    curves = {name: sorted(points.items()) for name, points in scalars.items() if points}
    return RunLog(curves, files) if curves else None


def _lines(file: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield iteration and finite numbers of each line; one that was cut off is passed over."""
    for line in file.read_text(encoding='utf-8', errors='replace').split('\n'):
        try:
            content = json.loads(line)
        except json.JSONDecodeError:
            continue
        if not isinstance(content, dict) or not isinstance(content.get('step'), int):
            continue
        numbers = {
            name: float(value)
            for name, value in content.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        yield content['step'], numbers


def _spans(curve: Curve) -> list[int]:
    """Return the iterations that each point stands for: those since the point before."""
    steps = [0, *(step for step, _ in curve)]
    return [after - before for before, after in pairwise(steps)]
