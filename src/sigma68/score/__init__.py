"""The verdict on many toys: width, coverage, the challenge's score, and ranking of entries.

Use `estimates.score_toys` for whatever a task asks: it takes `intervals.score_intervals` for one
interval per toy, `score_estimates` for several parameters with errors and `score_strangeness`
for a score alone. `files.score_folder` scores what a run wrote, `ranking.rank` compares entries,
`diagnostics` says where coverage is lost, and `pool_error.pool_error` how much of it a finite
pool can cost.
"""
