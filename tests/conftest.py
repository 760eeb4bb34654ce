"""What the tests share: zone packs made of small shapes in metres around the zone's centre."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio.raw
import pytest
import rasterio
import rasterio.errors
import shapely
from affine import Affine
from browsing import CHROMIUM

import geojw
from geojw.measure.geodesy import AnalysisCRS

os.environ["GEOJW_CACHE"] = "off"  # no test, and no process that it starts, touches the user's own

DAY = date(2026, 11, 22)
CENTRE = (106.33, 29.52)
ANALYSIS = AnalysisCRS(*CENTRE)
PLANE = ANALYSIS.crs.to_wkt()
"""The analysis CRS itself: shapes written in it are measured as drawn, to the last bit."""

KIND = {"polygon": "MultiPolygon", "line": "MultiLineString", "point": "MultiPoint"}
SHAPE_KEYS = ("box", "polygon", "polygons", "line", "lines", "point", "points", "circle", "wkt", "nothing")

ZONE: Mapping[str, Any] = {
    "id": "test",
    "title": {"zh": "测试片区", "en": "Test zone"},
    "centre": list(CENTRE),
    "boundary": "boundary",
    "site_accuracy_m": 0.0,
    "sliver_m2": 1.0,
}
LAYER: Mapping[str, Any] = {
    "kind": "vector",
    "geometry": "polygon",
    "id": "id",
    "crs": PLANE,
    "accuracy_m": 0.0,
    "coverage": "unlimited",
    "status": "official",
    "audience": "public",
    "source": {"publisher": "test", "date": date(2024, 1, 1), "licence": "CC0-1.0"},
    "paint": {"colour": "#336699"},
}
BASIS: Mapping[str, Any] = {
    "title": "测试条款", "article": "第一条", "url": "", "verified": True, "in_force_checked": date(2026, 1, 1),
}  # fmt: skip
RULE: Mapping[str, Any] = {
    "test": "overlap_m2 > 0",
    "effect": "prohibit",
    "level": "zone",
    "dimension": "spatial",
    "in_force": {"start": date(2023, 10, 20)},
    "basis": BASIS,
}
TARGET: Mapping[str, Any] = {
    "title": {"zh": "指标", "en": "Target"},
    "quantity": {"kind": "reported"},
    "op": ">=",
    "value": 1.0,
    "unit": "km2",
    "basis": BASIS,
}
BOUNDARY: Mapping[str, Any] = {"features": [{"id": "Z", "box": [-10_000, -10_000, 10_000, 10_000]}]}


def shape_of(row: Mapping[str, Any]) -> shapely.Geometry | None:
    """
    Draw the shape of a row, in metres east and north of the centre.

    ``box = [west, south, east, north]``; ``polygon = [[x, y], ...]`` with further rings in ``holes``;
    ``polygons``, ``line``, ``lines``, ``point``, ``points``; ``circle = [x, y, radius, corners]``, a regular
    polygon; ``wkt``; ``nothing = true`` is a row without a shape.
    """
    key = next(key for key in SHAPE_KEYS if key in row)
    with np.errstate(invalid="ignore"):  # a coordinate that is no number is meant
        return _drawn(key, row[key], row)


def _drawn(key: str, value: Any, row: Mapping[str, Any]) -> shapely.Geometry | None:
    draw: dict[str, Callable[[], shapely.Geometry | None]] = {
        "nothing": lambda: None,
        "wkt": lambda: shapely.from_wkt(value),
        "box": lambda: shapely.box(*value),
        "circle": lambda: _circle(*value),
        "polygon": lambda: shapely.Polygon(value, row.get("holes", ())),
        "polygons": lambda: shapely.MultiPolygon([shapely.Polygon(ring) for ring in value]),
        "line": lambda: shapely.LineString(value),
        "lines": lambda: shapely.MultiLineString(value),
        "point": lambda: shapely.Point(value),
        "points": lambda: shapely.MultiPoint(value),
    }
    return draw[key]()


def _circle(x: float, y: float, radius: float, corners: int) -> shapely.Polygon:
    turn = 2.0 * np.pi * np.arange(corners) / corners
    return shapely.Polygon(np.column_stack([x + radius * np.cos(turn), y + radius * np.sin(turn)]))


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Give the attributes of rows, column by column; a key that a row lacks is null in it."""
    names = dict.fromkeys(key for row in rows for key in row if key not in (*SHAPE_KEYS, "holes"))
    return {name: [row.get(name) for row in rows] for name in names}


def write_rows(
    path: Path, rows: Sequence[Mapping[str, Any]], *, crs: str | None = PLANE, table: str | None = None,
    kind: str = "Unknown", **options: Any,
) -> None:  # fmt: skip
    """Write rows with shapes to a vector file of any driver; `crs` is only stated, nothing is projected."""
    columns = {name: _column(cells) for name, cells in columns_of(rows).items()}
    shapes = np.array([shape_of(row) for row in rows], dtype=object)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # a file without a CRS is meant,
        warnings.filterwarnings("ignore", "Normalized/laundered field name")  # and a Shapefile that cuts names
        pyogrio.raw.write(
            path, shapely.to_wkb(shapes), list(columns.values()), list(columns), crs=crs, layer=table,
            geometry_type=kind, **options,
        )  # fmt: skip


def _column(cells: Sequence[Any]) -> np.ndarray[Any, Any]:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int} and None not in cells:
        return np.array(cells, dtype=np.int64)
    if kinds == {bool} and None not in cells:
        return np.array(cells, dtype=bool)
    if kinds and kinds <= {int, float}:
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=float)
    return np.array([None if cell is None else str(cell) for cell in cells], dtype=object)


def toml(value: object) -> str:
    """Write a value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{ " + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case date():
            return value.isoformat()
        case _:
            return repr(value)


def lines_of(table: Mapping[str, Any]) -> str:
    """Write a table's keys, a line each; keys that are ``absent`` are left out."""
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in table.items() if value != "absent")


def parsed_test(text: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Read ``overlap_m2 > 0`` as a rule's test."""
    if not isinstance(text, str):
        return text
    measure, op, value = text.split()
    return {"measure": measure, "op": op, "value": float(value)}


@dataclass
class PackFolder:
    """
    A zone pack to be written: tables of what differs from the plain one above.

    A layer's ``features`` are rows with shapes; its ``broken`` names what is wrong with the file.
    """

    folder: Path
    zone: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> Path:
        """Write the four TOML files and the data, and give the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        layers = {"boundary": dict(BOUNDARY), **self.layers}
        rows = {name: self._write_layer(name, row) for name, row in layers.items()}
        self.text("zone.toml", lines_of({**ZONE, **self.zone}))
        self.text("catalogue.toml", "\n".join(f"[layers.{name}]\n{lines_of(row)}" for name, row in rows.items()))
        self.text("access_list.toml", "\n".join("[[rule]]\n" + lines_of(self._rule(rule)) for rule in self.rules))
        targets = [{**TARGET, **target} for target in self.targets]
        self.text("targets.toml", "\n".join("[[target]]\n" + lines_of(target) for target in targets))
        return self.folder

    def text(self, name: str, text: str) -> None:
        """Write one of the files as it is."""
        (self.folder / name).write_text(text, "utf-8")

    def append(self, name: str, text: str) -> None:
        """Add text at the end of one of the files."""
        self.text(name, (self.folder / name).read_text("utf-8") + text)

    def open(self) -> geojw.Zone:
        """Write and open it."""
        return geojw.open_zone(self.write())

    @staticmethod
    def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
        name = rule.get("id", "?")
        full = {"says": {"zh": f"规则 {name}", "en": f"rule {name}"}, **RULE, **rule}
        return {**full, "test": parsed_test(full["test"])}

    def _write_layer(self, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        suffix = "tif" if row.get("kind") == "raster" else "gpkg"
        row = {**LAYER, "title": {"zh": f"图层{name}", "en": name}, "path": f"{name}.{suffix}", **row}
        features, broken = row.pop("features", []), row.pop("broken", "")
        path = self.folder / str(row["path"])
        if row["kind"] == "raster":
            row = {key: value for key, value in row.items() if key not in ("geometry", "id")}
            cells = {key: row.pop(key) for key in ("cells", "origin", "cell_m") if key in row}
            if "cells" in cells and broken != "missing":
                write_raster(path, row["crs"], broken=broken, **cells)
            return row
        if broken == "wrong_checksum":
            row["source"] = {**row["source"], "sha256": "0" * 64}
        if (
            broken == "missing"
            or row["kind"] != "vector"
            or path.suffix not in (".gpkg", ".shp")
            or not path.parent.is_dir()
        ):
            path.unlink(missing_ok=True)
            return row
        if broken == "other_crs":
            write_rows(path, features, crs="EPSG:4490", kind=KIND[row["geometry"]])
        elif broken == "no_crs":
            row["path"] = f"{name}.shp"
            write_rows(self.folder / row["path"], features, crs=None, kind=row["geometry"].title())
        else:
            write_rows(path, features or [{"id": "x", "nothing": True}])
            if not features:
                _empty(path)
        if broken == "truncated":
            path.write_bytes(path.read_bytes()[:3000])
        return row


def write_raster(
    path: Path,
    crs: str | None,
    *,
    cells: Sequence[str],
    origin: Sequence[float],
    cell_m: float = 10.0,
    broken: str = "",
) -> None:
    """Write a raster drawn in digits, a line a row from the north, ``.`` without data; `origin` is its north-west."""
    digits = np.array([[255 if c == "." else int(c) for c in line] for line in cells], dtype=np.uint8)
    at = Affine(cell_m, 0.0, origin[0], 0.0, -cell_m, origin[1])
    bands = 2 if broken == "two_bands" else 1
    crs = {"no_crs": None, "other_crs": "EPSG:4490"}.get(broken, crs)
    turned = Affine(at.a, 1.0, at.c, 1.0, at.e, at.f)
    at = {"turned": turned, "unplaced": Affine.identity()}.get(broken, at)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", height=digits.shape[0], width=digits.shape[1], count=bands, dtype="uint8",
            crs=crs, transform=at, nodata=255,
        ) as file:  # fmt: skip
            for band in range(bands):
                file.write(digits, band + 1)
    if broken == "truncated":
        path.write_bytes(path.read_bytes()[:40])


def _empty(path: Path) -> None:
    """Write a table with its columns and no rows."""
    pyogrio.raw.write(
        path, np.array([], dtype=object), [np.array([], dtype=object)], ["id"], crs=PLANE, geometry_type="MultiPolygon"
    )


def frame_of(rows: Iterable[Mapping[str, Any]]) -> gpd.GeoDataFrame:
    """Make a frame of sites in the analysis CRS; the index is each row's ``site_id``, by default S."""
    rows = list(rows)
    ids = pd.Index([row.get("site_id", "S") for row in rows])
    columns = {name: cells for name, cells in columns_of(rows).items() if name not in ("site_id", "nulls")}
    columns |= {name: [None] * len(rows) for row in rows for name in row.get("nulls", ())}
    shapes = [shape_of(row) for row in rows]
    return gpd.GeoDataFrame(
        {name: pd.Series(cells, index=ids) for name, cells in columns.items()}, geometry=shapes, index=ids, crs=PLANE
    )


@pytest.fixture
def make_pack(tmp_path: Path) -> Callable[..., PackFolder]:
    """Make zone packs below the test's own folder."""

    def make(name: str = "pack", **tables: Any) -> PackFolder:
        return PackFolder(tmp_path / name, **deepcopy(tables))

    return make


@pytest.fixture(scope="session")
def new_pack() -> Callable[..., PackFolder]:
    """Make zone packs in any folder."""
    return PackFolder


@pytest.fixture(scope="session")
def minizone() -> Path:
    """The folder of the example whose results were computed independently."""
    here = Path(__file__).resolve().parent
    for place in (here / "minizone", here.parents[1] / "shared" / "examples" / "minizone"):
        if (place / "pack" / "zone.toml").is_file():
            return place
    pytest.skip("the example minizone is neither in tests/ nor beside the repository")


@pytest.fixture
def minipack(minizone: Path, tmp_path: Path) -> Path:
    """A copy of the example's zone pack, to be changed."""
    return Path(shutil.copytree(minizone / "pack", tmp_path / "minizone"))


@pytest.fixture(scope="session")
def rows_to_file() -> Callable[..., None]:
    """Write rows with shapes to a file."""
    return write_rows


@pytest.fixture(scope="session")
def rows_to_frame() -> Callable[..., gpd.GeoDataFrame]:
    """Make a frame of sites."""
    return frame_of


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, where there is one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()
