"""Settings of a linear probe, and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from poa_mm.evaluation.probe.heads import (
    DEFAULT_LRS,
    PAPER_LRS,
    Head,
    Regularised,
    TrainedHead,
    head_grid,
)
from poa_mm.evaluation.probe.sources import SOURCES, ProbeSources

__all__ = ['OFFICIAL', 'ProbeResult', 'ProbeSettings', 'best_head']

BASE_BATCH = 256  # that base learning rates are for
MIN_ITERATIONS = 100  # in an epoch


@dataclass(frozen=True)
class ProbeSettings:
    """How heads are trained and chosen.

    Args:
        lrs: Base learning rates, for batches of 256; they are scaled by the batch size.
        weight_decays: Weight decays; each is tried with each learning rate and source.
        sources: Which of :data:`~poa_mm.evaluation.probe.sources.SOURCES` to try.
        batch_size: Images per step.
        epochs: Number of epochs.
        iterations: Steps of an epoch; None for a pass over the training images, and
            :data:`MIN_ITERATIONS` at least, without which heads on few images do not converge.
        augment: Train on random crops that are flipped at random, each seen once, not on the
            features of centre crops.
        choose_on_test: Choose the head by its accuracy on the test images, as the authors did,
            which makes that accuracy too high; otherwise by that on images held out of training.
        held_out: Share of the training images to choose on.

    Raises:
        ValueError: A setting is out of range.
    """

    lrs: tuple[float, ...] = DEFAULT_LRS
    weight_decays: tuple[float, ...] = (0.0, 1e-4)
    sources: tuple[str, ...] = SOURCES
    batch_size: int = 256
    epochs: int = 10
    iterations: int | None = None
    augment: bool = False
    choose_on_test: bool = False
    held_out: float = 0.1

    def __post_init__(self) -> None:
        for name in ('lrs', 'weight_decays', 'sources'):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f'{name} must be all different, one or more, got {values}')
        if unknown := [source for source in self.sources if source not in SOURCES]:
            raise ValueError(f'sources must be some of {SOURCES}, got {unknown}')
        if any(not (isfinite(lr) and lr > 0) for lr in self.lrs):
            raise ValueError(f'learning rates must be positive, got {self.lrs}')
        if any(not (isfinite(decay) and decay >= 0) for decay in self.weight_decays):
            raise ValueError(f'weight decays must not be negative, got {self.weight_decays}')
        for name in ('batch_size', 'epochs', 'iterations'):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f'{name} must be positive, got {value}')
        if not 0 < self.held_out < 1:
            raise ValueError(f'held_out must be a share between 0 and 1, got {self.held_out}')

    def heads(self, sources: ProbeSources) -> list[Head]:
        """List the heads for a network, with the learning rates that are applied.

        Raises:
            ValueError: The network has none of the sources.
        """
        found = self.found(sources)
        scaled = [lr * self.batch_size / BASE_BATCH for lr in self.lrs]
        return head_grid(found, scaled, self.weight_decays)

    def found(self, sources: ProbeSources) -> list[str]:
        """Return those of the sources to try that a network has.

        Raises:
            ValueError: It has none of them.
        """
        found = [source for source in self.sources if source in sources.columns]
        if not found:
            raise ValueError(
                f'the network has the sources {tuple(sources.columns)} alone, and none of '
                f'{self.sources}'
            )
        return found

    def steps(self, num_images: int) -> int:
        """Count the steps that are trained on this number of images."""
        a_pass = -(-num_images // self.batch_size)
        return self.epochs * (self.iterations or max(a_pass, MIN_ITERATIONS))

    def describe(self) -> dict[str, str | int | float | bool | None]:
        """Return what can change a result, as a file of results has it."""
        return {
            'batch_size': self.batch_size,
            'epochs': self.epochs,
            'iterations': self.iterations,
            'augment': self.augment,
            **self.choice(),
        }

    def choice(self) -> dict[str, str]:
        """Return what heads are chosen on."""
        return {'chosen_on': 'test' if self.choose_on_test else f'{self.held_out:g} of train'}


# As the authors ran it: 8 GPUs of 256 images; 52 heads.
OFFICIAL = ProbeSettings(
    lrs=PAPER_LRS,
    weight_decays=(0.0,),
    batch_size=2048,
    epochs=10,
    iterations=1250,
    augment=True,
    choose_on_test=True,
)


@dataclass(frozen=True)
class ProbeResult:
    """Accuracies of all heads on a network, and the chosen one.

    Args:
        heads: Settings of the heads, or of fits of logistic regression.
        chosen_on: Their accuracies in percent on the images that the choice was made on.
        test: Their accuracies in percent on the test images.
        best: The chosen head.
    """

    heads: tuple[Head | Regularised, ...]
    chosen_on: tuple[float, ...]
    test: tuple[float, ...]
    best: TrainedHead

    @property
    def chosen(self) -> int:
        """Number of the chosen head."""
        return self.heads.index(self.best.head)

    @property
    def top1(self) -> float:
        """Accuracy in percent of the chosen head on the test images."""
        return self.test[self.chosen]


def best_head(accuracies: Sequence[float], heads: Sequence[Head]) -> int:
    """Return the number of the head to choose: the most accurate one.

    Of several, the one with the largest weight decay, then with the smallest learning rate.

    Args:
        accuracies: Of the heads, on images that the choice may be made on.
        heads: Their settings.
    """
    order = range(len(heads))
    return max(order, key=lambda n: (accuracies[n], heads[n].weight_decay, -heads[n].lr))
