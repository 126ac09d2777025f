"""The data sets of transfer learning (Sec. D.5) in the layouts in which they are published."""

from poa_mm.datasets.transfer.cars import StanfordCarsImages
from poa_mm.datasets.transfer.cifar import CIFAR10Images, CIFAR100Images
from poa_mm.datasets.transfer.flowers import Flowers102Images
from poa_mm.datasets.transfer.inaturalist import INaturalistImages

__all__ = [
    'CIFAR10Images',
    'CIFAR100Images',
    'Flowers102Images',
    'INaturalistImages',
    'StanfordCarsImages',
]
