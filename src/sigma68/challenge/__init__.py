"""Other people's entries: opening them safely, running them behind a pipe, checking them.

`entries.py` is the door: `open_entry`, `EntryProcess`, `check_entry`, `new_entry`.
"""
