"""sigma68: measure with imperfect simulators, and say honestly how well you know the answer."""

__version__ = "0.1.0"
