"""Unlimited events from a model of the simulated ones, whose density is known exactly.

Read in this order: `steps` (what is drawn, in which order), `frame` (events and their canonical
frame), `coordinates` (each quantity as a number in [0, 1]), `features` (what a conditional sees),
`emulator` (events and densities from trained conditionals), `train` (how these are made).
"""
