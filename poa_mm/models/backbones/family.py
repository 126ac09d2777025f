"""What a family of elastic backbones defines. The rest is in :class:`ElasticBackbone`."""

from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from poa_mm.elastic import SearchSpace, Subnet


class ElasticFamily(nn.Module, metaclass=ABCMeta):
    """Interface between a family and :class:`~poa_mm.models.backbones.ElasticBackbone`.

    A family defines what is abstract, and its constructor sets ``space`` and ``stock_args``.

    Attributes:
        space: The sub-networks, from :meth:`ElasticBackbone.search_space`.
        stock_args: Arguments of the stock class in every sub-network, from
            :func:`~poa_mm.models.backbones.stock_arguments`.
        run_config: Config of the run that trained the weights, for
            :func:`poa_mm.image_transform`; set by :func:`poa_mm.load_supernet`.
    """

    space: SearchSpace
    stock_args: dict[str, Any]
    run_config: Mapping[str, Any]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Let type checkers pass the attributes of the stock class, which has no types."""

    @property
    @abstractmethod
    def arch(self) -> Mapping[str, Any]:
        """The constructor's ``arch`` of the intact network, with all of its sizes."""

    @property
    @abstractmethod
    def full_width(self) -> int:
        """Width of the intact network, as :class:`~poa_mm.elastic.Subnet` counts it."""

    @property
    @abstractmethod
    def feature_width(self) -> int:
        """Channels of the intact network's final features."""

    @property
    @abstractmethod
    def blocks(self) -> Iterable[nn.Module]:
        """The residual blocks of the intact network, which are compiled one by one."""

    @property
    def output_layers(self) -> Iterable[nn.Module]:
        """Layers of outputs that :meth:`tokens` does not use: pre-training cannot train them.

        A family that has none need not define it.
        """
        return ()

    @abstractmethod
    def tokens(
        self, x: Tensor, subnet: Subnet | str | None = None, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the final features of one sub-network, whatever its outputs are.

        Args:
            x: Images, (B, C, H, W).
            subnet: A sub-network or its name; ``None`` is the intact network.
            masks: Patches to replace by the mask token, (B, rows · columns) bool, on the grid of
                :meth:`mask_grid`.

        Returns:
            Class token (B, D) and patch tokens (B, rows · columns, D), both after the final norm.
            Where maps shrink from stage to stage, the class token is the mean of the last map, and
            the patch tokens are the last map at twice its resolution.

        Raises:
            ValueError: Unknown sub-network, no class token, masks that do not fit, or masks without
                a mask token.
        """

    @abstractmethod
    def subnet_cfg(self, subnet: Subnet | str | None = None, **overrides: Any) -> dict[str, Any]:
        """Return the config of a sub-network as the stock class of mmpretrain.

        Args:
            subnet: A sub-network or its name; ``None`` is the intact network.
            **overrides: Arguments of the stock class to set or replace.
        """

    @abstractmethod
    def mask_grid(self, height: int, width: int) -> tuple[int, int]:
        """Count the rows and columns of patches of an image of ``height`` × ``width`` pixels."""

    @abstractmethod
    def check_axes(self, widths: Sequence[int], depths: Sequence[Any]) -> None:
        """Check that the intact network can hold widths and depths, or raise a ValueError.

        Depths are numbers or tuples, as the intact network's is.
        """

    @abstractmethod
    def kept_blocks(self, subnet: Subnet) -> Mapping[str, Sequence[int]]:
        """Return the blocks that a sub-network keeps, by the name of their list."""

    def level_blocks(self, subnet: Subnet) -> tuple[int, ...]:
        """Return the blocks whose outputs are features beside the last one, in their order.

        Linear probing tries them together with the last feature. A family that has none need not
        define it.

        Returns:
            Positions among the sub-network's own blocks.
        """
        return ()

    def level(self, block: int, out: Tensor) -> Tensor:
        """Turn the output of a block into a feature (B, D).

        Args:
            block: Position of the block in :attr:`blocks`.
            out: What it returned.
        """
        raise NotImplementedError(f'{type(self).__name__} has level_blocks but no level')

    def fit_state(self, state: dict[str, Tensor], stock: nn.Module) -> dict[str, Tensor]:
        """Adapt weights of a sub-network to a stock network for another image size."""
        return state
