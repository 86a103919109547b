"""Every error that sigma68 raises on purpose.

::

    Sigma68Error                   the base: catch this one
    ├── InputError                 what the user gave is wrong; the sentence says what, where, what to do
    │   ├── DataError              a file of events: missing column, wrong dtype, NaN, truncated, empty class
    │   ├── NuisanceError          a nuisance parameter that does not exist or is out of its range
    │   ├── SettingsError          settings that contradict each other or those of a run to be continued
    │   ├── DownloadError          a file that a server does not give, or that is not what it should be
    │   ├── EntryError             a challenge entry that cannot be loaded or does not answer as it should
    │   ├── SubmitError            an entry cannot be handed in or watched; the server's reason says why
    │   ├── ExchangeError          a bundle or an export of a challenge that cannot be read or taken in
    │   └── OutputError            an output that cannot be written (permissions, full disk)
    ├── MissingExtraError          a plug-in needs a package that is not installed
    ├── ModelMismatchError         a trained model meets data, a split or a task it was not trained on
    ├── SimulationError            a generator that gives up, or a shard that fails again and again
    ├── FitError                   a fit that did not converge; recorded for its toy, never accepted
    ├── ProtocolError              a worker or an entry broke the framed protocol
    └── IsolationError             strangers' code cannot be shut in here; the sentence says why

The command line turns every ``Sigma68Error`` into one sentence and exit code 2.
"""

from __future__ import annotations


class Sigma68Error(Exception):
    """Base of all errors raised on purpose."""


class InputError(Sigma68Error):
    """What the user gave cannot be used."""


class DataError(InputError):
    """A file or table of events is not what the task needs."""


class NuisanceError(InputError):
    """A nuisance parameter is unknown or outside its allowed range."""


class SettingsError(InputError):
    """Settings contradict each other, or those of the run to be continued."""


class DownloadError(InputError):
    """A file cannot be fetched, or what came is not what was asked for."""


class EntryError(InputError):
    """A challenge entry cannot be loaded or does not answer as it should."""


class SubmitError(InputError):
    """An entry cannot be handed in to a challenge's server, or not be watched there."""


class ExchangeError(InputError):
    """A bundle or an export of a challenge cannot be read, or does not fit where it is to go."""


class OutputError(InputError):
    """An output cannot be written."""


class MissingExtraError(Sigma68Error):
    """A plug-in needs a package that is not installed."""


class ModelMismatchError(Sigma68Error):
    """A trained model was made for another task, data or split."""


class SimulationError(Sigma68Error):
    """Events cannot be simulated."""


class FitError(Sigma68Error):
    """A fit did not converge."""


class ProtocolError(Sigma68Error):
    """A process outside the main one broke the framed protocol."""


class IsolationError(Sigma68Error):
    """Strangers' code cannot be run safely on this machine."""
