"""Whatever bytes a file holds, reading it gives an image or the one error for unreadable ones."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from poa_mm.datasets import UnreadableImageError, read_image

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (14, 18, 3), dtype=np.uint8))
EXIF = Image.Exif()
EXIF[0x0112] = 6
EXIF[0x010F] = 'Camera'
EXIF.get_ifd(0x8825)[5] = b'\1'

FILES = {
    'jpeg': ('JPEG', 'RGB', {'exif': EXIF, 'comment': b'hello', 'icc_profile': bytes(128)}),
    'progressive': ('JPEG', 'RGB', {'progressive': True}),
    'cmyk': ('JPEG', 'CMYK', {}),
    'mpo': ('MPO', 'RGB', {'save_all': True, 'append_images': [PHOTO]}),
    'png': ('PNG', 'RGB', {'exif': EXIF, 'icc_profile': bytes(128)}),
    'palette': ('PNG', 'P', {'transparency': 1}),
    'animation': ('PNG', 'RGB', {'save_all': True, 'append_images': [PHOTO.rotate(90)]}),
    'tiff': ('TIFF', 'RGB', {'exif': EXIF}),
    'lzw': ('TIFF', 'RGB', {'compression': 'tiff_lzw'}),
    'webp': ('WEBP', 'RGB', {'exif': EXIF}),
    'gif': ('GIF', 'RGB', {'save_all': True, 'append_images': [PHOTO.rotate(90)]}),
    'bmp': ('BMP', 'RGB', {}),
    'ppm': ('PPM', 'RGB', {}),
}


def encode(kind, mode, options):
    file = io.BytesIO()
    PHOTO.convert(mode).save(file, kind, **options)
    return file.getvalue()


WHOLE = {name: encode(*how) for name, how in FILES.items()}
EDITS = st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=6)), min_size=1, max_size=4)


def read(path, data):
    path.write_bytes(data)
    return read_image(str(path), note=lambda about, text: None)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('damaged') / 'image'


@pytest.mark.parametrize('name', FILES)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=EDITS)
def test_overwritten_bytes(name, edits, path):
    data = bytearray(WHOLE[name])
    for at, new in edits:
        at %= len(data)
        data[at : at + len(new)] = new
    try:
        image = read(path, bytes(data))
    except UnreadableImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3


@pytest.mark.parametrize('name', FILES)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_off_is_read_in_full_or_not_at_all(name, share, path):
    data = WHOLE[name]
    try:
        image = read(path, data[: int(share * len(data))])
    except UnreadableImageError:
        return
    np.testing.assert_array_equal(image, read(path, data))  # metadata or frames alone were cut


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=200), head=st.sampled_from([b'', *(w[:20] for w in WHOLE.values())]))
def test_noise(data, head, path):
    with pytest.raises(UnreadableImageError):
        read(path, head + data)


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        RecursionError('deep'),
        KeyError(1),
        ZeroDivisionError(),
        UserWarning('odd'),
        UnboundLocalError('x'),
        OverflowError(),
        AssertionError(),
    ],
)
def test_errors_of_decoders(error, path, monkeypatch):
    def fail(*_args):
        raise error

    monkeypatch.setattr(Image.Image, 'convert', fail)
    with pytest.raises(
        UnreadableImageError, match=r'image cannot be read as an image: .'
    ) as raised:
        read(path, WHOLE['palette'])
    assert raised.value.__cause__ is error
