# What the room offers, imported when it is used.
from .cost import Cost, module_cost, params_and_flops, subnet_cost
from .latency import measure_latency, subnet_latency
from .pick import Candidate, Pick, pick_subnet
from .pick_inputs import accuracies_from_csv, profile_from_csv
from .profile import LatencySettings, ProfileRow, profile_rows

__all__ = [
    'Candidate',
    'Cost',
    'LatencySettings',
    'Pick',
    'ProfileRow',
    'accuracies_from_csv',
    'measure_latency',
    'module_cost',
    'params_and_flops',
    'pick_subnet',
    'profile_from_csv',
    'profile_rows',
    'subnet_cost',
    'subnet_latency',
]
