"""Check that classes, objects and images of a COCO data set are what its file says."""

import os
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from poa_mm.datasets.image_sizes import check_sizes, sized
from poa_mm.datasets.nested import transforms_of
from poa_mm.detection.coco.api import CheckedCOCO
from poa_mm.detection.coco.findings import warn_once
from poa_mm.detection.coco.image_files import find_images

SHOWN = 5  # classes in a warning


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """mmdet's ``CocoDataset`` that checks its annotation file and all images when it is built.

    mmdet numbers classes in the order of the file, not of the config, and leaves out names that the
    file does not have: the labels after them would shift, and a detector would silently learn wrong
    ones. It also leaves out objects without area or size; other missing values end a run when
    they are needed.

    Args:
        *args: Those of mmdet's ``CocoDataset``.
        check_sizes: Whether to compare the sizes in the file with the headers of the images: if
            they differ, boxes and masks are on other pixels.
        **kwargs: Those of mmdet's ``CocoDataset``.

    Raises:
        FileNotFoundError: The file or images are missing; the message says how many.
        ValueError: The file is damaged, of another format or has faults; it does not have the
            classes, or has them in another order; images cannot be read or have another size;
            nothing is left to train on.
    """

    images_checked = True  # hooks need not check them

    def __init__(self, *args: Any, check_sizes: bool = True, **kwargs: Any) -> None:
        self.check_sizes = check_sizes
        super().__init__(*args, **kwargs)

    def COCOAPI(self, path: str | os.PathLike) -> CheckedCOCO:  # noqa: N802  # mmdet's name
        """Index the annotation file, a local copy of which is at ``path``."""
        return CheckedCOCO(path, self._has_masks(), self.ann_file)

    def _has_masks(self) -> bool:
        return any(getattr(step, 'with_mask', False) for step in transforms_of(self.pipeline))

    def filter_data(self) -> list[dict]:
        """Leave out images without objects to learn, and check the images of the rest."""
        kept = super().filter_data()
        if not kept:
            raise ValueError(
                f'none of the {len(self.data_list)} images in {self.ann_file} is left after '
                f'{self.filter_cfg}'
            )
        if not self.test_mode:
            self._check_objects(kept)
        folder = self.data_prefix['img']
        if self.backend_args is None and '://' not in folder:  # files on this machine
            find_images(kept, folder, self.ann_file)
            if self.check_sizes:
                check_sizes([sized(info) for info in kept], self.pipeline, self.ann_file)
        return kept

    def _check_objects(self, kept: list[dict]) -> None:
        """Check that there are objects to learn, and warn of classes that have none."""
        found = {
            instance['bbox_label']
            for info in kept
            for instance in info['instances']
            if not instance['ignore_flag']
        }
        classes = self.metainfo['classes']
        if not found:
            raise ValueError(
                f'{self.ann_file} has nothing to learn: its {len(kept)} images have no object of '
                f'{list(classes)} of at least one pixel that is no crowd'
            )
        without = [name for label, name in enumerate(classes) if label not in found]
        if without:
            names = ', '.join(without[:SHOWN]) + (', …' if len(without) > SHOWN else '')
            warn_once(
                f'{self.ann_file}: no objects of {len(without)} of {len(classes)} classes: {names}'
            )
