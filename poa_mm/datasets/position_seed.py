"""Seed augmentations of other libraries by position, so that a resumed run repeats them."""

import random
from typing import Any

import numpy as np
import torch
from mmcv.transforms import TRANSFORMS, BaseTransform

from poa_mm.datasets.samplers import SampleIndex


@TRANSFORMS.register_module()
class SeedByPosition(BaseTransform):
    """Makes the rest of a pipeline a function of the image's position in the run.

    mmcv's and mmseg's transforms draw from the global generators of a loader's worker. Those start
    from the same seeds whenever a run is resumed, so that it would see the crops of its first
    iterations again. Under :class:`~poa_mm.datasets.PositionSampler` this seeds them for each image
    (numpy, Python and torch); under other samplers it does nothing. Registered with mmcv, so that
    configs of all scopes find it.

    **Required Keys:**

    - sample_idx (what every data set of mmengine adds)
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Seed the generators; return the results unchanged."""
        index = results['sample_idx']
        if isinstance(index, SampleIndex):
            seed = index.seed()
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002  # what the transforms draw from
            torch.manual_seed(seed)
        return results
