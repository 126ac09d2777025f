"""ResNets of any number of blocks and any width within the bottlenecks."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_conv_layer, build_norm_layer
from mmpretrain.models.backbones import ResNet
from mmpretrain.models.backbones.resnet import Bottleneck
from torch import nn

from poa_mm.registry import MODELS

EXPANSION = 4  # mmpretrain's own; a block of another middle width rebuilds its layers


class MidWidthBottleneck(Bottleneck):
    """mmpretrain's bottleneck with any number of middle channels, not only divisors of its output.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        mid_share: Middle channels as a share of the output channels: numerator and denominator.
        **kwargs: Those of mmpretrain's ``Bottleneck``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, mid_share: tuple[int, int], **kwargs: Any
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.mid_channels: int
        mid = out_channels * mid_share[0] // mid_share[1]
        if mid == self.mid_channels:
            return
        self.mid_channels = mid
        self.conv1 = self._convolution(in_channels, mid, 1, stride=self.conv1_stride)
        self.conv2 = self._convolution(
            mid, mid, 3, stride=self.conv2_stride, padding=self.dilation, dilation=self.dilation
        )
        self.conv3 = self._convolution(mid, out_channels, 1)
        for postfix in (1, 2):
            self.add_module(*build_norm_layer(self.norm_cfg, mid, postfix=postfix))

    def _convolution(self, inputs: int, outputs: int, kernel: int, **kwargs: Any) -> nn.Module:
        return build_conv_layer(self.conv_cfg, inputs, outputs, kernel, bias=False, **kwargs)


@MODELS.register_module()
class BottleneckResNet(ResNet):
    """mmpretrain's ``ResNet`` with any number of blocks and any middle width.

    Sub-networks of a ResNet are extracted as this class where mmpretrain's own cannot express them:
    that has the depths 50, 101 and 152, and middle widths that divide a block's output. Parameter
    names and outputs are those of ``ResNet``.

    Args:
        stage_blocks: Number of bottlenecks in each stage, such as ``(3, 4, 6, 3)``.
        mid_channels: Channels within the bottlenecks of the first stage; each stage has twice those
            of the one before.
        out_channels: Output channels of the first stage.
        drop_path_rate: Stochastic depth, rising linearly over the blocks.
        **kwargs: The other arguments of mmpretrain's ``ResNet``.

    Raises:
        ValueError: A number that is not positive, more than four stages, output channels that four
            does not divide, or arguments that these ones replace.
    """

    def __init__(
        self,
        stage_blocks: Sequence[int] = (3, 4, 6, 3),
        mid_channels: int = 64,
        out_channels: int = 256,
        drop_path_rate: float = 0.0,
        **kwargs: Any,
    ) -> None:
        replaced = [key for key in ('depth', 'base_channels', 'expansion') if key in kwargs]
        if replaced:
            raise ValueError(
                f'{", ".join(replaced)} cannot be set; give stage_blocks, mid_channels and '
                'out_channels'
            )
        stages = list(stage_blocks)
        if not 1 <= len(stages) <= 4 or any(not isinstance(n, int) or n < 1 for n in stages):
            raise ValueError(f'stage_blocks must be one to four positive numbers, got {stages}')
        if out_channels < 1 or out_channels % EXPANSION:
            raise ValueError(f'out_channels must be a multiple of {EXPANSION}, got {out_channels}')
        if mid_channels < 1:
            raise ValueError(f'mid_channels must be positive, got {mid_channels}')
        self.arch_settings = {sum(stages): (MidWidthBottleneck, tuple(stages))}
        self._mid_share = (mid_channels, out_channels)
        super().__init__(
            depth=sum(stages),
            base_channels=out_channels // EXPANSION,
            expansion=EXPANSION,
            drop_path_rate=drop_path_rate,
            **{
                'num_stages': len(stages),
                'strides': (1, 2, 2, 2)[: len(stages)],
                'dilations': (1,) * len(stages),
                'out_indices': (len(stages) - 1,),
                **kwargs,
            },
        )
        self.mid_channels = mid_channels

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build one stage, of blocks with our middle width."""
        return super().make_res_layer(mid_share=self._mid_share, **kwargs)

    def train(self, mode: bool = True) -> 'BottleneckResNet':
        """Set the mode and return the network, as torch does; mmpretrain's returns None."""
        super().train(mode)
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return a parameter's depth for layer-wise learning rates, and the number of depths.

        Blocks of the second and third stage count in groups, the other stages as one each. For the
        numbers of blocks that mmpretrain knows, it is mmpretrain's rule.
        """
        groups = [num_groups(stage, blocks) for stage, blocks in enumerate(self.stage_blocks)]
        last = sum(groups) + 1
        if not param_name.startswith(prefix):
            return last, last + 1
        name = param_name.removeprefix(prefix)
        if not name.startswith('layer'):
            return 0, last + 1
        layer, block = name.split('.')[:2]
        stage = int(layer.removeprefix('layer')) - 1
        size = group_size(stage, self.stage_blocks[stage])
        return 1 + sum(groups[:stage]) + int(block) // size, last + 1


def group_size(stage: int, blocks: int) -> int:
    """Return the number of blocks that share a learning rate in a stage."""
    if stage == 1:
        return 2 if blocks < 8 else 4
    if stage == 2:
        return 3 if blocks < 36 else 4
    return blocks


def num_groups(stage: int, blocks: int) -> int:
    """Count the learning rates in a stage."""
    return -(-blocks // group_size(stage, blocks))
