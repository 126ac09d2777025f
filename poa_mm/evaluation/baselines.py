"""What a useful network must beat: the same supernet with random weights, and pixels."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from mmengine import dist
from mmengine.logging import MMLogger
from torch.utils.data import Subset

from poa_mm.evaluation.features import PIXELS, extract_pixels, feature_loader, rows_of
from poa_mm.evaluation.network_features import FeatureReader, SplitFeatures
from poa_mm.evaluation.networks.measured import Measured, MeasuredSupernet, Network
from poa_mm.evaluation.ranks import gather_rows
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.registry import ELASTIC_BACKBONES

if TYPE_CHECKING:
    from poa_mm.evaluation.results import Result

__all__ = [
    'baseline_result',
    'lines_of',
    'pixel_features',
    'spread',
    'untrained_backbone',
    'untrained_networks',
]


def untrained_backbone(backbone: ElasticBackbone, seed: int = 0) -> ElasticBackbone:
    """Build the same supernet with random weights, by its default initialisation.

    Args:
        backbone: Elastic backbone.
        seed: Seed of the initialisation. The global random state is restored afterwards.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)  # mmengine logs three lines for every parameter
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            untrained = ELASTIC_BACKBONES.build(backbone.config)
            untrained.init_weights()
    finally:
        logger.setLevel(level)
    untrained.eval()
    return untrained


def untrained_networks(
    measured: Measured,
    networks: Sequence[Network] | None = None,
    untrained: ElasticBackbone | None = None,
) -> MeasuredSupernet | None:
    """Return the same sub-networks with random weights; ``None`` of what is no supernet.

    Args:
        measured: Networks with their weights.
        networks: Which of ``measured.networks``; all by default.
        untrained: Supernet with random weights; by default of :func:`untrained_backbone`.
    """
    if not isinstance(measured, MeasuredSupernet):
        return None
    chosen = measured.networks if networks is None else networks
    return MeasuredSupernet(
        untrained_backbone(measured.backbone) if untrained is None else untrained,
        [network.subnet for network in chosen if network.subnet is not None],
        preprocessing=measured.preprocessing,
        device=measured.device,
        dtype=measured.dtype,
    )


def pixel_features(
    reader: FeatureReader, most: int | None = None
) -> dict[str, dict[str, SplitFeatures]]:
    """Take the pixels of a reader's images as features; its processes share the reading.

    Args:
        reader: Reads the images.
        most: Images of a data set, spread evenly over it; all by default.

    Returns:
        Features by kind, of :data:`~poa_mm.evaluation.features.PIXELS`, and data set; of all
        images, on every process. Within, they are named ``'cls'`` as those of networks are.
    """
    rank, world_size = (dist.get_rank(), dist.get_world_size()) if reader.shared else (0, 1)
    found: dict[str, dict[str, SplitFeatures]] = {kind: {} for kind in PIXELS}
    for split, whole in reader.loaders.items():
        dataset = whole.dataset
        if most is not None:
            dataset = Subset(dataset, spread(len(dataset), most))  # type: ignore[arg-type]
        loader = feature_loader(
            dataset, reader.batch_size, reader.num_workers, rank, world_size, reader.data.labelled
        )
        text = f'{split} pixels' if reader.progress else None
        pixels, labels = extract_pixels(loader, reader.preprocessor, text)
        rows = rows_of(loader)
        if reader.shared:
            labels = gather_rows(labels, rows, len(dataset))  # type: ignore[arg-type]
        for kind in PIXELS:
            features = {'cls': pixels.pop(kind)}
            found[kind][split] = SplitFeatures(features, rows, labels, reader.shared).gathered()
    return found


def spread(total: int, most: int) -> list[int]:
    """Return ``most`` rows that are spread evenly over all, or all if there are fewer."""
    return list(range(total)) if total <= most else [n * total // most for n in range(most)]


def lines_of(values: Mapping[str, Sequence[float]]) -> dict[str, float | list[float]]:
    """Name baselines as plots show them: a line through sub-networks, a level for pixels.

    Args:
        values: Of each row, by the name of the baseline.

    Example:
        >>> lines_of({'untrained': [5.0, 6.0], 'raw_pixels': [4.0, 4.0]})
        {'untrained network': [5.0, 6.0], 'raw pixels': 4.0}
    """
    return {
        f'{name} network' if name == 'untrained' else name.replace('_', ' '): (
            list(of_rows) if name == 'untrained' else of_rows[0]
        )
        for name, of_rows in values.items()
    }


def baseline_result(result: 'Result', baseline: str, value: float, **fields: Any) -> 'Result':
    """Return the result of a baseline, of which only the metric's name tells that it is one.

    Args:
        result: Of a network, measured in the same way.
        baseline: ``'untrained'``, or ``'raw_pixels'`` or ``'normalised_pixels'``, whose results
            name ``'pixels'`` as the network.
        value: The number.
        **fields: What else differs.
    """
    if baseline.endswith('pixels'):
        fields = {'network': 'pixels', 'name': '', **fields}
    metric = f'{baseline}_{result.metric}'
    return replace(result, metric=metric, value=value, seconds=None, **fields)
