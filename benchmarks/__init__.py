"""Speed and memory of sigma68, measured: each module is a command (`python -m benchmarks.NAME`)."""
