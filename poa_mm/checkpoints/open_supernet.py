"""Open a supernet from a checkpoint or from a config."""

from os import PathLike
from pathlib import Path

from mmengine.config import Config

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.checkpoints.checkpoint import load_config, load_supernet
from poa_mm.checkpoints.config_file import read_config
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone
from poa_mm.registry import ELASTIC_BACKBONES


def open_supernet(path: str | PathLike) -> ElasticBackbone:
    """Open an elastic backbone: a checkpoint with its weights, or a config without any.

    Args:
        path: Training or converted checkpoint, or a config file (``*.py``) whose
            ``model.backbone`` is elastic; that one has no weights and lies on the meta device.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Neither a checkpoint of POA nor such a config.

    Examples:
        >>> supernet = open_supernet('iter_1000.pth')
        >>> supernet.num_params('w16-d2') < supernet.num_params()
        True
    """
    path = Path(path)
    if path.suffix != '.py':
        return load_supernet(path)
    backbone = read_config(path).get('model', {}).get('backbone', {})
    if str(backbone.get('type')).split('.')[-1] not in ELASTIC_BACKBONES.module_dict:
        raise ValueError(
            f'model.backbone of {path} is of type {backbone.get("type")}; elastic are '
            f'{", ".join(ELASTIC_BACKBONES.module_dict)}'
        )
    supernet = build_on_meta(backbone)
    assert isinstance(supernet, ElasticBackbone)  # as all that is registered as elastic
    return supernet


def supernet_config(path: str | PathLike) -> Config:
    """Read the config that :func:`open_supernet` reads, or of the run that wrote a checkpoint."""
    path = Path(path)
    return read_config(path) if path.suffix == '.py' else load_config(path)
