"""The cleaned file of sites that `geojw intake --write` gives, with a log of every change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from geojw.decide.batch import ADDED_ACCURACY, site_accuracy_m
from geojw.decide.screening import BATCH
from geojw.errors import Fault, OutputError
from geojw.intake.mapping import sources
from geojw.intake.safety import short
from geojw.intake.site_files import SiteFiles
from geojw.intake.sites import OWN, place
from geojw.law.access_list import text_of
from geojw.measure.index import Bools
from geojw.measure.repair import in_analysis, repaired
from geojw.texts import say
from geojw.zone import Zone

LOG = ("source", "row", "site_id", "change", "before", "after")
"""Columns of the log; `row` is empty where the whole file was changed."""


def write_cleaned(files: SiteFiles, zone: Zone, path: Path, lang: str) -> None:
    """
    Write sites as screening takes them.

    Parameters
    ----------
    files
        The sites.
    zone
        The zone that they would be screened against: its columns and its accuracy of sites.
    path
        A GeoPackage that does not exist yet: layer ``sites`` in the CRS of the first file, tables ``rejected`` and
        ``changes``.
    lang
        Of the log.

    Raises
    ------
    OutputError
        The file is there, or cannot be written; then nothing is left of it.
    """
    if path.suffix.lower() != ".gpkg":
        raise OutputError([Fault("write_suffix", path.name)])
    if path.exists():
        raise OutputError([Fault("write_exists", path.name)])
    partial = path.with_name(f".{path.stem}.part.gpkg")
    log = _Log(lang)
    for file in files.files:
        taken = (
            [Fault("column_taken", file.id_column, {"key": "site_id"})]
            if file.id_column not in (None, "site_id")
            else []
        )
        log.of_file(file.path.name, (*file.remarks, *taken))
    rejected: list[pd.DataFrame] = []
    try:
        for number, sites in enumerate(files.batches(BATCH)):
            placed = place(sites, zone.analysis, zone.pack.site_columns)
            log.of_file("", [fault for fault in placed.remarks if fault.key != "repaired"])
            kept = sites.frame[sites.frame.index.isin(placed.frame.index)]
            frame = _clean(kept, placed.frame, {f.path.name: f.id_column for f in files.files}, zone, log)
            pyogrio.write_dataframe(frame, partial, layer="sites", driver="GPKG", append=number > 0)
            rejected.append(placed.rejected.assign(reason=[fault.text(lang) for fault in placed.rejected["reason"]]))
        out = pd.concat(rejected, ignore_index=True).astype({"source": str, "site_id": str, "reason": str})
        pyogrio.write_dataframe(out.assign(row=out["row"].astype("int64")), partial, layer="rejected", append=True)
        changes = pd.DataFrame(log.rows, columns=list(LOG)).astype({"row": "Int64"})
        pyogrio.write_dataframe(changes, partial, layer="changes", append=True)
        partial.replace(path)
    except (OSError, DataSourceError, DataLayerError) as problem:
        raise OutputError([Fault("out_unwritable", path.name, {"error": short(problem)})]) from None
    finally:
        partial.unlink(missing_ok=True)


class _Log:
    """The changes so far."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.rows: list[dict[str, Any]] = []

    def of_file(self, source: str, faults: Iterable[Fault]) -> None:
        """Note what was decided for a whole file, once."""
        change = say("intake.change.file", self.lang)
        for fault in faults:
            row = {"source": source or fault.where, "change": change, "after": fault.text(self.lang)}
            self.rows += [] if row in self.rows else [row]

    def of_rows(self, frame: pd.DataFrame, rows: Bools, key: str, before: Sequence[str], after: Sequence[str]) -> None:
        """Note what was changed in some rows."""
        change = say(f"intake.change.{key}", self.lang)
        for at, old, new in zip(np.flatnonzero(rows), before, after, strict=True):
            source, row = frame[["_source", "_row"]].iloc[int(at)]
            told = {"source": source, "row": row, "site_id": str(frame.index[int(at)])}
            self.rows.append({**told, "change": change, "before": old, "after": new})


def _clean(
    frame: gpd.GeoDataFrame, placed: gpd.GeoDataFrame, id_columns: Mapping[str, str | None], zone: Zone, log: _Log
) -> gpd.GeoDataFrame:
    """Give the sites that were kept, valid, in their own CRS, and log what is different from the file."""
    raw = np.asarray(frame.geometry.values, dtype=object)
    flat, fixed, invalid = repaired(raw, frame.crs)
    _, repairs = in_analysis(raw, frame.crs, zone.analysis)
    high = np.asarray(shapely.has_z(raw), dtype=bool)
    log.of_rows(frame, high, "height", [""] * int(high.sum()), [""] * int(high.sum()))
    told = [
        Fault("repaired", "", {"why": repairs.why[at], "area": f"{repairs.changed_m2[at]:.4g}"}).text(log.lang)
        for at in np.flatnonzero(invalid)
    ]
    log.of_rows(frame, invalid, "repaired", [shapely.to_wkt(shape) for shape in flat[invalid]], told)
    _log_ids(frame, id_columns, log)
    out = frame.drop(columns=[name for name in OWN if name in frame.columns])
    for key in sources([str(c) for c in out.columns], zone.pack.site_columns):
        if key not in out.columns:
            out[key] = placed[key]
    if ADDED_ACCURACY in out.columns:
        metres = site_accuracy_m(out, zone.pack.zone.site_accuracy_m)
        out["accuracy_m"] = ["unknown" if np.isnan(value) else f"{value:.3f}" for value in metres]
        all_rows = np.full(len(out), fill_value=True)
        log.of_rows(frame, all_rows, "accuracy", [""] * len(out), list(out["accuracy_m"]))
        out = out.drop(columns=[ADDED_ACCURACY])
    clean = out.assign(site_id=out.index.to_numpy(dtype=object))
    return clean.set_geometry(gpd.GeoSeries(fixed, index=out.index, crs=frame.crs)).reset_index(drop=True)


def _log_ids(frame: pd.DataFrame, id_columns: Mapping[str, str | None], log: _Log) -> None:
    """Note the ids that were made, and those that are written otherwise than in the file."""
    columns = [id_columns[str(source)] for source in frame["_source"]]
    cells = [None if c is None else frame[c].iloc[at] for at, c in enumerate(columns)]
    missing = np.array([text_of(cell) == "" for cell in cells], dtype=bool)
    other = np.array([str(cell) != name for cell, name in zip(cells, frame.index, strict=True)], dtype=bool) & ~missing
    for rows, key in ((missing, "id"), (other, "id_text")):
        at = np.flatnonzero(rows)
        log.of_rows(frame, rows, key, [str(cells[k] or "") for k in at], [str(frame.index[int(k)]) for k in at])
