"""Carrying a method over sets x toys: truths, workers, shards on disk, trained models.

`evaluate.evaluate` runs and continues; `results.read_toys` reads what it left. Whatever runs
outside the main process (a worker, somebody's entry) speaks the protocol of `frames`.
"""
