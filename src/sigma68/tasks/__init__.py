"""The measurements: one folder per task, found by `sigma68.discover` and never registered."""
