"""Linear probing on augmented images: features of a batch computed once for all heads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from poa_mm.errors import InputError
from poa_mm.evaluation.features import collate, feature_loader, prepared
from poa_mm.evaluation.labelled_data import LabelledData
from poa_mm.evaluation.networks.measured import Measured, Network
from poa_mm.evaluation.probe.heads import Head
from poa_mm.evaluation.probe.linear import held_out_rows
from poa_mm.evaluation.probe.parts import Part, PartTrainer, Tally, parts_of_network, passes
from poa_mm.evaluation.probe.random_crops import RandomCrops, StepSampler, with_random_crops
from poa_mm.evaluation.probe.settings import ProbeResult, ProbeSettings
from poa_mm.evaluation.probe.sources import probe_columns, sources_of
from poa_mm.files import read_file, write_file

__all__ = ['ImageProbe']

GIB = 2**30


class ImageProbe:
    """Trains heads on many networks while images go by, as many in a pass as memory holds.

    Each batch of images is read once for all networks of a pass, and its features are computed once
    for all heads of a network.

    Args:
        measured: Networks in evaluation mode.
        data: Images to train on, of which some are held out, and to test on.
        num_classes: Number of classes.
        settings: How heads are trained and chosen.
        batch_size: Images of a forward pass, at most.
        num_workers: Processes that read images.
        max_memory: For weights and momenta of heads, in GiB. A part of one network's heads always
            fits.
        seed: Seed of the initial weights, the order of images, their crops and those held out.
        state: File of an unfinished pass, from which a later run goes on; None to keep none. It is
            written :data:`SAVES` times in a pass.
        progress: Called with the number of this pass and of all, and with the steps taken and all.

    Raises:
        ValueError: Data sets as described in :func:`~poa_mm.evaluation.feature_loader`.
    """

    SAVES = 10

    def __init__(
        self,
        measured: Measured,
        data: LabelledData,
        num_classes: int,
        settings: ProbeSettings,
        *,
        batch_size: int = 256,
        num_workers: int = 0,
        max_memory: float = 8.0,
        seed: int = 0,
        state: str | PathLike | None = None,
        progress: Callable[[int, int, int, int], object] = lambda *_: None,
    ) -> None:
        self.measured = measured
        self.settings = settings
        self.num_classes = num_classes
        self.seed = seed
        self.max_memory = int(max_memory * GIB)
        self.state = None if state is None else Path(state)
        self.progress = progress
        self._batch_size = min(batch_size, settings.batch_size)
        self._num_workers = num_workers
        self._preprocessor = data.preprocessor.to(measured.device)
        total = len(data.train)
        rows, held_out = torch.arange(total), torch.arange(0)
        if not settings.choose_on_test:
            rows, held_out = held_out_rows(total, settings.held_out, seed)
        self._images = RandomCrops(with_random_crops(data.train, measured.preprocessing), rows)
        self._test = feature_loader(data.test, batch_size, num_workers)
        self._choose = self._test
        if len(held_out):
            chosen = Subset(data.train, held_out.tolist())
            self._choose = feature_loader(chosen, batch_size, num_workers)

    def run(
        self, networks: Sequence[Network], finished: Sequence[Network] = ()
    ) -> Iterator[tuple[Network, ProbeResult]]:
        """Train on networks; yield each as soon as all of its heads are done.

        Args:
            networks: All networks, also those that are finished: passes are the same ones whenever
                a run goes on.
            finished: Networks to leave out.

        Raises:
            InputError: Features are not finite, or all heads of a network have diverged.
        """
        sources = sources_of(self.measured)
        heads = {network: self.settings.heads(sources[network]) for network in networks}
        parts = [
            part
            for network in networks
            for part in parts_of_network(
                network, heads[network], sources[network], self.num_classes
            )
        ]
        tallies = {network: Tally(heads[network]) for network in networks}
        groups = passes(parts, self.max_memory)
        before = self._before(tallies)
        for number, group in enumerate(groups):
            members = list(dict.fromkeys(part.network for part in group))
            if number < before['pass'] or set(members) <= set(finished):
                continue
            states = before['heads'] if number == before['pass'] else None
            trainers = self._train(group, heads, (number, len(groups)), tallies, states)
            self._evaluate(trainers, tallies)
            for network in members:
                if tallies[network].complete and network not in finished:
                    yield network, tallies[network].result()
            self._save(number + 1, None, tallies)
        if self.state is not None:
            self.state.unlink(missing_ok=True)

    def _train(
        self,
        group: Sequence[Part[Network]],
        heads: Mapping[Network, Sequence[Head]],
        number: tuple[int, int],
        tallies: Mapping[Network, Tally],
        states: Sequence[dict[str, Tensor]] | None,
    ) -> list[PartTrainer[Network]]:
        """Train the heads of a pass, from the start or from states."""
        steps = self.settings.steps(len(self._images))
        device = self.measured.device
        trainers = [
            PartTrainer(part, heads[part.network], self.num_classes, steps, self.seed, device)
            for part in group
        ]
        for trainer, state in zip(trainers, states or (), strict=False):
            trainer.heads.resume(state)
        done = trainers[0].heads.done
        networks = list(dict.fromkeys(part.network for part in group))
        for features, labels in self._batches(networks, steps, done):
            for trainer in trainers:
                trainer.step(features[trainer.part.network], labels)
            done += 1
            self.progress(*number, done, steps)
            if done < steps and not done % -(-steps // self.SAVES):
                self._save(number[0], [trainer.heads.state() for trainer in trainers], tallies)
        return trainers

    def _save(
        self,
        number: int,
        heads: Sequence[dict[str, Tensor]] | None,
        tallies: Mapping[Network, Tally],
    ) -> None:
        """Write down how far this is: in which pass, and networks of which some heads are done."""
        if self.state is None:
            return
        begun = {network.name: tally.state() for network, tally in tallies.items() if tally.begun}
        write_file({'pass': number, 'heads': heads, 'tallies': begun}, self.state)

    def _before(self, tallies: Mapping[Network, Tally]) -> dict[str, Any]:
        """Read how far a run before this one was."""
        if self.state is None or not self.state.is_file():
            return {'pass': 0, 'heads': None}
        content: dict[str, Any] = read_file(self.state)
        for network, tally in tallies.items():
            if network.name in content['tallies']:
                tally.resume(content['tallies'][network.name])
        return content

    def _batches(
        self, networks: Sequence[Network], steps: int, done: int
    ) -> Iterator[tuple[dict[Network, Tensor], Tensor]]:
        """Yield the features of all networks and the labels, step by step."""
        size = self.settings.batch_size
        sampler = StepSampler(self._images, size, self._batch_size, steps, self.seed, done)
        loader = DataLoader(
            self._images,
            batch_sampler=sampler,
            num_workers=self._num_workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
        )
        features: dict[Network, list[Tensor]] = {network: [] for network in networks}
        labels: list[Tensor] = []
        for images, part in loader:
            for network, columns in self._columns(images, networks):
                features[network].append(columns)
            labels.append(part)
            if sum(map(len, labels)) == size:
                joined = {network: torch.cat(columns) for network, columns in features.items()}
                yield joined, torch.cat(labels).to(self.measured.device)
                features = {network: [] for network in networks}
                labels = []

    def _evaluate(
        self, trainers: Sequence[PartTrainer[Network]], tallies: dict[Network, Tally]
    ) -> None:
        """Measure the heads of a pass."""
        test = self._accuracies(trainers, self._test)
        chosen_on = test if self._choose is self._test else self._accuracies(trainers, self._choose)
        for trainer, *accuracies in zip(trainers, chosen_on, test, strict=True):
            tallies[trainer.part.network].add(trainer, *accuracies)

    def _accuracies(
        self, trainers: Sequence[PartTrainer[Network]], loader: DataLoader
    ) -> list[list[float]]:
        """Measure, of each trainer, the accuracies of its heads in percent."""
        networks = list(dict.fromkeys(trainer.part.network for trainer in trainers))
        counts: list[Tensor | int] = [0] * len(trainers)
        total = 0
        for images, labels in loader:
            features = dict(self._columns(images, networks))
            labels = labels.to(self.measured.device)
            total += len(labels)
            for row, trainer in enumerate(trainers):
                counts[row] = counts[row] + trainer.correct(features[trainer.part.network], labels)
        return [(100 * torch.as_tensor(count).double() / total).tolist() for count in counts]

    def _columns(
        self, images: Tensor, networks: Sequence[Network]
    ) -> Iterator[tuple[Network, Tensor]]:
        """Yield all features (B, width) of networks on images as they are read."""
        for network, tokens in self.measured.tokens(self._prepared(images), networks):
            columns, _ = probe_columns(tokens.cls, tokens.patches, tokens.levels)
            if not columns.isfinite().all():
                raise InputError(
                    f'features of {network.name} hold NaN or infinity: the network has diverged, '
                    'or overflows in its precision'
                )
            yield network, columns

    def _prepared(self, images: Tensor) -> Tensor:
        return prepared(images, self._preprocessor)
