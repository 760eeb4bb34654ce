"""Floor 5: results out, as tables, GeoPackage and passport. Nothing is decided here."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely
from pyproj import CRS

from geojw import overlay
from geojw.answers import LayerData
from geojw.findings import FINDINGS, OVERLAPS
from geojw.folder import ResultFolder
from geojw.geodesy import AnalysisCRS, Floats, Geometries
from geojw.index import Shapes, default_workers
from geojw.screening import REJECTED, VERDICTS, Screening

Format = Literal["csv", "parquet"]

NUMBERS = {
    "value", "limit", "margin", "area_m2", "area_ha", "area_mu", "length_m", "area_planar_m2", "overlap_m2",
    "overlap_share", "distance_m", "overlap_m", "threshold", "value_planar", "worst_case", "value_max", "data_share",
    "division_area_m2", "old_m2", "new_m2", "added_m2", "removed_m2", "change_m2", "added_mu", "removed_mu",
    "change_mu", "value_old", "value_new", "margin_old", "margin_new",
}  # fmt: skip
SHARED = {
    "says",
    "basis",
    "claimed",
    "data",
    "remedy",
    "rule_id",
    "layer",
    "outcome",
    "effect",
    "measure",
    "op",
}
"""Texts that repeat: dictionary-coded in Parquet."""

COLUMNS: Mapping[str, Sequence[str]] = {
    "verdicts": VERDICTS, "findings": FINDINGS, "overlaps": OVERLAPS, "rejected": REJECTED,
}  # fmt: skip
PRODUCTS = (
    *(f"{name}.{suffix}" for name in COLUMNS for suffix in ("csv", "parquet")),
    "result.gpkg", "result_sites.parquet", "result_overlaps.parquet", "map.html",
)  # fmt: skip
"""Everything a screening may leave in a folder: what a new run does not write it takes away."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_WORLD = "EPSG:4490"


@dataclass(eq=False)
class Output(ResultFolder):
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
    """

    result: ClassVar[str] = "screening"
    products: ClassVar[tuple[str, ...]] = PRODUCTS

    analysis: AnalysisCRS
    format: Format = "csv"
    _tables: dict[str, _Table] = field(default_factory=dict)
    _shapes: dict[str, Any] = field(default_factory=dict)

    def add_page(self, page: str) -> None:
        """Write the map."""
        (self.work / "map.html").write_text(page, "utf-8")

    def add(self, screening: Screening, layers: Mapping[str, LayerData], *, only_not_clear: bool) -> None:
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
        """
        tables = {
            "verdicts": screening.verdicts, "findings": screening.coded_findings, "overlaps": screening.coded_overlaps,
            "rejected": screening.rejected,
        }  # fmt: skip
        for name, frame in tables.items():
            if name not in self._tables:
                self._tables[name] = _Table(self.work / f"{name}.{self.format}", COLUMNS[name], self.format)
            self._tables[name].add(frame)
        self._add_shapes(screening, layers, only_not_clear=only_not_clear)

    def _add_shapes(self, screening: Screening, layers: Mapping[str, LayerData], *, only_not_clear: bool) -> None:
        verdicts = screening.verdicts
        if only_not_clear:
            verdicts = verdicts[(verdicts["verdict"] != "clear")]
        shown = screening.sites.geometry.loc[verdicts["site_id"]]
        self._write_shapes("sites", verdicts, self.analysis.to_geographic(np.asarray(shown.values, dtype=object)))
        rows = screening.coded_overlaps
        if only_not_clear:
            rows = rows[pd.Index(verdicts["site_id"]).get_indexer(pd.Index(rows["site_id"])) >= 0]
        rows = rows[rows["overlap_share"].notna()].reset_index(drop=True)
        shapes = overlap_shapes(rows, screening.sites, layers, many=screening.many)
        self._write_shapes("overlaps", rows, self.analysis.to_geographic(shapes))

    def _write_shapes(self, name: str, rows: pd.DataFrame, shapes: Geometries) -> None:
        columns = list(rows.columns)
        if self.format == "parquet":
            if name not in self._shapes:
                self._shapes[name] = _Table(self.work / f"result_{name}.parquet", columns, "parquet", crs=_WORLD)
            self._shapes[name].add(rows[columns], shapes)
            return
        if name not in self._shapes:
            import fiona  # noqa: PLC0415 - a cold start loads what it needs

            schema = {
                "geometry": "Unknown",
                "properties": [(column, "float" if column in NUMBERS else "str") for column in columns],
            }
            self._shapes[name] = fiona.open(
                self.work / "result.gpkg",
                "w",
                driver="GPKG",
                layer=name,
                schema=schema,
                crs_wkt=CRS(_WORLD).to_wkt(),
            )
        self._shapes[name].writerecords(_records(rows[columns], shapes))

    def close(self) -> None:
        """Finish every file, also where one of them cannot be."""
        problems: list[OSError] = []
        for part in (*self._tables.values(), *self._shapes.values()):
            try:
                part.close()
            except OSError as problem:
                problems.append(problem)
        self._tables, self._shapes = {}, {}
        if problems:
            raise problems[0]


def _records(rows: pd.DataFrame, shapes: Geometries) -> list[dict[str, Any]]:
    texts = [column for column in rows.columns if column not in NUMBERS]
    plain = rows.astype(dict.fromkeys(rows.columns, object))
    plain[texts] = plain[texts].map(_word)
    plain = plain.where(plain.notna(), None)
    return [
        {"geometry": shapely.geometry.mapping(shape), "properties": properties}
        for shape, properties in zip(shapes, plain.to_dict("records"), strict=True)
    ]


def _word(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return "" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 - NaN


def overlap_shapes(
    rows: pd.DataFrame, sites: gpd.GeoDataFrame, layers: Mapping[str, LayerData], *, many: bool = False
) -> Geometries:
    """
    Build the shapes that sites share with features, only now that they are to be shown.

    Parameters
    ----------
    rows
        site_id, layer, feature_id, overlap_m2.
    sites
        In the analysis CRS, index = site id.
    layers
        The layers that were measured.
    many
        Whether the sites were measured by compiled code.

    Returns
    -------
    ndarray
        In the analysis CRS, a geometry a row.
    """
    out = np.full(len(rows), shapely.Polygon(), dtype=object)
    shapes = Shapes.of(np.asarray(sites.geometry.values, dtype=object), many=many)
    place = sites.index.get_indexer(rows["site_id"])
    for name, group in rows.groupby("layer", sort=True, observed=True):
        index = layers[str(name)].index
        features = index.features.index.get_indexer(group["feature_id"])
        at = group.index.to_numpy()
        area_m2 = group["overlap_m2"].to_numpy(dtype=float)
        out[at] = overlay.shared_shapes(shapes.take(place[at]), features, area_m2, index, default_workers())
    return out


# ---------------------------------------------------------------------------------------------- tables


class _Table:
    """One table, appended to batch by batch."""

    def __init__(self, path: Path, columns: Sequence[str], kind: Format, crs: str | None = None) -> None:
        self.path, self.columns, self.kind, self.crs = path, list(columns), kind, crs
        self.writer: pq.ParquetWriter | None = None
        self.started = False

    def add(self, frame: pd.DataFrame, shapes: Geometries | None = None) -> None:
        """Append rows."""
        frame = frame.reindex(columns=self.columns)
        if self.kind == "csv":
            _plain(frame).to_csv(
                self.path, mode="a", header=not self.started, index=False, lineterminator="\n",
                encoding="utf-8" if self.started else "utf-8-sig",
            )  # fmt: skip
            self.started = True
            return
        schema = self._schema(with_shapes=shapes is not None)
        arrays = [self._array(frame[column], schema.field(column).type) for column in self.columns]
        if shapes is not None:
            arrays.append(pa.array(shapely.to_wkb(shapes), pa.binary()))
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, schema)
        self.writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

    def _schema(self, *, with_shapes: bool) -> pa.Schema:
        words = pa.dictionary(pa.int32(), pa.string())
        fields = [
            pa.field(
                c,
                pa.float64()
                if c in NUMBERS
                else words
                if c in SHARED
                else pa.bool_()
                if c == "sliver"
                else pa.string(),
            )
            for c in self.columns
        ]
        if not with_shapes:
            return pa.schema(fields)
        geo = {
            "version": "1.1.0", "primary_column": "geometry",
            "columns": {"geometry": {"encoding": "WKB", "geometry_types": [], "crs": CRS(self.crs).to_json_dict()}},
        }  # fmt: skip
        return pa.schema(
            [*fields, pa.field("geometry", pa.binary())], metadata={"geo": json.dumps(geo, sort_keys=True)}
        )

    @staticmethod
    def _array(cells: pd.Series, kind: pa.DataType) -> pa.Array:
        if pa.types.is_floating(kind):
            return pa.array(cells.to_numpy(dtype=float), kind, from_pandas=True)
        if pa.types.is_boolean(kind):
            return pa.array(cells.to_numpy(dtype=bool), kind)
        if isinstance(cells.dtype, pd.CategoricalDtype) and not cells.isna().any():
            words = pa.array([_word(value) for value in cells.cat.categories], pa.string())
            coded = pa.DictionaryArray.from_arrays(pa.array(cells.cat.codes.to_numpy(), pa.int32()), words)
            return coded if pa.types.is_dictionary(kind) else coded.dictionary_decode()
        if isinstance(cells.dtype, pd.StringDtype) and not cells.isna().any():
            texts = pa.array(cells.array, pa.string())
            return texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts
        codes, unique = pd.factorize(cells, use_na_sentinel=False)
        words = pa.array([_word(value) for value in unique], pa.string())
        texts = words.take(pa.array(codes))  # two cells may be one word: the dictionary is made anew
        return texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts

    def close(self) -> None:
        """Finish the file; an empty one still has its header."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a whole table as the others are written: UTF-8 with BOM, formulas made harmless."""
    _Table(path, list(frame.columns), "csv").add(frame)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Make cells that a spreadsheet shows as they are: a text that looks like a formula gets an apostrophe."""
    out = frame.copy()
    for column in out.columns:
        if column in NUMBERS:
            continue
        codes, unique = pd.factorize(out[column], use_na_sentinel=False)
        safe = np.array([_unformula(_word(value)) for value in unique], dtype=object)
        out[column] = safe[codes] if len(safe) else out[column]
    return out


def _unformula(text: str) -> str:
    """
    Neutralise a spreadsheet formula.

    Examples
    --------
    >>> _unformula("=1+1"), _unformula("项目")
    ("'=1+1", '项目')
    """
    return "'" + text if text.startswith(_FORMULA) else text


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
