"""Files of sites in: read, their coordinates and ids settled, handed on whole, batch by batch or as delivered."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from pyarrow import compute
from pyproj import CRS

from geojw.decide.batch import ADDED_ACCURACY
from geojw.errors import CRSError, Fault, SitesError
from geojw.intake import safety
from geojw.intake.datums import Stated, header_crs, recognise
from geojw.intake.delivery import GEOMETRY, REASON, ROWS, Delivery, X, Y
from geojw.intake.georeference import Georeference, Way, settled
from geojw.intake.quarantine import Delivered, Reader, shared_reader
from geojw.intake.safety import Limits
from geojw.intake.sites import Sites, parted
from geojw.intake.text_tables import find_column
from geojw.law.access_list import texts
from geojw.measure.geodesy import Floats, Geometries, densify
from geojw.measure.index import Bools
from geojw.measure.pieces import Ints


@dataclass(frozen=True)
class Asked:
    """
    What a user says of files of sites.

    Parameters
    ----------
    id_column
        Column of the site ids; by default ``site_id`` or a known alias, else source and row.
    table
        Which table of a file with several, or which member of an archive.
    encoding
        The encoding of texts.
    columns
        Column -> further names by which it is known, from the zone pack.
    way
        How the coordinates are to be read.
    """

    id_column: str | None = None
    table: str | None = None
    encoding: str | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    way: Way = field(default_factory=Way)

    def key(self) -> dict[str, str]:
        """Give what decides how a file is read, with the hashes of files that are named."""
        way = {name: value for name, value in vars(self.way).items() if name != "extent"}  # the zone's own
        own = {name: value for name, value in vars(self).items() if name != "way"}
        out = {name: str(value) for name, value in (own | way).items()}
        for name in ("control_points", "transformation"):
            if way[name] is not None and Path(way[name]).is_file():
                out[name] = safety.file_hash(Path(way[name]))
        return out


@dataclass(frozen=True, eq=False)
class SiteFile:
    """
    One file of sites, read.

    Parameters
    ----------
    path
        Of the user.
    delivered
        What the reader gave.
    stated
        What it says of its coordinates.
    place
        The CRS of its coordinates, settled, and the way there.
    id_column, name_column
        The columns that were taken for ids and names.
    remarks
        What was decided.
    """

    path: Path
    delivered: Delivered
    stated: Stated | None
    place: Georeference
    id_column: str | None
    name_column: str | None
    most_vertices: int
    remarks: tuple[Fault, ...] = ()

    @property
    def crs(self) -> CRS:
        """The CRS in which its sites come."""
        return self.place.crs

    @property
    def said(self) -> Delivery:
        """What the file says of itself."""
        return self.delivered.said

    @property
    def hashes(self) -> Mapping[str, str]:
        """The sha256 of each file that was read."""
        return self.said.hashes

    @property
    def sha256(self) -> str:
        """Of the file itself, or of the folder."""
        return self.hashes[self.path.resolve().name]

    def __len__(self) -> int:
        return len(self.delivered.table)

    @classmethod
    def open(cls, path: Path, asked: Asked, reader: Reader, limits: Limits) -> SiteFile:
        """Read a file and settle its CRS, ids and names; raise `SitesError` with the reasons if it cannot be used."""
        path_given = safety.local_file(path)
        delivered = reader.read(path_given, limits, asked.table, asked.encoding)
        said, table = delivered.said, delivered.table
        fields = [name for name in table.column_names if name not in (GEOMETRY, REASON, X, Y)]
        column = _id_column(fields, asked, path)
        name = find_column(fields, "name", asked.columns.get("name", ()))
        xy = np.column_stack([table[X].to_numpy(), table[Y].to_numpy()]).reshape(-1, 2)
        try:
            stated = stated_crs(delivered, xy, path.name)
            place = settled(stated, asked.way, xy, path.name)
        except CRSError as error:
            raise SitesError(error.faults) from None
        remarks = (*said.remarks, *place.remarks)
        if column is None and len(table):
            remarks = (*remarks, Fault("own_ids", path.name))
        return cls(path, delivered, stated, place, column, name, limits.vertices, remarks)

    def ids(self) -> pa.LargeStringArray:
        """Give the ids of all rows, made anew: of very many sites they are not held; see `_ids`."""
        parts, row = [], 0
        for batch in self.delivered.table.to_batches(max_chunksize=ROWS):
            parts.append(_ids(batch, self.id_column, self.path.stem, np.arange(row, row + len(batch))))
            row += len(batch)
        return pa.concat_arrays(parts or [pa.array([], pa.large_string())])

    def cut(self, rows: Ints) -> Rows:
        """Take some rows as they were delivered."""
        table = self.delivered.table
        whole = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())
        part = table.slice(int(rows[0]), len(rows)) if whole else self.delivered.take(rows)
        ids = _ids(part, self.id_column, self.path.stem, rows)
        return Rows(self.path.name, self.place, self.name_column, self.most_vertices, part, ids, rows)

    def read(self, rows: Ints) -> gpd.GeoDataFrame:
        """Give some rows as `Rows.read` does."""
        frame = self.cut(rows).read()
        self.delivered.forget()
        return frame


@dataclass(frozen=True, eq=False)
class Rows:
    """
    Some rows of a file as delivered, to be read where they are needed; they travel as few bytes.

    Parameters
    ----------
    source
        The file's name.
    place, name_column, most_vertices
        As in `SiteFile`.
    table, ids
        The rows, and the id of each.
    number
        Which rows of the file they are, from 0.
    """

    source: str
    place: Georeference
    name_column: str | None
    most_vertices: int
    table: pa.Table
    ids: pa.LargeStringArray
    number: Ints

    def __getstate__(self) -> dict[str, Any]:
        """Give what is pickled: Arrow would pickle the whole file of which these are some rows."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as stream:
            stream.write_table(self.table)
        return {**vars(self), "table": sink.getvalue().to_pybytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take in what was pickled."""
        vars(self).update(state, table=pa.ipc.open_stream(state["table"]).read_all())

    def read(self) -> gpd.GeoDataFrame:
        """Give them as they are, with their ids, source, row, and the reason why they are useless."""
        part = self.table
        wkb = part[GEOMETRY].to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):  # coordinates that are no numbers are found and refused
            shapes = np.asarray(shapely.from_wkb(wkb, on_invalid="ignore"), dtype=object)
        reasons = _row_reasons(part, shapes, wkb, self.most_vertices)
        try:
            shapes, added = self.place.apply(shapes)
        except CRSError as error:
            raise SitesError(error.faults) from None
        attributes = part.drop_columns([GEOMETRY, REASON, X, Y]).to_pandas()
        index = pd.Index(_texts(self.ids), name="site_id", dtype=object)
        frame = gpd.GeoDataFrame(attributes.set_axis(index, axis=0), geometry=shapes, crs=self.place.crs)
        if self.name_column is not None and self.name_column != "name":
            frame["name"] = frame[self.name_column]
        frame["_source"], frame["_row"], frame["_reason"] = self.source, self.number + 1, reasons
        if self.place.move is not None:
            frame[ADDED_ACCURACY] = added
        return frame


@dataclass(frozen=True, eq=False)
class Cut:
    """
    A batch as delivered.

    Parameters
    ----------
    parts
        The rows of each file that has some.
    twice
        For each row whether its id is repeated.
    crs
        Of the first file: the others are brought into it.
    """

    parts: tuple[Rows, ...]
    twice: Bools
    crs: CRS

    def read(self) -> Sites:
        """Read it."""
        parts = [_redelivered(part.read(), self.crs) for part in self.parts]
        frame = pd.concat(parts) if len(parts) > 1 else parts[0]
        kept, rejected = parted(frame, np.where(self.twice, "site_id_twice", "").astype(object))
        return Sites(kept.sort_index(), rejected)


def stated_crs(delivered: Delivered, xy: Floats, where: str) -> Stated | None:
    """Give what a file says of its coordinates, if it says anything."""
    said = delivered.said
    if said.crs_how == "header":
        return header_crs(said.header, xy, where)
    return recognise(said.crs, where) if said.crs else None


def _row_reasons(
    part: pa.Table, shapes: Geometries, wkb: np.ndarray[Any, Any], most: int
) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Give for each row the fault for which it cannot be a site, so far as the file shows it."""
    out = np.full(len(shapes), None, dtype=object)
    for at, told in enumerate(part[REASON].to_pylist()):
        if told:
            said = json.loads(told) if told.startswith("{") else {"key": told}
            out[at] = Fault(said["key"], said.get("where", ""), said.get("fields", {}))
    lost = shapely.is_missing(shapes) & np.array([cell is not None for cell in wkb], dtype=bool)
    many = shapely.get_num_coordinates(shapes) > most
    for row in np.flatnonzero((lost | many) & pd.isna(out)):
        out[row] = Fault("site_unreadable" if lost[row] else "site_vertices", "")
    return out


def _ids(part: pa.Table | pa.RecordBatch, column: str | None, stem: str, rows: Ints) -> pa.LargeStringArray:
    """Give the ids of some rows, packed; a row without one is called by its file and number."""
    ids = np.full(len(rows), "", dtype=object)
    if column is not None:
        ids[:] = texts(part[column].to_pandas(integer_object_nulls=True))  # as floats, long numbers would be rounded
    for at in np.flatnonzero(ids == ""):
        ids[at] = f"{stem}-{rows[at] + 1}"
    return pa.array(ids, pa.large_string())


def _texts(words: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, Any]:
    return np.asarray(words.to_numpy(zero_copy_only=False), dtype=object)


def _id_column(fields: Sequence[str], asked: Asked, path: Path) -> str | None:
    """Find the column of ids by the name asked for or a known alias."""
    if asked.id_column is None:
        return find_column(fields, "site_id", asked.columns.get("site_id", ()))
    if asked.id_column not in fields:
        known = ", ".join(fields)
        raise SitesError([Fault("site_id_column", path.name, {"column": asked.id_column, "known": known})])
    return asked.id_column


class SiteFiles:
    """
    Files of sites, to be read whole or in batches in the order of the site ids.

    Parameters
    ----------
    *paths
        Files of any format of ``docs/intake.md``.
    crs, datum, control_points, transformation, transformation_accuracy_m, extent
        As in `georeference.Way`.
    id_column, table, encoding, columns
        As in `Asked`.
    limits
        What is too large or too slow.
    reader
        The reading process, if the caller has started one.

    Attributes
    ----------
    files
        What was read.
    repeated
        The ids that several rows have, sorted.

    Raises
    ------
    SitesError
        With every fault of every file.
    """

    def __init__(
        self, *paths: str | Path, limits: Limits | None = None, reader: Reader | None = None, **asked: Any,  # noqa: ANN401 - of `Way` and `Asked`
    ) -> None:  # fmt: skip
        faults: list[Fault] = []
        self.files: list[SiteFile] = []
        reader = reader or shared_reader()
        limits = limits or Limits()
        own = {name: asked.pop(name) for name in ("id_column", "table", "encoding", "columns") if name in asked}
        self.asked = said = Asked(**own, way=Way(**asked))
        for path in map(Path, paths):
            try:
                self.files.append(SiteFile.open(path, said, reader, limits))
            except SitesError as error:
                faults += error.faults
        if faults or not self.files:
            raise SitesError(faults or [Fault("no_files", "sites")])
        self._starts = np.cumsum([0, *map(len, self.files)])
        ids = pa.concat_arrays([file.ids() for file in self.files])
        order = compute.array_sort_indices(ids).to_numpy()  # of equal ids the first row first
        self._order = order.astype(np.uint32 if len(ids) < 1 << 32 else np.uint64)  # held as long as the run lasts
        in_order = ids.take(pa.array(self._order))
        again = compute.equal(in_order[1:], in_order[:-1])
        self.repeated: list[str] = compute.unique(in_order[1:].filter(again)).to_pylist()
        # No repeated id may win by standing first: all its rows are refused.
        self._twice = compute.is_in(ids, pa.array(self.repeated, pa.large_string())).to_numpy(zero_copy_only=False)

    def __len__(self) -> int:
        return len(self._twice)

    @property
    def remarks(self) -> tuple[Fault, ...]:
        """What was decided when the files were read."""
        return tuple(fault for file in self.files for fault in file.remarks)

    def batches(self, size: int, done: Collection[int] = ()) -> Iterator[Sites]:
        """Read at most `size` rows at a time, but for batches that are done; the ids of each sort before the next's."""
        for cut in self.cuts(size, done):
            yield cut.read()
            self.forget()

    def cuts(self, size: int, done: Collection[int] = ()) -> Iterator[Cut]:
        """Take the same batches as delivered, to be read elsewhere."""
        for number, start in enumerate(range(0, max(len(self), 1), size)):
            if number in done:
                continue
            rows = np.sort(self._order[start : start + size]).astype(np.int64)
            parts = []
            for file, first in zip(self.files, self._starts, strict=False):
                own = rows[(rows >= first) & (rows < first + len(file))] - first
                if len(own) or len(self) == 0:
                    parts.append(file.cut(own))
            yield Cut(tuple(parts), self._twice[rows], self.files[0].crs)

    def forget(self) -> None:
        """Let go of the memory of rows that were read."""
        for file in self.files:
            file.delivered.forget()


def _redelivered(part: gpd.GeoDataFrame, crs: CRS) -> gpd.GeoDataFrame:
    """Bring a further file into the CRS of the first, its edges straight in its own."""
    if part.crs == crs:
        return part
    shapes = np.asarray(part.geometry.values, dtype=object)
    there = ~shapely.is_missing(shapes)
    shapes[there] = densify(shapely.force_2d(shapes[there]), part.crs)
    return part.set_geometry(gpd.GeoSeries(shapes, index=part.index, crs=part.crs)).to_crs(crs)


def read_sites(*paths: str | Path, limits: Limits | None = None, **asked: Any) -> Sites:  # noqa: ANN401 - of `Way` and `Asked`
    """
    Read project sites from files.

    Parameters
    ----------
    *paths, limits, **asked
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
    files = SiteFiles(*paths, limits=limits, **asked)
    sites = next(files.batches(max(len(files), 1)))
    return Sites(sites.frame, sites.rejected, files.remarks)
