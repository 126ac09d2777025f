"""The network to export, with the same two outputs for every family."""

import copy
import inspect
from typing import Any

import torch
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import ShiftWindowMSA
from torch import Tensor, nn

from poa_mm.checkpoints.preprocessing import ImageSize
from poa_mm.elastic import Subnet
from poa_mm.export.check import example_images
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.registry import MODELS

# Layouts of a stock backbone's last output, and how its features are pooled.
POOLING = {
    'map': 'mean of the last map',  # (B, D, h, w)
    'class token': 'class token after the final norm',  # (B, 1 + h·w, D)
    'tokens': 'mean of the last tokens',  # (B, h·w, D)
    'transposed tokens': 'mean of the last tokens',  # (B, D, h·w)
}


class FeatureNet(nn.Module):
    """A stock backbone as a network from images to pooled features and the last feature map.

    Args:
        backbone: Network that returns a tuple of outputs.
        layout: Layout of the last output, a key of ``POOLING``.
        grid: Rows and columns of the tokens, if the layout is one of tokens.
    """

    def __init__(
        self, backbone: nn.Module, layout: str = 'map', grid: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.layout = layout
        self.grid = grid

    @property
    def pooling(self) -> str:
        """Description of the pooled features."""
        return POOLING[self.layout]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute pooled features (B, D) and feature map (B, D, h, w) of images (B, C, H, W).

        Pooled features are the class token after the final norm, or, without one, the mean of the
        map.
        """
        out = self.backbone(images)[-1]
        if self.layout == 'map':
            return out.mean(dim=(2, 3)), out
        if self.layout == 'class token':
            return out[:, 0], out[:, 1:].transpose(1, 2).unflatten(2, self.grid)
        channels_first = out if self.layout == 'transposed tokens' else out.transpose(1, 2)
        return channels_first.mean(dim=2), channels_first.unflatten(2, self.grid)


def feature_net(supernet: ElasticBackbone, subnet: Subnet, image_size: ImageSize) -> FeatureNet:
    """Extract a sub-network as a :class:`FeatureNet` for images of one size.

    Raises:
        ValueError: It is a Vision Transformer without a class token, or of another family whose
            last output is neither a map nor the patch tokens.
    """
    size = image_size_argument(supernet, subnet, image_size)
    if not isinstance(supernet, VisionTransformer):
        stock = supernet.extract(subnet, **size)
        stock.eval()
        layout = _layout(stock, supernet, subnet, image_size)
        net = FeatureNet(stock, layout, supernet.mask_grid(*image_size))
    elif supernet.cls_token is None:
        raise ValueError(
            'a Vision Transformer is exported with its class token as feature; this one has none '
            '(with_cls_token=False); the formats mmpretrain and safetensors take it'
        )
    else:
        stock = supernet.extract(subnet, out_type='raw', out_indices=[-1], **size)
        net = FeatureNet(stock, 'class token', tuple(stock.patch_resolution))
    net.eval()
    return net


@torch.no_grad()
def _layout(
    stock: nn.Module, supernet: ElasticBackbone, subnet: Subnet, image_size: ImageSize
) -> str:
    """Find the layout of a stock backbone's last output, a key of ``POOLING``.

    Raises:
        ValueError: It is neither a map nor the patch tokens of the supernet.
    """
    shape = (image_channels(supernet), *image_size)
    images = example_images(1, shape).to(next(supernet.parameters()))
    out = stock(images)[-1]
    if out.ndim == 4:
        return 'map'
    patches = supernet.tokens(images, subnet)[1]
    # With as many tokens as channels, both layouts have the same shape: compare values.
    distances = {
        name: (tokens - patches).abs().max().item()
        for name, tokens in (('tokens', out), ('transposed tokens', out.mT))
        if tokens.shape == patches.shape
    }
    if not distances:
        raise ValueError(
            f'{type(stock).__name__} gives {tuple(out.shape)}, neither a map (B, D, h, w) nor the '
            f'patch tokens {tuple(patches.shape)}; the formats mmpretrain and safetensors take '
            'any backbone'
        )
    return min(distances, key=lambda name: distances[name])


def image_size_argument(
    supernet: ElasticBackbone, subnet: Subnet, image_size: ImageSize
) -> dict[str, Any]:
    """Return ``img_size`` for the stock class of a sub-network, if it has this argument."""
    stock_class = MODELS.get(supernet.subnet_cfg(subnet)['type'])
    takes_size = 'img_size' in inspect.signature(stock_class).parameters
    height, width = image_size
    # A number if possible: files turn a tuple into a list, which not every class takes.
    return {'img_size': height if height == width else [height, width]} if takes_size else {}


class TraceableShiftWindowMSA(ShiftWindowMSA):
    """mmpretrain's shifted windows for one image size, traceable for any batch and device.

    A trace of the stock class fixes the batch size, and the device of its mask.
    """

    @staticmethod
    def window_reverse(windows: Tensor, height: int, width: int, size: int) -> Tensor:
        """Join windows (B · h · w, size, size, C) to a map (B, height, width, C)."""
        channels = windows.shape[-1]
        grid = windows.view(-1, height // size, width // size, size, size, channels)
        return grid.transpose(2, 3).reshape(-1, height, width, channels)

    def get_attn_mask(self, *args: Any, **kwargs: Any) -> Tensor | None:
        """Compute the stock class's mask once and keep it as a buffer."""
        if not hasattr(self, 'shift_mask'):
            mask = ShiftWindowMSA.get_attn_mask(*args, **kwargs)
            self.register_buffer('shift_mask', mask, persistent=False)
        return self.shift_mask


@torch.no_grad()
def traceable(net: FeatureNet, images: Tensor) -> FeatureNet:
    """Copy a network so that it can be traced with images of the size of ``images``."""
    net = copy.deepcopy(net)
    for module in net.modules():
        if type(module) is ShiftWindowMSA:
            module.__class__ = TraceableShiftWindowMSA
    net(images)  # computes all masks
    return net


@torch.no_grad()
def describe_outputs(net: FeatureNet, images: Tensor) -> str:
    """Describe names, shapes and meaning of the outputs for images of the size of ``images``."""
    features, feature_map = net(images)
    width, (_, channels, height, columns) = features.shape[1], feature_map.shape
    return (
        f'`features` (B, {width}), {net.pooling}; `feature_map` '
        f'(B, {channels}, {height}, {columns})'
    )
