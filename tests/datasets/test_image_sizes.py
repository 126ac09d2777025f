"""Sizes of images by the heads of their files, turned as they are loaded."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from poa_mm.datasets import image_sizes
from poa_mm.datasets.image_sizes import Sized, upright_size, wrong_images
from poa_mm.datasets.load_image import LoadImage

ORIENTATION = 0x0112
LOADERS = {
    'ours': (LoadImage, {}),
    'ours, as stored': (LoadImage, {'color_type': 'color_ignore_orientation'}),
    'cv2': (LoadImageFromFile, {}),
    'cv2 grey': (LoadImageFromFile, {'color_type': 'grayscale'}),
    'cv2 unchanged': (LoadImageFromFile, {'color_type': 'unchanged'}),
    'pillow': (LoadImageFromFile, {'imdecode_backend': 'pillow'}),
}


def save(path, orientation=None, size=(40, 24)):
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return str(path)


@pytest.mark.parametrize(('kind', 'options'), LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
def test_sizes_are_those_of_the_loader(tmp_path, kind, options, suffix):
    """For every orientation; what is found wrong is wrong when it is loaded."""
    loader = kind(**options)
    images = []
    for orientation in (None, *range(1, 9)):
        path = save(tmp_path / f'{orientation}.{suffix}', orientation)
        images.append(Sized(orientation, path, *loader({'img_path': path})['img_shape']))
    assert wrong_images(images, loader) == []
    other = [Sized(i.number, i.path, i.width, i.height) for i in images]
    found = wrong_images(other, loader)
    assert [text.split(',')[0] for text in found] == [f'id {image.number!r}' for image in other]


def test_what_is_wrong_is_told(tmp_path):
    path = save(tmp_path / 'a.jpg')
    turned = save(tmp_path / 'b.jpg', orientation=6)
    text = tmp_path / 'c.jpg'
    text.write_text('no image')
    images = [Sized(1, path, 48, 80), Sized('b', turned, 24, 40), Sized(3, str(text), 24, 40)]
    assert wrong_images(images, LoadImage()) == [
        f'id 1, {path} is loaded as 40 × 24 pixels, and annotated as 80 × 48',
        f"id 'b', {turned} is loaded as 24 × 40 pixels, and annotated as 40 × 24: its EXIF "
        'orientation turns it when loaded; exchange width and height, or set '
        "color_type='color_ignore_orientation' of LoadImageFromFile if the boxes are for the "
        'image as it is stored',
        f'id 3, {text} cannot be read as an image: unknown format',
    ]
    assert len(wrong_images(images, LoadImage(ignore_empty=True))) == 2  # another one is drawn
    (found,) = wrong_images(images[2:], LoadImageFromFile())
    assert str(text) in found
    stored = LoadImage(color_type='color_ignore_orientation')
    (found,) = wrong_images([Sized(2, turned, 40, 24)], stored)
    assert found.endswith('its EXIF orientation does not count with this loader')
    assert wrong_images([Sized(2, turned, 24, 40)], stored) == []


def test_files_whose_heads_do_not_tell_are_loaded(tmp_path, monkeypatch):
    path = save(tmp_path / 'a.png')
    monkeypatch.setattr(image_sizes.Image, 'open', lambda _: 1 / 0)
    loader = LoadImageFromFile()
    assert upright_size(path, loader) is None
    assert wrong_images([Sized(1, path, 24, 40)], loader) == []
