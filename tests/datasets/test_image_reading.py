import warnings

import numpy as np
import pytest
from PIL import Image

from poa_mm.datasets import UnreadableImageError, read_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (11, 13, 3), dtype=np.uint8)


def test_bgr_order(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    image = read_image(str(tmp_path / 'a.png'))
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, RGB[..., ::-1])


def test_grey_is_repeated_and_alpha_is_dropped(tmp_path):
    Image.fromarray(RGB[..., 0]).save(tmp_path / 'grey.png')
    np.testing.assert_array_equal(
        read_image(str(tmp_path / 'grey.png')), np.repeat(RGB[..., :1], 3, axis=-1)
    )
    alpha = np.full((11, 13, 1), 7, dtype=np.uint8)
    Image.fromarray(np.concatenate([RGB, alpha], axis=-1)).save(tmp_path / 'rgba.png')
    np.testing.assert_array_equal(read_image(str(tmp_path / 'rgba.png')), RGB[..., ::-1])


def test_palette_with_transparency(tmp_path):
    indices = RNG.integers(0, 4, (11, 13), dtype=np.uint8)
    palette = Image.frombytes('P', (13, 11), indices.tobytes())
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], dtype=np.uint8)
    palette.putpalette(colours.ravel().tolist())
    palette.save(tmp_path / 'p.png', transparency=bytes([0, 255, 128, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        image = read_image(str(tmp_path / 'p.png'))
    np.testing.assert_array_equal(image, colours[indices][..., ::-1])


def test_16_bit_keeps_the_upper_byte(tmp_path):
    samples = RNG.integers(0, 2**16, (11, 13), dtype=np.uint16)
    for name in ('grey16.png', 'grey16.tif'):
        Image.fromarray(samples).save(tmp_path / name)
        expected = np.repeat((samples // 256).astype(np.uint8)[..., None], 3, axis=-1)
        np.testing.assert_array_equal(read_image(str(tmp_path / name)), expected)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    Image.fromarray(RGB).save(tmp_path / 'a.png', exif=exif)
    np.testing.assert_array_equal(
        read_image(str(tmp_path / 'a.png')), np.rot90(RGB, k=-1)[..., ::-1]
    )


def test_broken_files_are_named(tmp_path):
    whole = tmp_path / 'whole.jpg'
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    (tmp_path / 'truncated.jpg').write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'empty.jpg').touch()
    Image.fromarray(RNG.random((4, 4), dtype=np.float32)).save(tmp_path / 'float.tif')
    assert read_image(str(whole)).shape == (64, 64, 3)
    for name in ('truncated.jpg', 'text.jpg', 'empty.jpg', 'float.tif', 'missing.jpg'):
        with pytest.raises(UnreadableImageError, match=f'{name} cannot be read as an image'):
            read_image(str(tmp_path / name))
