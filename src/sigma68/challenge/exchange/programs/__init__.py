"""The programs that a bundle of ours carries; they run in the competition's container."""
