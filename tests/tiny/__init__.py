"""Networks, checkpoints, data and runs of milliseconds, which the tests of all rooms share.

``networks``, ``families`` and ``checkpoints`` hold supernets; ``poa_runs`` pre-trains a tiny POA,
``line_runs`` trains a single line, for what a run does with files and schedules; ``scenes`` and
``annotations`` are of detection, ``segmentation`` of segmentation.
"""
