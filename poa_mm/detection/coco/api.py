"""Index an annotation file as pycocotools does, after checking it."""

import os
from collections.abc import Sequence
from typing import Any

from mmdet.datasets.api_wrappers import COCO

from poa_mm.detection.coco.content import check_content
from poa_mm.detection.coco.findings import Entry
from poa_mm.detection.coco.ids import clean_name
from poa_mm.detection.coco.reading import read_annotations


class CheckedCOCO(COCO):
    """mmdet's index of an annotation file that has been checked and repaired.

    Args:
        annotation_file: The file.
        masks: Whether masks are learned or counted.
        name: Name of the file in messages, if ``annotation_file`` is a temporary copy.
        sort_categories: Put the categories into the order of their ids.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file that is damaged, of another format or full of faults; says which.
    """

    def __init__(
        self,
        annotation_file: str | os.PathLike,
        masks: bool = False,
        name: str | None = None,
        sort_categories: bool = False,
    ) -> None:
        super().__init__(None)
        self.path = str(name or annotation_file)
        self.dataset = read_annotations(str(annotation_file), self.path)
        check_content(self.dataset, self.path, masks)
        if sort_categories:
            self.dataset['categories'].sort(key=lambda category: category['id'])
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(self, cat_names: Sequence[str] = (), **kwargs: Any) -> list[int]:
        """Return the ids of categories, in the order of the file; check their names first."""
        if cat_names:
            check_classes(cat_names, self.dataset['categories'], self.path)
            cat_names = [clean_name(name) for name in cat_names]
        return super().get_cat_ids(cat_names=cat_names, **kwargs)


def check_classes(classes: Sequence[str], categories: Sequence[Entry], path: str) -> None:
    """Check that the classes of a config are categories of an annotation file, in its order.

    A file may have more categories than the config has classes. Spaces around names do not count.

    Raises:
        ValueError: ``classes`` is a string, or has names that the file does not have, or has in
            another order.
    """
    if isinstance(classes, str):
        raise ValueError(f'classes must be a tuple of names, got {classes!r}')
    wanted = [clean_name(name) for name in classes]
    names = [clean_name(category['name']) for category in categories]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(f'{path} has no classes {unknown}; it has {names}')
    order = [name for name in names if name in wanted]
    if wanted != order:
        raise ValueError(
            f'classes must be in the order of {path}, each once: {order}, not {list(classes)}'
        )
