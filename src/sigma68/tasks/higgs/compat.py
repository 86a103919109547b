"""What challenge entries expect of this task: two functions they import, and training events.

`systematics` and `DER_data` take and return what the challenge's own modules of that name do:
a DataFrame gives a DataFrame, a dictionary with `data` and `weights` a dictionary. What differs,
on purpose (the specification's decisions 2, 5 and 6):

- the scales of the backgrounds really scale the weights;
- events with three or more jets whose subleading jet fails the threshold are treated as in the
  pseudo-experiments, so that an entry's templates describe what it is asked about
  (`peer_compatible=True` gives the challenge's own columns);
- degenerate angles give the intended value, never NaN.

The soft-MET noise is the challenge's own stream: equal seeds give equal noise.

`training_batches` gives the events of a pool as the public file has them, for export.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import (
    DERIVED,
    FEATURES,
    IS_SIGNAL,
    PRIMARIES,
    PROCESSES,
    SIGNAL,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from sigma68.tasks.higgs.pools import HiggsPool

__all__ = ["DER_data", "systematics", "training_batches"]

Data = TypeVar("Data", "pd.DataFrame", "dict[str, Any]")
FloatArray = npt.NDArray[np.floating[Any]]

_NOT_ROWS = ("data", "settings")
_LABEL_COLUMNS = ("weights", "detailed_labels", "labels")
_KERNEL = threading.Lock()
"""Entries may call from several threads, and numba's layer that survives a fork allows one."""


def systematics(
    data_set: Data | None = None,
    tes: float = 1.0,
    jes: float = 1.0,
    soft_met: float = 0.0,
    seed: int = 31415,
    ttbar_scale: float | None = None,
    diboson_scale: float | None = None,
    bkg_scale: float | None = None,
    dopostprocess: bool = True,
    *,
    peer_compatible: bool = False,
) -> Data:
    """The events as they would be seen at these values of the nuisance parameters.

    Parameters
    ----------
    data_set:
        A DataFrame with the 16 primary columns and any others, or a dictionary with `data`
        (such a DataFrame) and `weights`, and any of `labels`, `detailed_labels`, `settings`.
        It is not changed.
    tes, jes:
        Factors on the pt of the tau and of the jets.
    soft_met:
        Standard deviation (GeV) of the noise added to each component of the missing momentum.
    seed:
        Of that noise.
    ttbar_scale, diboson_scale, bkg_scale:
        Factors on the weights of ttbar, diboson and all background; None for no change.
    dopostprocess:
        Whether the high thresholds are applied, which drop events and jets.
    peer_compatible:
        Give exactly the columns of the challenge's own function.

    Returns
    -------
    What was given, with biased primary and newly derived columns (float32), and every other
    column or entry restricted to the rows that were kept.

    Raises
    ------
    ValueError
        If `data_set` is neither kind, a primary column is missing, or lengths differ.

    Warns
    -----
    UserWarning
        If weights are to be scaled and nothing says which events are which: as in the challenge's
        own function, they stay as they are.
    """
    import pandas as pd

    beside: dict[str, Any] = {}
    if isinstance(data_set, pd.DataFrame):
        frame = data_set
    elif isinstance(data_set, dict):
        frame, beside = _split(data_set)
    else:
        raise ValueError(
            "data_set must be a DataFrame or a dictionary with the keys 'data' and 'weights', "
            f"not {type(data_set).__name__}"
        )
    features, kept = _biased(frame, tes, jes, soft_met, seed, dopostprocess, peer_compatible)
    whole = kept.shape[0] == len(frame)
    columns = {name: frame[name] for name in frame.columns if name not in FEATURES}
    columns = {name: _rows(column, kept, whole) for name, column in columns.items()}
    beside = {name: _rows(column, kept, whole) for name, column in beside.items()}

    known = {name: (beside or columns).get(name) for name in _LABEL_COLUMNS}
    scales = {"ttbar_scale": ttbar_scale, "diboson_scale": diboson_scale, "bkg_scale": bkg_scale}
    weights = _scaled(known, scales, kept.shape[0])
    if weights is not None:
        (beside if beside else columns)["weights"] = weights

    index = frame.index if whole and not dopostprocess else pd.RangeIndex(kept.shape[0])
    result = _assemble(list(frame.columns), features, columns, index)
    if isinstance(data_set, pd.DataFrame):
        return result
    out: dict[str, Any] = {name: pd.Series(beside[name], index=index, name=name) for name in beside}
    out["data"] = result
    if "settings" in data_set:
        out["settings"] = data_set["settings"]
    return out


def DER_data(data: pd.DataFrame) -> pd.DataFrame:  # noqa: N802 (the name entries import)
    """Add the 12 derived columns to `data`, in place, and return it.

    Columns of float64 become float32, as entries expect it.

    Raises
    ------
    ValueError
        If a primary column is missing.
    """
    from sigma68.tasks.higgs.derived import derive

    primaries = _primaries(data)
    with _KERNEL:
        columns = derive(primaries)
    for name, column in zip(DERIVED, columns, strict=True):
        data[name] = column
    for name in data.columns[data.dtypes == np.float64]:
        data[name] = data[name].to_numpy(np.float32)
    return data


def training_batches(pool: HiggsPool, rows: int = 1 << 18) -> Iterator[pa.RecordBatch]:
    """The pool's events before any threshold, in a fixed random order, as Arrow batches.

    Columns are those of the public file, in its order; the pool itself lies sorted by process,
    and an entry that takes the first rows would see one process only.
    """
    import pyarrow as pa

    from sigma68.tasks.higgs.derived import derive

    layout = pool.layout
    order = np.arange(layout.n_rows, dtype=np.uint32 if layout.n_rows < 1 << 32 else np.uint64)
    stream("higgs", "training order", 0).generator().shuffle(order)
    signal = np.array(IS_SIGNAL, np.float32)
    names = pa.array(PROCESSES)
    for first in range(0, layout.n_rows, rows):
        chosen = order[first : first + rows]
        primaries = np.ascontiguousarray(layout.rows[chosen].T)
        process = np.searchsorted(layout.starts, chosen, side="right").astype(np.int8) - np.int8(1)
        columns = dict(zip(PRIMARIES, primaries, strict=True))
        columns["weights"] = layout.weights[chosen].astype(np.float32)
        columns["detailed_labels"] = pa.DictionaryArray.from_arrays(pa.array(process), names)
        columns["labels"] = signal[process]
        columns |= zip(DERIVED, derive(primaries), strict=True)
        yield pa.record_batch(columns)


def _split(data_set: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The DataFrame and the columns beside it, each as long as the DataFrame."""
    import pandas as pd

    for key in ("data", "weights"):
        if key not in data_set:
            raise ValueError(f"the dictionary has no key {key!r}: it needs 'data' and 'weights'")
    frame = data_set["data"]
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"'data' must be a DataFrame, not {type(frame).__name__}")
    beside: dict[str, Any] = {}
    for name, given in data_set.items():
        if name in _NOT_ROWS:
            continue
        if isinstance(given, pd.Series) and not given.index.equals(frame.index):
            # A column taken from an unsorted or filtered frame belongs to its rows by label.
            if set(given.index) != set(frame.index) or not given.index.is_unique:
                raise ValueError(f"{name!r} and 'data' have different rows (index)")
            given = given.reindex(frame.index)
        column = given.array if isinstance(given, pd.Series) else np.asarray(given)
        if len(column) != len(frame):
            raise ValueError(f"{name!r} has {len(column)} rows, 'data' has {len(frame)}")
        beside[name] = column
    return frame, beside


def _primaries(frame: pd.DataFrame) -> npt.NDArray[np.float32]:
    """The primary columns, shape (16, n), contiguous: the only copy on the way in."""
    missing = [name for name in PRIMARIES if name not in frame.columns]
    if missing:
        raise ValueError(f"the events have no column {missing[0]!r}")
    values = frame[list(PRIMARIES)].to_numpy(dtype=np.float32)
    return np.ascontiguousarray(values.T)


def _biased(
    frame: pd.DataFrame,
    tes: float,
    jes: float,
    soft_met: float,
    seed: int,
    dopostprocess: bool,
    peer_compatible: bool,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    from sigma68.tasks.higgs.bias import bias_columns

    noise = None
    if soft_met > 0:
        # All of x, then all of y: the order of the challenge's stream.
        state = np.random.RandomState(seed)
        noise = state.normal(0.0, soft_met, size=(2, len(frame)))
    primaries = _primaries(frame)
    with _KERNEL:
        return bias_columns(
            primaries,
            float(tes),
            float(jes),
            float(soft_met),
            np.zeros(2, np.uint32),
            peer_compatible=peer_compatible,
            noise=noise,
            keep_low=not dopostprocess,
        )


def _rows(column: Any, kept: npt.NDArray[np.int64], whole: bool) -> Any:
    """The kept rows of a column, as an array of its own kind."""
    import pandas as pd

    array = column.array if isinstance(column, pd.Series) else column
    return array.copy() if whole else array.take(kept)


def _scaled(known: Mapping[str, Any], scales: Mapping[str, float | None], n: int) -> Any | None:
    """The weights times the scales; None if there is nothing to scale."""
    active = {name: float(s) for name, s in scales.items() if s is not None and s != 1.0}
    if not active:
        return None
    processes, labels = known["detailed_labels"], known["labels"]
    weights = known["weights"]
    weights = np.ones(n) if weights is None else np.array(weights)
    if processes is not None:
        processes = np.asarray(processes)
    is_scaled = False
    for name, scale in active.items():
        if name == "bkg_scale" and labels is not None:
            rows = np.asarray(labels) == 0
        elif processes is None:
            # The challenge's own sample entry drops that column first, and goes on so.
            warnings.warn(
                f"{name} changes nothing: the events have no 'detailed_labels', which say what "
                "to scale; keep that column",
                stacklevel=3,
            )
            continue
        elif name == "bkg_scale":
            rows = processes != PROCESSES[SIGNAL]
        else:
            rows = processes == name.removesuffix("_scale")
        weights[rows] *= scale
        is_scaled = True
    return weights if is_scaled else None


def _assemble(
    order: list[Any], features: npt.NDArray[np.float32], columns: Mapping[Any, Any], index: pd.Index
) -> pd.DataFrame:
    """One DataFrame in the given order of columns, new ones last, over the kernel's memory.

    Neighbouring features stay one block, so that nothing is copied.
    """
    import pandas as pd

    place = {name: i for i, name in enumerate(FEATURES)}
    names = [*order, *(name for name in columns if name not in order)]
    names += [name for name in FEATURES if name not in names]
    pieces: list[pd.DataFrame] = []
    at = 0
    while at < len(names):
        first = place.get(names[at])
        end = at + 1
        if first is None:
            while end < len(names) and names[end] not in place:
                end += 1
            block = {name: columns[name] for name in names[at:end]}
            pieces.append(pd.DataFrame(block, index=index, copy=False))
        else:
            while end < len(names) and place.get(names[end]) == first + end - at:
                end += 1
            rows = features[first : first + end - at]
            pieces.append(pd.DataFrame(rows.T, index=index, columns=names[at:end], copy=False))
        at = end
    return pd.concat(pieces, axis=1) if len(pieces) > 1 else pieces[0]
