"""The verdict on many toys: width, coverage, the challenge's score, and ranking of entries.

Use `intervals.score_intervals` for one interval per toy, `estimates.score_estimates` for several
parameters with errors, `strangeness.score_strangeness` for a score alone; `files.score_folder`
scores what a run wrote, `ranking.rank` compares entries, and `pool_error.pool_error` says how
much of the coverage a finite pool can cost.
"""
