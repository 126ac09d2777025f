# What the room offers, imported when it is used.
from .agreement import plot_agreement
from .attention import AttentionMap, leading_heads, mass_mask, plot_attention
from .correspondences import Matches, mutual_matches, plot_correspondences
from .frontier import FrontierRow, pareto_front, plot_frontier
from .galleries import GalleryRow, Tile, plot_gallery
from .heat_map import plot_heat_map
from .measures import plot_measures
from .patch_pca import PatchColours, foreground_patches, patch_colours, plot_patch_colours
from .profile import CostRow, plot_profile
from .robustness import plot_robustness
from .training_curve import plot_training_curve, read_curves

__all__ = [
    'AttentionMap',
    'CostRow',
    'FrontierRow',
    'GalleryRow',
    'Matches',
    'PatchColours',
    'Tile',
    'foreground_patches',
    'leading_heads',
    'mass_mask',
    'mutual_matches',
    'pareto_front',
    'patch_colours',
    'plot_agreement',
    'plot_attention',
    'plot_correspondences',
    'plot_frontier',
    'plot_gallery',
    'plot_heat_map',
    'plot_measures',
    'plot_patch_colours',
    'plot_profile',
    'plot_robustness',
    'plot_training_curve',
    'read_curves',
]
