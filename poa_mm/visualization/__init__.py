"""Pictures of results."""

from poa_mm.visualization.frontier import FrontierRow, pareto_front, plot_frontier
from poa_mm.visualization.profile import CostRow, plot_profile
from poa_mm.visualization.training_curve import plot_training_curve

__all__ = [
    'CostRow',
    'FrontierRow',
    'pareto_front',
    'plot_frontier',
    'plot_profile',
    'plot_training_curve',
]
