"""The door to `challenge`: open an entry, run it, check it, begin a new one."""

from __future__ import annotations

from sigma68.challenge.archive import Limits
from sigma68.challenge.check import Finding, check_entry
from sigma68.challenge.entry_process import EntryProcess
from sigma68.challenge.failures import (
    EntryCrashed,
    EntryFailed,
    EntryInvalid,
    EntryTimeout,
    EntryToyError,
)
from sigma68.challenge.new import new_entry
from sigma68.challenge.opening import Entry, open_entry
from sigma68.challenge.train_set import TrainSet, export_train

__all__ = [
    "Entry",
    "EntryCrashed",
    "EntryFailed",
    "EntryInvalid",
    "EntryProcess",
    "EntryTimeout",
    "EntryToyError",
    "Finding",
    "Limits",
    "TrainSet",
    "check_entry",
    "export_train",
    "new_entry",
    "open_entry",
]
