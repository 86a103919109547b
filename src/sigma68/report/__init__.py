"""Figures and pages about runs and data: functions take results and return figures, never show.

Use `run.write_report` for the page of one run and `comparison.write_comparison` for several.
"""
