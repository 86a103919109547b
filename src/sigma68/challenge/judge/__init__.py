"""Judging entries: draws each toy once, shows it to every candidate, and holds the truth alone."""
