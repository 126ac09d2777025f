"""The attention of the last block of any network whose blocks attend to the whole image.

Nothing is known of the network's modules: what it passes to torch's attention is watched. So
normalised queries, rotary positions, biases and scales are those with which it really runs.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from poa_mm.evaluation.networks.measured import Measured, Network, Tokens

__all__ = ['watched_tokens']


class _Watch(TorchFunctionMode):
    """Keep what the last call of ``scaled_dot_product_attention`` got, and the shapes of all."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, int]] = set()  # images and tokens that are attended to
        self.last: tuple[Tensor, Tensor, Tensor | None, float] | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call the function, as if nobody watched."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            self._keep(*args, **kwargs)
        return func(*args, **kwargs)

    def is_whole(self, images: int) -> bool:
        """Tell whether all calls attended to as many tokens, of no more pieces than images."""
        # Of fewer images as well: what runs networks first compares two ways on one of them.
        return len({keys for _, keys in self.shapes}) == 1 and max(self.shapes)[0] <= images

    def _keep(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **others: Any,
    ) -> None:
        self.shapes.add((len(key), key.shape[-2]))
        self.last = (query, key, attn_mask, query.shape[-1] ** -0.5 if scale is None else scale)


def watched_tokens(
    measured: Measured, network: Network, images: Tensor
) -> tuple[Tokens, Tensor | None]:
    """Run a network, and watch the attention of its last block.

    Args:
        measured: Networks.
        network: One of them.
        images: Normalised images (B, C, H, W).

    Returns:
        The tokens, and softmax(q kᵀ / √d) of the class token as the query, or of whatever token
        comes first or pools: float32 (B, heads, N), for the N patches. Where there are only
        patches, it is the mean over all of them as queries. None of networks whose blocks do not
        all attend to the whole image (Swin, ResNet) or cannot be watched (exports).
    """
    with _Watch() as watch:
        ((_, tokens),) = measured.tokens(images, [network])
    if watch.last is None or not watch.is_whole(len(images)):
        return tokens, None
    query, key, mask, scale = watch.last
    extra = key.shape[-2] - tokens.patches.shape[1]  # class token, registers
    if len(key) != len(images) or extra < 0 or query.ndim != 4:
        return tokens, None
    if extra:
        query = query[:, :, :1]
        mask = mask if mask is None or mask.shape[-2] == 1 else mask[..., :1, :]
    with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
        weights = _softmax(query.float() @ key.float().mT * scale, mask)
    return tokens, weights.mean(dim=2)[..., extra:]


def _softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, float('-inf'))
    elif mask is not None:
        scores = scores + mask.float()
    return scores.softmax(dim=-1)
