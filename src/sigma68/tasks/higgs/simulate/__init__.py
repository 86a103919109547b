"""Collision events from Pythia and a Delphes-like detector: the physics of the public data.

    streams -> generator -> decays -> detector -> block -> shards -> merge
"""
