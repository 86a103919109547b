"""sigma68: measure with imperfect simulators, and say honestly how well you know the answer.

The names below are the public surface; each is imported when it is first used, so that
`import sigma68` costs nothing. A measurement, from events to verdict::

    import sigma68

    settings = sigma68.RunSettings(task="gaussian", method="exact", sets=10, toys=100, seed=1)
    folder = sigma68.evaluate(settings, Path("run"))
    score = sigma68.score_folder(folder)
    report = sigma68.write_report(folder)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sigma68.discover import load_task
    from sigma68.errors import Sigma68Error
    from sigma68.protocols import Method, Task
    from sigma68.report.run import write_report
    from sigma68.run.evaluate import evaluate
    from sigma68.run.models import trained
    from sigma68.run.settings import RunSettings
    from sigma68.score.files import score_folder
    from sigma68.seeds import stream
    from sigma68.types import Interval, Observation, Prediction, Score, Truth

__all__ = [
    "Interval",
    "Method",
    "Observation",
    "Prediction",
    "RunSettings",
    "Score",
    "Sigma68Error",
    "Task",
    "Truth",
    "evaluate",
    "load_task",
    "score_folder",
    "stream",
    "trained",
    "write_report",
]

__version__ = "0.1.0"

_HOME = {
    "Interval": "types",
    "Method": "protocols",
    "Observation": "types",
    "Prediction": "types",
    "RunSettings": "run.settings",
    "Score": "types",
    "Sigma68Error": "errors",
    "Task": "protocols",
    "Truth": "types",
    "evaluate": "run.evaluate",
    "load_task": "discover",
    "score_folder": "score.files",
    "stream": "seeds",
    "trained": "run.models",
    "write_report": "report.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
