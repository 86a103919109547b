"""What the shipped file is, for people and machines: Croissant metadata (mlcommons.org/croissant).

Everything is taken from the file itself: its columns, its hash, and its history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from sigma68 import __version__
from sigma68.errors import DataError
from sigma68.tasks.higgs.embedded.columns import SCALES
from sigma68.tasks.higgs.history import read_history
from sigma68.tasks.higgs.schema import FEATURE_TABLE, LUMINOSITY_FB, PROCESSES

__all__ = ["RECORDS", "croissant"]

RECORDS: Final = "events"
"""The name of the record set."""

_LICENCE: Final = "https://creativecommons.org/licenses/by/4.0/"
_NAME: Final = "sigma68-higgs-embedded"
_MAKERS: Final = "The sigma68 developers"

_WORDS: Final[dict[str, str]] = {
    "PRI_lep_pt": "Transverse momentum of the electron or muon",
    "PRI_lep_eta": "Pseudorapidity of the electron or muon",
    "PRI_lep_phi": "Azimuth of the electron or muon",
    "PRI_had_pt": "Transverse momentum of the hadronic tau",
    "PRI_had_eta": "Pseudorapidity of the hadronic tau",
    "PRI_had_phi": "Azimuth of the hadronic tau",
    "PRI_jet_leading_pt": "Transverse momentum of the hardest jet; undefined without jets",
    "PRI_jet_leading_eta": "Pseudorapidity of the hardest jet; undefined without jets",
    "PRI_jet_leading_phi": "Azimuth of the hardest jet; undefined without jets",
    "PRI_jet_subleading_pt": "Transverse momentum of the second jet; undefined below two jets",
    "PRI_jet_subleading_eta": "Pseudorapidity of the second jet; undefined below two jets",
    "PRI_jet_subleading_phi": "Azimuth of the second jet; undefined below two jets",
    "PRI_n_jets": "Number of jets, the tau not counted",
    "PRI_jet_all_pt": "Sum of the transverse momenta of all jets; 0 without jets",
    "PRI_met": "Missing transverse momentum",
    "PRI_met_phi": "Azimuth of the missing transverse momentum",
    "weights": (
        f"Expected events that the row stands for at {LUMINOSITY_FB:g} fb^-1, signal strength 1; "
        "no unit"
    ),
    "detailed_labels": f"Physics process: {', '.join(PROCESSES)}; {PROCESSES[0]} is the signal",
    "hard_event": (
        "Number of the simulated hard collision; rows that share it are not independent and "
        "belong to the same side of a split; no unit"
    ),
    "decay": "Number of the decay and detector simulation of the hard collision; no unit",
}

_UNITS: Final = {feature.name: feature.unit for feature in FEATURE_TABLE}


def croissant(path: Path, *, published: date) -> dict[str, Any]:
    """The JSON-LD document (Croissant 1.0) of the compact file `path`, which has a history.

    Raises
    ------
    DataError
        If the file cannot be read or does not say where it comes from.
    """
    history = read_history(path)
    if history is None:
        raise DataError(f"{path} does not say where its events come from: make it again")
    schema = pq.read_schema(path)
    fields = [_field(name, str(schema.field(name).type), path.name) for name in schema.names]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _NAME,
        "description": _description(pq.read_metadata(path).num_rows),
        "license": _LICENCE,
        "creator": {"@type": "sc:Organization", "name": _MAKERS},
        "version": __version__,
        "datePublished": published.isoformat(),
        "citeAs": (
            f"@misc{{sigma68_events, title={{{_NAME}: simulated proton collisions}}, "
            f"author={{{{{_MAKERS}}}}}, year={{{published.year}}}, version={{{__version__}}}}}"
        ),
        "keywords": [
            *("high-energy physics", "Higgs boson", "tau leptons", "simulation"),
            *("uncertainty quantification", "systematic uncertainties"),
        ],
        "isLiveDataset": False,
        "rai:dataCollection": _how_it_was_made(history),
        "distribution": [_file(path)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": RECORDS,
                "name": RECORDS,
                "description": "One simulated collision per record.",
                "field": fields,
            }
        ],
    }


def _description(n_rows: int) -> str:
    return (
        f"{n_rows:,} simulated proton-proton collisions at 13 TeV with one electron or muon and "
        "one hadronic tau of opposite charge: Higgs bosons decaying to tau pairs, and their "
        "backgrounds. Momenta, azimuths and pseudorapidities are integers in units of 0.001 (GeV, "
        "rad, 1). Regions that decide the measurement hold more than their share of rows: use the "
        "weights in whatever is computed. Quantities derived from these columns are left out; "
        "sigma68 computes them, and `sigma68 data export embedded events.parquet` writes all of "
        "it with ordinary floating-point columns."
    )


def _how_it_was_made(history: Mapping[str, Any]) -> str:
    """The commands and versions, in sentences."""
    commands = history.get("commands", ())
    told = [f"Made with sigma68 {__version__} by: {'; '.join(map(str, commands))}."]
    versions = history.get("of", {}).get("versions")
    if versions:
        told.append(
            "Versions: "
            + ", ".join(f"{name} {_listed(value)}" for name, value in sorted(versions.items()))
            + "."
        )
    told.append(
        "The full history, with seeds, tries and cross-sections per process, is the JSON object "
        "under the key sigma68 of the file's key-value metadata."
    )
    return " ".join(told)


def _listed(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else " and ".join(value)


def _file(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "description": "Parquet with fixed-point columns, zstd.",
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256,
    }


def _field(name: str, kind: str, file: str) -> dict[str, Any]:
    text = _WORDS[name]
    if SCALES.get(name, 1.0) != 1.0:
        unit = _UNITS[name]
        text += f"; integer in units of 0.001{f' {unit}' if unit else ''}"
        if "undefined" in text:
            text += ", -25000 where undefined"
    elif name in SCALES:
        text += "; no unit"
    whole = kind.startswith(("int", "uint"))
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{name}",
        "name": name,
        "description": f"{text}.",
        "dataType": "sc:Integer" if whole else "sc:Float" if kind == "float" else "sc:Text",
        "source": {"fileObject": {"@id": file}, "extract": {"column": name}},
    }


_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty"),
            *("fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key"),
            *("md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
            *("replace", "samplingRate", "separator", "source", "subField", "transform"),
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
}
