"""Single networks to measure: extracted sub-networks, exports, models of timm."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from poa_mm.checkpoints.checkpoint import load_backbone
from poa_mm.checkpoints.preprocessing import (
    ImageSize,
    Preprocessing,
    imagenet_preprocessing,
    stored_preprocessing,
)
from poa_mm.checkpoints.safetensors_file import ABOUT, SUFFIX, read_tensors
from poa_mm.elastic import subnet_of_name
from poa_mm.evaluation.networks.exported import Exported, open_onnx, open_torchscript
from poa_mm.evaluation.networks.measured import Network, Tokens, without_gradients
from poa_mm.evaluation.networks.stock_tokens import stock_tokens
from poa_mm.evaluation.networks.timm_models import create_timm, timm_preprocessing, timm_tokens
from poa_mm.evaluation.results import file_sha256
from poa_mm.export.formats import WEIGHTS
from poa_mm.export.timm import load_timm
from poa_mm.file_kinds import ONNX, TORCHSCRIPT, kind_of_file
from poa_mm.files import read_file

__all__ = ['SingleNetwork', 'open_file', 'open_timm_model']


class SingleNetwork:
    """One network, as :class:`~poa_mm.evaluation.networks.measured.Measured` has it.

    Args:
        run: From images (B, C, H, W), normalised, to tokens.
        network: Its name and size.
        preprocessing: What images it expects.
        source: File of the weights, or ``'timm'``.
        source_sha256: What tells files of one name apart.
        device: Where it runs.
        dtype: Precision that it runs in.
    """

    branch = ''
    config: Config | None = None

    def __init__(
        self,
        run: Callable[[Tensor], Tokens],
        network: Network,
        preprocessing: Preprocessing,
        source: str,
        source_sha256: str,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.run = run
        self.networks: Sequence[Network] = (network,)
        self.preprocessing = preprocessing
        self.source = source
        self.source_sha256 = source_sha256
        self.device = device
        self.dtype = dtype

    def tokens(
        self, images: Tensor, networks: Sequence[Network] | None = None
    ) -> Iterator[tuple[Network, Tokens]]:
        """Run the network on a batch; see :meth:`Measured.tokens`."""
        for network in self.networks if networks is None else networks:
            steps = (self.run(batch) for batch in [images.to(self.device)])
            for tokens in without_gradients(steps, self.device, self.dtype):
                yield network, tokens


def open_file(
    path: Path, image_size: int | ImageSize | None, device: torch.device, dtype: torch.dtype
) -> SingleNetwork:
    """Open the file of one network, or a folder for timm.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file of another kind, a damaged one, or an image size or precision that an
            export does not take.
    """
    if path.is_dir():
        return _open_timm_folder(path, image_size, device, dtype)
    kind = kind_of_file(path)
    if kind is not None and kind.name in (ONNX, TORCHSCRIPT):
        opened = (open_onnx if kind.name == ONNX else open_torchscript)(path, device)
        return _exported(opened, path, image_size, device, dtype)
    net = load_backbone(path)
    preprocessing = _sized(stored_preprocessing(path) or imagenet_preprocessing(net), image_size)
    return SingleNetwork(
        stock_tokens(net.to(device)),
        _network(_about(path), path, num_params(net)),
        preprocessing,
        str(path),
        file_sha256(path),
        device,
        dtype,
    )


def open_timm_model(
    name: str,
    weights: str | Path,
    image_size: int | ImageSize | None,
    device: torch.device,
    dtype: torch.dtype,
) -> SingleNetwork:
    """Open a model of timm by its name; see :func:`~poa_mm.evaluation.open_measured`.

    Raises:
        FileNotFoundError: No such file of weights.
        ValueError: timm has no such model, weights that do not fit, or ones that cannot be
            downloaded.
    """
    net = create_timm(name, weights, image_size)
    from_file = str(weights) not in ('random', 'pretrained')
    return SingleNetwork(
        timm_tokens(net.to(device)),
        Network(name, params=num_params(net)),
        _sized(timm_preprocessing(net), image_size),
        str(weights) if from_file else 'timm',
        weights_sha256(net),
        device,
        dtype,
    )


def num_params(net: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in net.parameters())


def weights_sha256(net: nn.Module) -> str:
    """SHA-256 of all weights with their names, for networks that no file tells apart."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _open_timm_folder(
    path: Path, image_size: int | ImageSize | None, device: torch.device, dtype: torch.dtype
) -> SingleNetwork:
    net = load_timm(path)
    about = json.loads(read_tensors(path / WEIGHTS)[1].get(ABOUT, '{}'))
    stored = stored_preprocessing(path / WEIGHTS)
    return SingleNetwork(
        timm_tokens(net.to(device)),
        _network(about, path, num_params(net)),
        _sized(stored or timm_preprocessing(net), image_size),
        str(path),
        file_sha256(path / WEIGHTS),
        device,
        dtype,
    )


def _exported(
    opened: Exported,
    path: Path,
    image_size: int | ImageSize | None,
    device: torch.device,
    dtype: torch.dtype,
) -> SingleNetwork:
    """Describe an export for a fixed image size, in float32."""
    preprocessing = Preprocessing.from_dict(opened.about.get('preprocessing'))
    if _sized(preprocessing, image_size) != preprocessing:
        height, width = preprocessing.image_size
        raise ValueError(
            f'{path} was exported for images of {height} × {width}: leave out --image-size'
        )
    if dtype != torch.float32:
        raise ValueError(f'{path} was exported in float32: leave out --dtype')
    network = _network(opened.about, path, int(opened.about.get('params', 0)))
    return SingleNetwork(
        opened.run, network, preprocessing, str(path), file_sha256(path), device, dtype
    )


def _about(path: Path) -> dict[str, Any]:
    if path.suffix == SUFFIX:
        return json.loads(read_tensors(path)[1].get(ABOUT, '{}'))
    return read_file(path)


def _network(about: dict[str, Any], path: Path, params: int) -> Network:
    """Name a network as the file does, or else after the file."""
    name = about.get('subnet')
    known_as = about.get('name')
    return Network(
        name if isinstance(name, str) else path.stem,
        known_as if isinstance(known_as, str) else '',
        params,
        subnet_of_name(name) if isinstance(name, str) else None,
    )


def _sized(preprocessing: Preprocessing, image_size: int | ImageSize | None) -> Preprocessing:
    if image_size is None:
        return preprocessing
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    return replace(preprocessing, image_size=size)
