# What the room offers, imported when it is used.
from .agreement import plot_agreement
from .frontier import FrontierRow, pareto_front, plot_frontier
from .heat_map import plot_heat_map
from .measures import plot_measures
from .profile import CostRow, plot_profile
from .robustness import plot_robustness
from .training_curve import plot_training_curve

__all__ = [
    'CostRow',
    'FrontierRow',
    'pareto_front',
    'plot_agreement',
    'plot_frontier',
    'plot_heat_map',
    'plot_measures',
    'plot_profile',
    'plot_robustness',
    'plot_training_curve',
]
