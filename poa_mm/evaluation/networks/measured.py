"""One way in for all that is measured: sub-networks of a supernet, a file, a model of timm.

Each of them gives the same tokens to every protocol, so peers are measured as sub-networks are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from mmengine.config import Config
from torch import Tensor

from poa_mm.checkpoints.checkpoint import load_config, load_supernet
from poa_mm.checkpoints.preprocessing import ImageSize, Preprocessing, preprocessing_of
from poa_mm.elastic import Subnet, select_subnets, well_known_name
from poa_mm.evaluation.networks.shared_prefixes import SharedPrefixes
from poa_mm.evaluation.results import file_sha256
from poa_mm.evaluation.what import TIMM_PREFIX, check_what, is_timm_name
from poa_mm.file_kinds import EXPORTED, kind_of_file
from poa_mm.files import BACKBONE_INFO, SUPERNET_INFO, read_file
from poa_mm.models.backbones import ElasticBackbone

__all__ = ['Measured', 'MeasuredSupernet', 'Network', 'Tokens', 'open_measured']


@dataclass(frozen=True)
class Network:
    """A network that is measured.

    Args:
        name: Width and depth of a sub-network, ``'w384-d12'``, or the name of a model or file.
        known_as: Well-known name of a sub-network, such as ``'vit-s'``, or ''.
        params: Number of parameters, without a classifier.
        subnet: Width and depth, where there are any.
    """

    name: str
    known_as: str = ''
    params: int = 0
    subnet: Subnet | None = None


class Tokens(NamedTuple):
    """What a network makes of a batch of images.

    Attributes:
        cls: The feature of an image, (B, D): the class token after the final norm, or, of networks
            without one, what the network pools its last map to.
        patches: Tokens of the patches, (B, N, D), row by row.
        grid: Rows and columns of the patches; their product is N.
        levels: Features (B, D) from within the network, and :attr:`cls` as the last one, which
            linear probing joins; or None where there are no others.
    """

    cls: Tensor
    patches: Tensor
    grid: tuple[int, int]
    levels: tuple[Tensor, ...] | None = None


class Measured(Protocol):
    """Networks to measure, opened by :func:`open_measured`.

    Attributes:
        networks: What is measured, in order.
        source: File of the weights as it was named, or ``'timm'``.
        source_sha256: What tells files of one name apart.
        branch: ``'teacher'`` or ``'student'`` of a training checkpoint, '' of others.
        preprocessing: Size, crop and normalisation of the images that the networks expect.
        config: Of the run that trained the weights, with its data sets, or None.
        device: Where the networks run.
        dtype: Precision that they run in.
    """

    networks: Sequence[Network]
    source: str
    source_sha256: str
    branch: str
    preprocessing: Preprocessing
    config: Config | None
    device: torch.device
    dtype: torch.dtype

    def tokens(
        self, images: Tensor, networks: Sequence[Network] | None = None
    ) -> Iterator[tuple[Network, Tokens]]:
        """Run networks on a batch, without gradients.

        Args:
            images: Normalised images (B, C, H, W), on any device.
            networks: Which of :attr:`networks`; all by default.

        Yields:
            A network and its tokens, in an order that suits the computation.
        """


class MeasuredSupernet:
    """Sub-networks of a supernet; the first blocks that they share run once.

    Args:
        backbone: Elastic backbone in evaluation mode; it is moved to ``device``.
        subnets: Sub-networks to measure; all by default.
        source: See :class:`Measured`, as for all that follows.
        source_sha256: Likewise.
        branch: Likewise.
        preprocessing: Likewise; by default ImageNet's, at the size of the supernet.
        config: Likewise.
        device: Likewise; by default where the backbone is.
        dtype: Likewise; other types than float32 run under autocast.

    Example:
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> net = ElasticVisionTransformer('deit-tiny', depths=[6, 12], img_size=32).eval()
        >>> for network, tokens in MeasuredSupernet(net).tokens(torch.randn(2, 3, 32, 32)):
        ...     print(network.name, tuple(tokens.cls.shape), tuple(tokens.patches.shape))
        w192-d6 (2, 192) (2, 4, 192)
        w192-d12 (2, 192) (2, 4, 192)
    """

    def __init__(
        self,
        backbone: ElasticBackbone,
        subnets: Sequence[Subnet] | None = None,
        *,
        source: str = '',
        source_sha256: str = '',
        branch: str = '',
        preprocessing: Preprocessing | None = None,
        config: Config | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = next(backbone.parameters()).device if device is None else torch.device(device)
        self.backbone = backbone.to(self.device)
        self.networks: Sequence[Network] = tuple(
            Network(
                str(subnet),
                well_known_name(backbone.space, subnet),
                backbone.num_params(subnet),
                subnet,
            )
            for subnet in (backbone.subnets if subnets is None else subnets)
        )
        self.source = source
        self.source_sha256 = source_sha256
        self.branch = branch
        self.preprocessing = preprocessing or preprocessing_of(backbone, {})
        self.config = config
        self.dtype = dtype
        self._plan: tuple[tuple[Network, ...], SharedPrefixes] | None = None

    def tokens(
        self, images: Tensor, networks: Sequence[Network] | None = None
    ) -> Iterator[tuple[Network, Tokens]]:
        """Run sub-networks on a batch; see :meth:`Measured.tokens`."""
        chosen = tuple(self.networks if networks is None else networks)
        by_subnet = {network.subnet: network for network in chosen}
        grid = self.backbone.mask_grid(*images.shape[-2:])
        steps = self._shared(chosen).tokens_and_levels(images.to(self.device))
        for subnet, cls, patches, levels in without_gradients(steps, self.device, self.dtype):
            yield by_subnet[subnet], Tokens(cls, patches, grid, levels)

    def _shared(self, networks: tuple[Network, ...]) -> SharedPrefixes:
        """Return the plan of the passes, which is made once for all batches."""
        if self._plan is None or self._plan[0] != networks:
            subnets = [network.subnet for network in networks if network.subnet is not None]
            self._plan = networks, SharedPrefixes(self.backbone, subnets)
        return self._plan[1]


def without_gradients(
    steps: Iterator, device: torch.device, dtype: torch.dtype = torch.float32
) -> Iterator:
    """Go through an iterator of computations without gradients, under autocast unless in float32.

    Neither holds for what the caller does between two steps.
    """
    while True:
        with torch.no_grad(), torch.autocast(device.type, dtype, dtype != torch.float32):
            try:
                step = next(steps)
            except StopIteration:
                return
        yield step


def open_measured(
    what: str | Path,
    subnets: str = 'all',
    branch: str | None = None,
    *,
    device: str | torch.device = 'cpu',
    dtype: torch.dtype = torch.float32,
    image_size: int | ImageSize | None = None,
    timm_weights: str | Path = 'random',
) -> Measured:
    """Open what is to be measured.

    Args:
        what: One of

            - a training or converted checkpoint of a supernet;
            - the file of an extracted sub-network (``*.pth``, ``*.safetensors``);
            - an export: a folder for timm, TorchScript (``*.pt``) or ONNX (``*.onnx``);
            - the name of a model of timm, with or without ``timm:`` before it.
        subnets: Of a supernet: ``'all'``, ``'named'`` or names separated by commas.
        branch: Of a training checkpoint: ``'teacher'`` or ``'student'``; see
            :func:`poa_mm.load_supernet` for the default.
        device: Where the networks run.
        dtype: Precision that they run in, under autocast; exports for a fixed precision have their
            own.
        image_size: Height and width, or side, of the images. Defaults to those of pre-training.
        timm_weights: Of a model of timm: ``'random'`` (always the same ones), ``'pretrained'`` (of
            the Hub, or its cache) or a file of weights.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No such model of timm, sub-network or branch; a file of another kind, or a
            damaged one; options that do not fit.

    Example:
        >>> measured = open_measured('iter_1000.pth', 'smallest,w24-d3')
        >>> [network.name for network in measured.networks]
        ['w16-d2', 'w24-d3']
        >>> measured.preprocessing.image_size
        (16, 16)
    """
    from poa_mm.evaluation.networks import single_network as single

    device, path = torch.device(device), Path(what)
    if is_timm_name(what):
        return single.open_timm_model(
            str(what).removeprefix(TIMM_PREFIX), timm_weights, image_size, device, dtype
        )
    check_what(path)
    if not _is_supernet(path):
        if subnets != 'all':
            raise ValueError(f'{path} holds one network, so it has no sub-networks {subnets!r}')
        return single.open_file(path, image_size, device, dtype)
    backbone = load_supernet(path, branch)
    chosen = select_subnets(backbone.space, subnets)
    config = load_config(path)
    return MeasuredSupernet(
        backbone,
        chosen,
        source=str(path),
        source_sha256=file_sha256(path),
        branch=backbone.branch,
        preprocessing=preprocessing_of(backbone, config, image_size),
        config=config,
        device=device,
        dtype=dtype,
    )


def _is_supernet(path: Path) -> bool:
    """Tell whether a file is to be opened as a training checkpoint."""
    kind = None if path.is_dir() else kind_of_file(path)
    if path.is_dir() or (kind and kind.name in EXPORTED):
        return False
    content = read_file(path)
    return not isinstance(content, dict) or SUPERNET_INFO in content or BACKBONE_INFO not in content
