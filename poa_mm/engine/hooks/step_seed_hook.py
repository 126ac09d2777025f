"""Random numbers of a run that a resumed run draws again."""

import random
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.datasets import PositionSampler
from poa_mm.registry import HOOKS


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds torch before each iteration by the run's seed, the rank and the iteration.

    Which paths a step drops is then a function of the step, as its sub-network, its masks and,
    under :class:`~poa_mm.datasets.PositionSampler`, its crops are. No generator's state has to be
    saved, for any number of ranks, to go on exactly where a run has stopped. Every device is
    seeded, none is waited for. The seed is that of the main process, which mmengine saves in each
    checkpoint and takes from there on resume; the sampler gets it, too.
    """

    def before_train(self, runner: Runner) -> None:
        """Agree on the seed, once a checkpoint has had its say, before any image is drawn."""
        seeds = [runner.seed]  # each rank may have its own
        dist.broadcast_object_list(seeds)
        self.seed = seeds[0]
        sampler = getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
        if isinstance(sampler, PositionSampler):
            sampler.seed = self.seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed."""
        name = f'{self.seed}/{dist.get_rank()}/{runner.iter}/step'
        torch.manual_seed(random.Random(name).getrandbits(63))
