"""Whatever is wrong with the metadata of an image, its pixels are read, and upright if they say."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from poa_mm.datasets import read_image

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
SHORT, LONG, ASCII, BYTE, RATIONAL, UNDEFINED = 3, 4, 2, 1, 5, 7
LITTLE_ENDIAN = b'II*\0\x08\0\0\0'


def encode(kind, **options):
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, kind, **options)
    return file.getvalue()


def exif(*entries, count=None):
    """EXIF data with one directory of entries (tag, type, number of values, bytes)."""
    start = len(LITTLE_ENDIAN) + 2 + 12 * len(entries) + 4
    table, behind = struct.pack('<H', count or len(entries)), b''
    for tag, kind, number, value in entries:
        if len(value) > 4:
            value, behind = struct.pack('<L', start + len(behind)), behind + value
        table += struct.pack('<HHL', tag, kind, number) + value.ljust(4, b'\0')
    return LITTLE_ENDIAN + table + bytes(4) + behind


def jpeg_with(*segments):
    """A JPEG with further segments (marker, bytes) before all others."""
    data = encode('JPEG', quality=95)
    added = [
        bytes([0xFF, marker]) + struct.pack('>H', 2 + len(content)) + content
        for marker, content in segments
    ]
    return data[:2] + b''.join(added) + data[2:]


def chunk(name, content, crc=None):
    crc = zlib.crc32(name + content) if crc is None else crc
    return struct.pack('>L', len(content)) + name + content + struct.pack('>L', crc)


def png_with(*chunks, after_pixels=False):
    data = encode('PNG')
    at = data.index(b'IEND') - 4 if after_pixels else data.index(b'IDAT') - 4
    return data[:at] + b''.join(chunks) + data[at:]


def pixels(data, tmp_path, suffix):
    path = tmp_path / f'image.{suffix}'
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        return read_image(str(path))


TURNED = (0x0112, SHORT, 1, b'\6\0')  # to be turned clockwise by 90 degrees
TEXT_RESOLUTION = [
    (0x011A, ASCII, 5, b'72/1\0'),
    (0x011B, ASCII, 5, b'72/1\0'),
    (0x0128, SHORT, 1, b'\3\0'),
]
GPS = [(0x8825, LONG, 1, struct.pack('<L', 9_999))]  # its table lies behind the end

EXIF = {
    'resolution as text': (exif(TURNED, *TEXT_RESOLUTION), True),
    'two resolutions': (exif(TURNED, (0x011A, RATIONAL, 2, struct.pack('<4L', 7, 1, 8, 1))), True),
    'rational over zero': (exif(TURNED, (0x011A, RATIONAL, 1, bytes(8))), True),
    'no GPS table': (exif(TURNED, *GPS), True),
    'a table that holds itself': (exif(TURNED, (0x8769, LONG, 1, b'\x08\0\0\0')), True),
    'bytes for a text': (exif(TURNED, (0x010F, UNDEFINED, 4, b'\xff\xfe\0\1')), True),
    'unknown type': (exif(TURNED, (0x010F, 99, 4, b'abcd')), True),
    'value behind the end': (exif(TURNED, (0x010F, ASCII, 2**31, b'\xff\xff\xff\x7f')), True),
    'table cut off': (exif(TURNED, count=40), True),
    'header twice': (b'Exif\0\0' + exif(TURNED), True),
    'orientation as long': (exif((0x0112, LONG, 1, b'\6\0\0\0')), True),
    'orientation as byte': (exif((0x0112, BYTE, 1, b'\6')), True),
    'orientation as text': (exif((0x0112, ASCII, 2, b'6\0')), True),
    'orientation as ratio': (exif((0x0112, RATIONAL, 1, struct.pack('<2L', 6, 1))), True),
    'two orientations': (exif((0x0112, SHORT, 2, b'\6\0\6\0')), True),
    'orientation 0': (exif((0x0112, SHORT, 1, b'\0\0')), False),
    'orientation 9': (exif((0x0112, SHORT, 1, b'\x09\0')), False),
    'orientation 1.5': (exif((0x0112, RATIONAL, 1, struct.pack('<2L', 3, 2))), False),
    'orientation over zero': (exif((0x0112, RATIONAL, 1, bytes(8))), False),
    'orientation as words': (exif((0x0112, ASCII, 4, b'top\0')), False),
    'no value': (exif((0x0112, SHORT, 0, b'')), False),
    'no table': (LITTLE_ENDIAN, False),
    'no header': (b'', False),
    'noise': (bytes(range(100, 200)), False),
}


@pytest.mark.parametrize('name', EXIF)
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
def test_damaged_exif(name, kind, tmp_path):
    data, turned = EXIF[name]
    file = {
        'JPEG': lambda: jpeg_with((0xE1, b'Exif\0\0' + data)),
        'PNG': lambda: png_with(chunk(b'eXIf', data)),
        'WEBP': lambda: encode('WEBP', lossless=True, exif=data),
    }[kind]()
    clean = pixels(
        encode(kind, **({'quality': 95} if kind == 'JPEG' else {'lossless': True})), tmp_path, 'x'
    )
    expected = np.rot90(clean, k=-1) if turned else clean
    np.testing.assert_array_equal(pixels(file, tmp_path, kind), expected)


JPEG = {
    'JFIF cut off': [(0xE0, b'JFIF\0')],
    'JFIF of density 0': [(0xE0, b'JFIF\0\1\1\1\0\0\0\0\0\0')],
    'Photoshop cut off': [(0xED, b'Photoshop 3.0\x008BIM\3\xed')],
    'Photoshop resolution cut off': [(0xED, b'Photoshop 3.0\x008BIM\3\xed\0\0\0\0\0\x04abcd')],
    'Adobe cut off': [(0xEE, b'Adobe')],
    'colour profile of noise': [(0xE2, b'ICC_PROFILE\0\1\1' + bytes(99))],
    'second part of a colour profile': [(0xE2, b'ICC_PROFILE\0\2\2' + bytes(99))],
    'colour profile without numbers': [(0xE2, b'ICC_PROFILE\0')],
    'multi-picture of noise': [(0xE2, b'MPF\0' + bytes(40))],
    'multi-picture cut off': [(0xE2, b'MPF\0' + exif((0xB001, LONG, 1, b'\2\0\0\0')))],
    'multi-picture behind the end': [
        (
            0xE2,
            b'MPF\0' + exif((0xB001, LONG, 1, b'\2\0\0\0'), (0xB002, UNDEFINED, 32, b'\xff' * 32)),
        )
    ],
    'FlashPix': [(0xE2, b'FPXR\0')],
    'XMP of noise': [(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="\xff')],
    'no comment': [(0xFE, b'')],
    'all at once': [(0xE0, b'JFIF\0'), (0xED, b'Photoshop 3.0\x008BIM'), (0xE1, b'Exif\0\0')],
}


@pytest.mark.parametrize('name', JPEG)
@pytest.mark.parametrize('turned', [False, True])
def test_damaged_segments_of_a_jpeg(name, turned, tmp_path):
    segments = [*JPEG[name], (0xE1, b'Exif\0\0' + exif(TURNED))] if turned else JPEG[name]
    clean = pixels(jpeg_with(), tmp_path, 'jpg')
    if turned and name != 'all at once':
        clean = np.rot90(clean, k=-1)
    np.testing.assert_array_equal(pixels(jpeg_with(*segments), tmp_path, 'jpg'), clean)


PNG = {
    'check sum of a text': chunk(b'tEXt', b'a\0b', crc=0),
    'text of 100 MB': chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(100_000_000))),
    'text of noise': chunk(b'zTXt', b'a\0\0noise'),
    'text without end': chunk(b'iTXt', b'a\0\1'),
    'colour profile of 100 MB': chunk(b'iCCP', b'a\0\0' + zlib.compress(bytes(100_000_000))),
    'colour profile of noise': chunk(b'iCCP', b'a\0\0noise'),
    'colour profile without end': chunk(b'iCCP', b''),
    'sRGB': chunk(b'sRGB', b''),
    'gamma': chunk(b'gAMA', b'\0'),
    'chromaticities': chunk(b'cHRM', b'\0\1'),
    'resolution': chunk(b'pHYs', b'\0'),
    'transparency': chunk(b'tRNS', b'\0'),
    'animation': chunk(b'acTL', b'\0'),
    'no frames': chunk(b'acTL', bytes(8)),
    'frame': chunk(b'fcTL', b'\0'),
    'private': chunk(b'prVt', b'anything'),
}


@pytest.mark.parametrize('name', PNG)
@pytest.mark.parametrize('after_pixels', [False, True])
def test_damaged_chunks_of_a_png(name, after_pixels, tmp_path):
    file = png_with(PNG[name], chunk(b'eXIf', exif(TURNED)), after_pixels=after_pixels)
    np.testing.assert_array_equal(pixels(file, tmp_path, 'png'), np.rot90(RGB[..., ::-1], k=-1))


@pytest.mark.parametrize('compression', [None, 'tiff_lzw'])
@pytest.mark.parametrize(
    'entries',
    [
        TEXT_RESOLUTION,
        GPS,
        [(0x8769, LONG, 1, b'\xff\xff\xff\x0f')],
        [(700, SHORT, 2, b'\1\0\2\0')],
        [(34675, ASCII, 4, b'icc\0')],
        [(305, UNDEFINED, 4, b'\xff\xff\xff\xff')],
    ],
    ids=['resolution', 'GPS', 'EXIF', 'XMP', 'colour profile', 'software'],
)
def test_damaged_tags_of_a_tiff(entries, compression, tmp_path):
    data = encode('TIFF', compression=compression)
    at = struct.unpack('<L', data[4:8])[0]
    count = struct.unpack('<H', data[at : at + 2])[0]
    table = [data[i : i + 12] for i in range(at + 2, at + 2 + 12 * count, 12)]
    # A new table behind the end, with values behind it.
    values, behind = [], b''
    start = len(data) + 2 + 12 * (count + len(entries) + 1) + 4
    for tag, kind, number, value in [*entries, TURNED]:
        if len(value) > 4:
            value, behind = struct.pack('<L', start + len(behind)), behind + value
        values.append(struct.pack('<HHL', tag, kind, number) + value.ljust(4, b'\0'))
    tags = {struct.unpack('<H', entry[:2])[0]: entry for entry in table + values}
    added = struct.pack('<H', len(tags)) + b''.join(tags[tag] for tag in sorted(tags)) + bytes(4)
    added += bytes(12 * (count + len(entries) + 1 - len(tags)))
    file = data[:4] + struct.pack('<L', len(data)) + data[8:] + added + behind
    np.testing.assert_array_equal(pixels(file, tmp_path, 'tif'), np.rot90(RGB[..., ::-1], k=-1))


def test_a_colour_profile_and_a_comment_change_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    clean = pixels(encode('JPEG', quality=95), tmp_path, 'jpg')
    file = encode('JPEG', quality=95, icc_profile=profile, comment=b'a comment')
    np.testing.assert_array_equal(pixels(file, tmp_path, 'jpg'), clean)


def test_the_right_half_of_a_damaged_jpeg_does_not_become_grey(tmp_path):
    """Leaving out metadata must not make a file readable whose pixels are damaged."""
    data = jpeg_with((0xE0, b'JFIF\0'))
    with pytest.raises(ValueError, match='cannot be read as an image'):
        pixels(data[: len(data) // 2 + 100], tmp_path, 'jpg')
