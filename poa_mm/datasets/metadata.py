"""Read the orientation from the metadata of image files, and remove damaged metadata."""

from collections.abc import Callable, Iterator

from PIL import Image

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → how to turn the stored pixels upright."""

PIXEL_TAGS = frozenset(
    [
        *(254, 255, 256, 257, 258, 259, 262, 266, 273, ORIENTATION, 277, 278, 279, 284, 292, 293),
        *(317, 320, 322, 323, 324, 325, 332, 334, 338, 339, 347),
        *range(512, 522),  # JPEG
        *range(529, 533),  # YCbCr
    ]
)
"""Tags of a TIFF without which its pixels cannot be decoded, and the orientation."""


def turn_of(exif: Callable[[], Image.Exif]) -> Image.Transpose | None:
    """Return how to rotate an image upright; None if it is, or if its EXIF data is unreadable.

    Args:
        exif: Reads the EXIF data, and may raise whatever it likes: damaged fields, of whatever
            kind, are no reason to lose the pixels.
    """
    try:
        value = exif().get(ORIENTATION)
        # Some cameras write a byte or a list where the standard has one number.
        number = value[0] if isinstance(value, bytes | tuple) else value
        return TURNS.get(int(number or 0))
    except Exception:
        return None


def read_exif(data: bytes) -> Image.Exif:
    """Return the EXIF data of a file's segment or chunk."""
    exif = Image.Exif()
    exif.load(data)
    return exif


def without_metadata(data: bytes) -> tuple[bytes, bytes]:
    """Return an image file with only what its pixels need, and its EXIF data (b'' if none).

    For JPEG, PNG and TIFF; a file of another format comes back as it is.
    """
    if data.startswith(b'\xff\xd8'):
        return _bare_jpeg(data)
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        return _bare_png(data)
    if data.startswith((b'II*\0', b'MM\0*')):
        return _bare_tiff(data), b''
    return data, b''


def _bare_jpeg(data: bytes) -> tuple[bytes, bytes]:
    kept, exif = [data[:2]], b''
    for marker, segment in _jpeg_segments(data):
        content = segment[4:]
        if marker == 0xE1 and content.startswith(b'Exif\0\0'):
            exif = exif or content
        # Adobe's segment says how the colours are stored; comments and all others are metadata.
        adobe = marker == 0xEE and content.startswith(b'Adobe') and len(content) >= 12
        if adobe or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(segment)
    return b''.join(kept), exif


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield markers with their segments, the last with all scans."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] == 0xFF:  # filling
            at += 1
            continue
        marker = data[at + 1]
        # The start of the scans; before that every marker has a length.
        end = len(data) if marker == 0xDA else at + 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
        yield marker, data[at:end]
        at = end


def _bare_png(data: bytes) -> tuple[bytes, bytes]:
    kept, exif, at = [data[:8]], b'', 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], 'big')
        name = data[at + 4 : at + 8]
        if name in (b'IHDR', b'PLTE', b'IDAT', b'IEND'):  # transparency is dropped anyway
            kept.append(data[at:end])
        elif name == b'eXIf':
            exif = data[at + 8 : end - 4]
        at = end
    return b''.join(kept), exif


def _bare_tiff(data: bytes) -> bytes:
    """Return the file with a shorter first table of tags."""
    order = 'little' if data.startswith(b'II') else 'big'

    def number(start: int, length: int) -> int:
        return int.from_bytes(data[start : start + length], order)  # type: ignore[arg-type]

    at = number(4, 4)
    entries = [data[i : i + 12] for i in range(at + 2, at + 2 + 12 * number(at, 2), 12)]
    kept = [
        entry
        for entry in entries
        if int.from_bytes(entry[:2], order) in PIXEL_TAGS  # type: ignore[arg-type]
    ]
    table = len(kept).to_bytes(2, order) + b''.join(kept) + bytes(4)  # type: ignore[arg-type]
    return data[:at] + table + data[at + len(table) :]
