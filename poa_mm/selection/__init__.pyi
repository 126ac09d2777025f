# What the room offers, imported when it is used.
from .cost import Cost, module_cost, params_and_flops, subnet_cost
from .latency import measure_latency, subnet_latency
from .pick import Candidate, Pick, pick_subnet
from .pick_inputs import accuracies_from_csv, profile_from_csv
from .pretrain_cost import Assumptions, CostRow, Measurement, cost_rows
from .profile import LatencySettings, ProfileRow, profile_rows

__all__ = [
    'Assumptions',
    'Candidate',
    'Cost',
    'CostRow',
    'LatencySettings',
    'Measurement',
    'Pick',
    'ProfileRow',
    'accuracies_from_csv',
    'cost_rows',
    'measure_latency',
    'module_cost',
    'params_and_flops',
    'pick_subnet',
    'profile_from_csv',
    'profile_rows',
    'subnet_cost',
    'subnet_latency',
]
