"""Compute the order of training images, and their random seeds, from the position in the run."""

import random
from collections.abc import Iterator, Sized
from typing import Any

import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATA_SAMPLERS
from torch import Tensor


class SampleIndex(int):
    """Index of an image in its data set, with its position in the run.

    Data sets take it for the number that it is and pass it on as ``sample_idx``; a transform that
    draws from :meth:`seed` does not depend on workers, ranks or earlier draws.

    Attributes:
        position: How many images the run has drawn before, on all ranks.
        run_seed: Seed of the run's order.
    """

    position: int
    run_seed: int

    def __new__(cls, index: int, position: int, run_seed: int) -> 'SampleIndex':
        """Make an int of the value ``index``."""
        self = super().__new__(cls, index)
        self.position = position
        self.run_seed = run_seed
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:  # through the queue of a loader's worker
        return int(self), self.position, self.run_seed

    def seed(self) -> int:
        """Seed of this image's random numbers."""
        return _seed(f'{self.run_seed}/{self.position}/image')

    def another(self, size: int, attempt: int) -> 'SampleIndex':
        """Draw one of ``size`` images to replace this one, another for each attempt."""
        name = f'{self.run_seed}/{self.position}/{attempt}/another'
        return SampleIndex(random.Random(name).randrange(size), self.position, self.run_seed)


@DATA_SAMPLERS.register_module()
class PositionSampler(InfiniteSampler):
    """Endless passes over the data, each in a new order that depends only on the position.

    Of the stream that the seed defines, rank r of R takes the positions r, r + R, r + 2R …, so the
    same images come on any number of ranks, and a run resumes anywhere at no cost.

    Args:
        dataset: The data set.
        shuffle: Whether to shuffle each pass.
        seed: Seed of the orders; by default one that all ranks agree on.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        super().__init__(dataset, shuffle, seed)
        self._skipped = 0

    def skip(self, num_samples: int) -> None:
        """Start after ``num_samples`` images of this rank, counted from the start of the stream."""
        if num_samples < 0:
            raise ValueError(f'num_samples must not be negative, got {num_samples}')
        self._skipped = num_samples

    def __iter__(self) -> Iterator[SampleIndex]:
        position = self.rank + self.world_size * self._skipped
        current, order = -1, torch.empty(0)
        while True:
            number, place = divmod(position, self.size)
            if number != current:
                current, order = number, self._order(number)
            yield SampleIndex(int(order[place]), position, self.seed)
            position += self.world_size

    def _order(self, number: int) -> Tensor:
        """Return the order of the images in a pass over the data."""
        return _order(self.size, number, self.seed) if self.shuffle else torch.arange(self.size)


@DATA_SAMPLERS.register_module()
class EpochSampler(DefaultSampler):
    """One shuffled pass over the data an epoch, for runs that count epochs.

    As under :class:`PositionSampler`, the order and the random numbers of an image depend only on
    the seed and on its position, here that in the passes of all epochs so far. ``set_epoch`` says
    which epoch it is, as for every sampler of mmengine; a run resumes at the start of one. The last
    images of an epoch are filled up by its first ones, so that all ranks have as many.

    Args:
        dataset: The data set.
        shuffle: Whether to shuffle each pass.
        seed: Seed of the orders; by default one that all ranks agree on.
        num_repeats: Repeated augmentation: so many times in a row comes each image of an epoch,
            from as many ranks, if there are that many. The epoch is as long as ever, so that it has
            another part of the images each time.

    Raises:
        ValueError: ``num_repeats`` is no positive number.
    """

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: int | None = None,
        num_repeats: int = 1,
    ) -> None:
        if num_repeats < 1:
            raise ValueError(f'num_repeats must be at least 1, got {num_repeats}')
        super().__init__(dataset, shuffle, seed)
        self.num_repeats = num_repeats

    def __iter__(self) -> Iterator[SampleIndex]:
        size = len(self.dataset)
        order = _order(size, self.epoch, self.seed) if self.shuffle else torch.arange(size)
        for place in range(self.rank, self.total_size, self.world_size):
            position = self.epoch * self.total_size + place
            image = order[place % size // self.num_repeats]
            yield SampleIndex(int(image), position, self.seed)


def _order(size: int, number: int, seed: int) -> Tensor:
    """Return the order of the images in a pass over the data."""
    generator = torch.Generator().manual_seed(_seed(f'{seed}/{number}/pass'))
    return torch.randperm(size, generator=generator)


def _seed(name: str) -> int:
    return random.Random(name).getrandbits(63)
