"""Pictures of results."""

from poa_mm.visualization.frontier import FrontierRow, plot_frontier

__all__ = ['FrontierRow', 'plot_frontier']
