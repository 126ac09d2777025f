"""Tracing of networks on the meta device: FLOPs and memory of activations."""

import weakref
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

__all__ = ['FusedAttention', 'Tracer']


class Tracer(TorchDispatchMode):
    """Count FLOPs, and track the memory of all tensors that operations allocate.

    Attributes:
        flops: FLOPs so far, two for a multiply-accumulate.
        bytes: Memory of the tensors that are alive.
        peak: Maximum of :attr:`bytes` so far.
        followed: Ids of the storages that are alive, weights excluded.
        within: FLOPs so far within modules of the network, by name.

    Args:
        net: The network that will run.
        modules: Modules of the network, by name, to count FLOPs within. Hooks stay on them.
    """

    def __init__(self, net: nn.Module, modules: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.flops = self.bytes = self.peak = 0
        self.followed: set[int] = set()
        weights = (*net.parameters(), *net.buffers())
        self._weights = {id(tensor.untyped_storage()) for tensor in weights}
        self.within = dict.fromkeys(modules or {}, 0)
        for name, module in (modules or {}).items():
            self._count_within(name, module)

    def _count_within(self, name: str, module: nn.Module) -> None:
        def begin(*args: object) -> None:
            self.within[name] -= self.flops

        def end(*args: object) -> None:
            self.within[name] += self.flops

        module.register_forward_pre_hook(begin)
        module.register_forward_hook(end)

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if _has_values(args):  # such as masks on the CPU, whose indices are counted
            return func(*args, **kwargs)
        rule = _rule(func, _frozen(args), _frozen(tuple(kwargs.items())))
        self.flops += rule.flops
        out = func(*args, **kwargs) if rule.outputs is None else _thawed(rule.outputs)
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._follow(tensor.untyped_storage())
        return out

    def _follow(self, storage: torch.UntypedStorage) -> None:
        # While a storage is alive, so is its Python object: the id stays unique.
        key, size = id(storage), storage.nbytes()
        if key in self._weights or key in self.followed:
            return
        self.followed.add(key)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        if key in self.followed:
            self.followed.remove(key)
            self.bytes -= size


def _has_values(args: tuple[Any, ...]) -> bool:
    """Tell whether an operation reads tensors that are not on the meta device."""
    return any(
        isinstance(part, Tensor) and part.device.type != 'meta' and part.ndim > 0
        for arg in args
        for part in (arg if isinstance(arg, list | tuple) else (arg,))
    )


class _Spec(NamedTuple):
    """All properties of a tensor on the meta device."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


class _Rule(NamedTuple):
    """Effect of an operation on shapes; outputs are ``None`` if it has to be run each time."""

    flops: int
    outputs: Any


@lru_cache(maxsize=2**15)
def _rule(func: OpOverload, args: Any, kwargs: Any) -> _Rule:
    """Find and remember the effect of an operation on shapes: most layers repeat operations.

    PyTorch's own meta kernels, many of them written in Python, take ten times as long.
    """
    args, kwargs = _thawed(args), dict(_thawed(kwargs))
    out = func(*args, **kwargs)
    formula = flop_registry.get(func._overloadpacket)
    flops = formula(*args, **kwargs, out_val=out) if formula else 0
    inputs = {
        id(tensor.untyped_storage())
        for tensor in tree_leaves((args, kwargs))
        if isinstance(tensor, Tensor)
    }
    made = [tensor for tensor in tree_leaves(out) if isinstance(tensor, Tensor)]
    values_matter = any(tensor.device.type != 'meta' for tensor in made)
    if not made or values_matter or any(id(t.untyped_storage()) in inputs for t in made):
        return _Rule(flops, None)
    return _Rule(flops, _frozen(out))


def _frozen(value: Any) -> Any:
    """Replace tensors in arguments or results of an operation by hashable descriptions."""
    if isinstance(value, Tensor):
        return _Spec(value.shape, value.stride(), value.dtype, value.device)
    return tuple(map(_frozen, value)) if isinstance(value, tuple | list) else value


def _thawed(value: Any) -> Any:
    """Invert :func:`_frozen` with new tensors."""
    if isinstance(value, _Spec):
        return torch.empty_strided(
            value.shape, value.stride, dtype=value.dtype, device=value.device
        )
    return tuple(map(_thawed, value)) if isinstance(value, tuple) else value


class FusedAttention(TorchFunctionMode):
    """Trace attention as one fused kernel, as CPUs and GPUs run it.

    That is of (B, heads, N, d). What has more dimensions, such as windows of images with a mask
    each, runs there, too, as two matrix products.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention and args[0].ndim == 4:
            return _fused_attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _fused_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **kwargs: Any
) -> Tensor:
    bias = None if attn_mask is None else attn_mask.to(query.dtype)
    attend = torch.ops.aten._scaled_dot_product_efficient_attention
    grad = torch.is_grad_enabled()
    return attend(query, key, value, bias, compute_log_sumexp=grad, **kwargs)[0]
