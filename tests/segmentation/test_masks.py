"""What masks hold is counted as mmseg loads them."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from poa_mm.segmentation.masks import MaskError, label_table, read_mask

SHAPE = (5, 7)
LABELS = np.arange(35, dtype=np.uint8).reshape(SHAPE)


def load(path, backend='pillow', **item):
    """What mmseg makes of a mask."""
    item = {'reduce_zero_label': False, 'label_map': None, **item}
    results = {'seg_map_path': str(path), 'seg_fields': [], **item}
    return LoadAnnotations(imdecode_backend=backend).transform(results)['gt_seg_map']


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def save_grey_of_bits(path, array, bits):
    """Write a grey PNG of fewer than 8 bits, as image editors do to save space."""
    per_byte = 8 // bits
    rows = []
    for row in array:
        padded = np.pad(row, (0, -len(row) % per_byte)).reshape(-1, per_byte)
        shifts = bits * np.arange(per_byte)[::-1]
        rows.append(b'\0' + (padded << shifts).sum(axis=1).astype(np.uint8).tobytes())

    def chunk(kind, data):
        checked = kind + data
        return struct.pack('>I', len(data)) + checked + struct.pack('>I', zlib.crc32(checked))

    head = struct.pack('>IIBBBBB', array.shape[1], array.shape[0], bits, 0, 0, 0, 0)
    data = zlib.compress(b''.join(rows))
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', data) + chunk(b'IEND', b'')
    )
    return path


def palette(path):
    image = Image.fromarray(LABELS)
    image.putpalette([value * 7 % 256 for value in range(768)])
    image.save(path)
    return path


MASKS = {
    'grey': lambda path: save(path, LABELS),
    'palette': palette,
    'one bit': lambda path: save(path, LABELS > 9),
    'two bits of grey': lambda path: save_grey_of_bits(path, LABELS % 4, 2),
    'four bits of grey': lambda path: save_grey_of_bits(path, LABELS % 16, 4),
    '16 bits, 8 used': lambda path: save(path, LABELS.astype(np.uint16)),
}


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
@pytest.mark.parametrize('kind', MASKS)
def test_numbers_are_those_that_are_loaded(tmp_path, kind, backend):
    path = MASKS[kind](tmp_path / 'mask.png')
    loaded = load(path, backend)
    mask = read_mask(str(path), backend)
    assert mask.shape == loaded.shape
    if loaded.ndim == 2:
        assert mask.counts.tolist() == np.bincount(loaded.ravel(), minlength=256).tolist()
    else:  # OpenCV makes colours of a palette
        assert (kind, backend, mask.counts.sum()) == ('palette', 'cv2', 0)


def test_grey_of_few_bits_is_stretched_by_the_decoder(tmp_path):
    mask = read_mask(str(MASKS['four bits of grey'](tmp_path / 'mask.png')), 'pillow')
    assert np.flatnonzero(mask.counts).tolist() == list(range(0, 256, 17))


@pytest.mark.parametrize(('mode', 'channels'), [('RGB', 3), ('RGBA', 4), ('LA', 2), ('CMYK', 4)])
def test_several_channels_are_no_numbers(tmp_path, mode, channels):
    suffix = 'tif' if mode == 'CMYK' else 'png'
    mask = read_mask(str(save(tmp_path / f'mask.{suffix}', LABELS, mode)), 'pillow')
    assert mask.shape == (*SHAPE, channels)
    assert not mask.counts.any()


@pytest.mark.parametrize(
    ('array', 'kind'),
    [
        (LABELS.astype(np.uint16) + 256, 'mode I;16'),
        (LABELS.astype(np.int32) - 1, 'mode I'),
        (LABELS.astype(np.float32) / 2, 'mode F'),
        (np.full(SHAPE, np.nan, np.float32), 'mode F'),
    ],
)
def test_numbers_that_would_change_are_refused(tmp_path, array, kind):
    with pytest.raises(MaskError) as error:
        read_mask(str(save(tmp_path / 'mask.tif', array)), 'pillow')
    assert error.value.kind == 'have more than 8 bits a pixel, which would be cut off'
    assert error.value.detail == f', of {kind}: save them with modes L or P'


def test_whole_numbers_may_be_stored_as_others(tmp_path):
    mask = read_mask(str(save(tmp_path / 'mask.tif', LABELS.astype(np.float32))), 'pillow')
    assert mask.counts[:35].tolist() == [1] * 35


@pytest.mark.parametrize(
    ('backend', 'end'),
    [('pillow', 0), ('pillow', 4), ('pillow', -40), ('cv2', 0), ('cv2', 4)],
)
def test_damaged_files_are_refused(tmp_path, backend, end):
    """But for what OpenCV fills in where a file ends too soon."""
    path = save(tmp_path / 'mask.png', np.tile(LABELS, (20, 20)))
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(MaskError) as error:
        read_mask(str(path), backend)
    assert error.value.kind == 'cannot be read'
    assert 'object at 0x' not in error.value.detail


@pytest.mark.parametrize('value', [3, 6])
def test_turned_masks_are_refused_as_mmseg_does_not_turn_them(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    path = save(tmp_path / 'mask.png', LABELS, exif=exif)
    assert np.array_equal(load(path), LABELS)
    with pytest.raises(MaskError, match='EXIF orientation'):
        read_mask(str(path), 'pillow')


def test_jpeg_is_lossy(tmp_path):
    assert read_mask(str(save(tmp_path / 'mask.jpg', LABELS)), 'pillow').lossy
    assert not read_mask(str(save(tmp_path / 'mask.png', LABELS)), 'pillow').lossy


numbers = st.integers(0, 255)


@pytest.fixture(scope='module')
def all_numbers(tmp_path_factory):
    path = tmp_path_factory.mktemp('mask') / 'mask.png'
    return save(path, np.arange(256, dtype=np.uint8).reshape(16, 16))


@settings(max_examples=50, deadline=None)
@given(reduced=st.booleans(), label_map=st.none() | st.dictionaries(numbers, numbers, max_size=8))
def test_every_number_becomes_the_label_that_mmseg_gives_it(all_numbers, reduced, label_map):
    loaded = load(all_numbers, reduce_zero_label=reduced, label_map=label_map)
    assert label_table(reduced, label_map).tolist() == loaded.ravel().tolist()
