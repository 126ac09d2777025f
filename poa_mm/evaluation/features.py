"""Frozen features of many sub-networks from one pass over a dataset."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypedDict

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from poa_mm.elastic import Subnet
from poa_mm.evaluation.networks.measured import Measured, MeasuredSupernet, Network, Tokens
from poa_mm.evaluation.probe.sources import PROBE, probe_columns
from poa_mm.evaluation.ranks import batches_of_rank
from poa_mm.models.backbones import ElasticBackbone

if TYPE_CHECKING:
    from mmpretrain.structures import DataSample

__all__ = [
    'FEATURES',
    'KINDS',
    'PIXELS',
    'Features',
    'check_kinds',
    'collate',
    'evaluating',
    'extract',
    'extract_features',
    'extract_pixels',
    'feature_loader',
    'flat_pixels',
    'prepared',
]

# What is kept of an image's tokens, by kind.
KINDS: Mapping[str, Callable[[Tokens], Tensor]] = {
    # Class token after the final norm, as in the paper (mean of the last map for families without a
    # class token).
    'cls': lambda tokens: tokens.cls,
    # Mean of the patch tokens, in float32 whatever the network ran in.
    'mean': lambda tokens: tokens.patches.float().mean(dim=1),
    # All that linear probing takes, side by side.
    PROBE: lambda tokens: probe_columns(tokens.cls, tokens.patches, tokens.levels)[0],
}
FEATURES = ('cls', 'mean')
PIXELS = ('raw', 'normalised')

Features = dict[Subnet, dict[str, Tensor]]


class LabelledImage(TypedDict):
    """An item of a data set, as mmpretrain's ``PackInputs`` makes it."""

    inputs: Tensor
    data_samples: 'DataSample'


# Pixels are compared at this side or less: 224-px ImageNet would not fit into memory.
_PIXEL_SIDE = 32


def feature_loader(
    dataset: Dataset,
    batch_size: int = 256,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    labelled: bool = True,
) -> DataLoader:
    """Make a loader that goes once through a dataset, in order, or through a process's share of it.

    Args:
        dataset: Items ``{'inputs': uint8 (3, H, W), 'data_samples': DataSample with gt_label}``,
            all of one size.
        batch_size: Images per batch.
        num_workers: Processes that read images; 0 reads them in the calling process.
        rank: Number of this process, of those that share the batches.
        world_size: Number of these processes.
        labelled: Whether items need a label; if not, all labels are -1.

    Returns:
        A loader of batches ``(images (B, 3, H, W), labels int64 (B,))``.

    Raises:
        ValueError: The dataset is empty, or its first item is not as described.
    """
    total = len(dataset)  # type: ignore[arg-type] # map-style data sets have a length
    if not total:
        raise ValueError(f'{type(dataset).__name__} is empty: there are no features to extract')
    collate([dataset[0]], labelled)
    return DataLoader(
        dataset,
        batch_sampler=batches_of_rank(total, batch_size, rank, world_size),
        num_workers=num_workers,
        collate_fn=partial(collate, labelled=labelled),
        pin_memory=torch.cuda.is_available(),
    )


def num_images(loader: DataLoader) -> int:
    """Count the images of a loader's data set."""
    return len(loader.dataset)  # type: ignore[arg-type] # map-style data sets have a length


def rows_of(loader: DataLoader) -> Tensor:
    """Return the rows of the data set that a loader goes through, (n,)."""
    batches: Iterable[list[int]] = loader.batch_sampler or ()
    return torch.tensor([row for batch in batches for row in batch], dtype=torch.int64)


def extract_features(
    backbone: ElasticBackbone,
    loader: DataLoader,
    subnets: Sequence[Subnet],
    preprocessor: nn.Module,
    features: Sequence[str] = ('cls',),
    dtype: torch.dtype = torch.float32,
    progress: str | None = None,
) -> tuple[Features, Tensor]:
    """Run every sub-network on every batch; read each image once.

    Sub-networks of one width share their first blocks
    (:class:`~poa_mm.evaluation.SharedPrefixes`), which run once for all of them.

    All features stay in main memory, ``4 · D`` bytes for each image, sub-network and kind: choose
    the number of sub-networks in a pass accordingly.

    Args:
        backbone: Elastic backbone. It runs in evaluation mode on the device that it is on;
            afterwards its modules have their training flags back.
        loader: As :func:`feature_loader` returns it.
        subnets: Sub-networks to run.
        preprocessor: mmengine data preprocessor that normalises the images, on the backbone's
            device.
        features: Kinds to keep, of :data:`FEATURES`.
        dtype: Autocast precision of the networks; float32 turns autocast off.
        progress: Text beside a progress bar; ``None`` shows no bar.

    Returns:
        The features by sub-network and kind, float32 (N, D) on the CPU, and the labels (N,).

    Raises:
        ValueError: ``subnets`` or ``features`` is empty, or a kind is unknown.

    Example:
        >>> from mmpretrain.models import SelfSupDataPreprocessor
        >>> from mmpretrain.structures import DataSample
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> supernet = ElasticVisionTransformer('deit-tiny', widths=[64, 192], img_size=32)
        >>> images = torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8)
        >>> dataset = [
        ...     {'inputs': image, 'data_samples': DataSample().set_gt_label(label)}
        ...     for image, label in zip(images, [0, 1, 2, 0, 1, 2])
        ... ]
        >>> preprocessor = SelfSupDataPreprocessor(mean=[128.0] * 3, std=[64.0] * 3)
        >>> features, labels = extract_features(
        ...     supernet, feature_loader(dataset), supernet.subnets, preprocessor
        ... )
        >>> {str(subnet): kinds['cls'].shape for subnet, kinds in features.items()}
        {'w64-d12': torch.Size([6, 64]), 'w192-d12': torch.Size([6, 192])}
        >>> labels
        tensor([0, 1, 2, 0, 1, 2])
    """
    check_kinds(features)
    if not subnets:
        raise ValueError('subnets is empty: give at least one sub-network')
    measured = MeasuredSupernet(backbone, subnets, dtype=dtype)
    with evaluating(backbone):
        bank, labels = extract(measured, loader, preprocessor, features, progress=progress)
    return {
        subnet: bank[network]
        for subnet, network in zip(dict.fromkeys(subnets), measured.networks, strict=True)
    }, labels


def check_kinds(kinds: Sequence[str]) -> None:
    """Check that kinds of features are of :data:`KINDS`, one or more, or raise a ValueError."""
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise ValueError(f'features must be some of {FEATURES}, got {tuple(kinds)}')


def extract(
    measured: Measured,
    loader: DataLoader,
    preprocessor: nn.Module,
    kinds: Sequence[str] = ('cls',),
    networks: Sequence[Network] | None = None,
    dtype: torch.dtype = torch.float32,
    progress: str | None = None,
) -> tuple[dict[Network, dict[str, Tensor]], Tensor]:
    """Run networks on every batch of a loader; read each image once.

    Args:
        measured: Networks in evaluation mode.
        loader: As :func:`feature_loader` returns it.
        preprocessor: See :func:`extract_features`.
        kinds: What to keep, of :data:`KINDS`.
        networks: Which of ``measured.networks``; all by default.
        dtype: That features are kept in, in main memory.
        progress: Text beside a progress bar; ``None`` shows no bar.

    Returns:
        The features by network and kind, (n, D) on the CPU, and the labels (n,), both of the images
        that the loader goes through: :func:`rows_of` says which.
    """
    chosen = measured.networks if networks is None else networks
    total = len(rows_of(loader))
    bank: dict[Network, dict[str, Tensor]] = {network: {} for network in chosen}
    labels = torch.empty(total, dtype=torch.int64)
    if not total:  # there are fewer batches than processes: no image, but features of their width
        image = prepared(loader.collate_fn([loader.dataset[0]])[0], preprocessor)
        for network, tokens in measured.tokens(image, chosen):
            bank[network] = {kind: KINDS[kind](tokens)[:0].to('cpu', dtype) for kind in kinds}
    for rows, _, images, batch_labels in _batches(loader, preprocessor, progress):
        labels[rows] = batch_labels
        for network, tokens in measured.tokens(images, chosen):
            for kind in kinds:
                _store(bank[network], kind, rows, KINDS[kind](tokens), total, dtype)
    return bank, labels


def extract_pixels(
    loader: DataLoader, preprocessor: nn.Module, progress: str | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Take the pixels themselves as features: a baseline that a useful network must beat.

    They are taken twice: raw, as values from 0 to 255, and normalised like the network's inputs.
    k-NN compares angles, so the two differ: normalised pixels have the mean brightness removed and
    often score higher. Images larger than 32 × 32 pixels are average-pooled to that size.

    Args:
        loader: As :func:`feature_loader` returns it.
        preprocessor: See :func:`extract_features`.
        progress: See :func:`extract_features`.

    Returns:
        Flattened images by kind, of :data:`PIXELS`, float32 (N, 3·H·W) on the CPU, and the labels
        (N,).
    """
    pixels: dict[str, Tensor] = {}
    labels = torch.empty(len(rows_of(loader)), dtype=torch.int64)
    if not len(labels):  # there are fewer batches than processes
        images = loader.collate_fn([loader.dataset[0]])[0]
        return {kind: flat_pixels(images)[:0] for kind in PIXELS}, labels
    for rows, raw, normalised, batch_labels in _batches(loader, preprocessor, progress):
        labels[rows] = batch_labels
        for kind, images in zip(PIXELS, (raw, normalised), strict=True):
            _store(pixels, kind, rows, flat_pixels(images), len(labels), torch.float32)
    return pixels, labels


def flat_pixels(images: Tensor) -> Tensor:
    """Flatten images, (B, C·h·w) in float32; large ones at a side of 32 pixels."""
    height, width = (min(length, _PIXEL_SIDE) for length in images.shape[-2:])
    return F.adaptive_avg_pool2d(images.float(), (height, width)).flatten(1)


def _batches(
    loader: DataLoader, preprocessor: nn.Module, progress: str | None
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Yield rows of the result, their images as read, the same preprocessed, and their labels."""
    start = 0
    for images, labels in track(loader, progress or '', disable=progress is None):
        inputs = prepared(images, preprocessor)
        yield slice(start, start + len(labels)), images, inputs, labels
        start += len(labels)


def prepared(images: Tensor, preprocessor: nn.Module) -> Tensor:
    """Normalise images (B, 3, H, W) as they are read, on the device of a data preprocessor."""
    # mmpretrain's self-supervised preprocessor unpacks exactly these two entries.
    return preprocessor({'inputs': images, 'data_samples': None})['inputs']


def _store(
    features: dict[str, Tensor],
    kind: str,
    rows: slice,
    batch: Tensor,
    total: int,
    dtype: torch.dtype,
) -> None:
    """Write a batch into its rows of a tensor (total, D), which the first batch allocates."""
    if kind not in features:
        # Not a list of batches: concatenating it would take the memory twice.
        features[kind] = torch.empty(total, batch.shape[1], dtype=dtype)
    features[kind][rows] = batch.to('cpu', dtype)


def collate(items: Sequence[LabelledImage], labelled: bool = True) -> tuple[Tensor, Tensor]:
    """Stack dataset items into images (B, 3, H, W) and labels (B,), -1 if there are to be none.

    Raises:
        ValueError: An item is not as :func:`feature_loader` describes it.
    """
    missing = {'inputs', 'data_samples'} - set(items[0])
    if missing:
        raise ValueError(
            f'dataset items lack {sorted(missing)}, they have {sorted(items[0])}: '
            "end the dataset's pipeline with PackInputs"
        )
    shapes = {tuple(item['inputs'].shape) for item in items}
    if len(shapes) > 1:
        raise ValueError(
            f'images of one batch differ in shape: {sorted(shapes)}; '
            "resize and crop them to one size in the dataset's pipeline"
        )
    images = torch.stack([item['inputs'] for item in items])
    if not labelled:
        return images, torch.full((len(items),), -1)
    labels = [item['data_samples'].get('gt_label') for item in items]
    if any(label is None or label.numel() != 1 for label in labels):
        raise ValueError(f'k-NN needs one gt_label per image, got {labels[0]}')
    return images, torch.cat(labels).long()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Set evaluation mode; restore the mode of each submodule afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
