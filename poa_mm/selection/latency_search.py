"""Search for the best sub-network within a latency limit, with few timings."""

from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.progress import Progress

from poa_mm.elastic import Subnet

__all__ = ['LatencySearch']

# A latency must exceed the limit by this share before larger sub-networks are ruled out without
# timing: noise, or widths that suit the hardware, can make the larger one of two faster by as much.
MARGIN = 0.1


class LatencySearch:
    """Time sub-networks until the best one within the limit is known.

    The search assumes that a sub-network is not faster than any that it exceeds: one that is not
    wider and does not have more blocks or FLOPs. The larger one does at least as much work, in at
    least as many sequential steps, with at least as much memory. So sub-networks that exceed one
    that was more than 10 % too slow are not timed. FLOPs alone are no criterion: on a GPU, wide
    networks of few blocks are often faster than narrow ones of many blocks and fewer FLOPs.

    Args:
        measure: Measures the latency of a sub-network in seconds.
        limit: Largest latency allowed, in seconds.
        progress: Show a progress bar on the standard error stream, if that is a terminal.

    Attributes:
        timed: Latencies in seconds of the sub-networks that were timed, in order.
        slow: Those of them that rule out all sub-networks that exceed them.
    """

    def __init__(
        self, measure: Callable[[Subnet], float], limit: float, progress: bool = False
    ) -> None:
        self.measure = measure
        self.limit = limit
        self.progress = progress
        self.timed: dict[Subnet, float] = {}
        self.slow: list[Subnet] = []

    def run(self, flops: Mapping[Subnet, int]) -> Subnet | None:
        """Find the best sub-network within the limit.

        The search times the one of fewest FLOPs, then the best one, then bisects those left. If the
        one of fewest FLOPs is too slow, all that exceed it are too slow as well, without a margin.

        Args:
            flops: FLOPs of sub-networks, from the best sub-network to the worst.

        Returns:
            The best one, or ``None`` if none is fast enough.
        """
        best = None
        cheapest = min(flops, key=flops.__getitem__)
        left = list(flops)
        screen = Console(stderr=True)  # standard output is for the choice alone
        hidden = not self.progress or not screen.is_terminal
        with Progress(console=screen, transient=True, disable=hidden) as bar:
            task = bar.add_task('latencies', total=len(left))
            while left:
                subnet = self._next(left, cheapest)
                bar.update(task, description=f'timing {subnet}')
                seconds = self.timed[subnet] = self.measure(subnet)
                if seconds <= self.limit:
                    best, left = subnet, left[: left.index(subnet)]
                else:
                    if subnet == cheapest or seconds > (1 + MARGIN) * self.limit:
                        self.slow.append(subnet)
                    left = [s for s in left if s != subnet and self.at_least(s, flops) is None]
                bar.update(task, completed=len(flops) - len(left))
        return best

    def at_least(self, subnet: Subnet, flops: Mapping[Subnet, int]) -> float | None:
        """Give a lower bound of a latency in seconds, if the sub-network exceeds one in ``slow``.

        Args:
            subnet: Which sub-network, timed or not.
            flops: FLOPs of this sub-network and of all that were timed.
        """
        bounds = (
            self.timed[slow]
            for slow in self.slow
            if subnet.width >= slow.width
            and subnet.num_blocks >= slow.num_blocks
            and flops[subnet] >= flops[slow]
        )
        return max(bounds, default=None)

    def _next(self, left: Sequence[Subnet], cheapest: Subnet) -> Subnet:
        if not self.timed:
            return cheapest
        return left[0] if len(self.timed) == 1 else left[len(left) // 2]
