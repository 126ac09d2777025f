"""Models of timm: by name, with weights, tokens and preprocessing."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poa_mm.arguments import advice
from poa_mm.checkpoints.preprocessing import ImageSize, Preprocessing
from poa_mm.evaluation.networks.levels import timm_features
from poa_mm.evaluation.networks.measured import Tokens
from poa_mm.files import check_file

__all__ = ['create_timm', 'timm_preprocessing', 'timm_tokens']

SEED = 0  # of random weights


def create_timm(
    name: str, weights: str | Path = 'random', image_size: int | ImageSize | None = None
) -> nn.Module:
    """Create a model of timm without a classifier, in evaluation mode.

    Args:
        name: Of timm, such as ``'vit_small_patch16_224'``, also with a tag after a dot.
        weights: ``'random'`` (always the same ones), ``'pretrained'`` or a file.
        image_size: Height and width, or side, for models that are built for one size.

    Raises:
        FileNotFoundError: No such file of weights.
        ValueError: timm has no such model, weights that do not fit, or ones that cannot be
            downloaded.
    """
    import timm

    if not timm.is_model(name):
        raise ValueError(
            f'{name!r} is neither a file nor a model of timm; {advice(name, timm.list_models())}'
        )
    if str(weights) not in ('random', 'pretrained'):
        check_file(weights, 'file of weights')
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        net = _create(name, weights, image_size)
    if str(weights) not in ('random', 'pretrained'):
        _load(net, name, weights)
    return net.eval()


def _create(name: str, weights: str | Path, image_size: int | ImageSize | None) -> nn.Module:
    import timm

    options: dict[str, Any] = {'num_classes': 0, 'pretrained': weights == 'pretrained'}
    try:
        if image_size is not None:
            try:
                return timm.create_model(name, img_size=image_size, **options)
            except TypeError as error:  # convolutional ones take any size
                if 'img_size' not in str(error):
                    raise
        return timm.create_model(name, **options)
    except Exception as error:  # of the Hub, of a tag or of a size, each of its own class
        raise ValueError(
            f'timm cannot create {name} with {weights} weights: {" ".join(str(error).split())}'
        ) from error


def _load(net: nn.Module, name: str, path: str | Path) -> None:
    """Load a file of weights; those of a classifier may be left over."""
    from timm.models import load_state_dict

    try:
        state = load_state_dict(str(path), weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(f'{path} cannot be read as weights: {str(error)[:200]}') from error
    classifier = getattr(net, 'pretrained_cfg', {}).get('classifier') or ()
    heads = tuple(
        f'{head}.' for head in ([classifier] if isinstance(classifier, str) else classifier)
    )
    state = {key: value for key, value in state.items() if not (heads and key.startswith(heads))}
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'the weights in {path} are not those of {name}: {reason}') from error


def timm_tokens(net: nn.Module) -> Callable[[Tensor], Tokens]:
    """Make a function from images to the tokens of a model of timm.

    The feature of an image is what the model itself pools: ``net(images)`` without a classifier. Of
    the few models whose last features are neither a map nor tokens on a grid (CoaT, CrossViT), it
    stands for the only patch as well.

    Args:
        net: Model in evaluation mode.
    """
    features = timm_features(net)

    def run(images: Tensor) -> Tokens:
        out, levels_of = features(images)
        feature = net.forward_head(out, pre_logits=True)  # type: ignore[operator] # of every model
        found = _patches(net, out, images) if isinstance(out, Tensor) else None
        patches, grid = found or (feature[:, None], (1, 1))
        return Tokens(feature, patches, grid, levels_of(feature))

    return run


def _patches(net: nn.Module, out: Tensor, images: Tensor) -> tuple[Tensor, tuple[int, int]] | None:
    if out.ndim == 4:
        if getattr(net, 'output_fmt', 'NCHW') == 'NHWC':
            out = out.permute(0, 3, 1, 2)
        return out.flatten(2).mT, (out.shape[2], out.shape[3])
    # Some models have a class token, and do not say so.
    for prefix in (int(getattr(net, 'num_prefix_tokens', 0)), 1) if out.ndim == 3 else ():
        grid = _grid(net, out.shape[1] - prefix, images)
        if grid is not None:
            return out[:, prefix:], grid
    return None


def _grid(net: nn.Module, count: int, images: Tensor) -> tuple[int, int] | None:
    """Find rows and columns of patches: what the embedding says, or else a square."""
    embedding: Any = getattr(net, 'patch_embed', None)
    side = math.isqrt(count)
    found = [(side, side)]
    if hasattr(embedding, 'dynamic_feat_size'):
        found.insert(0, tuple(embedding.dynamic_feat_size(tuple(images.shape[-2:]))))
    return next(((rows, columns) for rows, columns in found if rows * columns == count), None)


def timm_preprocessing(net: nn.Module) -> Preprocessing:
    """Return the size, crop and normalisation that a model of timm was trained with.

    Images are resized by their shorter side and cropped at the centre, whatever timm's mode.
    """
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(net)
    _, height, width = config['input_size']
    resized = math.floor(min(height, width) / config['crop_pct'])  # as timm rounds
    return Preprocessing(
        (height, width),
        mean=tuple(255 * value for value in config['mean']),
        std=tuple(255 * value for value in config['std']),
        crop_ratio=min(height, width) / resized,
        interpolation=str(config['interpolation']),
    )
