"""The best sub-network that is fast enough, found with few timings."""

from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.progress import Progress

from poa_mm.elastic import Subnet

__all__ = ['LatencySearch']

# A latency must be over the limit by this share before it speaks for larger sub-networks: by so
# much may noise, or widths that suit the hardware better, make the larger one of two the faster.
MARGIN = 0.1


class LatencySearch:
    """Times sub-networks until it is known which is the best that is fast enough.

    It assumes that a sub-network is not faster than one that it exceeds: that is no wider and has
    no more blocks and FLOPs. It then does at least as much work, in at least as many steps that
    wait for one another, with at least as much memory. So what exceeds a sub-network that was more
    than 10 % too slow is not timed. FLOPs alone would not do: on a GPU, wide networks of few blocks
    are often faster than narrow ones of many blocks and fewer FLOPs.

    Args:
        measure: Seconds that a sub-network takes.
        limit: Seconds that it may take.
        progress: Show a progress bar on the standard error stream, if that is a terminal.

    Attributes:
        timed: Seconds of those that were timed, in this order.
        slow: Those of them that speak for larger ones.
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
        """Find the best one that is fast enough.

        Times the one of fewest FLOPs, then the best one, then the middle of what is left, which is
        about half as much each time. Where the one of fewest FLOPs is too slow, what exceeds it is
        too slow as well, without a margin.

        Args:
            flops: Sub-networks from the best one down, and their FLOPs.

        Returns:
            The best one, or None if none is fast enough.
        """
        best = None
        cheapest = min(flops, key=flops.__getitem__)
        left = list(flops)
        screen = Console(stderr=True)  # what is chosen goes to the standard output, alone
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
        """Seconds that a sub-network takes at least, if it exceeds one that was too slow.

        Args:
            subnet: Timed or not.
            flops: FLOPs of sub-networks, of this one and of all that were timed.
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
