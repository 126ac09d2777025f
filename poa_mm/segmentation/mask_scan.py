"""Read all masks of a data set before a run, and report all faults in one line."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import LoadAnnotations, LoadImageFromFile

from poa_mm.datasets.image_sizes import upright_size
from poa_mm.datasets.images import UnreadableImageError, unreadable
from poa_mm.datasets.threads import each
from poa_mm.errors import printable
from poa_mm.segmentation.mask_content import LabelScale, MaskContent
from poa_mm.segmentation.masks import Mask, MaskError, read_mask

Item = Mapping[str, Any]  # a sample of a data set
Size = tuple[int, ...]


def scan(
    items: Sequence[Item],
    loader: LoadAnnotations,
    image_loader: LoadImageFromFile | None,
    scale: LabelScale,
    content: MaskContent,
) -> None:
    """Read all masks of a data set.

    Args:
        items: Its images, each with ``img_path`` and ``seg_map_path``.
        loader: The ``LoadAnnotations`` of its pipeline.
        image_loader: The ``LoadImageFromFile`` of its pipeline; None if images are loaded in
            another way, and not to be compared with their masks.
        scale: What numbers mean.
        content: Takes in what the masks hold.

    Raises:
        ValueError: Masks that cannot be read, hold numbers beyond 8 bits or the classes, or do not
            lie on their image; says how many, which first, and what is wrong with it.
    """

    def look(item: Item) -> tuple[Mask | MaskError, Size | None]:
        try:
            mask = read_mask(item['seg_map_path'], loader.imdecode_backend, loader.backend_args)
            return mask, _other_size(mask.shape, item['img_path'], image_loader)
        except MaskError as fault:
            return fault, None

    with warnings.catch_warnings():  # Pillow's do not name the file
        warnings.simplefilter('ignore')
        found = list(each(look, items, 'masks'))
    faults = _Faults(len(items))
    for item, (mask, size) in zip(items, found, strict=True):
        path = printable(item['seg_map_path'])
        if isinstance(mask, MaskError):
            faults.add(mask.kind, f'{path}{mask.detail}')
        elif size is not None or len(mask.shape) != 2:
            faults.add_shape(path, mask.shape, size)
        elif wrong := scale.wrong(mask.counts):
            faults.add_labels(path, wrong, scale, content.reduced)
        else:
            content.add(path, mask, scale)
    faults.check()


class _Faults:
    """The faults of the masks of a data set, by kind."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._kinds: dict[str, list[str]] = {}

    def add(self, kind: str, text: str) -> None:
        """Add a fault: what all masks of that kind have in common, and the path with details."""
        self._kinds.setdefault(kind, []).append(text)

    def add_shape(self, path: str, shape: Size, image: Size | None) -> None:
        """Add a mask of a wrong shape."""
        loaded = (1, *shape) if len(shape) == 2 else shape
        beside = '' if image is None else f', its image as {image}'
        self.add(
            'do not lie on their image: ',
            f'{path} is loaded as {loaded}{beside}: a mask must have the size of its image, and '
            'one number a pixel',
        )

    def add_labels(self, path: str, wrong: list[int], scale: LabelScale, reduced: bool) -> None:
        """Add a mask whose numbers are not labels."""
        one_more = wrong == [scale.num_classes] and not reduced
        self.add(
            'hold labels that are no classes: ',
            f'{path} holds the labels {wrong}, but the model has {scale.num_classes} classes: '
            f'{scale}{" (reduce_zero_label=True, if 1 is the first class)" if one_more else ""}',
        )

    def check(self) -> None:
        """Raise if there are faults, with all kinds in one line."""
        if self._kinds:
            raise ValueError('; '.join(self._tell(*kind) for kind in self._kinds.items()))

    def _tell(self, kind: str, texts: list[str]) -> str:
        if len(texts) == 1 and kind.endswith(': '):
            return texts[0]
        start = f'{len(texts)} of {self._total} masks {kind}'
        return f'{start}{texts[0]}' if kind.endswith(': ') else f'{start}; the first is {texts[0]}'


def _other_size(shape: Size, path: str, loader: LoadImageFromFile | None) -> Size | None:
    """Return height and width of a loaded image, if they are not those of its mask."""
    if loader is None or upright_size(path, loader) == shape:
        return None
    # Decoders read file headers differently; the loaded image decides.
    try:
        loaded = loader.transform({'img_path': path})
    except Exception as error:  # decoders raise any kind
        told = error if isinstance(error, UnreadableImageError) else unreadable(path, error)
        raise MaskError('have an image that cannot be read', f': {told}') from error
    if loaded is None:  # with ignore_empty=True, which draws another one
        return None
    size = tuple(loaded['img_shape'])
    return None if size == shape else size
