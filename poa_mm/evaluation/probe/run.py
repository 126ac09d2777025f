"""Linear probing of many networks that goes on after a kill, shared by processes."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

import torch
from mmengine import dist

from poa_mm.errors import InputError
from poa_mm.evaluation.baselines import baseline_result, pixel_features, untrained_networks
from poa_mm.evaluation.labelled_data import LabelledData, check_classes
from poa_mm.evaluation.network_features import FeatureReader
from poa_mm.evaluation.networks.measured import Measured, MeasuredSupernet, Network
from poa_mm.evaluation.probe.cached import LabelledFeatures, probe_features
from poa_mm.evaluation.probe.files import ProbeFiles
from poa_mm.evaluation.probe.images import ImageProbe
from poa_mm.evaluation.probe.logistic import probe_logistic
from poa_mm.evaluation.probe.report import ProbeRow, probe_results
from poa_mm.evaluation.probe.settings import ProbeResult, ProbeSettings
from poa_mm.evaluation.probe.sources import PROBE, ProbeSources, sources_of
from poa_mm.evaluation.ranks import from_first_rank, is_first
from poa_mm.evaluation.results import JSON, Result, versions

__all__ = ['ProbeRun']

Progress = Callable[[str, int, int], object]  # text, steps done, steps of all


@dataclass(frozen=True)
class ProbeRun:
    """A linear probe of networks on two data sets.

    Args:
        measured: Networks in evaluation mode.
        data: Images to train on and to test on.
        classes: Names of the classes.
        settings: How heads are trained and chosen.
        files: Finished networks.
        reader: Reads features, where ``settings`` train on those of centre crops.
        classifier: ``'sgd'``, or ``'logistic'`` for scikit-learn's logistic regression.
        seeds: Seeds to repeat with.
        batch_size: Images of a forward pass on random crops.
        num_workers: Processes that read random crops.
        max_memory: For heads that are trained on random crops, in GiB.
        progress: Told how far training is.
    """

    measured: Measured
    data: LabelledData
    classes: tuple[str, ...]
    settings: ProbeSettings
    files: ProbeFiles
    reader: FeatureReader
    classifier: str = 'sgd'
    seeds: Sequence[int] = (0,)
    batch_size: int = 256
    num_workers: int = 0
    max_memory: float = 8.0
    progress: Progress = lambda *_: None

    @classmethod
    def of(
        cls,
        measured: Measured,
        data: LabelledData,
        settings: ProbeSettings,
        reader: FeatureReader,
        folder: str | PathLike,
        *,
        overwrite: bool = False,
        classifier: str = 'sgd',
        **kwargs: Any,
    ) -> 'ProbeRun':
        """Make a run that keeps finished networks in a folder.

        Args:
            measured: See the class, as for all that follows.
            data: Likewise.
            settings: Likewise.
            reader: Likewise.
            folder: Where finished networks are kept.
            overwrite: Forget those of before.
            classifier: Likewise.
            **kwargs: The remaining arguments.

        Raises:
            ValueError: The data sets have different classes, or fewer than two.
        """
        check_classes(data.train, data.test)
        about = {
            'checkpoint': measured.source_sha256,
            'branch': measured.branch,
            'precision': name_of(measured.dtype),
            'data set': data.both_sha256,
            'preparation of images': data.settings,
            'classifier': classifier,
            **(settings.describe() if classifier == 'sgd' else settings.choice()),
            'lrs': list(settings.lrs),
            'weight_decays': list(settings.weight_decays),
            'sources': list(settings.sources),
        }
        files = ProbeFiles(folder, about, overwrite and is_first())
        dist.barrier()
        classes = data.train.metainfo['classes']
        return cls(
            measured, data, tuple(classes), settings, files, reader, classifier=classifier, **kwargs
        )

    def rows(self) -> list[ProbeRow]:
        """Train what is not finished; return the results of all networks.

        The processes of torchrun share the networks, and all of them return all results.

        Raises:
            ValueError: Files of another run, or features that cannot be probed.
        """
        missing = [network for network in self.measured.networks if self._seeds_left(network)]
        # The files of other processes may appear while this one looks.
        dist.barrier()
        if missing and self.settings.augment:
            self._train_on_images(missing)
        elif missing:
            self._train_on_features(missing)
        dist.barrier()
        return [self._row(network) for network in self.measured.networks]

    def _seeds_left(self, network: Network) -> list[int]:
        return [seed for seed in self.seeds if self.files.read(network.name, seed) is None]

    def _row(self, network: Network) -> ProbeRow:
        found = {seed: self.files.read(network.name, seed) for seed in self.seeds}
        finished = {seed: one for seed, one in found.items() if one is not None}
        assert len(finished) == len(self.seeds)
        seconds = [one[1] for one in finished.values() if one[1] is not None]
        results = {seed: one[0] for seed, one in finished.items()}
        return ProbeRow(network, results, sum(seconds) if seconds else None)

    def _train_on_images(self, missing: Sequence[Network]) -> None:
        """Train this process's networks, each as often as there are seeds."""
        rank, world_size = dist.get_rank(), dist.get_world_size()
        # Passes over the images are the same ones when a run goes on, so all networks count.
        own = self.measured.networks[rank::world_size]
        for seed in self.seeds:
            state = self.files.state(seed, rank)
            finished = [network for network in own if seed not in self._seeds_left(network)]
            if len(finished) == len(own):
                state.unlink(missing_ok=True)
                continue
            probe = ImageProbe(
                self.measured,
                self.data,
                len(self.classes),
                self.settings,
                batch_size=self.batch_size,
                num_workers=self.num_workers,
                max_memory=self.max_memory,
                seed=seed,
                state=state,
                progress=partial(self._show_pass, seed),
            )
            for network, result in probe.run(own, finished):
                self.files.write(network.name, seed, result)

    def _show_pass(self, seed: int, number: int, passes: int, done: int, steps: int) -> None:
        self.progress(f'seed {seed}, pass {number + 1} of {passes}', done, steps)

    def _train_on_features(self, missing: Sequence[Network]) -> None:
        rank, world_size = dist.get_rank(), dist.get_world_size()
        sources = sources_of(self.measured)
        for number, features in enumerate(self.reader.read(self.measured, missing, (PROBE,))):
            features = features.gathered()
            if number % world_size != rank:
                continue
            network = features.network
            train, test = (
                LabelledFeatures(part.features[PROBE], part.labels)
                for part in (features.train, features.test)
            )
            for seed in self._seeds_left(network):
                start = time.perf_counter()
                text = f'{network.name}, {number + 1} of {len(missing)}, seed {seed}'
                try:
                    result = self._fit(train, test, sources[network], seed, text)
                except ValueError as error:
                    raise InputError(f'{network.name}: {error}') from error
                self.files.write(network.name, seed, result, time.perf_counter() - start)

    def _fit(
        self,
        train: LabelledFeatures,
        test: LabelledFeatures,
        sources: ProbeSources,
        seed: int,
        text: str,
    ) -> ProbeResult:
        """Fit all heads of a network."""
        if self.classifier == 'logistic':
            self.progress(text, 0, 1)
            return probe_logistic(train, test, sources, len(self.classes), self.settings, seed)
        return probe_features(
            train,
            test,
            sources,
            len(self.classes),
            self.settings,
            seed,
            self.measured.device,
            lambda done, steps: self.progress(text, done, steps),
        )

    def results(
        self, rows: Sequence[ProbeRow], baselines: Mapping[str, Mapping[str, float]]
    ) -> Iterator[Result]:
        """Yield all numbers in the format of results files.

        Args:
            rows: Of :meth:`rows`.
            baselines: Of :meth:`baselines`.
        """
        settings: dict[str, JSON] = {
            **(self.settings.describe() if self.classifier == 'sgd' else self.settings.choice()),
            'dtype': name_of(self.measured.dtype),
        }
        if self.measured.branch:
            settings['branch'] = self.measured.branch
        common = Result(
            protocol='linear' if self.classifier == 'sgd' else 'logistic',
            metric='',
            value=0.0,
            network='',
            source=self.measured.source,
            source_sha256=self.measured.source_sha256,
            data=self.data.name,
            data_sha256=self.data.both_sha256,
            settings=settings,
            versions=versions(('torch', 'timm', 'scikit-learn')),
        )
        for row in rows:
            yield from probe_results(row, common)
        for kind, values in baselines.items():
            for network, value in values.items():
                told = {**settings, 'seed': self.seeds[0]}
                of_network = replace(common, metric='top1', network=network, settings=told)
                yield baseline_result(of_network, kind, value)

    def baselines(self) -> dict[str, dict[str, float]]:
        """Probe what a useful network must beat, with the first seed.

        Returns:
            Accuracies in percent of the chosen heads on the test images: ``untrained``, by network,
            of the same supernet with random weights, and ``pixels`` of normalised pixels.
        """
        found = {'pixels': {'pixels': self._pixels()}}
        other = untrained_networks(self.measured)
        if other is not None:
            rows = self._untrained(other).rows()
            found['untrained'] = {row.network.name: row.mean for row in rows}
        return found

    def _untrained(self, other: MeasuredSupernet) -> 'ProbeRun':
        """Return the same run of networks with random weights."""
        about = {**self.files.about, 'checkpoint': 'random weights'}
        files = ProbeFiles(self.files.folder / 'untrained', about)
        reader = copy.copy(self.reader)
        reader.store = None
        return replace(self, measured=other, files=files, reader=reader, seeds=self.seeds[:1])

    def _pixels(self) -> float:
        """Probe normalised pixels; the first process does, and tells the others."""
        splits = pixel_features(self.reader)['normalised']
        train, test = (
            LabelledFeatures(splits[split].features['cls'], splits[split].labels)
            for split in ('train', 'test')
        )
        sources = ProbeSources((train.features.shape[1],), mean=0)
        alone = replace(self, settings=replace(self.settings, sources=('last 1',)))
        top1 = 0.0
        if is_first():
            top1 = alone._fit(train, test, sources, self.seeds[0], 'pixels').top1
        return float(from_first_rank(top1))


def name_of(dtype: torch.dtype) -> str:
    """Name a data type as command lines do."""
    return str(dtype).removeprefix('torch.')
