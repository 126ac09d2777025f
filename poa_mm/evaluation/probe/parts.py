"""Heads of many networks, trained side by side in parts that fit into memory."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from poa_mm.errors import InputError
from poa_mm.evaluation.probe.heads import Head, HeadTrainer, TrainedHead
from poa_mm.evaluation.probe.settings import ProbeResult, best_head
from poa_mm.evaluation.probe.sources import ProbeSources

__all__ = ['Part', 'PartTrainer', 'Tally', 'parts_of', 'parts_of_network', 'passes']

MEMORY = 2**30  # bytes of a part's weights and momenta

Name = TypeVar('Name', bound=Hashable)


@dataclass(frozen=True)
class Part(Generic[Name]):
    """Heads of one network that take the same features.

    Args:
        network: Its name.
        source: Name of the features.
        columns: Where these are among all features of the network.
        numbers: Which of the network's heads.
        size: Bytes of their weights and momenta.
    """

    network: Name
    source: str
    columns: slice
    numbers: tuple[int, ...]
    size: int


def parts_of(
    heads: Sequence[Head], widths: Mapping[str, int], num_classes: int, memory: int = MEMORY
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Split heads into parts that take the same features and little memory.

    Args:
        heads: The heads.
        widths: Channels of the features by source.
        num_classes: Number of classes.
        memory: Bytes of weights and momenta in a part; one head always fits.

    Yields:
        A source, and numbers of its heads.
    """
    for source in dict.fromkeys(head.source for head in heads):
        members = [number for number, head in enumerate(heads) if head.source == source]
        size = max(memory // HeadTrainer.bytes_of(1, widths[source], num_classes), 1)
        for start in range(0, len(members), size):
            yield source, tuple(members[start : start + size])


def parts_of_network(
    network: Name,
    heads: Sequence[Head],
    sources: ProbeSources,
    num_classes: int,
    memory: int = MEMORY,
) -> list[Part[Name]]:
    """Split the heads of a network into parts."""
    columns = sources.columns
    widths = {source: sources.width_of(source) for source in columns}
    return [
        Part(
            network,
            source,
            columns[source],
            numbers,
            HeadTrainer.bytes_of(len(numbers), widths[source], num_classes),
        )
        for source, numbers in parts_of(heads, widths, num_classes, memory)
    ]


def passes(parts: Iterable[Part[Name]], memory: int) -> list[list[Part[Name]]]:
    """Group parts, in order, into passes over the images that take at most ``memory`` bytes."""
    groups: list[list[Part[Name]]] = []
    free = 0
    for part in parts:
        if not groups or part.size > free:
            groups.append([])
            free = memory
        groups[-1].append(part)
        free -= part.size
    return groups


class PartTrainer(Generic[Name]):
    """Trains the heads of a part.

    Args:
        part: Which heads.
        heads: All heads of the network.
        num_classes: Number of classes.
        steps: Number of steps of the schedule.
        seed: Seed of the initial weights.
        device: Where to train.
    """

    def __init__(
        self,
        part: Part[Name],
        heads: Sequence[Head],
        num_classes: int,
        steps: int,
        seed: int,
        device: torch.device | str,
    ) -> None:
        self.part = part
        members = [heads[number] for number in part.numbers]
        width = part.columns.stop - part.columns.start
        generator = torch.Generator().manual_seed(seed)
        self.heads = HeadTrainer(members, width, num_classes, steps, generator, device)

    def step(self, features: Tensor, labels: Tensor) -> None:
        """Take a step on all features (B, width) of the network."""
        self.heads.step(features[:, self.part.columns], labels)

    def correct(self, features: Tensor, labels: Tensor) -> Tensor:
        """Count correct classes of all features (B, width) of the network: (heads,)."""
        return self.heads.correct(features[:, self.part.columns], labels)


class Tally:
    """Collects the accuracies of a network's heads part by part, and keeps the best head.

    Args:
        heads: All heads of the network.
    """

    def __init__(self, heads: Sequence[Head]) -> None:
        self.heads = tuple(heads)
        self._chosen_on: dict[int, float] = {}
        self._test: dict[int, float] = {}
        self._best: tuple[int, TrainedHead] | None = None

    def add(self, trainer: PartTrainer, chosen_on: Sequence[float], test: Sequence[float]) -> None:
        """Add the accuracies in percent of a part's heads, in its order."""
        numbers = trainer.part.numbers
        self._chosen_on.update(zip(numbers, chosen_on, strict=True))
        self._test.update(zip(numbers, test, strict=True))
        candidates = list(self._chosen_on)
        accuracies = [self._chosen_on[number] for number in candidates]
        best = candidates[best_head(accuracies, [self.heads[number] for number in candidates])]
        if best in numbers:
            self._best = best, trainer.heads.trained(numbers.index(best))

    @property
    def begun(self) -> bool:
        """Whether some heads, but not all, have been added."""
        return 0 < len(self._test) < len(self.heads)

    @property
    def complete(self) -> bool:
        """Whether all heads have been added."""
        return len(self._test) == len(self.heads)

    def state(self) -> dict[str, Any]:
        """Return what was added, as plain data and tensors."""
        best = self._best
        return {
            'chosen_on': self._chosen_on,
            'test': self._test,
            'best': None if best is None else (best[0], best[1].weight, best[1].bias),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self._chosen_on, self._test = dict(state['chosen_on']), dict(state['test'])
        if state['best'] is not None:
            number, weight, bias = state['best']
            self._best = number, TrainedHead(self.heads[number], weight, bias)

    def result(self) -> ProbeResult:
        """Return the accuracies of all heads, and the best head.

        Raises:
            InputError: The best head is not finite: all heads have diverged.
        """
        assert self.complete
        assert self._best is not None
        best = self._best[1]
        if not (best.weight.isfinite().all() and best.bias.isfinite().all()):
            raise InputError(
                'all heads have diverged: give smaller learning rates, or features of a smaller '
                'scale'
            )
        order = range(len(self.heads))
        return ProbeResult(
            self.heads,
            tuple(self._chosen_on[number] for number in order),
            tuple(self._test[number] for number in order),
            best,
        )
