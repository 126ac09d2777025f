"""How long a network takes, measured."""

from typing import Any

import torch
from torch import nn

from poa_mm.models.backbones.supernet_layers import image_channels
from poa_mm.registry import MODELS
from poa_mm.selection.cost import ImageSize

SECONDS = 1.0  # of repetitions; the median over them counts
REPETITIONS = 5  # at least, however slow the network is


def measure_latency(
    net: nn.Module,
    image_size: ImageSize = 224,
    batch_size: int = 1,
    threads: int = 1,
    seconds: float = SECONDS,
) -> float:
    """Seconds of one forward pass in float32: the median of repetitions, after a warm-up.

    Args:
        net: The network, on the device to measure.
        image_size: Side of the images in pixels, or (height, width).
        batch_size: Images in a pass.
        threads: Of a CPU.
        seconds: How long to repeat; slow networks run a few times in any case.

    Raises:
        ValueError: A batch size or number of threads that is not positive.
    """
    if batch_size < 1 or threads < 1:
        raise ValueError(f'batch_size and threads must be positive, got {batch_size} and {threads}')
    from torch.utils.benchmark import Timer  # not earlier: it warns where there is no GPU

    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    device = next(net.parameters()).device
    images = torch.zeros(batch_size, image_channels(net), height, width, device=device)
    net.eval()
    timer = Timer(  # waits for GPUs, and warms up
        'with torch.inference_mode(): net(images)',
        globals={'net': net, 'images': images, 'torch': torch},
        num_threads=threads,
    )
    once = timer.timeit(1).median
    return timer.blocked_autorange(min_run_time=max(seconds, REPETITIONS * once)).median


def subnet_latency(
    backbone: Any, subnet: Any, image_size: ImageSize = 224, device: str = 'cpu', **kwargs: Any
) -> float:
    """Seconds of one forward pass of a sub-network, cut out, with random weights.

    Args:
        backbone: Elastic backbone, with or without weights.
        subnet: Which sub-network.
        image_size: Side of the images in pixels, or (height, width).
        device: Where to measure.
        **kwargs: Other arguments of :func:`measure_latency`.
    """
    with torch.random.fork_rng():
        net = MODELS.build(backbone.subnet_cfg(subnet)).to(device)
    return measure_latency(net, image_size, **kwargs)
