"""Seed random numbers so that a resumed run draws what an uninterrupted one would."""

import random
from typing import Any

import numpy as np
import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.runner import Runner

from poa_mm.datasets import EpochSampler, PositionSampler
from poa_mm.registry import HOOKS


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seed torch and numpy before each iteration by the run's seed, the rank and the iteration.

    The paths that a step drops then depend on the step only, like its sub-network, its masks, the
    images that mmpretrain mixes and, with :class:`~poa_mm.datasets.PositionSampler` or
    :class:`~poa_mm.datasets.EpochSampler`, its crops. So a run can be resumed exactly without the
    state of any generator, on any number of ranks. All devices are seeded, without synchronisation.
    The seed is that of the main process, which mmengine saves in each checkpoint and restores; the
    sampler gets it, too.
    """

    def before_train(self, runner: Runner) -> None:
        """Agree on the seed after a checkpoint has been loaded, before any image is drawn."""
        seeds = [runner.seed]  # each rank may have its own
        dist.broadcast_object_list(seeds)
        self.seed = seeds[0]
        sampler = getattr(runner.train_dataloader.batch_sampler, 'sampler', None)
        if isinstance(sampler, PositionSampler | EpochSampler):
            sampler.seed = self.seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed torch and numpy for this iteration."""
        name = f'{self.seed}/{dist.get_rank()}/{runner.iter}/step'
        seed = random.Random(name).getrandbits(63)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  # what mmpretrain's mixup and CutMix draw from
