"""Training images of a linear probe: random crops, flipped at random, each seen once."""

import copy
from collections.abc import Iterator
from typing import Any

from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DefaultScope
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision import transforms

from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.datasets.samplers import PositionSampler, SampleIndex
from poa_mm.registry import TRANSFORMS

__all__ = ['RandomCrops', 'StepSampler', 'with_random_crops']

# What the pipeline of an evaluation resizes and crops with: torchvision's, or mmpretrain's own.
REPLACED = ('Resize', 'ResizeEdge', 'CenterCrop')
PACKED = 'Pack'  # the first letters of what packs an image in the end


def with_random_crops(dataset: BaseDataset, preprocessing: Preprocessing) -> BaseDataset:
    """Copy a data set of an evaluation, with random crops in place of what resizes and crops.

    Crops cover 8 to 100 % of an image and are resized as ``preprocessing`` says, then flipped with
    a probability of one half: all that the authors' linear probing does. They depend on the
    position in the run alone, under :class:`~poa_mm.datasets.PositionSampler`.

    Args:
        dataset: Labelled images.
        preprocessing: What images the networks expect.

    Raises:
        ValueError: The pipeline does not end with a step that packs the image.
    """
    steps = list(dataset.pipeline.transforms)
    names = [_name(step) for step in steps]
    if not steps or not names[-1].startswith(PACKED):
        raise ValueError(
            f'the pipeline of the training images must end with PackInputs, it has {names}'
        )
    kept = [step for step, name in zip(steps, names, strict=True) if name not in REPLACED]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        crop, flip, seed = (
            TRANSFORMS.build(step)
            for step in (
                {
                    'type': 'torchvision/RandomResizedCrop',
                    'size': list(preprocessing.image_size),
                    'interpolation': preprocessing.interpolation,
                },
                {'type': 'torchvision/RandomHorizontalFlip'},
                {'type': 'SeedByPosition'},
            )
        )
    cropped = copy.copy(dataset)
    cropped.pipeline = Compose([seed, *kept[:-1], crop, flip, kept[-1]])
    return cropped


def _name(step: Any) -> str:
    """Name a step of a pipeline; those of torchvision are wrapped."""
    inner = getattr(step, 't', step)
    module = type(inner).__module__
    return type(inner if module.startswith(transforms.__name__) else step).__name__


class RandomCrops(Dataset):
    """Rows of a data set that stay where they are in the run.

    Args:
        dataset: Labelled images.
        rows: Which of them.
    """

    def __init__(self, dataset: BaseDataset, rows: Tensor) -> None:
        self.dataset = dataset
        self.rows = rows.tolist()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: SampleIndex) -> Any:
        row = SampleIndex(self.rows[index], index.position, index.run_seed)
        return self.dataset[row]


class StepSampler(Sampler):
    """Batches of a run, each in parts that a network takes at a time.

    Args:
        dataset: What is drawn from: endless passes, each in a new order.
        batch_size: Images of a step.
        part_size: Images at a time, at most.
        steps: Number of steps of the run.
        seed: Seed of the orders.
        done: Steps that were taken before.
    """

    def __init__(
        self,
        dataset: RandomCrops,
        batch_size: int,
        part_size: int,
        steps: int,
        seed: int,
        done: int = 0,
    ) -> None:
        self.images = PositionSampler(dataset, seed=seed)
        # All processes take all images: they share networks, not images.
        self.images.rank, self.images.world_size = 0, 1
        self.images.skip(done * batch_size)
        self.batch_size, self.part_size, self.left = batch_size, part_size, steps - done

    def __len__(self) -> int:
        return self.left * -(-self.batch_size // self.part_size)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        stream = iter(self.images)
        for _ in range(self.left):
            batch = [next(stream) for _ in range(self.batch_size)]
            for start in range(0, self.batch_size, self.part_size):
                yield batch[start : start + self.part_size]
