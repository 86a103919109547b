"""Collision events from Pythia and a Delphes-like detector: the physics of the public data.

The data flow: streams, generator (with thinning), decays, detector passes, block; then shards,
made by workers, and their merger.
"""
