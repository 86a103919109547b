"""The methods: one file per method, found by `sigma68.discover` and never registered."""
