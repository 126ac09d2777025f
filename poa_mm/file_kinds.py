"""Recognise a file that is not of the expected kind, and say how to use it instead."""

import re
import zipfile
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from poa_mm.files import BACKBONE_INFO, SUPERNET_INFO

HEAD = 512  # bytes that tell most formats apart


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: What it is, as in ``it looks like …``.
        advice: What can be done with it.
    """

    name: str
    advice: str

    def __str__(self) -> str:
        """Write kind and advice as one sentence, without a full stop."""
        return f'it looks like {self.name}: {self.advice}'


# Names of the kinds that exports are of.
ONNX, SAFETENSORS = 'an exported ONNX network', 'a file of safetensors'
TORCHSCRIPT = 'a TorchScript network'
EXPORTED = (ONNX, SAFETENSORS, TORCHSCRIPT)
FETCH = 'download the file again, as itself'
ONE_NETWORK = 'it holds one network and no supernet, which poa_mm does not open'
TIMM = f'{ONE_NETWORK}; timm.create_model(NAME, checkpoint_path=FILE) does'
TORCHVISION = f'{ONE_NETWORK}; the model of torchvision with load_state_dict does'

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b'version https://git-lfs', Kind('a pointer of Git LFS', 'fetch the file with git lfs pull')),
    (b'<', Kind('a web page', FETCH)),
    (b'\x89HDF', Kind('an HDF5 file, such as of Keras', 'poa_mm reads files of torch.save')),
    (b'\x89PNG', Kind('an image', 'name a checkpoint')),
    (b'\xff\xd8\xff', Kind('an image', 'name a checkpoint')),
    (b'\x1f\x8b', Kind('a file packed with gzip', 'unpack it first')),
    (b'{', Kind('a text file', 'name a checkpoint')),
)
_SUFFIXES: dict[str, Kind] = {
    '.onnx': Kind(ONNX, 'onnxruntime.InferenceSession opens it'),
    '.py': Kind('a config', 'name a checkpoint that a run with it has written'),
    '.safetensors': Kind(
        SAFETENSORS,
        'poa_mm.load_backbone opens those of --to safetensors, '
        "timm.create_model('local-dir:FOLDER', pretrained=True) those of timm",
    ),
}
# Names of weights that a library alone has, in any place of its state dicts. The first one counts.
_WEIGHTS: tuple[tuple[str, Kind], ...] = (
    (
        r'dino_head\.(mlp|last_layer)\d',
        Kind(
            "a checkpoint of the authors' code", 'convert it first with tools/convert_official.py'
        ),
    ),
    (
        r'(^|\.)roi_head\.|(^|\.)bbox_head\.',
        Kind('a detector of mmdet', 'test it with tools/test.py and its config'),
    ),
    (
        r'(^|\.)decode_head\.',
        Kind('a segmentor of mmsegmentation', 'test it with tools/test.py and its config'),
    ),
    (
        r'^backbone\.layers\.\d+\.ln1\.|^backbone\.stages\.\d+\.blocks\.',
        Kind('a model of mmpretrain without a supernet', 'use it with its own config'),
    ),
    (
        r'^layers\.\d+\.ln1\.|^stages\.\d+\.blocks\.\d+\.attn\.w_msa\.',
        Kind(
            'a bare backbone of mmpretrain',
            "load it with init_cfg=dict(type='Pretrained', checkpoint=FILE)",
        ),
    ),
    (
        r'encoder_layer_\d+\.|^conv_proj\.|^features\.\d+\.\d+\.',
        Kind('weights of torchvision', TORCHVISION),
    ),
    (
        r'^(vit\.|swin\.|dinov2\.)?(embeddings|encoder)\.',
        Kind('weights of Hugging Face transformers', f'{ONE_NETWORK}; from_pretrained does'),
    ),
    (
        r'blocks\.\d+\.attn\.qkv\.|layers\.\d+\.blocks\.\d+\.attn\.',
        Kind('weights of a ViT or Swin of timm or DINO', TIMM),
    ),
    (
        r'^layer[1-4]\.\d+\.conv1\.',
        Kind('weights of a ResNet of torchvision, timm or mmpretrain', ONE_NETWORK),
    ),
)


def kind_of_file(path: str | PathLike) -> Kind | None:
    """Tell from its first bytes and its name what a file is that torch cannot read.

    Args:
        path: The file.

    Returns:
        Its kind, or ``None`` if it is of no known one.
    """
    path = Path(path)
    with path.open('rb') as file:
        head = file.read(HEAD)
    if not head:
        return Kind('an empty file', FETCH)
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    if zipfile.is_zipfile(path):
        return _kind_of_archive(path)
    start = head.lstrip(b'\xef\xbb\xbf \r\n\t')
    return next((kind for mark, kind in _STARTS if start.startswith(mark)), None)


def _kind_of_archive(path: Path) -> Kind | None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any('/code/' in name or name.endswith('constants.pkl') for name in names):
        return Kind(TORCHSCRIPT, 'torch.jit.load opens it')
    if any(name.endswith('.npy') for name in names):
        return Kind('arrays of NumPy', 'name a checkpoint')
    if not any(name.endswith('data.pkl') for name in names):
        return Kind('a zip archive of other files', 'unpack it first')
    return None


def kind_of_content(content: Any) -> Kind | None:
    """Tell what torch has read from a file that is not the one asked for.

    Args:
        content: What :func:`poa_mm.files.read_file` gives.

    Returns:
        Its kind, or ``None`` if it is of no known one.
    """
    if not isinstance(content, Mapping):
        return Kind(f'a saved {type(content).__name__}', 'save its state_dict()')
    if SUPERNET_INFO in content:
        return Kind('a training checkpoint of POA', 'name a sub-network of it with the tools')
    if BACKBONE_INFO in content:
        return Kind('an extracted backbone', 'poa_mm.load_backbone opens it')
    if set(content) == {'state', 'param_groups'}:
        return Kind('the state of an optimiser alone', 'name the checkpoint of its model')
    names = list(_names_of_weights(content))
    for pattern, kind in _WEIGHTS:
        if any(re.search(pattern, name) for name in names):
            return kind
    return None


def _names_of_weights(content: Mapping[Any, Any]) -> Iterable[str]:
    """Yield the names in a state dict, or in the state dicts that a file holds by name."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            for inner in value:
                yield str(inner).removeprefix('module.')
        else:
            yield str(name).removeprefix('module.')


def with_kind(message: str, kind: Kind | None) -> str:
    """Add to a message about a wrong file what it is instead, if that is known."""
    return message if kind is None else f'{message}; {kind}'
