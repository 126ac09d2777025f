"""What the elastic backbones of all families have in common."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from poa_mm.elastic import AXES, Depth, SearchSpace, Subnet, num_sliced, set_alpha_scaling
from poa_mm.models.backbones.family import ElasticFamily
from poa_mm.models.backbones.input_images import check_images
from poa_mm.models.backbones.pretrained import load_into
from poa_mm.models.backbones.supernet_layers import (
    Layer,
    find_layers,
    image_channels,
    kept_layers,
)
from poa_mm.registry import build_model

if TYPE_CHECKING:
    from typing import Self  # of Python 3.11

# Regularisation belongs to pre-training; what a user freezes is a downstream choice.
NOT_EXTRACTED = ('drop_rate', 'drop_path_rate', 'frozen_stages', 'init_cfg')


class ElasticBackbone(ElasticFamily):
    """Make the stock class of a family elastic: its first base, before the stock class.

    A family defines what is abstract in :class:`ElasticFamily`. The rest follows: the space of
    sub-networks, their extraction, initialisation and the config.

    Attributes:
        alpha_scaling: Whether weights are scaled by α where their input is reduced; see
            :meth:`use_alpha`.
        branch: Branch of the checkpoint that it was opened from, ``'teacher'`` or ``'student'``.
    """

    alpha_scaling = True
    branch = ''

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run one sub-network on images (B, C, H, W); see the family's ``forward``.

        Raises:
            TypeError: Not a floating-point tensor.
            ValueError: A tensor of another shape.
        """
        check_images(x, image_channels(self))
        return super().__call__(x, *args, **kwargs)

    def __repr__(self) -> str:
        """Show the summary, then the modules of the intact network."""
        return f'{self.summary()}\n{super().__repr__()}'

    def summary(self) -> str:
        """Describe family, sub-networks and sizes in three lines."""
        space = self.space
        small, large = (self.num_params(s) / 1e6 for s in (space.smallest, space.largest))
        size = self.subnet_cfg(space.largest).get('img_size')
        sides = (size, size) if isinstance(size, int) else size
        images = 'of any size' if sides is None else f'of {sides[0]} × {sides[1]} pixels'
        axes = f'{len(space.widths)} widths × {len(space.depths)} depths'
        return (
            f'{type(self).__name__}: {len(space)} sub-networks, {space.smallest} to '
            f'{space.largest} ({axes})\n'
            f'{small:.3g} M to {large:.3g} M parameters\n'
            f'images {images}, {image_channels(self)} channels'
        )

    def search_space(
        self,
        widths: Sequence[int] | None,
        depths: Sequence[Depth] | None,
        gamma: float,
        intact: Subnet,
        names: Mapping[str, Subnet] | None,
        weighted: Sequence[str] = AXES,
    ) -> SearchSpace:
        """Check widths and depths, and return their space. Call it last in a constructor.

        Args:
            widths: Elastic widths. Defaults to the intact one alone.
            depths: Elastic depths, numbers or tuples as the intact one is. Defaults to the intact
                one alone.
            gamma: γ of the sampling weights (Eq. 14).
            intact: The intact network.
            names: Well-known names of sub-networks; those outside of the space are left out.
            weighted: The axes that γ weights.

        Raises:
            ValueError: Widths or depths that the intact network cannot hold.
        """
        for name, axis in (('widths', widths), ('depths', depths)):
            if axis is not None and (isinstance(axis, str) or not isinstance(axis, Iterable)):
                raise ValueError(f'{name} must be a list, got {axis!r}')
        values = SearchSpace(
            [intact.width] if widths is None else widths,
            [intact.depth] if depths is None else depths,
            gamma=gamma,
            weighted=weighted,
        )
        wrong = [depth for depth in values.depths if type(depth) is not type(intact.depth)]
        if wrong:
            raise ValueError(f'depths must be of the kind of {intact.depth}, got {wrong}')
        self.check_axes(values.widths, values.depths)
        return SearchSpace(
            values.widths,
            values.depths,
            gamma=gamma,
            intact=intact,
            names=names,
            # Cached, since hundreds of sub-networks share a few widths of each layer.
            size=functools.partial(
                self._count_params, layers=find_layers(self), count=functools.cache(num_sliced)
            ),
            weighted=weighted,
        )

    def use_alpha(self, scaling: bool) -> None:
        """Scale by α, or do not. Call it in a constructor, once the layers are elastic.

        The switch is for the ablation of Table 16. The paper does not say which layers that spares
        α. Here they are all that have it, with the first layers of the projection heads, which
        Sec. 3.2 adapts as it does those of the backbone: POA takes the setting of its backbone for
        its heads. The intact network and the extracted ones know no α, so nothing else changes.

        Args:
            scaling: ``False`` slices weights without scaling them.

        Raises:
            ValueError: Neither True nor False.
        """
        if not isinstance(scaling, bool):
            raise ValueError(f'alpha_scaling must be True or False, got {scaling!r}')
        self.alpha_scaling = scaling
        set_alpha_scaling(self, scaling)

    def share(self, channels: int, subnet: Subnet) -> int:
        """Return how many of a layer's ``channels`` a sub-network keeps."""
        return channels * subnet.width // self.full_width

    def check_elastic(self) -> None:
        """Check that every layer can be sliced, in families that keep no layer whole.

        Raises:
            ValueError: A layer that has parameters and no elastic form.
        """
        for name, module, elastic in find_layers(self):
            if not elastic:
                raise ValueError(
                    f'layer {name} is a {type(module).__name__}, which has no elastic form'
                )

    def check_masks(self, masks: Tensor, x: Tensor) -> None:
        """Check that masks fit the images and that there is a mask token, or raise a ValueError."""
        rows, columns = self.mask_grid(*x.shape[-2:])
        if not self.with_mask_token:
            raise ValueError('this supernet has no mask token (with_mask_token=False)')
        if masks.dtype != torch.bool or tuple(masks.shape) != (len(x), rows * columns):
            raise ValueError(
                f'masks must be {(len(x), rows * columns)} bool, got {tuple(masks.shape)} '
                f'{masks.dtype}'
            )

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says.

        Two types are the backbone's own and initialise all of its parameters. Any other type is
        mmpretrain's.

        - ``Pretrained`` loads everything or raises a ValueError. Its ``img_size`` is that of the
          weights, for a file that does not state the grid of its position embeddings.
        - ``Official`` starts as the authors' code does, see :meth:`init_as_authors`.

        Raises:
            ValueError: A checkpoint that does not fit, or further settings for ``Official``.
        """
        kind = self.init_cfg['type'] if isinstance(self.init_cfg, dict) else None
        if kind == 'Pretrained':
            load_into(self, self.init_cfg)
        elif kind == 'Official':
            further = sorted(set(self.init_cfg) - {'type'})
            if further:
                raise ValueError(f"init_cfg of type 'Official' takes nothing else, got {further}")
            self.init_as_authors()
        else:
            super().init_weights()  # type: ignore[misc] # of the stock class
        self._is_init = True  # tells mmengine not to initialise again

    def init_as_authors(self) -> None:
        """Initialise every layer by torch's default, and leave all else as the constructor set it.

        Tokens and position biases therefore start at zero, the last norm of a bottleneck at one.
        """
        modules: Iterable[Any] = self.modules()
        for module in modules:
            if hasattr(module, 'reset_parameters'):
                module.reset_parameters()

    def train(self, mode: bool = True) -> 'Self':
        """Set the mode and return the network, as torch does; mmpretrain's return None."""
        super().train(mode)
        return self

    @property
    def config(self) -> dict[str, Any]:
        """The config that builds this supernet again."""
        return {
            'type': type(self).__name__,
            'arch': plain_data(self.arch),
            'widths': list(self.space.widths),
            'depths': plain_data(self.space.depths),
            'gamma': self.space.gamma,
            'out_indices': list(self.out_indices),
            'with_mask_token': self.with_mask_token,
            # Where it is off alone: families of other packages need not have the switch.
            **({} if self.alpha_scaling else {'alpha_scaling': False}),
            **self.stock_args,
        }

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """All sub-networks, from small to large. ``str`` of one is its name."""
        return tuple(self.space)

    @property
    def with_mask_token(self) -> bool:
        """Whether masks can be given to ``tokens``."""
        return hasattr(self, 'mask_token')

    @torch.no_grad()
    def extract(self, subnet: Subnet | str | None = None, **overrides: Any) -> nn.Module:
        """Cut a sub-network out as a network of mmpretrain's stock class.

        Its output equals ``self(x, subnet)``. It shares no memory with the supernet.

        Args:
            subnet: A sub-network or its name; ``None`` is the intact network.
            **overrides: See :meth:`subnet_cfg`. A new ``img_size`` resizes a position embedding.

        Raises:
            ValueError: Unknown sub-network, or one that the stock class cannot express.
        """
        # The weights are overwritten below: their initialisation must not advance the random stream
        # of training.
        with torch.random.fork_rng():
            stock = build_model(self.subnet_cfg(subnet, **overrides))
        parameter = next(self.parameters())
        stock.to(device=parameter.device, dtype=parameter.dtype)
        stock.load_state_dict(self.fit_state(self.subnet_state_dict(subnet), stock), strict=True)
        stock.train(self.training)
        return stock

    def subnet_state_dict(self, subnet: Subnet | str | None = None) -> dict[str, Tensor]:
        """Slice the weights of a sub-network, under the names of the stock class.

        Tensors may share memory with the supernet.
        """
        subnet = self.space.resolve(subnet)
        state = self._own_parameters(subnet)
        for name, module, elastic in kept_layers(find_layers(self), self.kept_blocks(subnet)):
            kept = dict(module.named_parameters(recurse=False))
            if elastic:
                kept = module.sliced(self.share(module.full_width, subnet))
            state.update({f'{name}.{key}': part for key, part in kept.items()})
            buffers = module.named_buffers(recurse=False)  # the same at every width
            state.update({f'{name}.{key}': buffer for key, buffer in buffers})
        return state

    def num_params(self, subnet: Subnet | str | None = None) -> int:
        """Count the parameters of the extracted sub-network."""
        return self._count_params(self.space.resolve(subnet), find_layers(self))

    def _own_parameters(self, subnet: Subnet) -> dict[str, Tensor]:
        """Slice the parameters of the backbone itself, such as tokens and position embeddings."""
        return {
            name: parameter[..., : subnet.width]
            for name, parameter in self.named_parameters(recurse=False)
            if name != 'mask_token'
        }

    def _count_params(
        self,
        subnet: Subnet,
        layers: list[Layer],
        count: Callable[[Any, int], int] = num_sliced,
    ) -> int:
        own = sum(parameter.numel() for parameter in self._own_parameters(subnet).values())
        return own + sum(
            count(module, self.share(module.full_width, subnet))
            if elastic
            else sum(parameter.numel() for parameter in module.parameters(recurse=False))
            for _, module, elastic in kept_layers(layers, self.kept_blocks(subnet))
        )


def stock_arguments(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Select the arguments of the stock class that all sub-networks share, as plain data."""
    return {key: plain_data(value) for key, value in kwargs.items() if key not in NOT_EXTRACTED}


def plain_data(value: Any) -> Any:
    """Turn config data into builtin containers, which a file can hold without mmengine."""
    if isinstance(value, Mapping):
        return {str(key): plain_data(item) for key, item in value.items()}
    return [plain_data(item) for item in value] if isinstance(value, list | tuple) else value
