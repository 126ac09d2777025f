"""Define the version of the package, in this place only."""

__version__ = '0.1.0'
