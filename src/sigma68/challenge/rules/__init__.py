"""What may happen when: accounts, teams, phases, quotas, the final, leaderboards, the jury.

Plain functions that take an open `Session` first and the time as `now` (aware, UTC); they change
rows and never commit. What is not allowed raises a `RefusedError` of `refusals.py`.
"""
