"""Measures of frozen features that need no labels: RankMe, LiDAR and α-ReQ.

They follow the spectrum of the features: collapsed features have few directions of large variance.
All compute in float64, from the Gram matrix of the smaller side, and take up to a few ten thousand
features in seconds.
"""

import torch
from torch import Tensor

__all__ = ['alpha_req', 'lidar', 'rankme']

EPS = 1e-7  # added to normalised singular values, as in the RankMe paper
DELTA = 1e-4  # added to the within-class covariance, as in the LiDAR paper
FIT_RANGE = (4, 100)  # of the α-ReQ authors' code (fastssl); their paper gives none


def rankme(features: Tensor) -> float:
    """Measure the effective rank of features (Garrido et al., RankMe, ICML 2023).

    It is exp of the entropy of the normalised singular values, from 1 (collapsed) to D. Features
    are not centred, as in the paper.

    Args:
        features: Features (N, D).

    Raises:
        ValueError: Features are not a finite matrix, or all of them are zero.

    Example:
        >>> round(rankme(torch.eye(8)), 3), round(rankme(torch.ones(8, 8)), 3)
        (8.0, 1.0)
    """
    values = _spectrum(_checked(features)).sqrt()
    if not values.sum() > 0:
        raise ValueError('all features are zero')
    return _effective_rank(values)


def lidar(features: Tensor) -> float:
    """Measure the rank of the LDA matrix of features (Thilak et al., LiDAR, ICLR 2024).

    Each image is a class of its own, and its augmented views are the members. LiDAR is the
    effective rank of the between-image covariance, whitened by the within-image covariance (both
    unbiased): unlike RankMe, it does not count directions in which views of one image differ.

    Args:
        features: Features of q views of each of n images, (n, q, D), with n and q at least 2.

    Raises:
        ValueError: The shape is another one, or features are not finite.

    Example:
        >>> images = torch.eye(4).repeat_interleave(4, dim=0).view(4, 4, 4)
        >>> round(lidar(images), 2)  # the mean takes one of four directions
        3.0
    """
    if features.ndim != 3 or min(features.shape[:2]) < 2:
        raise ValueError(
            'features must be of shape (images, views, D) with two images and two views or more, '
            f'got {tuple(features.shape)}'
        )
    images, views, width = features.shape
    flat = _checked(features.flatten(0, 1)).view(images, views, width)
    means = flat.mean(dim=1)
    inner = (flat - means[:, None]).flatten(0, 1)
    within = inner.T @ inner / (images * (views - 1))
    within += DELTA * torch.eye(width, dtype=within.dtype, device=within.device)
    variances, directions = torch.linalg.eigh(within)
    outer = (means - means.mean(dim=0)) @ directions / variances.clamp_min(DELTA / 2).sqrt()
    # Singular values of a covariance are its eigenvalues.
    values = _spectrum(outer)
    return _effective_rank(values) if values.sum() > 0 else 1.0


def alpha_req(features: Tensor, fit_range: tuple[int, int] = FIT_RANGE) -> float:
    """Measure the decay of the eigenvalues of features (Agrawal et al., α-ReQ, NeurIPS 2022).

    The i-th largest eigenvalue of the covariance follows i^-α. α is fitted on logarithms by least
    squares with weights 1 / i, as in the authors' code. According to the paper, values near 1 are
    best; large values mean few directions.

    Args:
        features: Features (N, D).
        fit_range: First and last eigenvalue of the fit, counted from 1; the last is cut to the
            number of positive eigenvalues.

    Raises:
        ValueError: Features are not a finite matrix, or have fewer than two positive eigenvalues in
            the range.

    Example:
        >>> scales = torch.arange(1, 33).double() ** -0.5  # eigenvalues 1 / i
        >>> basis = torch.linalg.qr(torch.randn(64, 33, dtype=torch.float64)).Q
        >>> centred = torch.linalg.qr(basis - basis.mean(dim=0)).Q[:, :32]
        >>> round(alpha_req(centred * scales), 3)
        1.0
    """
    checked = _checked(features)
    values = _spectrum(checked - checked.mean(dim=0))
    values = values[values > values.max() * 1e-12]
    first, last = fit_range[0], min(fit_range[1], len(values))
    if last <= first or first < 1:
        raise ValueError(
            f'{len(values)} positive eigenvalues are too few for a fit from the '
            f'{first}th to the {fit_range[1]}th'
        )
    ranks = torch.arange(first, last + 1, dtype=torch.float64, device=values.device)
    weights = 1 / ranks / (1 / ranks).sum()
    x = ranks.log() - (weights * ranks.log()).sum()
    y = values[first - 1 : last].log()
    return -((weights * x * y).sum() / (weights * x.square()).sum()).item()


def _checked(features: Tensor) -> Tensor:
    """Check features and convert them to float64."""
    if features.ndim != 2 or not features.numel():
        raise ValueError(f'features must be of shape (N, D), got {tuple(features.shape)}')
    if not torch.isfinite(features).all():
        raise ValueError('features hold NaN or infinity')
    return features.double()


def _spectrum(features: Tensor) -> Tensor:
    """Compute the squared singular values of a matrix in descending order."""
    gram = features @ features.T if len(features) < features.shape[1] else features.T @ features
    return torch.linalg.eigvalsh(gram).flip(0).clamp_min(0)


def _effective_rank(values: Tensor) -> float:
    """Compute exp of the entropy of normalised values."""
    shares = values / values.sum() + EPS
    return (-(shares * shares.log()).sum()).exp().item()
