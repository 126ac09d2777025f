"""Tokens of many sub-networks, with the blocks that they share run once.

Sub-networks of one width run the same first blocks until their choices of blocks part (Eq. 4): the
blocks of all depths form a tree for each width. Of ViT-L's 13 depths, 161 of 234 blocks differ.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import groupby
from typing import Any, NamedTuple

from torch import Tensor, nn

from poa_mm.elastic import ElasticLayer, Subnet
from poa_mm.models.backbones import ElasticBackbone

__all__ = ['SharedPrefixes', 'block_path', 'grid_tokens']

# Largest difference between tokens of shared and of separate passes, relative to the largest token.
# Both run the same operations on the same inputs: usually there is none.
TOLERANCE = 1e-6

# A sub-network, class token (B, D), patch tokens (B, N, D), features of levels (B, D).
# What slices the weights of a layer to a width.
Slices = Callable[[int], dict[str, Tensor]]
TokensAndLevels = tuple[Subnet, Tensor, Tensor, tuple[Tensor, ...]]


class Pass(NamedTuple):
    """One sub-network's pass through the blocks.

    Attributes:
        subnet: The sub-network.
        path: Its blocks, as :func:`block_path` returns them.
        reused: Number of its first blocks that the pass before has run as well.
        kept: Numbers of first blocks after which later passes go on.
    """

    subnet: Subnet
    path: tuple[int, ...]
    reused: int
    kept: frozenset[int]


class SharedPrefixes:
    """Plan of the passes through many sub-networks in which shared first blocks run once.

    Outputs of blocks are kept only where later passes go on from them: a few at a time, whatever
    the number of sub-networks.

    Args:
        backbone: Elastic backbone of any family.
        subnets: Sub-networks to run.

    Attributes:
        passes: The passes in the order in which they run.

    Example:
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> arch = {'embed_dims': 32, 'num_layers': 24, 'num_heads': 4, 'feedforward_channels': 64}
        >>> net = ElasticVisionTransformer(arch, depths=range(12, 25), img_size=16, patch_size=4)
        >>> plan = SharedPrefixes(net.eval(), net.subnets)
        >>> plan.num_blocks, plan.num_separate_blocks
        (161, 234)
    """

    def __init__(self, backbone: ElasticBackbone, subnets: Sequence[Subnet]) -> None:
        self.backbone = backbone
        self._blocks: list[nn.Module] = list(backbone.blocks)
        self._elastic_layers = [m for m in backbone.modules() if isinstance(m, ElasticLayer)]
        self.passes = _plan({subnet: block_path(backbone, subnet) for subnet in subnets})
        self._unchecked = 2 * any(one.reused for one in self.passes)  # images still to compare
        # Compiled blocks do not call their forward.
        self._shared = not any(
            block._compiled_call_impl or 'forward' in vars(block) for block in self._blocks
        )
        # By the number of blocks that were run: outputs, and features of levels.
        self._outputs: dict[int, Tensor] = {}
        # A level that lies in shared blocks is computed by the first of the passes.
        self._level_numbers: dict[int, set[int]] = defaultdict(set)
        for subnet in subnets:
            numbers = {block + 1 for block in backbone.level_blocks(subnet)}
            self._level_numbers[subnet.width] |= numbers
        self._levels: dict[int, Tensor] = {}

    @property
    def num_blocks(self) -> int:
        """Number of blocks that one batch runs through."""
        return sum(len(one.path) - one.reused for one in self.passes)

    @property
    def num_separate_blocks(self) -> int:
        """Number of blocks that one batch would run through in separate passes."""
        return sum(len(one.path) for one in self.passes)

    def tokens(self, images: Tensor) -> Iterator[tuple[Subnet, Tensor, Tensor]]:
        """Run all sub-networks on a batch.

        The first two images also run in separate passes. If tokens differ there, as they can for
        families whose tokens depend on more than the output of the last block, no blocks are
        shared.

        Args:
            images: Images, (B, C, H, W).

        Yields:
            A sub-network, its class token (B, D) and its patch tokens (B, N, D), equal to those of
            ``backbone.tokens(images, subnet)``. Sub-networks come in the order of :attr:`passes`.

        Raises:
            ValueError: The backbone is in training mode, where passes are random.
        """
        for subnet, cls, patches, _ in self.tokens_and_levels(images):
            yield subnet, cls, patches

    def tokens_and_levels(self, images: Tensor) -> Iterator[TokensAndLevels]:
        """Run all sub-networks on a batch; see :meth:`tokens`.

        Yields:
            A sub-network, its class and patch tokens, and the features (B, D) of its levels: those
            of the blocks that :meth:`ElasticBackbone.level_blocks` names, then the class token.
        """
        if self.backbone.training:
            raise ValueError('sub-networks share blocks in evaluation mode only: call eval() first')
        if self._shared and self._unchecked:
            compared = images[: self._unchecked]
            self._shared = self._agrees(compared)
            self._unchecked -= len(compared)
        yield from self._run(images) if self._shared else self._run_separately(images)

    def _run(self, images: Tensor) -> Iterator[TokensAndLevels]:
        self._outputs.clear()
        for _, passes in groupby(self.passes, lambda one: one.subnet.width):
            slices: dict[nn.Module, Slices] = {}
            for one in passes:
                self._levels = {n: out for n, out in self._levels.items() if n <= one.reused}
                with self._sharing(one), self._sliced_once(slices):
                    # What runs before a kept output takes over is not used: one image will do.
                    needed = images[:1] if one.reused else images
                    cls, patches = self.backbone.tokens(needed, one.subnet)
                self._outputs = {n: out for n, out in self._outputs.items() if n in one.kept}
                yield one.subnet, cls, patches, self._levels_of(one, cls)

    def _run_separately(self, images: Tensor) -> Iterator[TokensAndLevels]:
        for one in self.passes:
            self._levels = {}
            with self._listening(one):
                cls, patches = self.backbone.tokens(images, one.subnet)
            yield one.subnet, cls, patches, self._levels_of(one, cls)

    def _levels_of(self, one: Pass, cls: Tensor) -> tuple[Tensor, ...]:
        numbers = self.backbone.level_blocks(one.subnet)
        return (*(self._levels[number + 1] for number in numbers), cls)

    def _agrees(self, images: Tensor) -> bool:
        """Check on some images that tokens are those of separate passes."""
        expected = list(self._run_separately(images))  # images that do not fit raise here
        try:
            pairs = zip(expected, self._run(images), strict=True)
            return all(_close(separate, shared) for separate, shared in pairs)
        except (IndexError, RuntimeError, TypeError):  # what follows a skipped block may refuse it
            return False

    @contextmanager
    def _sharing(self, one: Pass) -> Iterator[None]:
        """Have the blocks of a pass return kept outputs, and keep those that later ones need."""
        calls = iter(enumerate(one.path, start=1))
        level_numbers = self._level_numbers[one.subnet.width]

        def run(index: int, forward: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            number, expected = next(calls, (0, None))
            if index != expected:
                raise RuntimeError(f'block {index} ran in place of block {expected}')
            if number < one.reused:
                return x  # the next blocks are skipped, too, and then a kept output takes over
            if number == one.reused:
                return self._outputs[number]
            x = forward(x, *args, **kwargs)
            if number in level_numbers:
                self._levels[number] = self.backbone.level(index, x)
            if number in one.kept:
                self._outputs[number] = x
            return x

        for index, block in enumerate(self._blocks):
            block.forward = partial(run, index, block.forward)
        try:
            yield
        finally:
            for block in self._blocks:
                del block.forward

    @contextmanager
    def _sliced_once(self, slices: dict[nn.Module, Slices]) -> Iterator[None]:
        """Have layers keep the weights that they slice, which passes of one width share.

        Slices are scaled copies of as many bytes as the sub-network has.
        """
        if not slices:
            slices |= {layer: cache(layer.sliced) for layer in self._elastic_layers}
        for layer, kept in slices.items():
            layer.sliced = kept  # type: ignore[assignment]
        try:
            yield
        finally:
            for layer in slices:
                del layer.sliced

    @contextmanager
    def _listening(self, one: Pass) -> Iterator[None]:
        """Take the levels of a separate pass from its blocks' outputs."""

        def listen(number: int, index: int, module: nn.Module, inputs: Any, out: Tensor) -> None:
            self._levels[number] = self.backbone.level(index, out)

        with ExitStack() as hooks:
            for position in self.backbone.level_blocks(one.subnet):
                index = one.path[position]
                hook = partial(listen, position + 1, index)
                hooks.enter_context(self._blocks[index].register_forward_hook(hook))
            yield


def grid_tokens(
    backbone: ElasticBackbone, images: Tensor, subnets: Sequence[Subnet] | None = None
) -> Iterator[tuple[Subnet, Tensor, Tensor]]:
    """Run many sub-networks on a batch of images; run the first blocks that they share once.

    For many batches, make :class:`SharedPrefixes` once.

    Args:
        backbone: Elastic backbone in evaluation mode.
        images: Images, (B, C, H, W).
        subnets: Sub-networks to run; ``None`` runs all of them.

    Yields:
        A sub-network, its class token (B, D) and its patch tokens (B, N, D), width by width.

    Raises:
        ValueError: The backbone is in training mode.

    Example:
        >>> import torch
        >>> from poa_mm.models.backbones import ElasticVisionTransformer
        >>> net = ElasticVisionTransformer('deit-tiny', depths=[6, 12], img_size=32).eval()
        >>> with torch.inference_mode():
        ...     for subnet, cls, patches in grid_tokens(net, torch.randn(2, 3, 32, 32)):
        ...         print(subnet, tuple(cls.shape), tuple(patches.shape))
        w192-d6 (2, 192) (2, 4, 192)
        w192-d12 (2, 192) (2, 4, 192)
    """
    yield from SharedPrefixes(backbone, backbone.subnets if subnets is None else subnets).tokens(
        images
    )


def block_path(backbone: ElasticBackbone, subnet: Subnet) -> tuple[int, ...]:
    """Return the blocks that a sub-network runs, as positions in ``backbone.blocks``."""
    dropped = {
        id(block)
        for name, kept in backbone.kept_blocks(subnet).items()
        for index, block in enumerate(backbone.get_submodule(name).children())
        if index not in set(kept)
    }
    return tuple(i for i, block in enumerate(backbone.blocks) if id(block) not in dropped)


def _plan(paths: dict[Subnet, tuple[int, ...]]) -> list[Pass]:
    """Plan the passes, width by width and branch by branch of the tree of blocks."""
    by_width: dict[int, list[Subnet]] = defaultdict(list)
    for subnet in paths:
        by_width[subnet.width].append(subnet)
    passes = []
    for _, members in sorted(by_width.items()):
        members = _depth_first(members, paths)
        ordered = [paths[subnet] for subnet in members]
        reused = [0, *map(_common, ordered, ordered[1:])]
        for i, subnet in enumerate(members):
            # A later pass goes on from the shortest prefix shared on the way to it.
            shortest, kept = len(ordered[i]) + 1, set()
            for number in reused[i + 1 :]:
                shortest = min(shortest, number)
                kept |= {shortest} - {0}
            passes.append(Pass(subnet, ordered[i], reused[i], frozenset(kept)))
    return passes


def _depth_first(
    subnets: list[Subnet], paths: dict[Subnet, tuple[int, ...]], shared: int = 0
) -> list[Subnet]:
    """Order sub-networks that share their first blocks, those of the smaller branches first.

    What is left when the largest branch starts needs no kept output, so few are alive at a time:
    at most log2 of the number of sub-networks.
    """
    if len(subnets) == 1:
        return subnets
    branches: dict[tuple[int, ...], list[Subnet]] = defaultdict(list)
    for subnet in subnets:
        branches[paths[subnet][shared : shared + 1]].append(subnet)
    return [
        subnet
        for block, branch in sorted(branches.items(), key=lambda item: len(item[1]))
        for subnet in (_depth_first(branch, paths, shared + 1) if block else branch)
    ]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Count the first items that two sequences share."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _close(separate: TokensAndLevels, shared: TokensAndLevels) -> bool:
    pairs = zip((*separate[1:3], *separate[3]), (*shared[1:3], *shared[3]), strict=True)
    return all(
        a.shape == b.shape and bool((a - b).abs().max() <= TOLERANCE * a.abs().max())
        for a, b in pairs
    )
