"""Data sets in COCO's format whose classes are what the file says.

In mmdet's registry: imported by the configs that need it, as mmdet is optional.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS

CONTENT = ('images', 'categories')  # images without annotations can be tested


class CheckedCOCO(COCO):
    """pycocotools' index of a file, which names the file that it cannot use."""

    def __init__(self, annotation_file: str) -> None:
        try:
            super().__init__(annotation_file)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{annotation_file} is no file of COCO: {error!r}') from error
        missing = [key for key in CONTENT if key not in self.dataset]
        if missing:
            raise ValueError(f'{annotation_file} is no file of COCO: no {", ".join(missing)}')
        self.path = annotation_file

    def get_cat_ids(self, cat_names: Sequence[str] = (), **kwargs: Any) -> list[int]:
        """Numbers of categories, in the order of the file; names are checked first."""
        if cat_names:
            check_classes(cat_names, self.dataset['categories'], self.path)
        return super().get_cat_ids(cat_names=cat_names, **kwargs)


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """mmdet's ``CocoDataset``, which compares the names of its classes with those in its file.

    mmdet numbers the classes in the order of the file, whatever order it is told, and leaves out
    names that the file does not have: the labels that follow would move up, and a detector would
    learn wrong ones in silence.

    Args:
        **kwargs: Those of mmdet's ``CocoDataset``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file that is damaged or of another format; classes that it does not know, or
            knows in another order; no image left to train on.
    """

    COCOAPI = CheckedCOCO

    def filter_data(self) -> list[dict]:
        """Leave out what there is nothing to learn from."""
        kept = super().filter_data()
        if not kept:
            raise ValueError(
                f'none of the {len(self.data_list)} images in {self.ann_file} is left after '
                f'{self.filter_cfg}'
            )
        return kept


def check_classes(
    classes: Sequence[str], categories: Sequence[Mapping[str, Any]], path: str
) -> None:
    """Compare the classes of a config with the categories of an annotation file.

    A file may have more categories than the config has classes.

    Raises:
        ValueError: ``classes`` is one name instead of several; names that the file does not have,
            or has in another order.
    """
    if isinstance(classes, str):
        raise ValueError(f'classes must be a tuple of names, got {classes!r}')
    names = [category['name'] for category in categories]
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise ValueError(f'{path} has no classes {unknown}; it has {names}')
    order = [name for name in names if name in classes]
    if list(classes) != order:
        raise ValueError(
            f'classes must be in the order of {path}, each once: {order}, not {list(classes)}'
        )
