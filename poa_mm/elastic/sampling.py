"""Which sub-network trains at which step."""

import random
from collections import Counter
from functools import lru_cache

from poa_mm.elastic.space import SearchSpace, Subnet

ORDERS = ('shuffled', 'independent')


class SubnetSampler:
    """Draw the elastic student's sub-network of each training step (App. C.4).

    The choice is a pure function of seed, rank and step. The step counter is therefore the whole
    state: a resumed run goes on exactly where it stopped, on any number of ranks, and a
    checkpoint holds no generator.

    Args:
        space: The sub-networks.
        order: ``'shuffled'`` walks a shuffled list in which a candidate stands ``round(s_ij)``
            times, so each one is visited in every pass (the authors' code); ``'independent'``
            draws every step anew with the probabilities of Eq. 14 (the paper's text).
        per_rank: Every rank draws its own sub-network, and the step averages their gradients (the
            authors' code). More sub-networks train per step, but all ranks wait for the one with
            the largest. ``False``: all ranks share one, so none waits.
        seed: Seed of the draws.
        with_intact: Draw the intact network as well, which POA trains in a branch of its own.

    Raises:
        ValueError: Unknown ``order``, or a space with nothing to draw.

    Example:
        >>> sampler = SubnetSampler(SearchSpace([64, 128], [2, 4]))
        >>> [str(sampler(step)) for step in range(4)]
        ['w64-d2', 'w64-d4', 'w128-d2', 'w64-d4']
    """

    def __init__(
        self,
        space: SearchSpace,
        order: str = 'shuffled',
        per_rank: bool = True,
        seed: int = 0,
        with_intact: bool = False,
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f'order must be one of {ORDERS}, got {order!r}')
        drawn = tuple(space) if with_intact else space.candidates
        if not drawn:
            raise ValueError(f'{space!r} holds nothing but the intact network: nothing to draw')
        self.space = space
        self.order = order
        self.per_rank = per_rank
        self.seed = seed
        self._drawn = drawn
        self._tickets = tuple(
            subnet for subnet in drawn for _ in range(round(space.weight(subnet)))
        )

    def __call__(self, step: int, rank: int = 0) -> Subnet:
        """Return the sub-network of ``step`` (from 0) on ``rank``."""
        stream = rank if self.per_rank else 0
        if self.order == 'independent':
            rng = random.Random(f'{self.seed}/{stream}/{step}')
            return self.space.sample(rng, self._drawn)
        number, position = divmod(step, len(self._tickets))
        return _shuffled(self._tickets, f'{self.seed}/{stream}/{number}')[position]

    def probabilities(self) -> dict[Subnet, float]:
        """Return the share of steps that each sub-network is drawn in.

        It is that of Eq. 14, in the order ``'shuffled'`` of rounded weights.
        """
        if self.order == 'independent':
            return dict(zip(self._drawn, self.space.probabilities(self._drawn), strict=True))
        return {net: count / len(self._tickets) for net, count in Counter(self._tickets).items()}


@lru_cache(maxsize=16)  # outside the class, so that samplers can be copied and pickled
def _shuffled(tickets: tuple[Subnet, ...], seed: str) -> list[Subnet]:
    order = list(tickets)
    random.Random(seed).shuffle(order)
    return order
