"""Floor 12: the cleaned file of sites that `geojw intake --write` gives, with a log of every change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from geojw.access_list import text_of
from geojw.answers import ADDED_ACCURACY, site_accuracy_m
from geojw.errors import Fault, OutputError
from geojw.intake import OWN, SiteFiles, place
from geojw.mapping import sources
from geojw.repair import in_analysis, repaired
from geojw.safety import short
from geojw.screening import BATCH
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
    log = [_file_change(name, fault.text(lang), lang) for name, fault in _told(files)]
    rejected: list[pd.DataFrame] = []
    try:
        for number, sites in enumerate(files.batches(BATCH)):
            placed = place(sites, zone.analysis, zone.pack.site_columns)
            log += [_file_change(fault.where, fault.text(lang), lang) for fault in placed.remarks if not number]
            frame = _clean(sites.frame[sites.frame.index.isin(placed.frame.index)], placed.frame, zone, log, lang)
            pyogrio.write_dataframe(frame, partial, layer="sites", driver="GPKG", append=number > 0)
            rejected.append(placed.rejected.assign(reason=[fault.text(lang) for fault in placed.rejected["reason"]]))
        out = pd.concat(rejected, ignore_index=True).astype({"source": str, "site_id": str, "reason": str})
        pyogrio.write_dataframe(out.assign(row=out["row"].astype("int64")), partial, layer="rejected", append=True)
        changes = pd.DataFrame(log, columns=list(LOG)).astype({"row": "Int64"})
        pyogrio.write_dataframe(changes, partial, layer="changes", append=True)
        partial.replace(path)
    except (OSError, DataSourceError, DataLayerError) as problem:
        raise OutputError([Fault("out_unwritable", path.name, {"error": short(problem)})]) from None
    finally:
        partial.unlink(missing_ok=True)


def _told(files: SiteFiles) -> list[tuple[str, Fault]]:
    return [(file.path.name, fault) for file in files.files for fault in file.remarks]


def _file_change(source: str, text: str, lang: str) -> dict[str, Any]:
    return {"source": source, "change": say("intake.change.file", lang), "after": text}


def _clean(
    frame: gpd.GeoDataFrame, placed: gpd.GeoDataFrame, zone: Zone, log: list[dict[str, Any]], lang: str
) -> gpd.GeoDataFrame:
    """Give the sites that were kept, valid, in their own CRS, and log what is different from the file."""
    where = frame[["_source", "_row"]]
    raw = np.asarray(frame.geometry.values, dtype=object)
    flat, fixed, invalid = repaired(raw, frame.crs)
    _, repairs = in_analysis(raw, frame.crs, zone.analysis)
    high = np.asarray(shapely.has_z(raw), dtype=bool)

    def note(rows: np.ndarray[Any, Any], change: str, before: list[str], after: list[str]) -> None:
        for at, old, new in zip(np.flatnonzero(rows), before, after, strict=True):
            source, row = where.iloc[at]
            what = {"change": change, "before": old, "after": new}
            log.append({"source": source, "row": row, "site_id": frame.index[at], **what})

    note(high, say("intake.change.height", lang), [""] * int(high.sum()), [""] * int(high.sum()))
    told = [
        Fault("repaired", "", {"why": repairs.why[at], "area": f"{repairs.changed_m2[at]:.4g}"}).text(lang).strip(": ")
        for at in np.flatnonzero(invalid)
    ]
    note(invalid, say("intake.repaired", lang), [shapely.to_wkt(shape) for shape in flat[invalid]], told)
    out = frame.drop(columns=[name for name in OWN if name in frame.columns])
    for key in sources([str(c) for c in out.columns], zone.pack.site_columns):
        if key not in out.columns:
            out[key] = placed[key]
    if ADDED_ACCURACY in out.columns:
        metres = site_accuracy_m(out, zone.pack.zone.site_accuracy_m)
        out["accuracy_m"] = ["unknown" if np.isnan(value) else f"{value:.3f}" for value in metres]
        note(np.isfinite(metres) | True, say("intake.change.accuracy", lang), [""] * len(out), list(out["accuracy_m"]))
        out = out.drop(columns=[ADDED_ACCURACY])
    shown = out["site_id"].to_numpy(dtype=object) if "site_id" in out.columns else np.full(len(out), None)
    ids = np.asarray(out.index, dtype=object)
    own = np.array([name != text_of(cell) for name, cell in zip(ids, shown, strict=True)], dtype=bool)
    note(own, say("intake.change.id", lang), [text_of(cell) for cell in shown[own]], [str(name) for name in ids[own]])
    clean = out.assign(site_id=ids).set_geometry(gpd.GeoSeries(fixed, index=out.index, crs=frame.crs))
    return clean.reset_index(drop=True)
