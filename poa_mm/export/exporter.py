"""Export of a sub-network to another library, with its model card."""

import hashlib
import importlib.metadata
import tempfile
from os import PathLike
from pathlib import Path

import rich.progress
from rich.console import Console

from poa_mm.checkpoints.checkpoint import load_config
from poa_mm.checkpoints.preprocessing import ImageSize, preprocessing_of
from poa_mm.elastic import Subnet, well_known_name
from poa_mm.export.formats import FORMATS, Format, card_paths, check_targets, put
from poa_mm.export.job import Job
from poa_mm.export.model_card import ModelCard, accuracy_from_csv
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.selection.cost import subnet_cost
from poa_mm.version import __version__

CHUNK = 2**20  # bytes


def export_subnet(
    supernet: ElasticBackbone,
    subnet: Subnet | str,
    path: str | PathLike,
    to: str,
    *,
    image_size: int | ImageSize | None = None,
    checkpoint: str | PathLike | None = None,
    branch: str = 'teacher',
    accuracy: str | Path | None = None,
    overwrite: bool = False,
) -> ModelCard:
    """Export a sub-network to another library, and write its model card as JSON and Markdown.

    The export is opened again and compared with the sub-network before it gets its name. The file
    and the cards (``<path>.json``, ``<path>.md``; in a folder ``card.json``, ``README.md``) appear
    complete or not at all.

    Args:
        supernet: Elastic backbone, as :func:`poa_mm.load_supernet` returns it.
        subnet: Which sub-network.
        path: File to write, or folder for the format ``timm``. Missing parent folders are made.
        to: One of ``FORMATS``.
        image_size: Height and width of the network's input images in pixels, or the side of square
            ones. Defaults to that of pre-training.
        checkpoint: File that the supernet was loaded from. The card names it, and the normalisation
            is taken from its config; without one, it is ImageNet's.
        branch: Branch of the checkpoint (``'teacher'`` or ``'student'``), for the card.
        accuracy: Table of ``tools/eval_knn.py`` with accuracies for the card.
        overwrite: Replace existing files, or the folder of an earlier export.

    Returns:
        The card.

    Raises:
        FileExistsError: A file exists and ``overwrite`` is not set, or the folder to replace also
            holds other files.
        FileNotFoundError: There is no such checkpoint or table of accuracies.
        ModuleNotFoundError: The format needs packages that are not installed.
        ValueError: The sub-network or format is unknown, the name does not suit the format, the
            format cannot express the network, or the outputs of the export differ.

    Example:
        >>> import tempfile
        >>> import poa_mm
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> supernet = ElasticVisionTransformer('deit-tiny', widths=[64, 128, 192], img_size=32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f'{folder}/w64-d12.safetensors'
        ...     card = export_subnet(supernet, 'w64-d12', path, to='safetensors')
        ...     net = poa_mm.load_backbone(path)
        >>> card.subnet, card.params == sum(p.numel() for p in net.parameters())
        ('w64-d12', True)
    """
    path = Path(path)
    check_targets(path, to, overwrite)
    chosen = FORMATS[to]
    member: Subnet = supernet.space.resolve(subnet)
    config = load_config(checkpoint) if checkpoint else {}
    preprocessing = preprocessing_of(supernet, config, image_size)
    cost = subnet_cost(supernet, member, preprocessing.image_size)
    about = {
        'subnet': str(member),
        'name': well_known_name(supernet.space, member),
        'family': supernet.subnet_cfg(member)['type'].split('.')[-1],
        'params': cost.params,
        'flops': cost.flops,
        'preprocessing': preprocessing.as_dict(),
        'accuracy': accuracy_from_csv(accuracy, supernet, member) if accuracy else {},
        'parent': _parent(checkpoint, branch) if checkpoint else {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{path.name}.', dir=path.parent) as folder:
        part = Path(folder) / path.name
        with Console(stderr=True).status(f'writing {path.name} and comparing it'):
            written = chosen.write(Job(supernet, member, preprocessing, about), part)
        weights = chosen.contents[:1]
        card = ModelCard(
            file='/'.join((path.name, *weights)),
            format=to,
            sha256=_sha256(part.joinpath(*weights)),
            versions=_versions(chosen),
            **about,
            **vars(written),
        )
        as_json, as_markdown = card_paths(part, to)
        as_json.write_text(card.to_json(), encoding='utf-8')
        as_markdown.write_text(card.to_markdown(), encoding='utf-8')
        put(part, path)
        if not chosen.contents:
            for made, target in zip((as_json, as_markdown), card_paths(path, to), strict=True):
                put(made, target)
    return card


def _parent(checkpoint: str | PathLike, branch: str) -> dict[str, str]:
    return {'file': Path(checkpoint).name, 'sha256': _sha256(checkpoint), 'branch': branch}


def _sha256(path: str | PathLike) -> str:
    """Compute the hash of a file chunk by chunk, since it may not fit into memory."""
    console = Console(stderr=True)
    with rich.progress.open(
        path,
        'rb',
        description='hashing',
        console=console,
        transient=True,
        disable=not console.is_terminal,  # in a log it would leave an empty line
    ) as file:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _versions(chosen: Format) -> dict[str, str]:
    names = ('torch', *chosen.packages)
    return {'poa_mm': __version__} | {name: importlib.metadata.version(name) for name in names}
