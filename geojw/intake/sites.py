"""Sites in. The only place where geometries are repaired and brought into the analysis CRS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from geopandas.array import from_shapely

from geojw.decide.screening import REJECTED, none_rejected
from geojw.errors import Fault, SitesError
from geojw.intake.mapping import mapped
from geojw.law.access_list import text_of
from geojw.measure.geodesy import WORLD, AnalysisCRS, Geometries
from geojw.measure.index import POINT, size_of
from geojw.measure.repair import in_analysis
from geojw.wording import Texts

COLLECTION = 7
"""Type number of a mixed geometry."""

FARTHEST_M = 2_000_000.0
"""A site farther from the zone's centre is a mistake of coordinates, and could not be measured."""

OWN = ("_source", "_row", "_reason")
"""Columns of a frame of sites that are ours: where each comes from, and why it is useless."""


@dataclass(frozen=True, eq=False)
class Sites:
    """
    Sites as read, and the rows that were refused.

    Parameters
    ----------
    frame
        In the CRS of delivery or, after `place`, the analysis CRS; index = site id, sorted. Before, its columns `OWN`
        say where each site comes from; without them the frame itself is the source, row by row.
    rejected
        Columns source, row, site_id, reason: the reason is a `Fault`.
    remarks
        What was decided or changed for sites that were kept.
    degrees
        After `place`, the sites as they were delivered, where that was in longitude and latitude of CGCS2000 and
        nothing had to be repaired, in the order of the frame; else None.
    """

    frame: gpd.GeoDataFrame
    rejected: pd.DataFrame
    remarks: tuple[Fault, ...] = ()
    degrees: Geometries | None = None

    def __len__(self) -> int:
        return len(self.frame)


def sites_of(frame: gpd.GeoDataFrame) -> Sites:
    """Take a frame as sites: ids from a column ``site_id`` or else the index."""
    if frame.crs is None:
        raise SitesError([Fault("sites_crs_absent", "sites")])
    ids = frame["site_id"] if "site_id" in frame.columns else frame.index
    out = frame.rename_geometry("geometry") if frame.active_geometry_name != "geometry" else frame.copy()
    if "_source" in frame.columns or "_row" in frame.columns:  # of the file that it came from
        out = _numbered(out)
    out.index = pd.Index([text_of(v) or f"frame-{n}" for n, v in enumerate(ids, 1)], name="site_id", dtype=object)
    if out.index.is_unique and out.index.is_monotonic_increasing:  # as a single site: nothing to be said of its row
        return Sites(out, none_rejected())
    twice = np.where(out.index.duplicated(keep=False), "site_id_twice", "")
    kept, rejected = parted(_numbered(out), twice.astype(object))
    return Sites(kept.sort_index(), rejected)


def _numbered(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give a frame the columns that say where each site comes from: from itself."""
    return frame.assign(_source="frame", _row=np.arange(1, len(frame) + 1))


def parted(frame: gpd.GeoDataFrame, reasons: np.ndarray[Any, Any]) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Part rows with a reason against them from the others."""
    refused = reasons != ""
    if not refused.any():  # a copy of every column for nothing
        return frame, none_rejected()
    return frame[~refused], _rejected(frame[refused], list(reasons[refused]))


def _rejected(rows: pd.DataFrame, keys: Sequence[str | Fault]) -> pd.DataFrame:
    reasons = [
        Fault(key, f"{source}, {row}", {"id": name})
        if isinstance(key, str)
        else Fault(key.key, key.where or f"{source}, {row}", {"id": name, **key.fields})
        for key, source, row, name in zip(keys, rows.get("_source", ()), rows.get("_row", ()), rows.index, strict=True)
    ]
    values = {
        "source": list(rows["_source"]),
        "row": list(rows["_row"]),
        "site_id": list(rows.index),
        "reason": reasons,
    }
    return pd.DataFrame(values, columns=list(REJECTED), dtype=object)


def place(sites: Sites, analysis: AnalysisCRS, wanted: Iterable[str] = ()) -> Sites:
    """
    Check, repair and project sites.

    Parameters
    ----------
    sites
        As `read_sites` gives them.
    analysis
        The zone's analysis CRS.
    wanted
        The columns that rules ask for; a mapping gives the other names by which each is known.

    Returns
    -------
    Sites
        In the analysis CRS, every geometry valid; the rest is in `rejected`.
    """
    frame, renamed = mapped(sites.frame, wanted)
    delivered = frame.geometry
    geometry = np.asarray(delivered.values, dtype=object)
    shapes, bad = in_analysis(geometry, delivered.crs, analysis)
    reasons = _refusals(geometry, shapes)
    if "_reason" in frame.columns:
        told = frame["_reason"].to_numpy(dtype=object)
        reasons = np.where(pd.isna(told), reasons, told)
    refused = reasons != ""
    if "_row" not in frame.columns and (refused.any() or bad.invalid.any()):
        frame = _numbered(frame)
    remarks = tuple(
        Fault(
            "repaired",
            f"{frame['_source'].iloc[r]}, {frame['_row'].iloc[r]} ({frame.index[r]})",
            {"why": bad.why[r], "area": f"{bad.changed_m2[r]:.4g}"},
        )
        for r in np.flatnonzero(bad.invalid & ~refused)
    )
    kept, rejected = parted(frame, reasons)
    own = [name for name in OWN if name in kept.columns]
    placed = kept.drop(columns=own) if own else kept.copy(deep=False)
    placed[kept.active_geometry_name] = from_shapely(shapes[~refused], crs=analysis.crs)
    if len(sites.rejected) or len(rejected):
        rejected = pd.concat([sites.rejected, rejected], ignore_index=True)
        rejected = rejected.sort_values(["source", "row"], ignore_index=True)
    degrees = None
    if delivered.crs.equals(WORLD, ignore_axis_order=True):
        degrees = bad.raw[~refused]
        degrees[~bad.whole[~refused]] = None
    return Sites(placed, rejected, (*sites.remarks, *renamed, *remarks), degrees)


def _refusals(raw: Geometries, shapes: Geometries) -> Texts:
    """Give for each site the reason why it cannot be screened, or nothing."""
    dimension = np.asarray(shapely.get_dimensions(shapes), dtype=np.int64)
    bounds = shapely.bounds(shapes)
    found = {
        "site_far": np.abs(bounds).max(axis=1, initial=0.0) > FARTHEST_M,
        "site_without_size": (dimension > POINT) & (size_of(shapes, dimension) == 0.0),
        "site_lost": shapely.is_empty(shapes),
        "site_mixed": shapely.get_type_id(raw) == COLLECTION,
        "site_empty": shapely.is_missing(raw) | shapely.is_empty(raw),
    }
    out = np.full(len(raw), "", dtype=object)
    for key, rows in found.items():  # what is said last counts
        out[rows] = key
    return out
