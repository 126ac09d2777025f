"""Picture of an image beside the classes that a classifier gives it."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from poa_mm.visualization.canvas import fonts, shorten

__all__ = ['draw_predictions']

LONGEST = 28  # letters of a class
LONG_SIDE = 600  # pixels of an image in the picture, at most
BLUE, GREY = '#2b6cb0', '#a0aec0'


def draw_predictions(
    image: np.ndarray, classes: Sequence[str], scores: Sequence[float], path: str | Path
) -> None:
    """Draw an image and, beside it, the scores of its most probable classes.

    Args:
        image: (H, W, 3) uint8, RGB.
        classes: Names of the classes, best first.
        scores: Their scores within 0…1, as many.
        path: Image to write, 900 x 400 pixels for a ``.png``. An existing file is replaced.
    """
    figure = Figure(figsize=(9, 4), dpi=100, layout='constrained')
    left, right = figure.subplots(1, 2)
    step = max(-(-max(image.shape[:2]) // LONG_SIDE), 1)
    left.imshow(image[::step, ::step], interpolation='nearest')
    left.axis('off')
    places = range(len(classes))
    right.barh(places, scores, color=[BLUE, *[GREY] * (len(classes) - 1)], height=0.6)
    right.set(xlim=(0, 1), ylim=(max(len(classes), 5) - 0.5, -0.5), xticks=[], yticks=[])
    right.spines[:].set_visible(False)
    for place, name, score in zip(places, classes, scores, strict=True):
        text = {'parse_math': False, 'fontfamily': fonts(), 'va': 'bottom'}
        right.text(0, place - 0.31, shorten(name, LONGEST), **text)
        right.text(1, place - 0.31, f'{100 * score:.1f} %', **{**text, 'ha': 'right'})
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of letters in no font of this machine
        figure.savefig(path)
