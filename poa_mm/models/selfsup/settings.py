"""Checks of the settings of self-distillation and inputs, and the backbone that they build."""

from typing import cast

from torch import Tensor

from poa_mm.models.backbones import ElasticBackbone
from poa_mm.models.losses import NUM_GLOBAL
from poa_mm.registry import ELASTIC_BACKBONES, build_model

CENTERINGS = ('sinkhorn_knopp', 'centering')


def check_settings(student_temp: float, koleo: float, ibot: float, centering: str) -> None:
    """Check that weights, temperature and centering are valid, or raise a ValueError."""
    if student_temp <= 0:
        raise ValueError(f'student_temp must be positive, got {student_temp}')
    for name, weight in (('koleo_weight', koleo), ('ibot_weight', ibot)):
        if not weight >= 0:
            raise ValueError(f'{name} must not be negative, got {weight}')
    if centering not in CENTERINGS:
        raise ValueError(f'centering must be one of {CENTERINGS}, got {centering!r}')


def build_backbone(cfg: dict, ibot_weight: float) -> ElasticBackbone:
    """Build an elastic backbone, and freeze its parameters that no loss gives a gradient.

    Args:
        cfg: Its config; ``with_mask_token`` is set unless this says otherwise.
        ibot_weight: Weight of masked patch prediction.

    Raises:
        TypeError: The backbone is not elastic.
        ValueError: It has no class token, or no mask token although patches are masked.
    """
    name = str(cfg.get('type')).rsplit('.', 1)[-1]
    if name not in ELASTIC_BACKBONES.module_dict:
        raise TypeError(
            f'POA needs an elastic backbone ({", ".join(ELASTIC_BACKBONES.module_dict)}), '
            f'got {name}'
        )
    backbone = cast(ElasticBackbone, build_model({'with_mask_token': True, **cfg}))
    if not getattr(backbone, 'with_cls_token', True):  # of families that have one
        raise ValueError('POA trains class tokens: set backbone.with_cls_token=True, got False')
    if ibot_weight and not backbone.with_mask_token:
        raise ValueError(
            f'ibot_weight={ibot_weight} masks patches, which needs backbone.with_mask_token=True; '
            'set it, or ibot_weight=0'
        )
    for layer in backbone.output_layers:  # DDP would wait for their gradients
        layer.requires_grad_(False)
    return backbone


def check_crops(global_crops: Tensor, local_crops: Tensor, channels: int) -> None:
    """Check that crops are two and V views of one batch, of the given channels, or raise an error.

    Raises:
        ValueError: Another number of channels, or of views.
    """
    for crops in (global_crops, local_crops):
        if crops.shape[1] != channels:
            raise ValueError(
                f'the backbone takes images of {channels} channels (in_channels), the crops have '
                f'{crops.shape[1]}'
            )
    batch, odd = divmod(len(global_crops), NUM_GLOBAL)
    if odd or not batch or not len(local_crops) or len(local_crops) % batch:
        raise ValueError(
            f'{len(global_crops)} global and {len(local_crops)} local crops are not '
            f'{NUM_GLOBAL} and V views of one batch'
        )
