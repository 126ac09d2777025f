"""Pictures of results."""

from poa_mm.visualization.frontier import FrontierRow, plot_frontier
from poa_mm.visualization.training_curve import plot_training_curve

__all__ = ['FrontierRow', 'plot_frontier', 'plot_training_curve']
