"""The chosen head of a linear probe as a classifier of mmpretrain: a config and a checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor, nn

from poa_mm.elastic import Subnet
from poa_mm.files import replaced, write_file
from poa_mm.models.backbones.elastic_backbone import ElasticBackbone, plain_data
from poa_mm.models.backbones.levels import LEVELS, evenly_spaced
from poa_mm.registry import build_model

__all__ = [
    'StockNetwork',
    'classifier_config',
    'save_classifier',
    'stock_of_state',
    'stock_of_subnet',
]

LAST = slice(-1, None)
MEAN = 'mean'
NORM = {'type': 'LN', 'eps': 1e-6}  # mmpretrain's default for a ViT


@dataclass(frozen=True)
class StockNetwork:
    """A stock backbone that gives the outputs which a head takes.

    Args:
        cfg: Its config.
        net: The backbone.
    """

    cfg: dict[str, Any]
    net: nn.Module


def stock_of_subnet(
    supernet: ElasticBackbone, subnet: Subnet, source: str, **overrides: Any
) -> StockNetwork:
    """Extract a sub-network with the outputs that a head takes.

    Args:
        supernet: Where it is cut out of.
        subnet: Which one.
        source: What the head takes, of :data:`~poa_mm.evaluation.probe.sources.SOURCES`.
        **overrides: Arguments of the stock class, such as ``img_size``.

    Raises:
        ValueError: A sub-network that the stock class cannot express.
    """
    cfg = supernet.subnet_cfg(subnet, **overrides)
    outputs = _outputs(cfg, supernet.extract(subnet, **overrides), source)
    overrides = {**overrides, **outputs}
    net = supernet.extract(subnet, **overrides)
    return StockNetwork(supernet.subnet_cfg(subnet, **overrides), net)


def stock_of_state(
    cfg: Mapping[str, Any], state: Mapping[str, Tensor], source: str, **overrides: Any
) -> StockNetwork:
    """Build an extracted sub-network with the outputs that a head takes.

    Args:
        cfg: Config of a stock backbone.
        state: Its weights. Norms of outputs that it did not have stay untrained, as those of
            :meth:`ElasticBackbone.extract`.
        source: What the head takes.
        **overrides: Arguments of the stock class.
    """
    before = {**plain_data(cfg), **overrides}
    outputs = _outputs(before, build_model(dict(before)), source)
    after = {**before, **outputs}
    net = build_model(dict(after))
    missing, unexpected = net.load_state_dict(dict(state), strict=False)
    assert not unexpected
    assert all(name.startswith('norm') for name in missing)
    net.eval()  # mmpretrain's return None
    return StockNetwork(after, net)


def _outputs(cfg: Mapping[str, Any], net: nn.Module, source: str) -> dict[str, Any]:
    """Return the arguments of a stock class for the outputs that a head takes."""
    levels = slice(None) if source.startswith(f'last {LEVELS}') else LAST
    if isinstance(net, VisionTransformer):
        return {
            'out_indices': list(evenly_spaced(len(net.layers))[levels]),
            'out_type': 'raw',
        }
    stages = len(getattr(net, 'stages', None) or net.res_layers)  # type: ignore[arg-type]
    return {'out_indices': list(range(stages))[levels]}


def classifier_config(
    stock: StockNetwork,
    source: str,
    classes: Sequence[str],
    width: int,
    grid: tuple[int, int],
    preprocessor: Mapping[str, Any],
    dataset: Mapping[str, Any],
    batch_size: int = 256,
    num_workers: int = 2,
) -> Config:
    """Return the config of a classifier, with which ``tools/test.py`` tests it.

    Args:
        stock: Its backbone.
        source: What its head takes.
        classes: Names of the classes.
        width: Channels of what the head takes.
        grid: Rows and columns of the patch tokens.
        preprocessor: Config of the data preprocessor of the evaluation.
        dataset: Config of the test images.
        batch_size: Images per forward pass.
        num_workers: Processes that read images.
    """
    neck: dict[str, Any] = {'type': 'ProbeFeatures', 'mean': source.endswith(MEAN)}
    if isinstance(stock.net, VisionTransformer):
        neck['prefix'] = stock.net.num_extra_tokens
        if len(stock.cfg['out_indices']) > 1 and stock.net.final_norm:
            norm = stock.cfg.get('norm_cfg', NORM)
            neck |= {'norm_cfg': plain_data(norm), 'channels': stock.net.embed_dims}
    else:
        neck['grid'] = list(grid)
    topk = [k for k in (1, 5) if k <= len(classes)]
    return Config(
        {
            'default_scope': 'mmpretrain',
            'custom_imports': {'imports': ['poa_mm'], 'allow_failed_imports': False},
            'model': {
                'type': 'ImageClassifier',
                'data_preprocessor': _preprocessor(preprocessor, len(classes)),
                'backbone': plain_data(stock.cfg),
                'neck': neck,
                'head': {
                    'type': 'LinearClsHead',
                    'num_classes': len(classes),
                    'in_channels': width,
                    'topk': topk,
                },
            },
            'test_dataloader': {
                'batch_size': batch_size,
                'num_workers': num_workers,
                'dataset': plain_data(dataset),
                'sampler': {'type': 'DefaultSampler', 'shuffle': False},
                'collate_fn': {'type': 'default_collate'},
            },
            'test_evaluator': {'type': 'Accuracy', 'topk': topk},
            'test_cfg': {},
        }
    )


def save_classifier(
    folder: str | PathLike,
    name: str,
    config: Config,
    stock: StockNetwork,
    weight: Tensor,
    bias: Tensor,
    classes: Sequence[str],
) -> tuple[Path, Path]:
    """Write a classifier: ``NAME.py`` and ``NAME.pth``.

    Args:
        folder: Where to.
        name: Of both files.
        config: Of :func:`classifier_config`.
        stock: Its backbone.
        weight: Of the head, (classes, D).
        bias: Of the head, (classes,).
        classes: Names of the classes.

    Returns:
        The config and the checkpoint; files appear complete or not at all.
    """
    parts = {'backbone': stock.net.state_dict(), 'head': {'fc.weight': weight, 'fc.bias': bias}}
    if config.model.neck.get('norm_cfg'):
        norm = stock.net.ln1.state_dict()  # type: ignore[union-attr]
        parts['neck'] = {f'norm.{key}': tensor for key, tensor in norm.items()}
    state = {
        f'{part}.{key}': tensor.detach().cpu()
        for part, tensors in parts.items()
        for key, tensor in tensors.items()
    }
    files = Path(folder) / f'{name}.py', Path(folder) / f'{name}.pth'
    write_file(
        {'state_dict': state, 'meta': {'dataset_meta': {'classes': list(classes)}}}, files[1]
    )
    with replaced(files[0]) as partial:
        partial.write_text(config.pretty_text, encoding='utf-8')
    return files


def _preprocessor(preprocessor: Mapping[str, Any], num_classes: int) -> dict[str, Any]:
    """Return the data preprocessor of a classifier that normalises as that of the evaluation."""
    cfg: dict[str, Any] = {key: list(preprocessor[key]) for key in ('mean', 'std')}
    swaps = any(preprocessor.get(key) for key in ('to_rgb', 'bgr_to_rgb', 'rgb_to_bgr'))
    return {'type': 'ClsDataPreprocessor', **cfg, 'to_rgb': swaps, 'num_classes': num_classes}
