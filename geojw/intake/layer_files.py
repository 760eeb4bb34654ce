"""The file of a layer: found whole, read, held against the catalogue row by row, brought into the analysis CRS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyproj import CRS

from geojw.decide.batch import LayerData
from geojw.errors import Fault, LayerError
from geojw.intake.formats import READ_ERRORS
from geojw.intake.safety import file_hash, short
from geojw.intake.sites import COLLECTION
from geojw.law import access_list
from geojw.law.catalogue import Layer
from geojw.measure.coverage import Coverage
from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries, read_crs
from geojw.measure.index import Bools, LayerIndex
from geojw.measure.pieces import Ints
from geojw.measure.repair import in_analysis

DIMENSION = {"polygon": 2, "line": 1, "point": 0}
STATUSES = ("official", "open", "synthetic")
FROM_ONE = ("GPKG", "OpenFileGDB")
"""Drivers that count features from 1."""

Bounds = tuple[float, float, float, float]
"""West, south, east, north."""

WINDOW_FEATURES = 50_000
"""Layers of so many features are read only around the sites."""


def inspect_layer(path: Path, row: Layer, name: str) -> tuple[CRS, dict[str, Any]]:
    """Check that a layer's file is there, is readable, and is what the catalogue says."""
    if not path.exists():
        raise LayerError([Fault("layer_missing", row.path, {"layer": name})])
    info = _file_info(path, row)
    wanted = read_crs(row.crs, f"catalogue.toml, layers.{name}, crs")
    faults = []
    if info["crs"] is None:
        faults.append(Fault("crs_absent", row.path, {"wanted": wanted.name}))
    else:
        crs = read_crs(info["crs"], row.path)
        if not crs.equals(wanted, ignore_axis_order=True):
            faults.append(Fault("crs_differs", row.path, {"file": crs.name, "wanted": wanted.name}))
    if row.id not in info["fields"]:
        faults.append(Fault("id_column", row.path, {"column": row.id, "known": ", ".join(info["fields"])}))
    if faults:
        raise LayerError(faults)
    return wanted, info


def _file_info(path: Path, row: Layer) -> dict[str, Any]:
    """Give what a layer's file says of itself."""
    try:
        tables = [str(item[0]) for item in pyogrio.list_layers(path)]
        if row.table is None and len(tables) > 1:
            raise LayerError([Fault("several_tables", row.path, {"known": ", ".join(tables)})])
        if row.table is not None and row.table not in tables:
            raise LayerError([Fault("table_unknown", row.path, {"table": row.table, "known": ", ".join(tables)})])
        info: dict[str, Any] = pyogrio.read_info(
            path, layer=row.table or 0, encoding=row.encoding, force_feature_count=True, force_total_bounds=True
        )
    except READ_ERRORS as problem:
        raise LayerError([Fault("unreadable", row.path, {"error": short(problem)})]) from None
    return info


def is_large(info: Mapping[str, Any]) -> bool:
    """Whether a layer is so large, and its file so made, that reading only a window of it pays."""
    fast = bool(info.get("capabilities", {}).get("fast_spatial_filter", False))
    return fast and int(info["features"]) >= WINDOW_FEATURES


def checked_hash(path: Path, row: Layer) -> str:
    """Hash a layer's file, or all files of a folder such as a FileGDB, and hold it against the catalogue."""
    digest = file_hash(path)
    if row.source.sha256 is not None and digest != row.source.sha256:
        raise LayerError([Fault("checksum", row.path, {"wanted": row.source.sha256[:12], "got": digest[:12]})])
    return digest


def holds(window: Bounds, bounds: Bounds) -> bool:
    """Whether a window holds all that lies within the bounds."""
    return window[0] <= bounds[0] and window[1] <= bounds[1] and window[2] >= bounds[2] and window[3] >= bounds[3]


def read_layer(
    path: Path, row: Layer, crs: CRS, info: Mapping[str, Any], window: Bounds | None
) -> tuple[gpd.GeoDataFrame, pd.Series]:
    """
    Read a layer, or what of it lies in a window, numbered by the rows of the file.

    Returns
    -------
    frame : GeoDataFrame
        The features read; with a window also those, wherever they are, that nobody could find by their place.
    ids : Series
        The ids of all rows of the file, read or not.
    """
    where: dict[str, Any] = {"layer": row.table or info["layer_name"], "encoding": row.encoding, "fid_as_index": True}
    try:
        with np.errstate(invalid="ignore"):  # coordinates that are no numbers are found and named below
            whole = {"force_2d": True, "on_invalid": "ignore", **where}
            frame = pyogrio.read_dataframe(path, bbox=window, **whole)
            ids = frame
            if window is not None:
                odd = np.setdiff1d(_odd_rows(path, row, info), frame.index)
                if odd.size:
                    frame = pd.concat([frame, pyogrio.read_dataframe(path, fids=odd, **whole)]).sort_index()
                ids = pyogrio.read_dataframe(path, columns=[row.id], read_geometry=False, **where)
    except READ_ERRORS as problem:
        raise LayerError([Fault("unreadable", row.path, {"error": short(problem)})]) from None
    _check_count(row, len(ids))
    if not isinstance(frame, gpd.GeoDataFrame):
        raise LayerError([Fault("no_geometry", row.path)])
    first = 0 if info["driver"] in FROM_ONE else 1
    numbered = frame.set_axis(frame.index + first, axis=0).set_crs(crs, allow_override=True)
    return numbered, ids[row.id].set_axis(ids.index + first)


def _odd_rows(path: Path, row: Layer, info: Mapping[str, Any]) -> Ints:
    """Find the rows that a window would miss: without a place, without extent, or of another kind."""
    fids, bounds = pyogrio.read_bounds(path, layer=row.table or 0)
    nowhere = ~np.isfinite(bounds).all(axis=0) | ~bounds.any(axis=0)
    kind = {"polygon": "POLYGON", "line": "LINESTRING", "point": "POINT"}[row.geometry or "polygon"]
    other = f"OGR_GEOMETRY NOT LIKE '%{kind}%'" + (" OR OGR_GEOM_AREA = 0" if kind == "POLYGON" else "")
    sql = f'SELECT FID AS fid_ FROM "{info["layer_name"]}" WHERE {other}'  # noqa: S608 - the name is the file's own
    found = pyogrio.read_dataframe(path, sql=sql, sql_dialect="OGRSQL", read_geometry=False)
    return np.union1d(fids[nowhere], found["fid_"].to_numpy(dtype=np.int64))


def _check_count(row: Layer, count: int) -> None:
    if count == 0 and not row.may_be_empty:
        raise LayerError([Fault("layer_empty", row.path)])
    if row.min_features is not None and count < row.min_features:
        raise LayerError([Fault("too_few", row.path, {"got": count, "wanted": row.min_features})])


def column_texts(path: Path | None, row: Layer, frame: pd.DataFrame, column: str) -> frozenset[str]:
    """Give the texts of a column, of the whole file where only a window was read."""
    if path is not None:
        frame = pyogrio.read_dataframe(
            path, layer=row.table or 0, encoding=row.encoding, columns=[column], read_geometry=False
        )
    return frozenset(access_list.text_of(value) for value in frame[column].unique())


# ---------------------------------------------------------------------------------------------- features


class Features:
    """The features of one delivered layer on their way into the analysis CRS."""

    def __init__(
        self,
        frame: gpd.GeoDataFrame,
        ids: pd.Series,
        row: Layer,
        crs: CRS,
        analysis: AnalysisCRS,
        sliver_m2: float,
    ) -> None:
        self.row = row
        self.repairs: list[Fault] = []
        frame = frame.set_axis(self._names(ids)[frame.index], axis=0).sort_index()
        geometry = np.asarray(frame.geometry.values, dtype=object)
        self.adrift: Bools = np.array([v == "unknown" for v in self._texts(frame, "position")], dtype=bool)
        self._check_kind(frame, geometry)
        shapes, bad = in_analysis(geometry, crs, analysis, kept=True)
        envelopes = []
        for at in np.flatnonzero(bad.invalid):
            changed = abs(float(bad.changed_m2[at]))
            self._note("repaired", frame.index[at], {"why": bad.why[at], "area": f"{changed:.4g}"})
            if changed > sliver_m2:
                envelopes.append(shapely.envelope(bad.raw[at]))
        self.untrusted = np.array(envelopes, dtype=object)
        self.unplaced = np.asarray(shapely.is_empty(shapes), dtype=bool)
        self.adrift = self.adrift & ~self.unplaced
        for at in np.flatnonzero(self.unplaced):
            self._note("unplaced", frame.index[at], {})
        self._check_codes(frame)
        self._check_duplicates(frame, shapes)
        self.frame = frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=analysis.crs))

    def data(self, coverage: Coverage, values_of: Callable[[str], frozenset[str]]) -> LayerData:
        """Give the layer as screening takes it."""
        index = LayerIndex(self.frame, self.row.geometry or "polygon")
        return LayerData(index, coverage, self._accuracy(), self._status(), self.adrift, self.unplaced, values_of)

    def _note(self, key: str, feature: object, fields: Mapping[str, object]) -> None:
        self.repairs.append(Fault(key, f"{self.row.path}, {feature}", fields))

    def _texts(self, frame: pd.DataFrame, column: str) -> list[str]:
        if column not in frame.columns:
            return [""] * len(frame)
        return [access_list.text_of(value) for value in frame[column]]

    def _names(self, ids: pd.Series) -> pd.Series:
        """Give unique ids to all rows of the file; a missing or repeated one is told apart by its row, and named."""
        texts = pd.Series([access_list.text_of(value) for value in ids], index=ids.index, dtype=object)
        for number in texts.index[texts == ""]:
            texts[number] = f"row {number}"
            self._note("feature_id_missing", texts[number], {})
        for number in texts.index[texts.duplicated()]:
            texts[number] = f"{texts[number]} (row {number})"
            self._note("feature_id_twice", texts[number], {})
        return texts

    def _check_kind(self, frame: pd.DataFrame, geometry: Geometries) -> None:
        wanted = DIMENSION[self.row.geometry or "polygon"]
        there = ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
        mixed = shapely.get_type_id(geometry) == COLLECTION
        wrong = there & (mixed | (shapely.get_dimensions(geometry) != wanted)) & ~self.adrift
        if wrong.any():
            named = ", ".join(str(i) for i in frame.index[wrong][:5])
            raise LayerError([Fault("wrong_kind", self.row.path, {"wanted": self.row.geometry, "features": named})])

    def _check_codes(self, frame: pd.DataFrame) -> None:
        for column, codes in self.row.codes.items():
            if column not in frame.columns:
                continue
            for feature, text in zip(frame.index, self._texts(frame, column), strict=True):
                if text and not access_list.listed(text, codes):
                    self._note("code_unknown", feature, {"column": column, "got": text})

    def _check_duplicates(self, frame: pd.DataFrame, shapes: Geometries) -> None:
        keys = pd.Series(shapely.to_wkb(shapely.normalize(shapes)), index=frame.index)
        for feature in frame.index[keys.duplicated() & ~self.unplaced]:
            self._note("geometry_twice", feature, {})

    def _accuracy(self) -> Floats:
        default = np.nan if self.row.accuracy_m is None else self.row.accuracy_m
        out = np.full(len(self.frame), default)
        for at, text in enumerate(self._texts(self.frame, "accuracy_m")):
            if text:
                out[at] = _positive(text)
        return out

    def _status(self) -> np.ndarray[Any, Any]:
        own = np.array(self._texts(self.frame, "status"), dtype=object)
        return np.where(np.isin(own, STATUSES), own, self.row.status)


def _positive(text: str) -> float:
    """Read a number that must not be negative; what cannot be read is unknown."""
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if value >= 0.0 else float("nan")
