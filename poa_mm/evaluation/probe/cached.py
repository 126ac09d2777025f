"""Linear probing of features that were computed before, each of them once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from poa_mm.errors import InputError
from poa_mm.evaluation.probe.linear import check_labels, held_out_rows
from poa_mm.evaluation.probe.parts import PartTrainer, Tally, parts_of_network
from poa_mm.evaluation.probe.settings import ProbeResult, ProbeSettings
from poa_mm.evaluation.probe.sources import ProbeSources

__all__ = ['LabelledFeatures', 'check_features', 'probe_features']

BATCH = 4096  # features that are classified at a time


@dataclass(frozen=True)
class LabelledFeatures:
    """All features that heads take of some images, and the classes of these.

    Args:
        features: (N, width), as :func:`~poa_mm.evaluation.probe.sources.probe_columns` has them.
        labels: Integers (N,).
    """

    features: Tensor
    labels: Tensor

    def rows(self, rows: Tensor) -> 'LabelledFeatures':
        """Select images."""
        return LabelledFeatures(self.features[rows], self.labels[rows])


def probe_features(
    train: LabelledFeatures,
    test: LabelledFeatures,
    sources: ProbeSources,
    num_classes: int,
    settings: ProbeSettings,
    seed: int = 0,
    device: torch.device | str = 'cpu',
    progress: Callable[[int, int], object] = lambda *_: None,
) -> ProbeResult:
    """Train all heads on the features of one network, and choose one.

    Args:
        train: Of the training images, of which some are held out to choose on.
        test: Of the test images.
        sources: Where in the features which source is.
        num_classes: Number of classes.
        settings: How heads are trained and chosen; ``augment`` is not looked at.
        seed: Seed of the initial weights, the order of images and those held out.
        device: Where to train.
        progress: Called after each step with the number of steps taken and of all.

    Returns:
        Accuracies of all heads.

    Raises:
        InputError: Features are not finite, all heads have diverged, or there is a single class.
        ValueError: Shapes do not fit, labels are out of range, or there are fewer than two images.
    """
    for name, split in (('training', train), ('test', test)):
        check_features(name, split, sources.width, num_classes)
    kept, choose = split_of(train, test, settings, seed)
    steps = settings.steps(len(kept))
    heads = settings.heads(sources)
    tally = Tally(heads)
    parts = parts_of_network('', heads, sources, num_classes)
    for number, part in enumerate(parts):
        trainer = PartTrainer(part, heads, num_classes, steps, seed, device)
        for rows in islice(_batches(kept, settings.batch_size, seed), steps):
            batch = train.rows(rows.to(train.labels.device))
            trainer.step(batch.features.to(device), batch.labels.to(device))
            progress(number * steps + trainer.heads.done, len(parts) * steps)
        chosen_on = _accuracies(trainer, choose, device)
        on_test = chosen_on if choose is test else _accuracies(trainer, test, device)
        tally.add(trainer, chosen_on, on_test)
    return tally.result()


def _batches(rows: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    """Yield batches of rows without end, each pass over them in a new order."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from rows[torch.randperm(len(rows), generator=generator)].split(size)


def check_features(name: str, split: LabelledFeatures, width: int, num_classes: int) -> None:
    """Check features and labels before hours of training, or raise; see :func:`probe_features`.

    Args:
        name: What they are of, for the message.
        split: What to check.
        width: Channels that are expected.
        num_classes: Number of classes.
    """
    shape = tuple(split.features.shape)
    if len(shape) != 2 or shape[1] != width or split.labels.shape != shape[:1] or not shape[0]:
        raise ValueError(
            f'{name} features and labels must have shapes (N, {width}) and (N,), got {shape} and '
            f'{tuple(split.labels.shape)}'
        )
    if num_classes < 2:
        raise InputError(f'a linear probe needs two classes or more, the images have {num_classes}')
    check_labels(split.labels, num_classes)
    wrong = torch.cat([~part.isfinite().all(dim=1) for part in split.features.split(BATCH)])
    if wrong.any():
        raise InputError(
            f'the {name} features of {int(wrong.sum())} of {shape[0]} images hold NaN or infinity, '
            f'first those of image {int(wrong.nonzero()[0])}: the network has diverged, or '
            'overflows in its precision'
        )


def split_of(
    train: LabelledFeatures, test: LabelledFeatures, settings: ProbeSettings, seed: int
) -> tuple[Tensor, LabelledFeatures]:
    """Return the rows of the training images to train on, and what to choose on."""
    if settings.choose_on_test:
        return torch.arange(len(train.labels)), test
    kept, held_out = held_out_rows(len(train.labels), settings.held_out, seed)
    return kept, train.rows(held_out.to(train.labels.device))


def _accuracies(
    trainer: PartTrainer, split: LabelledFeatures, device: torch.device | str
) -> list[float]:
    """Measure the accuracies of a part's heads in percent."""
    pairs = zip(split.features.split(BATCH), split.labels.split(BATCH), strict=True)
    counts = [trainer.correct(features.to(device), labels.to(device)) for features, labels in pairs]
    return (100 * torch.stack(counts).sum(dim=0).double() / len(split.labels)).tolist()
