"""Floor 5: files in. The only place where geometries are repaired and brought into the analysis CRS."""

from __future__ import annotations

import hashlib
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import CRSError as FileCRSError
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from geojw import access_list
from geojw.errors import Fault, LayerError, SitesError
from geojw.geodesy import AnalysisCRS, Floats, Geometries, densify, read_crs
from geojw.index import AREA, LINE, Bools
from geojw.pieces import Ints
from geojw.screening import REJECTED

READ_ERRORS = (DataSourceError, DataLayerError, FileCRSError, UnicodeDecodeError)
"""What the reader raises for a file that it cannot read."""

DBF_NAME = 10
"""Characters that a Shapefile keeps of the name of a column."""

COLLECTION = 7
"""Type number of a mixed geometry."""

FARTHEST_M = 2_000_000.0
"""A site farther from the zone's centre is a mistake of coordinates, and could not be measured."""

# ---------------------------------------------------------------------------------------------- files


def file_info(
    path: Path, table: str | None, encoding: str | None, error: type[LayerError | SitesError]
) -> dict[str, Any]:
    """Give what a file says of itself; raise `error` if it cannot be read or has several tables and none is named."""
    try:
        tables = [str(item[0]) for item in pyogrio.list_layers(path)]
        if table is None and len(tables) > 1:
            raise error([Fault("several_tables", path.name, {"known": ", ".join(tables)})])
        if table is not None and table not in tables:
            raise error([Fault("table_unknown", path.name, {"table": table, "known": ", ".join(tables)})])
        info: dict[str, Any] = pyogrio.read_info(
            path, layer=table or 0, encoding=encoding, force_feature_count=True, force_total_bounds=error is LayerError
        )
    except READ_ERRORS as problem:
        raise error([Fault("unreadable", path.name, {"error": short(problem)})]) from None
    return info


def short(problem: Exception) -> str:
    """Give the reader's message without the path of the machine."""
    return " ".join(part for part in str(problem).split() if "/" not in part)[:160]


def file_hash(path: Path) -> str:
    """Give the sha256 of a file, or of the files of a folder in the order of their names."""
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if part.is_file():
            if path.is_dir():
                digest.update(part.relative_to(path).as_posix().encode())
            with part.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------- repair


@dataclass(frozen=True, eq=False)
class Repairs:
    """What had to be repaired."""

    invalid: Bools
    why: np.ndarray[Any, Any]
    changed_m2: Floats
    raw: Geometries


def in_analysis(geometry: Geometries, crs: CRS, analysis: AnalysisCRS) -> tuple[Geometries, Repairs]:
    """Repair copies in the CRS of delivery and project them; what is lost comes back empty."""
    flat = shapely.force_2d(geometry)
    missing = shapely.is_missing(flat) | ~_finite(flat)
    flat[missing] = shapely.Polygon()
    invalid = ~shapely.is_valid(flat)
    why = np.full(len(flat), "", dtype=object)
    why[invalid] = shapely.is_valid_reason(flat[invalid])
    fixed = flat.copy()
    fixed[invalid] = [_made_valid(shape) for shape in flat[invalid]]
    shapes = analysis.project(fixed, crs)
    shapes[~_finite(shapes)] = shapely.Polygon()
    bent = np.flatnonzero(~shapely.is_valid(shapes))  # thin shapes may cross themselves once projected
    shapes[bent] = [_made_valid(shape) for shape in shapes[bent]]
    raw = flat.copy()
    raw[invalid] = analysis.project(flat[invalid], crs)
    changed = np.zeros(len(flat))
    changed[invalid] = np.abs(shapely.area(shapes[invalid]) - shapely.area(raw[invalid]))
    return shapes, Repairs(invalid, why, changed, raw)


def _finite(geometry: Geometries) -> Bools:
    return np.asarray(shapely.is_empty(geometry) | np.isfinite(shapely.bounds(geometry)).all(axis=1), dtype=bool)


def _made_valid(shape: shapely.Geometry) -> shapely.Geometry:
    """Repair a copy, keeping only what has the dimension of the original."""
    fixed = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    parts = shapely.get_parts(fixed)
    same = parts[shapely.get_dimensions(parts) == shapely.get_dimensions(shape)]
    return shapely.union_all(same) if len(same) else shapely.Polygon()


# ---------------------------------------------------------------------------------------------- sites


@dataclass(frozen=True, eq=False)
class Sites:
    """
    Sites as read, and the rows that were refused.

    Parameters
    ----------
    frame
        In the CRS of delivery or, after `place`, the analysis CRS; index = site id, sorted.
    rejected
        Columns source, row, site_id, reason: the reason is a `Fault`.
    remarks
        What was decided or changed for sites that were kept.
    """

    frame: gpd.GeoDataFrame
    rejected: pd.DataFrame
    remarks: tuple[Fault, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, eq=False)
class _File:
    """One file of sites, opened."""

    path: Path
    table: str | None
    crs: CRS
    id_column: str | None
    name_column: str | None
    ids: np.ndarray[Any, Any]

    @classmethod
    def open(cls, path: Path, id_column: str | None, table: str | None, crs: str | None) -> _File:
        if not path.exists():
            raise SitesError([Fault("file_missing", path.name)])
        info = file_info(path, table, None, SitesError)
        if info["geometry_type"] is None:
            raise SitesError([Fault("no_geometry", path.name)])
        stated = info["crs"] or crs
        if stated is None:
            raise SitesError([Fault("sites_crs_absent", path.name)])
        column = _column(info["fields"], "site_id", id_column, path)
        name = _column(info["fields"], "name", None, path)
        return cls(
            path,
            table,
            read_crs(stated, path.name),
            column,
            name,
            _ids(path, table, column, info["features"]),
        )

    def read(self, start: int, stop: int) -> gpd.GeoDataFrame:
        """Read some rows as they are, with their ids, source and row."""
        try:
            with np.errstate(invalid="ignore"):  # coordinates that are no numbers are found and refused
                frame = pyogrio.read_dataframe(
                    self.path,
                    layer=self.table or 0,
                    skip_features=start,
                    max_features=stop - start,
                    on_invalid="ignore",
                )
        except READ_ERRORS as problem:
            raise SitesError([Fault("unreadable", self.path.name, {"error": short(problem)})]) from None
        if len(frame) != stop - start:
            raise SitesError([Fault("rows_changed", self.path.name, {"got": len(frame), "wanted": stop - start})])
        frame = frame.set_crs(self.crs, allow_override=True)
        if frame.geometry.name != "geometry":
            frame = frame.rename_geometry("geometry")
        if self.name_column is not None and self.name_column != "name":
            frame["name"] = frame[self.name_column]
        frame["_source"], frame["_row"] = self.path.name, np.arange(start + 1, stop + 1)
        return frame.set_axis(pd.Index(self.ids[start:stop], name="site_id", dtype=object), axis=0)


def _ids(path: Path, table: str | None, column: str | None, count: int) -> np.ndarray[Any, Any]:
    """Give the ids of all rows; a row without one is called by its file and number."""
    cells: Sequence[object] = [""] * count
    if column is not None:
        try:
            frame = pyogrio.read_dataframe(path, layer=table or 0, columns=[column], read_geometry=False)
        except READ_ERRORS as problem:
            raise SitesError([Fault("unreadable", path.name, {"error": short(problem)})]) from None
        cells = list(frame[column])
    return np.array([access_list.text_of(v) or f"{path.stem}-{n}" for n, v in enumerate(cells, 1)], dtype=object)


def _column(fields: Sequence[str], key: str, asked: str | None, path: Path) -> str | None:
    """Find a column by the name asked for or a known alias."""
    if asked is not None:
        if asked not in fields:
            raise SitesError([Fault("site_id_column", path.name, {"column": asked, "known": ", ".join(fields)})])
        return asked
    there = {str(column).casefold(): str(column) for column in reversed(fields)}
    return next((there[a.casefold()] for a in _aliases()[key] if a.casefold() in there), None)


def _aliases() -> Mapping[str, Sequence[str]]:
    return tomllib.loads(resources.files("geojw").joinpath("columns.toml").read_text("utf-8"))


class SiteFiles:
    """
    Files of sites, to be read whole or in batches in the order of the site ids.

    Parameters
    ----------
    *paths
        Files that GDAL reads; all must state their CRS or `crs` must.
    id_column
        Column of the site ids; by default ``site_id`` or a known alias, else source and row.
    table
        Which table of a file with several.
    crs
        The CRS of files that state none.

    Raises
    ------
    SitesError
        With every fault of every file.
    """

    def __init__(
        self,
        *paths: str | Path,
        id_column: str | None = None,
        table: str | None = None,
        crs: str | None = None,
    ) -> None:
        faults: list[Fault] = []
        self.files: list[_File] = []
        for path in map(Path, paths):
            try:
                self.files.append(_File.open(path, id_column, table, crs))
            except SitesError as error:
                faults += error.faults
        if faults or not self.files:
            raise SitesError(faults or [Fault("no_files", "sites")])
        self.ids = np.concatenate([file.ids for file in self.files])
        self._starts = np.cumsum([0, *(len(file.ids) for file in self.files)])
        # No repeated id may win by standing first: all its rows are refused.
        self._twice = pd.Index(self.ids).duplicated(keep=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def remarks(self) -> tuple[Fault, ...]:
        """Where ids had to be made."""
        return tuple(Fault("own_ids", file.path.name) for file in self.files if file.id_column is None)

    def batches(self, size: int) -> Iterator[Sites]:
        """Read at most `size` rows at a time; every id of one batch sorts before those of the next."""
        order = np.argsort(self.ids.astype(str), kind="stable")
        if len(self) <= size or np.array_equal(order, np.arange(len(self))):
            for start in range(0, max(len(self), 1), size):
                yield self._sites(
                    self._read(start, min(start + size, len(self))),
                    np.arange(start, min(start + size, len(self))),
                )
            return
        rank = np.empty(len(self), dtype=np.int64)
        rank[order] = np.arange(len(self))
        yield from self._sorted_batches(rank // size, size)

    def _sorted_batches(self, bucket: Ints, size: int) -> Iterator[Sites]:
        """Deal the rows out to the batches on disk first, so that memory holds one batch."""
        with tempfile.TemporaryDirectory(prefix="geojw-") as folder:
            pieces: dict[int, list[tuple[Path, Ints]]] = {}
            for start in range(0, len(self), size):
                frame = self._read(start, min(start + size, len(self)))
                for number in np.unique(bucket[start : start + len(frame)]):
                    rows = np.flatnonzero(bucket[start : start + len(frame)] == number)
                    path = Path(folder) / f"{number}-{start}.pickle"
                    frame.iloc[rows].to_pickle(path)
                    pieces.setdefault(int(number), []).append((path, rows + start))
            for number in sorted(pieces):
                parts = [pd.read_pickle(path) for path, _ in pieces[number]]  # noqa: S301 - our own, just written
                yield self._sites(pd.concat(parts), np.concatenate([rows for _, rows in pieces[number]]))

    def _read(self, start: int, stop: int) -> gpd.GeoDataFrame:
        parts = []
        for file, first in zip(self.files, self._starts, strict=False):
            a, b = max(start - first, 0), min(stop - first, len(file.ids))
            if a < b or len(self) == 0:
                parts.append(_redelivered(file.read(int(a), int(max(a, b))), self.files[0].crs))
        return pd.concat(parts) if len(parts) > 1 else parts[0]

    def _sites(self, frame: gpd.GeoDataFrame, rows: Ints) -> Sites:
        twice = self._twice[rows]
        rejected = _rejected(frame[twice], ["site_id_twice"] * int(twice.sum()))
        return Sites(frame[~twice].sort_index(), rejected)


def _redelivered(part: gpd.GeoDataFrame, crs: CRS) -> gpd.GeoDataFrame:
    """Bring a further file into the CRS of the first, its edges straight in its own."""
    if part.crs == crs:
        return part
    shapes = np.asarray(part.geometry.values, dtype=object)
    there = ~shapely.is_missing(shapes)
    shapes[there] = densify(shapely.force_2d(shapes[there]), part.crs)
    return part.set_geometry(gpd.GeoSeries(shapes, index=part.index, crs=part.crs)).to_crs(crs)


def read_sites(
    *paths: str | Path, id_column: str | None = None, table: str | None = None, crs: str | None = None
) -> Sites:
    """
    Read project sites from vector files.

    Parameters
    ----------
    *paths, id_column, table, crs
        As in `SiteFiles`.

    Returns
    -------
    Sites
        In the CRS of the first file; rows of a repeated id are all rejected.

    Raises
    ------
    SitesError
        With every fault of every file.
    """
    files = SiteFiles(*paths, id_column=id_column, table=table, crs=crs)
    sites = next(files.batches(max(len(files), 1)))
    return Sites(sites.frame, sites.rejected, files.remarks)


def sites_of(frame: gpd.GeoDataFrame) -> Sites:
    """Take a frame as sites: ids from a column ``site_id`` or else the index."""
    if frame.crs is None:
        raise SitesError([Fault("sites_crs_absent", "sites")])
    ids = frame["site_id"] if "site_id" in frame.columns else frame.index
    out = frame.rename_geometry("geometry") if frame.geometry.name != "geometry" else frame.copy()
    out["_source"], out["_row"] = "frame", np.arange(1, len(frame) + 1)
    out.index = pd.Index(
        [access_list.text_of(v) or f"frame-{n}" for n, v in enumerate(ids, 1)], name="site_id", dtype=object
    )
    twice = out.index.duplicated(keep=False)
    return Sites(out[~twice].sort_index(), _rejected(out[twice], ["site_id_twice"] * int(twice.sum())))


def _rejected(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    reasons = [
        Fault(key, f"{source}, {row}", {"id": name})
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
        The columns that rules ask for, by which names that a Shapefile cut are known again.

    Returns
    -------
    Sites
        In the analysis CRS, every geometry valid; the rest is in `rejected`.
    """
    frame, renamed = _whole_names(sites.frame, wanted)
    geometry = np.asarray(frame.geometry.values, dtype=object)
    shapes, bad = in_analysis(geometry, frame.crs, analysis)
    reasons = np.array(_refusals(geometry, shapes), dtype=object)
    refused = reasons != ""
    remarks = tuple(
        Fault(
            "repaired",
            f"{frame['_source'].iloc[r]}, {frame['_row'].iloc[r]} ({frame.index[r]})",
            {"why": bad.why[r], "area": f"{bad.changed_m2[r]:.4g}"},
        )
        for r in np.flatnonzero(bad.invalid & ~refused)
    )
    kept = frame[~refused].drop(columns=["_source", "_row"])
    placed = kept.set_geometry(gpd.GeoSeries(shapes[~refused], index=kept.index, crs=analysis.crs))
    rejected = pd.concat([sites.rejected, _rejected(frame[refused], list(reasons[refused]))], ignore_index=True)
    return Sites(
        placed, rejected.sort_values(["source", "row"], ignore_index=True), (*sites.remarks, *renamed, *remarks)
    )


def _whole_names(frame: gpd.GeoDataFrame, wanted: Iterable[str]) -> tuple[gpd.GeoDataFrame, tuple[Fault, ...]]:
    """Give columns that a Shapefile cut to ten characters their whole names, where only one can be meant."""
    names: dict[str, str] = {}
    for column in frame.columns:
        whole = {key for key in wanted if len(column) == DBF_NAME and key.startswith(column) and key != column}
        if len(whole) == 1 and not whole & set(frame.columns):
            names[column] = whole.pop()
    remarks = tuple(Fault("name_cut", cut, {"whole": whole}) for cut, whole in names.items())
    return frame.rename(columns=names), remarks


def _refusals(raw: Geometries, shapes: Geometries) -> list[str]:
    """Give for each site the reason why it cannot be screened, or nothing."""
    missing = shapely.is_missing(raw) | shapely.is_empty(raw)
    mixed = shapely.get_type_id(raw) == COLLECTION
    lost = shapely.is_empty(shapes)
    flat = (shapely.get_dimensions(shapes) == AREA) & (shapely.area(shapes) == 0.0)
    short_line = (shapely.get_dimensions(shapes) == LINE) & (shapely.length(shapes) == 0.0)
    far = np.fmax.reduce(np.abs(shapely.bounds(shapes)), axis=1, initial=0.0) > FARTHEST_M
    keys = np.select(
        [missing, mixed, lost, flat | short_line, far],
        ["site_empty", "site_mixed", "site_lost", "site_without_size", "site_far"],
        "",
    )
    return [str(key) for key in keys]
