"""Folders of tiny images of two colours, a class each, that any network tells apart."""

import numpy as np
from PIL import Image

SIDE = 20
COLOURS = {'cat': (200, 60, 40), 'dog': (30, 90, 210), 'emu': (60, 200, 60)}


def write_class(folder, colour=(128, 128, 128), number=4, suffix='.png', start=0):
    """Write noisy images of one colour into the folder of a class."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(folder.name) + start)
    for index in range(start, start + number):
        noise = rng.integers(-25, 26, (SIDE, SIDE, 3))
        pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f'{index}{suffix}')


def write_photos(root, classes=('cat', 'dog'), splits=('train', 'val'), number=4):
    """Write class folders into each split; without splits, into the folder itself."""
    for order, split in enumerate(splits or ('',)):
        for name in classes:
            colour = COLOURS.get(name, (90, 90, 90))
            write_class(root / split / name, colour, number, start=100 * order)
    return root
