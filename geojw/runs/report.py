"""Results out, as tables, GeoPackage and passport. Nothing is decided here."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely
from pyproj import CRS

from geojw.decide.batch import LayerData
from geojw.decide.findings import FINDINGS, OVERLAPS
from geojw.decide.screening import REJECTED, Screening
from geojw.decide.verdicts import VERDICTS
from geojw.errors import ClusterError, Fault, OutputError
from geojw.measure import overlay
from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries
from geojw.measure.index import Shapes
from geojw.runs.folder import ResultFolder
from geojw.runs.journal import Key, Mark, Workplace, added_hash, changed
from geojw.runs.tables import NUMBERS, Format, word_of
from geojw.runs.tables import Table as _Table
from geojw.wording import in_place

COLUMNS: Mapping[str, Sequence[str]] = {
    "verdicts": VERDICTS, "findings": FINDINGS, "overlaps": OVERLAPS, "rejected": REJECTED,
}  # fmt: skip
PRODUCTS = (
    *(f"{name}.{suffix}" for name in COLUMNS for suffix in ("csv", "parquet")),
    "result.gpkg", "result_sites.parquet", "result_overlaps.parquet", "map.html",
)  # fmt: skip
"""Everything a screening may leave in a folder: what a new run does not write it takes away."""

SHAPES: Mapping[str, str] = {"sites": "verdicts", "overlaps": "overlaps"}
"""Files of geometries, and whose columns they have."""

_WORLD = "EPSG:4490"


class Tables:
    """The tables of a screening in a folder, appended batch by batch."""

    work: Path
    analysis: AnalysisCRS
    format: Format
    _tables: dict[str, _Table]

    def _table(self, name: str) -> _Table:
        if name not in self._tables:
            stem = name.partition(".")[0]
            of = stem.removeprefix("result_")
            if of == stem:
                self._tables[name] = _Table(self.work / name, COLUMNS[stem], self.format)
            else:
                self._tables[name] = _Table(self.work / name, COLUMNS[SHAPES[of]], "parquet", crs=_WORLD)
        return self._tables[name]

    def add(
        self, screening: Screening, layers: Mapping[str, LayerData], *, only_not_clear: bool,
        degrees: Geometries | None = None,
    ) -> None:  # fmt: skip
        """
        Write one batch.

        Parameters
        ----------
        screening
            Its tables.
        layers
            The layers that were read, for the shapes of overlaps.
        only_not_clear
            Leave sites that are clear out of the file of geometries.
        degrees
            The sites in longitude and latitude, where they came so (`intake.sites.Sites`).
        """
        tables = {
            "verdicts": screening.coded_verdicts, "findings": screening.coded_findings,
            "overlaps": screening.coded_overlaps, "rejected": screening.rejected,
        }  # fmt: skip
        for name, frame in tables.items():
            self._table(f"{name}.{self.format}").add(frame)
        self._add_shapes(screening, layers, degrees, only_not_clear=only_not_clear)

    def _add_shapes(
        self, screening: Screening, layers: Mapping[str, LayerData], degrees: Geometries | None, *, only_not_clear: bool
    ) -> None:
        verdicts, at = screening.coded_verdicts, np.arange(len(screening.sites))
        if only_not_clear:
            at = np.flatnonzero(verdicts["verdict"] != "clear")
        sites = screening.shapes.geometries[at]
        shown = np.full(len(at), None, dtype=object) if degrees is None else degrees[at]
        moved = shapely.is_missing(shown)
        shown[moved] = self.analysis.to_geographic(sites[moved])
        written = _written(shown, many=screening.shapes.many)
        self._write_shapes("sites", verdicts.iloc[at], written)
        place = np.full(len(screening.sites), -1)
        place[at] = np.arange(len(at))
        rows = screening.coded_overlaps
        site = np.where(rows["overlap_share"].notna(), place[screening.overlap_sites], -1)
        some = np.flatnonzero(site >= 0)
        rows, site = rows.iloc[some].reset_index(drop=True), site[some]
        taken = screening.shapes.take(at[site])
        whole = overlay.lie_inside(taken, rows["overlap_m2"].to_numpy(dtype=float))
        cut, inside = np.flatnonzero(~whole), np.flatnonzero(whole)
        parts = overlap_shapes(rows.iloc[cut], taken.take(cut), layers, self.analysis)
        again = written.take(pa.array(site[inside]))  # a site that lies inside is brought to degrees but once
        self._write_shapes("overlaps", rows, in_place([cut, inside], [parts, again]))

    def _write_shapes(self, name: str, rows: pd.DataFrame, shapes: pa.LargeBinaryArray) -> None:
        self._table(f"result_{name}.parquet").add(rows, shapes)

    def marks(self) -> dict[str, Mark]:
        """Say where each file stands."""
        return {name: table.mark() for name, table in self._tables.items()}

    def close(self) -> None:
        """Finish every file, also where one of them cannot be."""
        problems: list[OSError] = []
        for table in self._tables.values():
            try:
                table.close()
            except OSError as problem:
                problems.append(problem)
        self._tables = {}
        if problems:
            raise problems[0]


@dataclass(eq=False)
class Part(Tables):
    """
    The tables of one batch in a folder of its own, as a worker of a cluster writes them.

    Parameters
    ----------
    work
        The folder.
    analysis
        The CRS of the screenings.
    """

    work: Path
    analysis: AnalysisCRS
    format: Format = "parquet"
    _tables: dict[str, _Table] = field(default_factory=dict)

    def finished(self) -> dict[str, Mark]:
        """Finish every file, and say what it holds."""
        paths = [table.path for table in self._tables.values()]
        self.close()
        sizes = {path: path.stat().st_size for path in paths}
        return {path.name: Mark(size, added_hash(path, 0, size)) for path, size in sizes.items()}


@dataclass(eq=False)
class Output(Tables, ResultFolder):
    """
    The results of a screening, appended batch by batch.

    Parameters
    ----------
    folder
        Where the results go.
    analysis
        The CRS of the screenings.
    format
        ``csv`` or ``parquet``.
    keep
        Go on with what an earlier run left, and leave what is finished if this one is stopped.
    parts
        Each table is a folder of parts that others write.
    """

    result: ClassVar[str] = "screening"
    products: ClassVar[tuple[str, ...]] = PRODUCTS

    analysis: AnalysisCRS
    format: Format = "csv"
    keep: bool = False
    parts: bool = False
    place: Workplace = field(init=False)
    _dropped: bool = False
    _tables: dict[str, _Table] = field(default_factory=dict)

    def _begun(self) -> Path:
        self.place = Workplace(self.folder)
        self._dropped = not self.keep and self.place.journal.path.exists()
        if not self.keep:
            self.place.clear()
        return self.place.files

    def _left(self, cause: BaseException | None) -> Sequence[Fault]:
        written = self.place.journal.written
        keep = written > 0 and cause is not None and (self.keep or isinstance(cause, (OutputError, ClusterError)))
        self.place.leave(keep=keep)
        return [Fault("out_kept", self.folder.name, {"count": written, "folder": self.place.path.name})] if keep else []

    def resume(self, key: Key | None) -> tuple[list[Mapping[str, Any]], Fault | None]:
        """
        Go on where a run of the same key ended, or begin anew.

        Parameters
        ----------
        key
            What the bytes of the result depend on; None for a run that is not to be gone on with.

        Returns
        -------
        counted : list of dict
            What the finished batches counted, in order.
        said : Fault or None
            Why what was left of an earlier run could not be used.
        """
        old, batches = self.place.journal.read() if self.keep else (None, [])
        differs = [] if old is None or key is None else changed(old, key)
        if key is not None and batches and not differs:
            for name in () if self.parts else self._names():
                self._table(name).restore([batch.marks[name] for batch in batches])
            return [batch.counted for batch in batches], None
        said = Fault("resume_unused", self.folder.name) if self._dropped else None
        if batches:
            said = Fault("resume_stale", self.folder.name, {"keys": ", ".join(differs)})
        self.place.clear()
        if key is not None:
            self.place.journal.begin(key)
        return [], said

    def _names(self) -> list[str]:
        shapes = [f"result_{name}.parquet" for name in SHAPES]
        return [f"{name}.{self.format}" for name in COLUMNS] + shapes

    def add(
        self, screening: Screening, layers: Mapping[str, LayerData], *, only_not_clear: bool,
        degrees: Geometries | None = None, counted: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Write one batch; if `counted` says what it counted, the run can be gone on with from there."""
        super().add(screening, layers, only_not_clear=only_not_clear, degrees=degrees)
        if counted is not None:
            self.place.journal.add(self.marks(), counted)

    def add_page(self, page: str) -> None:
        """Write the map."""
        (self.work / "map.html").write_text(page, "utf-8")

    def publish(self, passport: Mapping[str, object]) -> None:
        """Put the finished files into place, after the GeoPackage is made of the shapes that were kept for it."""
        self.close()
        if self.format == "csv":
            for name, columns in SHAPES.items():
                path = self.work / f"result_{name}.parquet"
                _write_layer(self.work / "result.gpkg", name, COLUMNS[columns], pq.ParquetFile(path))
            for name in SHAPES:
                (self.work / f"result_{name}.parquet").unlink()
        super().publish(passport)


def _write_layer(path: Path, name: str, columns: Sequence[str], shapes: pq.ParquetFile) -> None:
    """Write a layer of a GeoPackage, a batch in memory at a time."""
    properties = [(column, "float" if column in NUMBERS else "str") for column in columns]
    schema = {"geometry": "Unknown", "properties": properties}
    import fiona  # noqa: PLC0415 - a cold start loads what it needs

    with fiona.open(path, "w", driver="GPKG", layer=name, schema=schema, crs_wkt=CRS(_WORLD).to_wkt()) as layer:
        for group in range(shapes.num_row_groups):
            rows = shapes.read_row_group(group).to_pandas()
            layer.writerecords(_records(rows[list(columns)], shapely.from_wkb(rows["geometry"].to_numpy())))


def _records(rows: pd.DataFrame, shapes: Geometries) -> list[dict[str, Any]]:
    texts = [column for column in rows.columns if column not in NUMBERS]
    plain = rows.astype(dict.fromkeys(rows.columns, object))
    plain[texts] = plain[texts].map(word_of)
    plain = plain.where(plain.notna(), None)
    return [
        {"geometry": shapely.geometry.mapping(shape), "properties": properties}
        for shape, properties in zip(shapes, plain.to_dict("records"), strict=True)
    ]


def _written(shapes: Geometries, *, many: bool) -> pa.LargeBinaryArray:
    """Give the WKB of shapes."""
    if many:
        from geojw.measure.wkb import written  # noqa: PLC0415 - numba is loaded only where many sites are measured

        return written(shapes)
    return pa.array(shapely.to_wkb(shapes), pa.large_binary())


def overlap_shapes(
    rows: pd.DataFrame, sites: Shapes, layers: Mapping[str, LayerData], analysis: AnalysisCRS
) -> pa.LargeBinaryArray:
    """
    Build the shapes that sites share with features, only now that they are to be shown.

    Parameters
    ----------
    rows
        layer, feature_id, overlap_m2.
    sites
        In the analysis CRS, one a row.
    layers
        The layers that were measured.
    analysis
        The CRS of the sites.

    Returns
    -------
    LargeBinaryArray
        In longitude and latitude (CGCS2000), the WKB of a geometry a row.
    """
    places, pieces = [np.zeros(0, dtype=np.int64)], [pa.nulls(0, pa.large_binary())]
    for name, group in rows.reset_index(drop=True).groupby("layer", sort=True, observed=True):
        index, at = layers[str(name)].index, group.index.to_numpy()
        features = index.features.index.get_indexer(group["feature_id"])
        area_m2, some = group["overlap_m2"].to_numpy(dtype=float), sites.take(at)
        places.append(at)  # by one thread: the others measure the next batch
        pieces.append(overlay.shared_shapes(some, features, area_m2, index, moved=analysis.lonlat))
    return in_place(places, pieces)


# ---------------------------------------------------------------------------------------------- passport


def versions() -> dict[str, str]:
    """Give the versions of everything that can change a figure."""
    from geojw import __version__  # noqa: PLC0415 - the package imports this module

    return {
        "geojw": __version__, "python": platform.python_version(), "geos": shapely.geos_version_string,
        "shapely": shapely.__version__, "proj": pyproj.proj_version_str, "pyproj": pyproj.__version__,
        "gdal": pyogrio.__gdal_version_string__, "geopandas": gpd.__version__, "numpy": np.__version__,
        "rasterio": version("rasterio"), "exactextract": version("exactextract"),
    }  # fmt: skip


def expiry(day: date, validity_days: int | None) -> str | None:
    """Give the day on which a result expires."""
    return None if validity_days is None else (day + timedelta(days=validity_days)).isoformat()


def now() -> str:
    """Give the run's time stamp, the only thing that differs between two runs on the same inputs."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def counted(words: Sequence[str] | Floats) -> dict[str, int]:
    """Count words, sorted."""
    unique, counts = np.unique(np.asarray(words, dtype=str), return_counts=True)
    return {str(word): int(count) for word, count in zip(unique, counts, strict=True)}
