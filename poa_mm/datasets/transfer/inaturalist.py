"""iNaturalist, in the format of its challenges of 2017 to 2021."""

import json
from pathlib import Path
from typing import Any

from poa_mm.datasets.transfer.annotated import AnnotatedImages, Labels
from poa_mm.errors import printable
from poa_mm.files import check_file
from poa_mm.registry import DATASETS

SECTIONS = {  # of the file, with what each entry must have
    'images': ('id', 'file_name'),
    'annotations': ('image_id', 'category_id'),
    'categories': ('id',),
}


@DATASETS.register_module()
class INaturalistImages(AnnotatedImages):
    """iNaturalist: the images that a file such as ``train2018.json`` lists, each with its species.

    2018 has 437,513 images to train on and 24,426 to validate on, of 8142 species; 2019 has
    265,213 and 3,030, of 1010. mmpretrain has no class for it.

    Args:
        data_root: Folder with the file, and with that of the images (``train_val2018``).
        ann_file: The file, below ``data_root``, in the layout of COCO: ``images``, ``annotations``
            and ``categories``. Classes are its categories in the order of their ids.
        **kwargs: See :class:`~poa_mm.datasets.transfer.annotated.AnnotatedImages`.

    Raises:
        ValueError: An image without a label or with several; see ``AnnotatedImages``.
    """

    NAME = 'iNaturalist'

    def __init__(self, data_root: str | Path, ann_file: str, **kwargs: Any) -> None:
        self._file = ann_file
        super().__init__(data_root, **kwargs)

    def read_labels(self) -> Labels:
        """Read the file; its categories are the classes."""
        source = self.root / self._file
        content = _read(source)
        categories = sorted(content['categories'], key=lambda category: category['id'])
        label_of = {category['id']: label for label, category in enumerate(categories)}
        names = tuple(str(category.get('name', category['id'])) for category in categories)
        if self.CLASSES is None:
            self._metainfo['classes'] = names
        elif len(self.CLASSES) != len(names):
            raise ValueError(
                f'{source} has {len(names)} categories, the config {len(self.CLASSES)} classes'
            )
        by_image: dict[Any, int] = {}
        for annotation in content['annotations']:
            image, category = annotation['image_id'], annotation['category_id']
            if category not in label_of:
                raise ValueError(f'{source}: category {category!r} of image {image!r} is unknown')
            if by_image.setdefault(image, label_of[category]) != label_of[category]:
                raise ValueError(f'{source}: image {image!r} has several categories')
        bare = [image['id'] for image in content['images'] if image['id'] not in by_image]
        if bare:
            raise ValueError(
                f'{source}: {len(bare)} of {len(content["images"])} images have no annotation, the '
                f'first has id {bare[0]!r}'
            )
        return Labels(
            source,
            [self.root / image['file_name'] for image in content['images']],
            [by_image[image['id']] for image in content['images']],
        )


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the file, and check that it has what is needed of it."""
    check_file(path, 'annotation file of iNaturalist')
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{printable(path)} is no JSON file: {error}') from error
    for section, keys in SECTIONS.items():
        entries = content.get(section) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise ValueError(
                f'{printable(path)} is no annotation file of iNaturalist with labels: it has no '
                f'list of {section}'
            )
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or not all(key in entry for key in keys):
                raise ValueError(
                    f'{printable(path)}: {section}[{number}] must have {" and ".join(keys)}'
                )
    return content
