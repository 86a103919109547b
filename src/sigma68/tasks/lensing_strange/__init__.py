"""Which maps of weak lensing are like none that the simulation makes."""
