"""Tasks: each folder here is a measurement (see `sigma68.protocols.Task`)."""
