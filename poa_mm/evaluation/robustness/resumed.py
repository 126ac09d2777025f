"""Robustness that goes on after a kill, its images shared by processes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from mmengine import dist
from torch import Tensor
from torch.utils.data import Subset

from poa_mm.evaluation.features import feature_loader
from poa_mm.evaluation.journal import Journal
from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.ranks import batches_of_rank, from_first_rank, is_first
from poa_mm.evaluation.robustness.curves import (
    Accuracies,
    Corruption,
    Drawing,
    Predict,
    accuracies_of,
    count_right,
)
from poa_mm.evaluation.robustness.run import normalised_batches

Batches = Iterable[tuple[Tensor, Tensor]]  # images and classes

__all__ = ['BatchJournals', 'resumed_accuracies']


class BatchJournals:
    """Counts of finished batches: each process writes a file of its own, the first reads all.

    So an evaluation goes on with another number of processes, too.

    Args:
        path: File of the first process; the others add their number to its name.
        about: See :class:`~poa_mm.evaluation.journal.Journal`.
        overwrite: Forget the batches of an earlier evaluation.

    Attributes:
        done: Counts of finished batches by the number of their first image, as a text.

    Raises:
        ValueError: A file is of another evaluation and ``overwrite`` is not set.
    """

    def __init__(
        self, path: str | PathLike, about: Mapping[str, Any], overwrite: bool = False
    ) -> None:
        path = Path(path)
        self._pattern = f'{path.stem}*{path.suffix}'
        self._folder = path.parent
        found: dict[str, Any] = {}
        if is_first():
            for one in self._files():
                found |= Journal(one, about, overwrite).done
        self.done: dict[str, Any] = dict(from_first_rank(found))
        rank = dist.get_rank()
        own = path if not rank else path.with_name(f'{path.stem}.{rank}{path.suffix}')
        self._own = Journal(own, about)

    def add(self, first: int, counts: Any) -> None:
        """Keep the counts of a batch of this process."""
        self._own.add(str(first), counts)
        self.done[str(first)] = counts

    def close(self) -> None:
        """Delete the files, once the results are written elsewhere."""
        for one in self._files():
            one.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(self._pattern))


def resumed_accuracies(
    reader: FeatureReader,
    listed: Sequence[Corruption],
    predict: Predict,
    journals: BatchJournals,
    drawing: Drawing,
    repeats: int,
    show: Callable[[Batches, int], Batches],
) -> Accuracies:
    """Measure the accuracy of networks on corrupted test images.

    Images are read once, and a batch goes through all corruptions and networks. The processes of
    torchrun share the batches that are not finished, and all return the same to the bit as one.

    Args:
        reader: Its test images are read.
        listed: See :func:`~poa_mm.evaluation.robustness.curves.robustness_accuracies`.
        predict: Likewise.
        journals: Finished batches, which it adds to.
        drawing: Likewise.
        repeats: Likewise.
        show: Wraps the batches, of which there are so many, to show progress.

    Returns:
        As of :func:`~poa_mm.evaluation.robustness.curves.robustness_accuracies`.
    """
    dataset = reader.data.test
    batches = batches_of_rank(len(dataset), reader.batch_size)
    missing = [batch for batch in batches if str(batch[0]) not in journals.done]
    rank, world_size = dist.get_rank(), dist.get_world_size()
    if missing:
        # Only the last of all batches can be smaller, so the rest falls into the same batches.
        rest = Subset(dataset, [row for batch in missing for row in batch])
        loader = feature_loader(rest, reader.batch_size, reader.num_workers, rank, world_size)
        own = missing[rank::world_size]
        steps = show(normalised_batches(loader, reader.preprocessor), len(own))
        for batch, (images, labels) in zip(own, steps, strict=True):
            counts = count_right(images, labels, batch[0], listed, predict, drawing, repeats)
            journals.add(batch[0], counts)
    counts_of_all: dict[str, Any] = {}
    for done in dist.all_gather_object(journals.done):
        counts_of_all |= done
    assert set(counts_of_all) == {str(batch[0]) for batch in batches}
    in_order = [counts_of_all[str(batch[0])] for batch in batches]
    return accuracies_of(in_order, len(dataset), listed)
