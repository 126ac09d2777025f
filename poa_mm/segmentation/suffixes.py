"""mmseg's data sets take in names with suffixes in one letter case only, and leave out the others.

``BaseSegDataset`` lists what ends in ``img_suffix`` to the letter: of 0.jpg and 1.JPG it trains on
one, without a word, and looks for masks under a name that may be spelt otherwise on the disk. It
also takes images of hidden folders such as ``.ipynb_checkpoints``, and follows links in circles.
"""

from typing import Any

__all__ = ['install']


def install() -> None:
    """Have data sets of mmseg find images and masks whatever the letter case of their suffix."""
    from mmseg.datasets.basesegdataset import BaseSegDataset

    BaseSegDataset.load_data_list = _load_data_list


def _load_data_list(self: Any) -> list[dict[str, Any]]:
    from poa_mm.segmentation.mask_pairs import load_data_list  # needs mmpretrain, as its room does

    return load_data_list(self)
