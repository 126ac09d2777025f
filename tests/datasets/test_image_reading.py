import os
import socket
import warnings

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from poa_mm.datasets import UnreadableImageError, read_image
from poa_mm.datasets.images import SCALED
from poa_mm.datasets.pixels import to_eight_bits

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


def read_with_notes(path):
    notes = []
    return read_image(str(path), lambda about, text: notes.append((about, text))), notes


def grey_file(path, samples):
    Image.fromarray(samples).save(path)


def colour_file(path, samples):
    cv2.imwrite(str(path), samples)


@pytest.mark.parametrize('bits', [8, 10, 12, 14])
@pytest.mark.parametrize(
    ('name', 'dtype', 'write'),
    [
        ('grey.png', np.uint16, grey_file),
        ('grey.tif', np.uint16, grey_file),
        ('big_endian.tif', '>u2', grey_file),
        ('grey32.tif', np.int32, grey_file),
        ('colour.png', np.uint16, colour_file),
        ('colour.tif', np.uint16, colour_file),
        ('alpha.png', np.uint16, colour_file),
    ],
)
def test_samples_of_few_bits_in_many_are_not_black(bits, name, dtype, write, tmp_path):
    channels = {'c': (3,), 'a': (4,)}.get(name[0], ())
    samples = RNG.integers(0, 2**bits, (11, 13, *channels), dtype=np.uint16)
    samples[0, 0] = 2**bits - 1
    write(tmp_path / name, samples.astype(dtype))
    image, notes = read_with_notes(tmp_path / name)
    expected = (samples >> (bits - 8)).astype(np.uint8)
    expected = expected[..., :3] if channels else np.repeat(expected[..., None], 3, axis=-1)
    np.testing.assert_array_equal(image, expected)
    text = f'{tmp_path}/{name} has samples up to {2**bits - 1} taken as {bits} bits'
    assert notes == [(SCALED, text)]


def test_16_bit_colours_keep_the_upper_byte(tmp_path):
    samples = RNG.integers(0, 2**16, (11, 13, 3), dtype=np.uint16)
    for name in ('a.png', 'a.tif'):
        cv2.imwrite(str(tmp_path / name), samples)
        image, notes = read_with_notes(tmp_path / name)
        np.testing.assert_array_equal(image, samples >> 8)
        assert notes == []


def test_dark_16_bit_colours_are_turned_as_the_file_says(tmp_path):
    samples = RNG.integers(0, 2**12, (11, 13, 3), dtype=np.uint16)
    samples[0, 0] = 2**12 - 1
    cv2.imwrite(str(tmp_path / 'a.png'), samples)
    exif = Image.Exif()
    exif[0x0112] = 3
    content = exif.tobytes()[6:]
    data = (tmp_path / 'a.png').read_bytes()
    at = data.index(b'IDAT') - 4
    chunk = len(content).to_bytes(4, 'big') + b'eXIf' + content + bytes(4)  # no check sum, either
    (tmp_path / 'a.png').write_bytes(data[:at] + chunk + data[at:])
    np.testing.assert_array_equal(read_image(str(tmp_path / 'a.png')), samples[::-1, ::-1] >> 4)


@pytest.mark.parametrize(
    ('samples', 'eight', 'how'),
    [
        ([0, 0], [0, 0], ''),
        ([0, 255], [0, 255], 'samples up to 255 taken as 8 bits'),
        ([3, 256], [0, 64], 'samples up to 256 taken as 10 bits'),
        ([0, 16383], [0, 255], 'samples up to 16383 taken as 14 bits'),
        ([255, 16384], [0, 64], ''),
        ([256, 65535], [1, 255], ''),
        ([0, 65536], [0, 64], 'samples up to 65536 taken as 18 bits'),
        ([0, 2**31 - 1], [0, 127], f'samples up to {2**31 - 1} taken as 32 bits'),
        ([-1024, 0, 3071], [0, 64, 255], 'samples from -1024 to 3071 taken as 0 to 255'),
        ([-5, -5], [0, 0], 'samples from -5 to -5 taken as 0 to 255'),
    ],
)
def test_white_is_the_largest_number_of_so_many_bits(samples, eight, how):
    pixels, text = to_eight_bits(np.array(samples))
    assert pixels.dtype == np.uint8
    assert (pixels.tolist(), text) == (eight, how)


def test_samples_of_all_32_bits(tmp_path):
    samples = RNG.integers(0, 2**32, (11, 13), dtype=np.uint32)
    tifffile.imwrite(tmp_path / 'a.tif', samples)
    np.testing.assert_array_equal(read_image(str(tmp_path / 'a.tif'))[..., 0], samples >> 24)


def test_signed_samples(tmp_path):
    samples = RNG.integers(-1000, 3000, (11, 13), dtype=np.int32)
    Image.fromarray(samples).save(tmp_path / 'a.tif')
    low, high = samples.min(), samples.max()
    expected = np.rint((samples - low) * 255.0 / (high - low))
    np.testing.assert_array_equal(read_image(str(tmp_path / 'a.tif'))[..., 0], expected)


def test_lab(tmp_path):
    photo = np.full((4, 4, 3), (200, 60, 30), dtype=np.uint8)
    spaces = [ImageCms.createProfile(name) for name in ('sRGB', 'LAB')]
    transform = ImageCms.buildTransform(*spaces, 'RGB', 'LAB')
    ImageCms.applyTransform(Image.fromarray(photo), transform).save(tmp_path / 'a.tif')
    image = read_image(str(tmp_path / 'a.tif'))[..., ::-1].astype(int)
    assert np.abs(image - photo).max() <= 3


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'CMYK', 'YCbCr'])
def test_modes(mode, tmp_path):
    """Whatever a ramp is stored as: Adobe's CMYK is inverted in JPEGs."""
    ramp = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[None], 16, axis=0)
    image = Image.fromarray(ramp).convert('RGB').convert(mode)
    suffix, tolerance = ('jpg', 3) if mode in ('CMYK', 'YCbCr') else ('png', 0)
    image.save(tmp_path / f'a.{suffix}')
    expected = np.asarray(image.convert('RGB'), dtype=int)[..., ::-1]
    assert np.abs(read_image(str(tmp_path / f'a.{suffix}')) - expected).max() <= tolerance


@pytest.mark.parametrize('kind', ['gif', 'png', 'webp', 'tif'])
def test_of_several_frames_the_first_is_taken(kind, tmp_path):
    frames = [Image.new('RGB', (9, 7), (value, 0, 0)) for value in (255, 128, 0)]
    options = {'lossless': True} if kind == 'webp' else {}
    frames[0].save(tmp_path / f'a.{kind}', save_all=True, append_images=frames[1:], **options)
    image = read_image(str(tmp_path / f'a.{kind}'))
    np.testing.assert_array_equal(image, np.broadcast_to(np.uint8([0, 0, 255]), (7, 9, 3)))


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


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'folder.png').mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / 'socket.png'))
    for name in ('pipe.png', 'folder.png', 'socket.png'):
        with pytest.raises(UnreadableImageError, match=f'{name} .*: no regular file'):
            read_image(str(tmp_path / name))
    with pytest.raises(UnreadableImageError, match=r'null.* no regular file'):
        read_image('/dev/null')


def test_names_that_are_not_utf_8(tmp_path):
    name = os.fsdecode(b'caf\xe9.png')
    (tmp_path / name).write_bytes(b'no image')
    with pytest.raises(UnreadableImageError) as error:
        read_image(str(tmp_path / name))
    assert (
        str(error.value)
        .encode()
        .endswith(rb'caf\udce9.png cannot be read as an image: unknown format')
    )
    with pytest.raises(UnreadableImageError) as error:
        read_image(str(tmp_path / name) + '2')
    str(error.value).encode()


def test_very_large_images(tmp_path, monkeypatch):
    """Pillow warns without a name above its limit, and refuses what is twice as large."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    Image.fromarray(RGB).save(tmp_path / 'a.png')  # 143 pixels
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        image, notes = read_with_notes(tmp_path / 'a.png')
    assert image.shape == (11, 13, 3)
    assert notes == [
        (str(tmp_path / 'a.png'), f'{tmp_path}/a.png has 0 million pixels: slow to read')
    ]
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 60)
    with pytest.raises(UnreadableImageError, match=r'a.png .*: more than 120 pixels'):
        read_image(str(tmp_path / 'a.png'))
