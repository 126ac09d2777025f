"""Build the backbones that checkpoints describe, even in files from untrusted sources.

mmengine builds whatever a config names, at any depth, and some of what OpenMMLab registers opens
files or addresses when it is built. So the outermost class must be one of this package's families,
or a stock class that they extract to, and what is inside of it a layer.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from poa_mm.models.backbones.elastic_backbone import ElasticBackbone
from poa_mm.registry import ELASTIC_BACKBONES, MODELS, build_model

# Where the layers that a config may name are defined.
LAYERS = (
    'torch.nn.modules.',
    'mmcv.cnn.bricks.',
    'mmengine.utils.dl_utils.parrots_wrapper',  # SyncBN
    'mmpretrain.models.utils.attention',
    'mmpretrain.models.utils.norm',
)

Network = TypeVar('Network', bound=nn.Module)


def build_elastic(cfg: Any) -> ElasticBackbone:
    """Build the supernet that a training checkpoint describes.

    Args:
        cfg: Config of an elastic backbone.

    Raises:
        ValueError: Not a config, no registered family, something that is no layer inside of it, or
            arguments that the class refuses.
    """
    advice = 'if it is a family of another package, install that or import its module'
    return _build(cfg, ELASTIC_BACKBONES.module_dict, f'which is no registered family; {advice}')


def build_stock(cfg: Any) -> nn.Module:
    """Build the backbone that an extracted file describes.

    Args:
        cfg: Config of a stock backbone.

    Raises:
        ValueError: As for :func:`build_elastic`; the class must be one that a family extracts to.
    """
    families = set(ELASTIC_BACKBONES.module_dict.values())
    stock = {
        base.__name__: base
        for family in families
        for base in family.__mro__
        if base not in families and MODELS.module_dict.get(base.__name__) is base
    }
    return _build(cfg, stock, 'which no registered family extracts to')


def build_on_meta(cfg: dict[str, Any]) -> nn.Module:
    """Build a registered network without allocating or initialising its weights.

    Args:
        cfg: Config of the network, such as that of an elastic backbone.

    Returns:
        The network on the meta device, in evaluation mode.
    """

    def to_meta(module: nn.Module, name: str, parameter: Tensor | None) -> nn.Parameter | None:
        return None if parameter is None else meta_parameter(parameter)

    # Not torch.device('meta'): constructors also compute with small tensors, drop rates say.
    hook = register_module_parameter_registration_hook(to_meta)  # type: ignore[arg-type] # torch's
    try:
        net = build_model(cfg)
    finally:
        hook.remove()
    net.to('meta')
    net.eval()  # mmpretrain's backbones return nothing here
    return net


def meta_parameter(parameter: Tensor) -> nn.Parameter:
    """Return a parameter of the same shape and type that takes no memory."""
    return nn.Parameter(parameter.detach().to('meta'))


def _build(cfg: Any, known: Mapping[str, type[Network]], refusal: str) -> Network:
    if not isinstance(cfg, Mapping) or not all(isinstance(key, str) for key in cfg):
        raise ValueError(f'its backbone is described by {cfg!r:.80}, which is no config')
    # Weights are loaded at once, so nothing needs to be initialised; it could open other files.
    arguments = _without_init_cfg(cfg)
    name = str(arguments.pop('type', None)).removeprefix('mmpretrain.')
    if name not in known:
        raise ValueError(
            f'its backbone is described as {name}, {refusal}. There are {", ".join(sorted(known))}'
        )
    for layer in _type_names(arguments):
        if not _is_layer(layer):
            raise ValueError(f'its backbone is described with {layer}, which is no known layer')
    try:
        # Within a run of another library, the same name would mean that library's class.
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return known[name](**arguments)
    except Exception as error:  # arguments of whatever kind can raise anything
        raise ValueError(
            f'its backbone is described as a {name} that cannot be built: {error}'
        ) from error


def _without_init_cfg(value: Any) -> Any:
    """Copy a config into builtin containers, without any ``init_cfg``."""
    if isinstance(value, Mapping):
        return {k: _without_init_cfg(item) for k, item in value.items() if k != 'init_cfg'}
    if isinstance(value, list | tuple):
        return type(value)(_without_init_cfg(item) for item in value)
    return value


def _type_names(value: Any) -> Iterator[str]:
    """Yield the types that mmengine would build for a config, at any depth."""
    if isinstance(value, Mapping):
        yield from (str(item) for key, item in value.items() if str(key).endswith('type'))
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _type_names(item)


def _is_layer(name: str) -> bool:
    """Tell whether a type's name stands for a layer, or for nothing that could be built."""
    if '.' in name:  # mmengine would import it
        return False
    found = MODELS.get(name)
    return found is None or str(found.__module__).startswith(LAYERS)
