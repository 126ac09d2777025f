"""Measured latency of networks."""

from typing import Any

import torch
from torch import nn

from poa_mm.elastic import Subnet
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.registry import build_model
from poa_mm.selection.cost import ImageSize

SECONDS = 1.0  # total time of the repetitions, of which the median is taken
REPETITIONS = 5  # minimum, however slow the network is


def measure_latency(
    net: nn.Module,
    image_size: ImageSize = 224,
    batch_size: int = 1,
    threads: int = 1,
    seconds: float = SECONDS,
) -> float:
    """Measure the seconds of a forward pass in float32: the median of repetitions after a warm-up.

    Args:
        net: The network, on the device to measure. It is set to evaluation mode.
        image_size: Side of the images in pixels, or (height, width).
        batch_size: Images in a pass.
        threads: Number of CPU threads.
        seconds: How long to repeat. Slow networks run at least five times.

    Raises:
        ValueError: The batch size or the number of threads is not positive.

    Example:
        >>> measure_latency(nn.Conv2d(3, 8, kernel_size=4), image_size=32, seconds=0.01) > 0
        True
    """
    if batch_size < 1 or threads < 1:
        raise ValueError(f'batch_size and threads must be positive, got {batch_size} and {threads}')
    from torch.utils.benchmark import Timer  # importing it warns on machines without a GPU

    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    device = next(net.parameters()).device
    images = torch.zeros(batch_size, image_channels(net), height, width, device=device)
    net.eval()
    timer = Timer(  # synchronises GPUs and warms up
        'with torch.inference_mode(): net(images)',
        globals={'net': net, 'images': images, 'torch': torch},
        num_threads=threads,
    )
    once = timer.timeit(1).median
    return timer.blocked_autorange(min_run_time=max(seconds, REPETITIONS * once)).median


def subnet_latency(
    backbone: ElasticBackbone,
    subnet: Subnet | str | None,
    image_size: ImageSize = 224,
    device: str = 'cpu',
    **kwargs: Any,
) -> float:
    """Measure the seconds of a forward pass of an extracted sub-network with random weights.

    Args:
        backbone: Elastic backbone, with or without weights.
        subnet: Which sub-network; ``None`` is the intact network.
        image_size: Side of the images in pixels, or (height, width).
        device: Device to measure on.
        **kwargs: Other arguments of :func:`measure_latency`.
    """
    with torch.random.fork_rng():
        net = build_model(backbone.subnet_cfg(subnet)).to(device)
    return measure_latency(net, image_size, **kwargs)
