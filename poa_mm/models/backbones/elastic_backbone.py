"""What the elastic backbones of all families share: initialisation, masks, extraction."""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from poa_mm.elastic import ElasticLayer, SearchSpace, Subnet, num_sliced
from poa_mm.models.backbones.pretrained import load_pretrained
from poa_mm.registry import MODELS

# Regularisation belongs to pre-training; what a user freezes is a downstream choice.
NOT_EXTRACTED = ('drop_rate', 'drop_path_rate', 'frozen_stages', 'init_cfg')


class ElasticBackbone(metaclass=ABCMeta):
    """Stands before the stock class of a family, which it makes elastic.

    Attributes:
        space: The sub-networks.
        full_width: Width of the intact network, as :class:`~poa_mm.elastic.Subnet` counts it.
        feature_width: Channels of the intact network's final features.
    """

    space: SearchSpace
    full_width: int
    feature_width: int
    _stock_args: dict[str, Any]
    # Of the stock class, which comes from a library without types.
    arch_settings: Any
    out_indices: Any
    init_cfg: Any
    training: bool
    parameters: Any
    named_parameters: Any
    named_modules: Any
    named_buffers: Any

    @abstractmethod
    def subnet_cfg(self, subnet: Subnet | str | None = None, **overrides: Any) -> dict[str, Any]:
        """Config of a sub-network as the stock class of mmpretrain.

        Args:
            subnet: Which one; ``None`` is the intact network.
            **overrides: Arguments of the stock class to set or replace.
        """

    @abstractmethod
    def mask_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the patches of an image of ``height`` × ``width`` pixels."""

    @abstractmethod
    def _check_axes(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        """Raise a ValueError for widths and depths that the intact network cannot hold."""

    @abstractmethod
    def _kept_blocks(self, subnet: Subnet) -> Mapping[str, Sequence[int]]:
        """Blocks that a sub-network keeps, by the name of the list that they are in."""

    def _fit(self, state: dict[str, Tensor], stock: Any) -> dict[str, Tensor]:
        """Adapt weights of a sub-network to a stock network for another image size."""
        return state

    def init_weights(self) -> None:
        """Initialise as mmpretrain does; ``Pretrained`` loads everything or raises ValueError."""
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            network: Any = self
            load_pretrained(network, self.init_cfg['checkpoint'], self.init_cfg.get('prefix'))
            self._is_init = True  # mmengine's mark: do not initialise again
        else:
            super().init_weights()  # type: ignore[misc] # of the stock class

    def train(self, mode: bool = True) -> Any:
        """As torch has it; mmpretrain's backbones return None."""
        super().train(mode)  # type: ignore[misc] # of the stock class
        return self

    @property
    def config(self) -> dict[str, Any]:
        """The config that builds this supernet again."""
        return {
            'type': type(self).__name__,
            'arch': plain_data(self.arch_settings),
            'widths': list(self.space.widths),
            'depths': list(self.space.depths),
            'gamma': self.space.gamma,
            'out_indices': list(self.out_indices),
            'with_mask_token': self.with_mask_token,
            **self._stock_args,
        }

    @property
    def with_mask_token(self) -> bool:
        """Whether masks can be given to ``tokens``."""
        return hasattr(self, 'mask_token')

    @torch.no_grad()
    def extract(self, subnet: Subnet | str | None = None, **overrides: Any) -> Any:
        """Cut a sub-network out as a network of mmpretrain's stock class.

        The result equals ``self(x, subnet)`` and shares no memory with the supernet.

        Args:
            subnet: Which one; ``None`` is the intact network.
            **overrides: See :meth:`subnet_cfg`. A new ``img_size`` resizes a position embedding.
        """
        # Initialising what is overwritten below must draw nothing from training's random stream.
        with torch.random.fork_rng():
            stock = MODELS.build(self.subnet_cfg(subnet, **overrides))
        parameter = next(self.parameters())
        stock.to(device=parameter.device, dtype=parameter.dtype)
        stock.load_state_dict(self._fit(self.subnet_state_dict(subnet), stock), strict=True)
        stock.train(self.training)
        return stock

    def subnet_state_dict(self, subnet: Subnet | str | None = None) -> dict[str, Tensor]:
        """Weights of a sub-network under the names of the stock class.

        Tensors may share memory with the supernet.
        """
        subnet = self.space.resolve(subnet)
        state = {
            name: parameter[..., : subnet.width]
            for name, parameter in self.named_parameters(recurse=False)
            if name != 'mask_token'
        }
        for name, layer in self._kept_layers(subnet):
            width = self._share(layer.full_width, subnet)
            state.update({f'{name}.{key}': part for key, part in layer.sliced(width).items()})
            buffers = layer.named_buffers(recurse=False)  # the same at every width
            state.update({f'{name}.{key}': buffer for key, buffer in buffers})
        return state

    def num_params(self, subnet: Subnet | str | None = None) -> int:
        """Number of parameters of the extracted sub-network."""
        return self._count_params(self.space.resolve(subnet))

    def _search_space(
        self,
        widths: Sequence[int] | None,
        depths: Sequence[int] | None,
        gamma: float,
        intact: Subnet,
        names: Mapping[str, Subnet] | None,
    ) -> SearchSpace:
        """The checked space of widths and depths, by default of the intact ones alone."""
        values = SearchSpace(
            [intact.width] if widths is None else widths,
            [intact.depth] if depths is None else depths,
            gamma=gamma,
        )
        self._check_axes(values.widths, values.depths)
        return SearchSpace(
            values.widths,
            values.depths,
            gamma=gamma,
            intact=intact,
            names=names,
            size=self._count_params,
        )

    def _count_params(self, subnet: Subnet) -> int:
        own = sum(
            parameter.numel() * subnet.width // self.full_width
            for name, parameter in self.named_parameters(recurse=False)
            if name != 'mask_token'
        )
        return own + sum(
            num_sliced(layer, self._share(layer.full_width, subnet))
            for _, layer in self._kept_layers(subnet)
        )

    def _kept_layers(self, subnet: Subnet) -> list[tuple[str, Any]]:
        """Elastic layers that a sub-network keeps, with their names in the stock network."""
        kept = {
            f'{blocks}.{block}.': f'{blocks}.{position}.'
            for blocks, indices in self._kept_blocks(subnet).items()
            for position, block in enumerate(indices)
        }
        lists = tuple(f'{blocks}.' for blocks in self._kept_blocks(subnet))
        layers = []
        for name, module in self.named_modules():
            if not isinstance(module, ElasticLayer):
                continue
            for blocks in lists:
                if name.startswith(blocks):
                    prefix = blocks + name.removeprefix(blocks).split('.')[0] + '.'
                    name = kept[prefix] + name.removeprefix(prefix) if prefix in kept else ''
                    break
            if name:
                layers.append((name, module))
        return layers

    def _share(self, channels: int, subnet: Subnet) -> int:
        """Channels that a layer of ``channels`` keeps in a sub-network."""
        return channels * subnet.width // self.full_width

    def _check_elastic(self) -> None:
        """Refuse layers that no sub-network could slice."""
        for name, module in self.named_modules():
            own = any(True for _ in module.parameters(recurse=False))
            if own and module is not self and not isinstance(module, ElasticLayer):
                raise ValueError(
                    f'{name} ({type(module).__name__}) has no elastic form; norm_cfg must be LN'
                )

    def _check_masks(self, masks: Tensor, x: Tensor) -> None:
        rows, columns = self.mask_grid(*x.shape[-2:])
        if not self.with_mask_token:
            raise ValueError('this supernet has no mask token (with_mask_token=False)')
        if masks.dtype != torch.bool or tuple(masks.shape) != (len(x), rows * columns):
            raise ValueError(
                f'masks must be {(len(x), rows * columns)} bool, got {tuple(masks.shape)} '
                f'{masks.dtype}'
            )


def stock_arguments(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Those arguments of a supernet's stock class that its sub-networks share, as plain data."""
    return {key: plain_data(value) for key, value in kwargs.items() if key not in NOT_EXTRACTED}


def plain_data(value: Any) -> Any:
    """Config data as builtin containers, which a file can hold without mmengine's classes."""
    if isinstance(value, Mapping):
        return {str(key): plain_data(item) for key, item in value.items()}
    return [plain_data(item) for item in value] if isinstance(value, list | tuple) else value
