"""Mean IoU of networks by dense k-NN: the grid of sub-networks in few passes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine import dist
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from poa_mm.evaluation.baselines import baseline_result
from poa_mm.evaluation.knn.bank_part import BankPart
from poa_mm.evaluation.knn.dense import (
    PAPER_K,
    PAPER_TEMPERATURE,
    PatchBank,
    class_shares,
    confusion_matrix,
    iou_scores,
    mean_iou,
    pixel_classes,
)
from poa_mm.evaluation.knn.mask_data import MaskedImages
from poa_mm.evaluation.network_row import NetworkRow, depth_from_plain
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.ranks import batches_of_rank, is_first
from poa_mm.evaluation.results import Result, versions

__all__ = ['DenseKnn', 'DenseRow', 'dense_results']


@dataclass(frozen=True)
class DenseRow(NetworkRow):
    """Dense k-NN result of one network.

    Args:
        subnet: See :class:`NetworkRow`, as for the next four.
        name: Its well-known name.
        width: Elastic width.
        depth: Elastic depth.
        params: Number of parameters.
        ious: Mean IoU in percent by k.
        classes: IoU of each class at the largest k; None for one that does not occur.
        baselines: Mean IoU by k, by baseline: ``'untrained'``, ``'normalised_pixels'``; empty if
            not measured.
    """

    ious: dict[int, float]
    classes: list[float | None] = field(default_factory=list)
    baselines: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Mean IoU in percent at the largest k, for plots."""
        return self.ious[max(self.ious)]

    def cells(self) -> dict[str, object]:
        """Return the cells of a CSV file by column; baselines only if they were measured."""
        by_prefix = {'': self.ious} | {f'{name}_': of for name, of in self.baselines.items()}
        return {
            **super().cells(),
            **{
                f'{prefix}miou_k{k}': f'{value:.3f}'
                for prefix, ious in by_prefix.items()
                for k, value in ious.items()
            },
        }

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> 'DenseRow':
        """Read what ``dataclasses.asdict`` gave, after a file of JSON has made keys text."""
        return cls(
            **{
                **data,
                'depth': depth_from_plain(data['depth']),
                'ious': _by_number(data['ious']),
                'baselines': {name: _by_number(of) for name, of in data['baselines'].items()},
            }
        )


class DenseKnn:
    """Segment images by the nearest patches of others, for many networks.

    Args:
        train: Images whose patches form the bank.
        test: Images to segment, with the same classes.
        k: Numbers of neighbours.
        temperature: T of the softmax over similarity / T.
        max_patches: Patches of the bank, drawn evenly from all labelled ones; None takes all. A
            draw depends on the images alone: networks with the same grid have the same patches.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.
        max_memory: Main memory for banks in GiB; the more, the fewer passes over the images.
        progress: Whether to show progress bars.
        shared: Whether the processes of torchrun share the images; each has the whole bank.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        train: MaskedImages,
        test: MaskedImages,
        k: Sequence[int] = (PAPER_K,),
        temperature: float = PAPER_TEMPERATURE,
        max_patches: int | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
        max_memory: float = 8.0,
        progress: bool = True,
        shared: bool = False,
    ) -> None:
        if not k or min(k) < 1 or not temperature > 0:
            raise ValueError(f'k and temperature must be positive, got {tuple(k)}, {temperature}')
        if max_patches is not None and max_patches < max(k):
            raise ValueError(f'a bank of {max_patches} patches has no {max(k)} neighbours')
        rank, world_size = (dist.get_rank(), dist.get_world_size()) if shared else (0, 1)
        self.loaders: list[DataLoader] = [
            DataLoader(
                images,
                batch_sampler=batches_of_rank(len(images), batch_size, rank, world_size),
                num_workers=num_workers,
                collate_fn=_collate,
            )
            for images in (train, test)
        ]
        self.num_classes = train.num_classes
        self.train_images = len(train)
        self.k = tuple(k)
        self.temperature = temperature
        self.max_patches = max_patches
        self.max_memory = max_memory
        self.progress = progress and is_first()
        self.shared = shared

    def rows(
        self, measured: Measured, networks: Sequence[Network] | None = None
    ) -> Iterator[DenseRow]:
        """Yield the result of each network, in order.

        Args:
            measured: Of :func:`~poa_mm.evaluation.open_measured`.
            networks: Which of ``measured.networks``; all by default.

        Raises:
            ValueError: The bank has fewer patches than k.
        """
        chosen = list(measured.networks if networks is None else networks)
        size = self._networks_per_pass(measured, chosen) if chosen else 1
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            banks = self._banks(measured, part)
            confusions = self._confusions(measured, banks)
            for network in part:
                yield self._row(network, confusions[network])

    def _banks(self, measured: Measured, networks: Sequence[Network]) -> dict[Network, PatchBank]:
        """Collect the labelled patches of the training images, of all processes."""
        loader = self.loaders[0]
        parts = {network: BankPart(self.num_classes, self.train_images) for network in networks}
        share_kept = self._share_kept(measured, networks)
        batches: Iterable[list[int]] = loader.batch_sampler or ()
        rows = iter(batches)
        for images, masks in self._track(loader, f'patches of {len(networks)} networks'):
            indices = next(rows)
            by_grid: dict[tuple[int, int], list[Tensor]] = {}  # most networks have the same
            for network, tokens in measured.tokens(images, networks):
                grid = tokens.grid
                if grid not in by_grid:
                    by_grid[grid] = [class_shares(mask, grid, self.num_classes) for mask in masks]
                of_images = zip(tokens.patches.float().cpu(), by_grid[grid], strict=True)
                for index, (patches, labels) in zip(indices, of_images, strict=True):
                    kept = (labels.sum(dim=1) > 0) & _drawn(index, len(labels), share_kept)
                    parts[network].add(index, patches[kept], labels[kept])
        if not self.shared:
            return {network: parts.pop(network).bank() for network in networks}
        shapes = _shapes(measured, networks)  # also where a process has no image
        return {network: parts.pop(network).gathered(shapes[network][2]) for network in networks}

    def _confusions(
        self, measured: Measured, banks: dict[Network, PatchBank]
    ) -> dict[Network, dict[int, Tensor]]:
        """Segment the test images, and count pixels by label and prediction."""
        shape = (self.num_classes, self.num_classes)
        counts = {
            network: {k: torch.zeros(shape, dtype=torch.int64) for k in self.k} for network in banks
        }
        banks = {
            network: PatchBank(*(part.to(measured.device) for part in bank))
            for network, bank in banks.items()
        }
        for images, masks in self._track(self.loaders[1], 'segmentation'):
            for network, tokens in measured.tokens(images, list(banks)):
                queries = tokens.patches.flatten(0, 1).float()
                votes = banks[network].vote(queries, self.k, self.temperature)
                for k, shares in votes.items():
                    per_image = shares.cpu().view(len(masks), -1, self.num_classes)
                    for one, mask in zip(per_image, masks, strict=True):
                        predicted = pixel_classes(one, tokens.grid, (mask.shape[0], mask.shape[1]))
                        counts[network][k] += confusion_matrix(predicted, mask, self.num_classes)
        if self.shared:  # whole numbers, so the sum is that of a single process
            for by_k in counts.values():
                for k, part in by_k.items():
                    by_k[k] = torch.stack(dist.all_gather(part)).sum(dim=0)
        return counts

    def _row(self, network: Network, confusions: dict[int, Tensor]) -> DenseRow:
        classes = iou_scores(confusions[max(self.k)]).tolist()
        return DenseRow(
            **NetworkRow.fields_of(network),
            ious={k: mean_iou(confusion) for k, confusion in confusions.items()},
            classes=[None if value != value else value for value in classes],
        )

    def _share_kept(self, measured: Measured, networks: Sequence[Network]) -> float:
        if self.max_patches is None:
            return 1.0
        patches, _ = self._sizes(measured, networks)
        return min(1.0, self.max_patches / (patches * self.train_images))

    def _networks_per_pass(self, measured: Measured, networks: Sequence[Network]) -> int:
        patches, width = self._sizes(measured, networks)
        total = patches * self.train_images
        kept = total if self.max_patches is None else min(total, self.max_patches)
        bytes_each = 4 * kept * (width + self.num_classes)
        return max(1, int(self.max_memory * 2**30 / bytes_each))

    @staticmethod
    def _sizes(measured: Measured, networks: Sequence[Network]) -> tuple[int, int]:
        """Measure, with one image, the most patches and channels that a network gives."""
        shapes = _shapes(measured, networks).values()
        return max(shape[1] for shape in shapes), max(shape[2] for shape in shapes)

    def _track(self, loader: DataLoader, text: str) -> Iterator[tuple[Tensor, list[Tensor]]]:
        yield from track(loader, text, disable=not self.progress)


def dense_results(
    rows: Sequence[DenseRow],
    measured: Measured,
    train: MaskedImages,
    test: MaskedImages,
    settings: Mapping[str, Any],
) -> Iterator[Result]:
    """Yield mean IoUs of networks and baselines in the format of all results, one for each k.

    Args:
        rows: Of :meth:`DenseKnn.rows`.
        measured: What they are of.
        train: Images of the bank.
        test: Images that were segmented.
        settings: What can change the numbers, beside k.
    """
    for row in rows:
        for k, value in row.ious.items():
            result = Result(
                protocol='dense_knn',
                metric='miou',
                value=value,
                network=row.subnet,
                name=row.name,
                source=measured.source,
                source_sha256=measured.source_sha256,
                data=test.name,
                data_sha256=f'{train.sha256} {test.sha256}',
                settings={'k': k, **settings},
                versions=versions(),
            )
            yield result
            for baseline, ious in row.baselines.items():
                if baseline == 'untrained' or row.subnet == rows[0].subnet:
                    yield baseline_result(result, baseline, ious[k])


def _by_number(values: Mapping[str, float]) -> dict[int, float]:
    return {int(k): value for k, value in values.items()}


def _shapes(measured: Measured, networks: Sequence[Network]) -> dict[Network, torch.Size]:
    """Measure, with one image, the shape (1, N, D) of each network's patch tokens."""
    expected = measured.preprocessing
    image = torch.zeros(1, expected.channels, *expected.image_size)
    return {network: tokens.patches.shape for network, tokens in measured.tokens(image, networks)}


def _drawn(image: int, patches: int, share: float) -> Tensor:
    """Draw a share of an image's patches, which depends on the number of the image alone."""
    generator = torch.Generator().manual_seed(image)
    return torch.rand(patches, generator=generator) < share


def _collate(items: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[Tensor]]:
    """Stack images; masks stay apart, since they differ in size."""
    return torch.stack([image for image, _ in items]), [mask for _, mask in items]
