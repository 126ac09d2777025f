"""Let mmseg's data sets find files with suffixes in any letter case.

Defect (all versions of mmseg): ``BaseSegDataset`` lists only names that end in ``img_suffix``
exactly: of 0.jpg and 1.JPG it silently leaves out one, and it expects masks with the exact suffix.
It also lists hidden folders such as ``.ipynb_checkpoints``, and follows links in circles. Fix: list
files by :func:`~poa_mm.datasets.listing.list_images`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmseg.datasets import BaseSegDataset

__all__ = ['install']


def install() -> None:
    """Let data sets of mmseg find images and masks with suffixes in any letter case."""
    from mmseg.datasets.basesegdataset import BaseSegDataset

    BaseSegDataset.load_data_list = _load_data_list


def _load_data_list(self: 'BaseSegDataset') -> list[dict]:
    from poa_mm.segmentation.mask_pairs import load_data_list  # imported late: it needs mmpretrain

    return load_data_list(self)
