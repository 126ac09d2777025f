"""Settings of the authors' code for corrupted images, where they differ from those of default."""

from mmengine.config import Config

from poa_mm.checkpoints.preprocessing import IMAGENET_CROP_RATIO, ImageSize

__all__ = ['BATCH_SIZE', 'FILTER', 'use_official_resize']

BATCH_SIZE = 1024  # images that share their patches
FILTER = 'bilinear'


def use_official_resize(cfg: Config, size: ImageSize) -> str | None:
    """Resize test images as the authors do: bilinearly, to 256 pixels for a crop of 224.

    Training images stay as they are, since k-NN and heads are made with them.

    Args:
        cfg: Config with ``knn_test_dataset``, changed in place.
        size: Height and width that networks take.

    Returns:
        How test images are resized, in words; None if the config does not resize them.

    Example:
        >>> resize = {'type': 'torchvision/Resize', 'size': 232, 'interpolation': 'bicubic'}
        >>> pipeline = [resize, {'type': 'torchvision/CenterCrop', 'size': [224, 224]}]
        >>> cfg = Config({'knn_test_dataset': {'pipeline': pipeline}})
        >>> use_official_resize(cfg, (224, 224))
        'bilinear to 256, then cropped'
        >>> cfg.knn_test_dataset.pipeline[0]['size']
        256
    """
    steps = [dict(step) for step in cfg.knn_test_dataset.get('pipeline') or []]
    resizes = [step for step in steps if 'Resize' in str(step.get('type'))]
    if not resizes:
        return None
    told = FILTER
    cropped = any('CenterCrop' in str(step.get('type')) for step in steps)
    for step in resizes:
        step['interpolation'] = FILTER
        key = 'size' if 'size' in step else 'scale'
        if cropped and isinstance(step.get(key), int):
            step[key] = round(min(size) / IMAGENET_CROP_RATIO)
            told = f'{FILTER} to {step[key]}, then cropped'
    cfg.knn_test_dataset.pipeline = steps
    return told
