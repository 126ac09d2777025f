"""Pipelines of mmpretrain that prepare images as a network expects them."""

from typing import Any

from poa_mm.checkpoints.preprocessing import Preprocessing


def test_pipeline(preprocessing: Preprocessing) -> list[dict[str, Any]]:
    """Return the transforms of an evaluation, from a decoded BGR image to RGB or grey inputs.

    Args:
        preprocessing: Size, crop and colours that the network expects.
    """
    grey = [{'type': 'torchvision/Grayscale'}] if preprocessing.mode == 'L' else []
    return [
        {'type': 'NumpyToPIL', 'to_rgb': True},
        *grey,
        {
            'type': 'torchvision/Resize',
            'size': preprocessing.resized_to,
            'interpolation': preprocessing.interpolation,
        },
        {'type': 'torchvision/CenterCrop', 'size': list(preprocessing.image_size)},
        {'type': 'PackInputs', 'meta_keys': ('sample_idx', 'img_path')},
    ]
