"""Data sets and the multi-crop augmentation, registered in mmpretrain's registries.

Every data set here hands its pipeline an already decoded ``img`` (H, W, 3, uint8, BGR), so one
pipeline serves them all and starts without a loading transform.
"""

from poa_mm.datasets.arrays import ArrayDataset
from poa_mm.datasets.fashion_mnist import FashionMNISTArray
from poa_mm.datasets.image_folder import ImageFolder
from poa_mm.datasets.images import UnreadableImageError, read_image
from poa_mm.datasets.photo_patches import PhotoPatches
from poa_mm.datasets.position_seed import SeedByPosition
from poa_mm.datasets.samplers import EpochSampler, PositionSampler, SampleIndex
from poa_mm.datasets.transfer import (
    CIFAR10Images,
    CIFAR100Images,
    Flowers102Images,
    INaturalistImages,
    StanfordCarsImages,
)
from poa_mm.datasets.transforms import MultiCrop

__all__ = [
    'ArrayDataset',
    'CIFAR10Images',
    'CIFAR100Images',
    'EpochSampler',
    'FashionMNISTArray',
    'Flowers102Images',
    'INaturalistImages',
    'ImageFolder',
    'MultiCrop',
    'PhotoPatches',
    'PositionSampler',
    'SampleIndex',
    'SeedByPosition',
    'StanfordCarsImages',
    'UnreadableImageError',
    'read_image',
]
