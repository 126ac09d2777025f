"""Frozen features of many sub-networks from one pass over a dataset."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from poa_mm.elastic import Subnet

__all__ = [
    'FEATURES',
    'PIXELS',
    'Features',
    'extract_features',
    'extract_pixels',
    'feature_loader',
]

# 'cls': class token after the final norm (pooled map for families without one), as in the paper.
# 'mean': mean of the patch tokens.
FEATURES = ('cls', 'mean')
PIXELS = ('raw', 'normalised')

Features = dict[Subnet, dict[str, Tensor]]

# Raw images are compared at no more than this side: 224-px ImageNet would not fit into memory.
_PIXEL_SIDE = 32


def feature_loader(dataset: Dataset, batch_size: int = 256, num_workers: int = 0) -> DataLoader:
    """Loader that goes once through a dataset, in order.

    Args:
        dataset: Items ``{'inputs': uint8 (3, H, W), 'data_samples': DataSample with gt_label}``,
            all of one size.
        batch_size: Images per batch.
        num_workers: Processes that read images; 0 reads in this one.

    Returns:
        Loader of batches ``(images (B, 3, H, W), labels int64 (B,))``.

    Raises:
        ValueError: If the dataset is empty or its first item is not as described.
    """
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
    )
    if not num_images(loader):
        raise ValueError(f'{type(dataset).__name__} is empty: there are no features to extract')
    _collate([dataset[0]])
    return loader


def num_images(loader: DataLoader) -> int:
    """Number of images that a loader goes through."""
    return len(loader.dataset)  # type: ignore[arg-type] # map-style data sets have a length


def extract_features(
    backbone: Any,
    loader: DataLoader,
    subnets: Sequence[Subnet],
    preprocessor: nn.Module,
    features: Sequence[str] = ('cls',),
    dtype: torch.dtype = torch.float32,
    progress: str | None = None,
) -> tuple[Features, Tensor]:
    """Runs every sub-network on every batch; each image is read once.

    All features stay in main memory, ``4 · D`` bytes for each image, sub-network and kind: the
    caller decides how many sub-networks share a pass.

    Args:
        backbone: Elastic backbone; its device is used, its training flags are kept.
        loader: As :func:`feature_loader` returns it.
        subnets: Sub-networks to run.
        preprocessor: mmengine data preprocessor on the backbone's device; normalises the images.
        features: Kinds to keep, of :data:`FEATURES`.
        dtype: Autocast precision of the networks; float32 turns autocast off.
        progress: Text beside a progress bar, or None for no bar.

    Returns:
        The features by sub-network and kind, float32 (N, D) on the CPU, and the labels (N,).

    Raises:
        ValueError: If ``subnets`` or ``features`` is empty or names an unknown kind.
    """
    unknown = [kind for kind in features if kind not in FEATURES]
    if unknown or not features:
        raise ValueError(f'features must be some of {FEATURES}, got {tuple(features)}')
    if not subnets:
        raise ValueError('subnets is empty: give at least one sub-network')
    bank: Features = {subnet: {} for subnet in subnets}
    device = next(backbone.parameters()).device
    labels = torch.empty(num_images(loader), dtype=torch.int64)
    with _evaluating(backbone):
        for rows, _, images, batch_labels in _batches(loader, preprocessor, progress):
            labels[rows] = batch_labels
            for subnet in subnets:
                with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                    cls, patches = backbone.tokens(images, subnet)
                for kind in features:
                    # Pooled in float32 whatever the network ran in.
                    batch = cls if kind == 'cls' else patches.float().mean(dim=1)
                    _store(bank[subnet], kind, rows, batch, len(labels))
    return bank, labels


def extract_pixels(
    loader: DataLoader, preprocessor: nn.Module, progress: str | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """The images themselves as features: what a network must beat to be of use.

    Raw, as values from 0 to 255, and normalised like the network's inputs. k-NN compares angles, so
    the two differ: normalised pixels have no common brightness, and often do better. Images
    larger than 32 x 32 are averaged down to it.

    Args:
        loader: As :func:`feature_loader` returns it.
        preprocessor: See :func:`extract_features`.
        progress: See :func:`extract_features`.

    Returns:
        Flattened images by kind, of :data:`PIXELS`, float32 (N, 3·H·W) on the CPU, and the labels
        (N,).
    """
    pixels: dict[str, Tensor] = {}
    labels = torch.empty(num_images(loader), dtype=torch.int64)
    for rows, raw, normalised, batch_labels in _batches(loader, preprocessor, progress):
        labels[rows] = batch_labels
        for kind, images in zip(PIXELS, (raw.float(), normalised), strict=True):
            height, width = (min(length, _PIXEL_SIDE) for length in images.shape[-2:])
            small = F.adaptive_avg_pool2d(images, (height, width))
            _store(pixels, kind, rows, small.flatten(1), len(labels))
    return pixels, labels


def _batches(
    loader: DataLoader, preprocessor: nn.Module, progress: str | None
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Rows of the dataset, their images as they are, preprocessed, and their labels."""
    start = 0
    for images, labels in track(loader, progress or '', disable=progress is None):
        # mmpretrain's self-supervised preprocessor unpacks exactly these two entries.
        inputs = preprocessor({'inputs': images, 'data_samples': None})['inputs']
        yield slice(start, start + len(labels)), images, inputs, labels
        start += len(labels)


def _store(features: dict[str, Tensor], kind: str, rows: slice, batch: Tensor, total: int) -> None:
    """Writes a batch into its rows of one (total, D) tensor, which the first batch makes."""
    if kind not in features:
        # Not a list of batches: concatenating it would need the memory twice. A normal tensor, not
        # one of inference mode: a linear probe may train on it.
        with torch.inference_mode(False):
            features[kind] = torch.empty(total, batch.shape[1])
    features[kind][rows] = batch.float().cpu()


def _collate(items: Sequence[dict[str, Any]]) -> tuple[Tensor, Tensor]:
    """Stacks dataset items into images (B, 3, H, W) and labels (B,)."""
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
    labels = [item['data_samples'].get('gt_label') for item in items]
    if any(label is None or label.numel() != 1 for label in labels):
        raise ValueError(f'k-NN needs one gt_label per image, got {labels[0]}')
    return torch.stack([item['inputs'] for item in items]), torch.cat(labels).long()


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each submodule has its own mode again."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
