"""Features of networks on two data sets: computed in few passes, shared by processes, kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from mmengine import dist
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from poa_mm.evaluation.features import (
    check_kinds,
    extract,
    feature_loader,
    num_images,
    rows_of,
)
from poa_mm.evaluation.labelled_data import LabelledData, UnlabelledData
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.ranks import from_first_rank, gather_rows, is_first
from poa_mm.evaluation.store import FeatureStore

__all__ = ['FeatureReader', 'NetworkFeatures', 'SplitFeatures']


@dataclass(frozen=True)
class SplitFeatures:
    """Features of one data set, or of the images of it that are this process's share.

    Args:
        features: By kind, (n, D) on the CPU.
        rows: Rows in the data set that they are of, ascending, (n,).
        labels: Of all images, (N,).
        shared: Whether other processes have the features of the other images. A process whose share
            is all of them is asked for them like the others.
    """

    features: dict[str, Tensor]
    rows: Tensor
    labels: Tensor
    shared: bool = False

    def gathered(self) -> 'SplitFeatures':
        """Return the features of all images; if they are shared, all processes call this."""
        if not self.shared:
            return self
        total = len(self.labels)
        features = {
            kind: gather_rows(part, self.rows, total) for kind, part in self.features.items()
        }
        return SplitFeatures(features, torch.arange(total), self.labels)


@dataclass(frozen=True)
class NetworkFeatures:
    """Features of one network on both data sets.

    Args:
        network: Which one.
        train: Of the images to learn from.
        test: Of the images to evaluate on.
    """

    network: Network
    train: SplitFeatures
    test: SplitFeatures

    def gathered(self) -> 'NetworkFeatures':
        """Return the features of all images, on every process."""
        return NetworkFeatures(self.network, self.train.gathered(), self.test.gathered())


class FeatureReader:
    """Compute features of many networks, as many in a pass over the images as memory holds.

    Args:
        data: The two data sets; of images without labels, ``splits`` are ``'train'`` alone.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.
        device: Where the data preprocessor runs.
        max_memory: Main memory for features in GiB. If those of all networks exceed it, images are
            read several times. One network always runs, whatever its size.
        dtype: That features are kept in. Half of the memory in float16, for rounding to 11 bits.
        shared: Whether the processes of torchrun share the images; otherwise each reads all.
        store: Keeps features for later, and has those of before.
        progress: Whether to show progress bars.
        splits: Data sets to read, ``'train'`` and ``'test'`` or one of them; features of the other
            are empty.

    Raises:
        ValueError: A data set is empty or its items are not as described.
    """

    def __init__(
        self,
        data: LabelledData | UnlabelledData,
        batch_size: int = 256,
        num_workers: int = 0,
        device: str | torch.device = 'cpu',
        max_memory: float = 8.0,
        dtype: torch.dtype = torch.float32,
        shared: bool = False,
        store: FeatureStore | None = None,
        progress: bool = True,
        splits: Sequence[str] = ('train', 'test'),
    ) -> None:
        rank, world_size = (dist.get_rank(), dist.get_world_size()) if shared else (0, 1)
        self.data = data
        self.loaders: dict[str, DataLoader] = {
            split: feature_loader(
                getattr(data, split), batch_size, num_workers, rank, world_size, data.labelled
            )
            for split in splits
        }
        self.preprocessor = data.preprocessor.to(device)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.max_memory = max_memory
        self.dtype = dtype
        self.shared = shared
        self.store = store
        self.progress = progress and is_first()

    def read(
        self,
        measured: Measured,
        networks: Sequence[Network] | None = None,
        kinds: Sequence[str] = ('cls',),
        keep: bool = True,
    ) -> Iterator[NetworkFeatures]:
        """Yield the features of networks, in order; each pass computes several of them.

        Args:
            measured: Networks in evaluation mode.
            networks: Which of ``measured.networks``; all by default.
            kinds: Kinds of features, of :data:`~poa_mm.evaluation.features.KINDS`.
            keep: Whether the store, if there is one, is for these networks.

        Raises:
            ValueError: An unknown kind, or stored features of other weights or data.
        """
        check_kinds(kinds)
        chosen = list(measured.networks if networks is None else networks)
        store = self.store if keep else None
        missing = list(chosen) if store is None else self._missing(chosen, kinds, store)
        size = self.networks_per_pass(measured, missing, kinds) if missing else 0
        done: dict[Network, NetworkFeatures] = {}
        for network in chosen:
            if store is not None and network not in missing:
                yield self._stored(network, store)
                continue
            if network not in done:
                start = missing.index(network)
                done = self._computed(measured, missing[start : start + size], kinds)
                if store is not None:
                    for one in done.values():
                        self._keep(one, store)
            yield done.pop(network)

    def networks_per_pass(
        self, measured: Measured, networks: Sequence[Network], kinds: Sequence[str]
    ) -> int:
        """Count the networks that fit into the memory if all have the widest features."""
        loader = next(iter(self.loaders.values()))
        one_image = feature_loader(Subset(loader.dataset, [0]), labelled=self.data.labelled)
        probe, _ = extract(measured, one_image, self.preprocessor, kinds, networks)
        widest = max(
            sum(part.shape[1] for part in features.values()) for features in probe.values()
        )
        images = sum(len(rows_of(loader)) for loader in self.loaders.values())
        bytes_each = self.dtype.itemsize * widest * max(images, 1)
        size = max(1, int(self.max_memory * 2**30 / bytes_each))
        return int(from_first_rank(size)) if self.shared else size

    def _computed(
        self, measured: Measured, networks: Sequence[Network], kinds: Sequence[str]
    ) -> dict[Network, NetworkFeatures]:
        splits: dict[str, dict[Network, SplitFeatures]] = {}
        for split, loader in self.loaders.items():
            text = f'{split} features of {len(networks)} networks' if self.progress else None
            bank, labels = extract(
                measured, loader, self.preprocessor, kinds, networks, self.dtype, text
            )
            rows = rows_of(loader)
            if self.shared:
                labels = gather_rows(labels, rows, num_images(loader))
            splits[split] = {
                network: SplitFeatures(bank.pop(network), rows, labels, self.shared)
                for network in networks
            }
        return {
            network: _joined(network, {split: found[network] for split, found in splits.items()})
            for network in networks
        }

    def _missing(
        self, networks: Sequence[Network], kinds: Sequence[str], store: FeatureStore
    ) -> list[Network]:
        """Find networks without stored features; who writes them decides."""
        missing: list[Network] = []
        if self._writes:
            missing = [
                network
                for network in networks
                if not all(store.has(network.name, split, kinds) for split in self.loaders)
            ]
        return list(from_first_rank(missing)) if self.shared else missing

    @property
    def _writes(self) -> bool:
        """Whether this process keeps features: of those that share images, the first one."""
        return is_first() or not self.shared

    def _keep(self, features: NetworkFeatures, store: FeatureStore) -> None:
        for split in self.loaders:
            whole = getattr(features, split).gathered()
            if self._writes:
                store.write(features.network.name, split, whole.features, whole.labels)

    def _stored(self, network: Network, store: FeatureStore) -> NetworkFeatures:
        parts = {}
        for split, loader in self.loaders.items():
            features, labels = store.read(network.name, split)
            rows = rows_of(loader)
            if len(rows) < len(labels):
                features = {kind: whole[rows] for kind, whole in features.items()}
            parts[split] = SplitFeatures(features, rows, labels, self.shared)
        return _joined(network, parts)


def _joined(network: Network, parts: dict[str, SplitFeatures]) -> NetworkFeatures:
    rows = torch.empty(0, dtype=torch.int64)
    nothing = SplitFeatures({}, rows, rows)
    return NetworkFeatures(network, parts.get('train', nothing), parts.get('test', nothing))
