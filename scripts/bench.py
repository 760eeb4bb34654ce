#!/usr/bin/env python3
"""
Benchmark of geojw beside the usual ways to overlay sites and layers. Not a test: it measures, and compares the results.

``scripts/bench.py --quick`` is a small version that ends in about a minute; without options the full one runs. Every
way runs in a process of its own on the same inputs in the analysis CRS, so that its memory is its own and a time limit
can end it. Data are made from a fixed seed: the same on every machine.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout that holds this script is what is measured
sys.path.insert(0, str(ROOT / "scripts"))

import sections  # noqa: E402 - beside this script

DAY = date(2026, 11, 22)
"""The day whose rules count: fixed, so that two runs screen the same."""

SEED = 20261122
CENTRE = (106.35, 29.50)
HALF_X_M, HALF_Y_M = 10_000.0, 9_000.0
CELL_M = {"forest": 20.0, "forest_big": 20.0, "forest_huge": 12.0}
"""Sampling of the field whose outline the forest is: the distance between two of its vertices, about."""

FOREST_POLYGONS = 1_700
LARGEST = {"forest": 24_000, "forest_big": 100_000, "forest_huge": 336_000}
BLOCK = 10_000
"""Sites are made in blocks with a seed of their own: the first 10,000 are the same whatever the number asked for."""

FOREST_VERTICES = "about 180,000 vertices in all"
TOUCH_M2 = 1e-6
EQUAL = 1e-6
"""Two ways agree on a pair if they differ by at most this, in m² or, for more than 1 m², as a share."""

BATCH = 20_000
"""Sites that `geojw screen` measures at a time, unless asked otherwise."""

Array = np.ndarray[Any, np.dtype[Any]]

# ------------------------------------------------------------------------------------------------- made data


def fractal_field(rows: int, columns: int) -> Array:
    """Give a random field whose outline at some height looks grown: power-law spectrum, no long waves."""
    spectrum = np.fft.rfft2(np.random.default_rng(SEED).standard_normal((rows, columns)))
    wave = np.hypot(np.fft.fftfreq(rows)[:, None] * rows, np.fft.rfftfreq(columns)[None, :] * columns)
    spectrum[wave < 8.0] = 0.0
    spectrum *= np.maximum(wave, 1.0) ** -1.4
    height = np.fft.irfft2(spectrum, (rows, columns))
    return np.asarray(height / height.std())


def outlined(mask: Array) -> Array:
    """Give the polygons of a mask on its grid."""
    from rasterio.features import shapes  # noqa: PLC0415 - only where data are made

    found = shapes(mask.astype(np.uint8), mask=mask, connectivity=4)
    return np.array([shapely.geometry.shape(shape) for shape, _ in found])


def grid_vertices(polygons: Array) -> Array:
    """Count the vertices that polygons on the grid have with one at every corner of a cell: one a unit of length."""
    return np.asarray(shapely.length(polygons) + 1.0 + shapely.get_num_interior_rings(polygons))


def forest(largest: int, cell_m: float) -> Array:
    """
    Make forest polygons, in metres of the analysis CRS.

    Parameters
    ----------
    largest
        Vertices of the largest polygon, met exactly: the field is raised around one place until what grows together
        there has nearly so many, and edges are split for the rest.
    cell_m
        Sampling of the field.

    Returns
    -------
    ndarray
        `FOREST_POLYGONS` valid polygons, disjoint but for points, some with holes.
    """
    rows, columns = int(2 * HALF_Y_M / cell_m), int(2 * HALF_X_M / cell_m)
    height = fractal_field(rows, columns)
    level = np.quantile(height, 0.6)
    y, x = np.mgrid[:rows, :columns]
    hill = np.exp(-((x - 0.6 * columns) ** 2 + (y - 0.45 * rows) ** 2) / (2.0 * (0.3 * columns) ** 2))
    low, high = 0.0, 3.0
    best = outlined(height > level)
    for _ in range(12):
        middle = (low + high) / 2.0
        polygons = outlined(height + middle * hill > level)
        if grid_vertices(polygons).max() <= largest:
            low, best = middle, polygons
        else:
            high = middle
    best = shapely.segmentize(best[np.argsort(-grid_vertices(best), kind="stable")][:FOREST_POLYGONS], 1.0)
    best[0] = filled_up(best[0], largest)
    return warped(best, rows, columns, cell_m)


def filled_up(polygon: shapely.Polygon, vertices: int) -> shapely.Polygon:
    """Split the first edges of a polygon at their middles until it has so many vertices."""
    rings = [np.asarray(ring.coords) for ring in (polygon.exterior, *polygon.interiors)]
    missing = vertices - sum(len(ring) for ring in rings)
    for number, ring in enumerate(rings):
        take = min(missing, len(ring) - 1)
        middles = (ring[:take] + ring[1 : take + 1]) / 2.0
        rings[number] = np.insert(ring, np.arange(1, take + 1), middles, axis=0)
        missing -= take
    return shapely.Polygon(rings[0], rings[1:])


def warped(polygons: Array, rows: int, columns: int, cell_m: float) -> Array:
    """Move every corner of the grid by less than half a cell, which crosses no edges, and go to metres."""
    shift = np.random.default_rng(SEED + 1).uniform(-0.34, 0.34, (2 * rows + 1, 2 * columns + 1, 2))
    shift[::2, 1::2] = (shift[::2, :-2:2] + shift[::2, 2::2]) / 2.0  # middles of edges stay near them
    shift[1::2] = (shift[:-2:2] + shift[2::2]) / 2.0

    def move(xy: Array) -> Array:
        at = np.round(xy * 2.0).astype(int)
        moved = xy + shift[at[:, 1], at[:, 0]]
        return np.column_stack([moved[:, 0] * cell_m - HALF_X_M, HALF_Y_M - moved[:, 1] * cell_m])

    return np.asarray(shapely.transform(polygons, move))


def blobs(rng: np.random.Generator, centres: Array, radius_m: Array, vertices: Array, rough: float) -> Array:
    """Make star-shaped polygons around centres, with as many vertices as asked for."""
    index = np.repeat(np.arange(len(centres)), vertices)
    step = np.arange(len(index)) - np.repeat(np.cumsum(vertices) - vertices, vertices)
    angle = 2.0 * np.pi * (step + rng.uniform(-0.35, 0.35, len(index))) / vertices[index]
    far = np.ones(len(index))
    for wave in (2, 3, 5, 8, 13, 21):
        phase = rng.uniform(0.0, 2.0 * np.pi, len(centres))
        far += rough / wave * np.sin(wave * angle + phase[index])
    far = np.maximum(far + rng.uniform(-0.1, 0.1, len(index)) * 12.0 / np.maximum(vertices[index], 12), 0.2)
    reach = (radius_m[index] * far)[:, None]
    xy = centres[index] + reach * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.asarray(shapely.polygons(shapely.linearrings(xy, indices=index)))


def sites(count: int) -> Array:
    """Make sites: 10 to 20 vertices, 60 to 150 m wide, anywhere in the zone."""
    out = []
    for block in range(-(-count // BLOCK)):
        rng = np.random.default_rng([SEED, block])
        centres = rng.uniform((-HALF_X_M + 200, -HALF_Y_M + 200), (HALF_X_M - 200, HALF_Y_M - 200), (BLOCK, 2))
        out.append(blobs(rng, centres, rng.uniform(30.0, 75.0, BLOCK), rng.integers(10, 21, BLOCK), 0.15))
    return np.concatenate(out)[:count]


def layers(named: str) -> dict[str, gpd.GeoDataFrame]:
    """Make the layers of the zone, in the analysis CRS; columns id and status."""
    rng = np.random.default_rng(SEED + 2)
    grid = np.stack(np.meshgrid(np.linspace(-0.8, 0.8, 5), np.linspace(-0.8, 0.8, 5)), axis=-1).reshape(-1, 2)
    cells = grid * (HALF_X_M, HALF_Y_M) + rng.uniform(-300.0, 300.0, (25, 2))
    red_line = blobs(rng, cells, rng.uniform(500.0, 1100.0, 25), rng.integers(200, 1500, 25), 0.25)
    at = rng.uniform((-9_000.0, -8_000.0), (9_000.0, 8_000.0), (60, 2))
    plots = blobs(rng, at, rng.uniform(80.0, 250.0, 60), rng.integers(8, 30, 60), 0.15)
    edge = np.array([[-1.02, -1.03], [1.04, -1.02], [1.03, 1.02], [-1.03, 1.03]]) * (HALF_X_M, HALF_Y_M)
    made = {
        "boundary": shapely.segmentize(np.array([shapely.Polygon(edge)]), 150.0),
        "red_line": red_line,
        "forest": forest(LARGEST[named], CELL_M[named]),
        "plots": plots,
        "stations": shapely.points([(-4_000.0, 2_500.0), (3_500.0, -3_000.0), (6_000.0, 5_500.0)]),
    }
    out = {}
    for name, shapes in made.items():
        frame = gpd.GeoDataFrame(
            {"id": [f"{name[0].upper()}{n:05d}" for n in range(1, len(shapes) + 1)]}, geometry=shapes
        )
        frame["status"] = np.array(["listed", "suspected", "restored"])[np.arange(len(frame)) % 3]
        out[name] = frame
    return out


ZONE_TOML = f"""id = "bench"
title = {{ zh = "测速片区", en = "Benchmark zone" }}
centre = [{CENTRE[0]}, {CENTRE[1]}]
boundary = "boundary"
site_accuracy_m = 2.0
sliver_m2 = 1.0
"""
LAYER_TOML = """
[layers.{name}]
title = {{ zh = "{name}", en = "{name}" }}
kind = "vector"
path = "{name}.fgb"
geometry = "{kind}"
id = "id"
crs = "EPSG:4490"
accuracy_m = {accuracy}
coverage = "{coverage}"
status = "synthetic"
audience = "public"
source = {{ publisher = "scripts/bench.py", date = 2026-01-01, licence = "CC0-1.0" }}
paint = {{ colour = "#336699" }}
"""
RULE_TOML = """
[[rule]]
id = "{id}"
layer = "{layer}"
where = {where}
test = {{ measure = "{measure}", op = "{op}", value = {value} }}
effect = "{effect}"
level = "zone"
dimension = "spatial"
says = {{ zh = "测速规则 {id}，无法律含义", en = "benchmark rule {id}, no legal meaning" }}
in_force = {{ start = 2026-01-01 }}
basis = {{ title = "scripts/bench.py", article = "1", url = "", verified = true }}
"""
ACCURACY_M = {"boundary": 0.0, "red_line": 5.0, "forest": 10.0, "plots": 2.0, "stations": 20.0}
RULES = (
    ("FOR-1", "forest", "{}", "overlap_share", ">", 0.25, "approval"),
    ("ERL-1", "red_line", "{}", "overlap_m2", ">", 0.0, "prohibit"),
    ("SOIL-1", "plots", '{ status = ["listed", "suspected"] }', "overlap_m2", ">", 0.0, "condition"),
    ("AIR-1", "stations", "{}", "distance_m", "<=", 3000.0, "supervise"),
)
TARGETS_TOML = """[[target]]
id = "red-line-area"
title = { zh = "红线面积", en = "red line area" }
quantity = { kind = "layer_area", layer = "red_line", within = "boundary" }
op = ">="
value = 27.5
unit = "km2"
basis = { title = "scripts/bench.py", article = "1", url = "", verified = true }
"""
POLYGON_LAYERS = ("forest", "red_line", "plots")

# ------------------------------------------------------------------------------------------------- files


@dataclass(frozen=True)
class Plan:
    """
    What one run measures.

    Parameters
    ----------
    work
        Folder of the made data and of the results.
    sites, big_sites
        Sites of the comparison with peers, for all layers and for the forest with the largest polygon.
    screened
        Sites of the whole screenings.
    limit_s
        When a peer is ended, in seconds.
    repeats
        How often a short run is repeated; the median counts.
    beside
        Sites of the screening beside a script; 0 leaves it out.
    growth
        Further numbers of sites on the detailed forest; above `sites` only geojw is measured.
    """

    work: Path
    sites: int
    big_sites: int
    screened: tuple[int, ...]
    limit_s: float
    repeats: int
    beside: int = 0
    growth: tuple[int, ...] = ()

    @property
    def inputs(self) -> list[tuple[str, str, int]]:
        """Layer, the file of its features, and the number of sites of each comparison."""
        cases = [(name, f"{name}.parquet", self.sites) for name in POLYGON_LAYERS]
        big = [(name, f"{name}.parquet", self.big_sites) for name in ("forest_big", "forest_huge")]
        return [cases[0], *big, *cases[1:]]

    @property
    def embedded(self) -> Path:
        """The file with one sample site of the embedded zone."""
        return self.work / "one_gaoxin.gpkg"

    def sites_file(self, count: int) -> Path:
        """Give the file of so many sites as delivered."""
        return self.work / f"sites_{count}.gpkg"

    def sites_input(self, count: int) -> Path:
        """Give the file of so many sites in the analysis CRS."""
        return self.work / f"sites_{count}.parquet"


def make(plan: Plan) -> None:
    """Make whatever the plan needs and is not there yet."""
    from geojw.measure.geodesy import AnalysisCRS  # noqa: PLC0415 - what is measured is loaded where it is

    plan.work.mkdir(parents=True, exist_ok=True)
    analysis = AnalysisCRS(*CENTRE)
    for name in LARGEST:
        if not (plan.work / f"pack_{name}").is_dir():
            write_pack(plan.work / f"pack_{name}", layers(name), analysis)
    for count in sorted({plan.sites, plan.big_sites, *plan.screened, *plan.growth, plan.beside} - {0}):
        if not plan.sites_file(count).exists():
            ids = [f"S{number:06d}" for number in range(1, count + 1)]
            frame = gpd.GeoDataFrame({"site_id": ids, "name": ids}, geometry=sites(count))
            write(frame, plan.sites_file(count), analysis)
    write_inputs(plan)


def write(frame: gpd.GeoDataFrame, path: Path, analysis: Any) -> None:  # noqa: ANN401 - geodesy.AnalysisCRS, loaded late
    """Write a frame in longitude and latitude (CGCS2000), whole or not at all."""
    shapes = analysis.to_geographic(np.asarray(frame.geometry.values, dtype=object))
    part = path.with_name(f"part-{path.name}")
    frame.set_geometry(gpd.GeoSeries(shapes, crs="EPSG:4490")).to_file(part, engine="pyogrio")
    part.rename(path)


def write_pack(folder: Path, frames: dict[str, gpd.GeoDataFrame], analysis: Any) -> None:  # noqa: ANN401 - as above
    """Write a zone pack: four layers, a boundary that covers them, four rules."""
    part = folder.with_name(f"part-{folder.name}")
    part.mkdir(exist_ok=True)
    for name, frame in frames.items():
        write(frame, part / f"{name}.fgb", analysis)
    catalogue = []
    for name, accuracy in ACCURACY_M.items():
        kind = "point" if name == "stations" else "polygon"
        coverage = "unlimited" if name in ("boundary", "stations") else "boundary"
        catalogue.append(LAYER_TOML.format(name=name, kind=kind, accuracy=accuracy, coverage=coverage))
    keys = ("id", "layer", "where", "measure", "op", "value", "effect")
    rules = [RULE_TOML.format(**dict(zip(keys, rule, strict=True))) for rule in RULES]
    texts = {"zone": ZONE_TOML, "catalogue": "".join(catalogue), "access_list": "".join(rules), "targets": TARGETS_TOML}
    for name, text in texts.items():
        (part / f"{name}.toml").write_text(text, "utf-8")
    part.rename(folder)


def write_inputs(plan: Plan) -> None:
    """Write sites and layers as the engine sees them, in the analysis CRS: what all competitors are given."""
    import geojw  # noqa: PLC0415 - what is measured is loaded where it is
    from geojw.intake.sites import place  # noqa: PLC0415

    for name in LARGEST:
        zone = geojw.open_zone(plan.work / f"pack_{name}")
        for layer in POLYGON_LAYERS if name == "forest" else ("forest",):
            features = zone.layer(layer).index.features
            path = plan.work / f"{name if layer == 'forest' else layer}.parquet"
            gpd.GeoDataFrame({"feature_id": features.index}, geometry=features.geometry.array).to_parquet(path)
        if any(zone.repairs.values()):
            raise SystemExit(f"the made data are not valid: {zone.repairs}")
    for count in {plan.sites, plan.big_sites, *plan.growth}:
        if plan.sites_input(count).exists():
            continue
        frame = place(geojw.read_sites(plan.sites_file(count)), zone.analysis).frame
        gpd.GeoDataFrame({"site_id": frame.index}, geometry=frame.geometry.array).to_parquet(plan.sites_input(count))
    sample = geojw.open_zone("gaoxin").sample_sites
    gpd.read_file(sample, rows=1).to_file(plan.embedded, engine="pyogrio")


# ------------------------------------------------------------------------------------------------- the ways

Way = Callable[[gpd.GeoDataFrame, gpd.GeoDataFrame], tuple[pd.DataFrame, float]]
"""Takes sites and features, gives the pairs (site_id, feature_id, overlap_m2) and the seconds of preparation."""


def by_geojw(site: gpd.GeoDataFrame, feature: gpd.GeoDataFrame, workers: int) -> tuple[pd.DataFrame, float]:
    """Put the layer's edges into a grid (the preparation), then measure."""
    from geojw.measure.index import LayerIndex, Shapes  # noqa: PLC0415 - a peer's process does without
    from geojw.measure.overlay import overlap_pairs  # noqa: PLC0415

    started = time.perf_counter()
    index = LayerIndex(feature.set_index("feature_id"), "polygon")
    prepared_s = time.perf_counter() - started if len(index.grid.edges.px) else 0.0
    pairs = overlap_pairs(Shapes.of(np.asarray(site.geometry.values, dtype=object), many=True), index, workers)
    ids = {
        "site_id": site["site_id"].array.take(pairs.site),
        "feature_id": feature["feature_id"].array.take(pairs.feature),
    }
    return pd.DataFrame({**ids, "overlap_m2": pairs.overlap}), prepared_s


def by_overlay(site: gpd.GeoDataFrame, feature: gpd.GeoDataFrame) -> tuple[pd.DataFrame, float]:
    """Use geopandas.overlay and take the areas."""
    shared = gpd.overlay(site, feature, how="intersection", keep_geom_type=True)
    return pd.DataFrame(shared[["site_id", "feature_id"]]).assign(overlap_m2=shared.area), 0.0


def by_sjoin(site: gpd.GeoDataFrame, feature: gpd.GeoDataFrame) -> tuple[pd.DataFrame, float]:
    """Join by ``intersects``, then intersect pair by pair and take the areas."""
    joined = gpd.sjoin(site, feature, predicate="intersects")
    theirs = np.asarray(feature.geometry.values, dtype=object)[joined["index_right"].to_numpy()]
    shared = shapely.intersection(np.asarray(joined.geometry.values, dtype=object), theirs)
    return pd.DataFrame(joined[["site_id", "feature_id"]]).assign(overlap_m2=shapely.area(shared)), 0.0


def by_sedonadb(site: gpd.GeoDataFrame, feature: gpd.GeoDataFrame) -> tuple[pd.DataFrame, float]:
    """Use SedonaDB's spatial join and intersection, on all cores."""
    import pyarrow as pa  # noqa: PLC0415 - only this peer needs them
    import sedonadb  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415

    database = sedonadb.connect()
    # It copies the polygon into every joined row: its usual 8,192 rows of a large one exceed Arrow's 2 GB a batch.
    most = int(shapely.get_num_coordinates(feature.geometry.values).max()) * 16
    database.sql(f"SET datafusion.execution.batch_size = {min(8192, 1_500_000_000 // most)}")
    for name, frame in (("site", site), ("feature", feature)):
        database.create_data_frame(frame).to_view(name)
    asked = """SELECT s.site_id, f.feature_id, ST_Area(ST_Intersection(s.geometry, f.geometry)) AS overlap_m2
               FROM site AS s JOIN feature AS f ON ST_Intersects(s.geometry, f.geometry)"""
    return pa.table(database.sql(asked)).to_pandas(), 0.0


def by_duckdb(site: gpd.GeoDataFrame, feature: gpd.GeoDataFrame) -> tuple[pd.DataFrame, float]:
    """Use DuckDB's spatial join and intersection, on all cores."""
    import duckdb  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415 - only this peer needs it
    import duckdb_extension_spatial  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415

    started = time.perf_counter()
    base = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    files = Path(duckdb_extension_spatial.__file__).parent.rglob("spatial.duckdb_extension")
    base.load_extension(str(next(files)))
    for name, frame in (("site", site), ("feature", feature)):
        plain = pd.DataFrame({f"{name}_id": frame[f"{name}_id"], "wkb": shapely.to_wkb(frame.geometry.values)})
        base.register("plain", plain)
        base.execute(f"CREATE TABLE {name} AS SELECT {name}_id, ST_GeomFromWKB(wkb) AS geom FROM plain")  # noqa: S608
    prepared_s = time.perf_counter() - started
    asked = """SELECT s.site_id, f.feature_id, ST_Area(ST_Intersection(s.geom, f.geom)) AS overlap_m2
               FROM site AS s JOIN feature AS f ON ST_Intersects(s.geom, f.geom)"""
    return base.sql(asked).df(), prepared_s


def by_postgis(site: gpd.GeoDataFrame, feature: gpd.GeoDataFrame) -> tuple[pd.DataFrame, float]:
    """Use PostGIS on pieces of at most 256 vertices; loading, cutting and indexing are the preparation."""
    import psycopg  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - only this peer needs it

    started = time.perf_counter()
    with psycopg.connect(os.environ[POSTGIS]) as base:
        for name, frame in (("site", site), ("feature", feature)):
            base.execute(f"CREATE TEMP TABLE {name} (id text, geom geometry)")
            with base.cursor().copy(f"COPY {name} (id, geom) FROM STDIN") as copy:
                for key, wkb in zip(frame[f"{name}_id"], shapely.to_wkb(frame.geometry.values, hex=True), strict=True):
                    copy.write_row((key, wkb))
        base.execute("CREATE TEMP TABLE piece AS SELECT id, ST_Subdivide(geom, 256) AS geom FROM feature")
        for name in ("site", "piece"):
            base.execute(f"CREATE INDEX ON {name} USING gist (geom)")
            base.execute(f"ANALYZE {name}")
        prepared_s = time.perf_counter() - started
        rows = base.execute(
            """SELECT s.id, p.id, sum(CASE WHEN ST_Covers(p.geom, s.geom) THEN ST_Area(s.geom)
                                          ELSE ST_Area(ST_Intersection(s.geom, p.geom)) END)
               FROM site AS s JOIN piece AS p ON ST_Intersects(s.geom, p.geom) GROUP BY 1, 2"""
        ).fetchall()
    return pd.DataFrame(rows, columns=["site_id", "feature_id", "overlap_m2"]), prepared_s


POSTGIS = "GEOJW_BENCH_POSTGIS"
"""Environment variable with the connection of a server that has PostGIS; without it that peer is left out."""

NEEDS = {
    "geojw": ("geojw.measure.overlay", "geojw.measure.shares"),
    "SedonaDB": ("sedonadb", "pyarrow"),
    "DuckDB spatial": ("duckdb", "duckdb_extension_spatial"),
    "PostGIS": ("psycopg",),
}
"""What a way loads before its time starts."""

WAYS: dict[str, Way] = {
    "geojw, 1 thread": lambda site, feature: by_geojw(site, feature, 1),
    "geojw, 2 threads": lambda site, feature: by_geojw(site, feature, 2),
    "geopandas.overlay": by_overlay,
    "sjoin + intersection": by_sjoin,
    "SedonaDB": by_sedonadb,
    "DuckDB spatial": by_duckdb,
    "PostGIS, ST_Subdivide": by_postgis,
}
REFERENCE, OURS = "geopandas.overlay", ("geojw, 1 thread", "geojw, 2 threads")


def child_way(way: str, site_file: str, feature_file: str, out: str) -> dict[str, float]:
    """Run one way: what a process of its own does."""
    site, feature = gpd.read_parquet(site_file), gpd.read_parquet(feature_file)
    for module in NEEDS.get(way.split(",", maxsplit=1)[0], ()):
        importlib.import_module(module)
    if way in OURS:  # compiled code is loaded from its cache, or made, which is told apart
        started = time.perf_counter()
        WAYS[way](site.iloc[:1], feature.iloc[:1])
        loaded_s = time.perf_counter() - started
    started = time.perf_counter()
    pairs, prepared_s = WAYS[way](site, feature)
    seconds = time.perf_counter() - started
    pairs = pairs[~(pairs["overlap_m2"] <= TOUCH_M2)].sort_values(["site_id", "feature_id"], ignore_index=True)
    pairs.to_parquet(out)
    return {
        "seconds": seconds,
        "prepared_s": prepared_s,
        "pairs": len(pairs),
        "total_m2": float(pairs["overlap_m2"].sum()),
        "loaded_s": loaded_s if way in OURS else 0.0,
    }


def child_compare(one: str, other: str) -> dict[str, float]:
    """Compare the pairs of two ways: the largest difference, in m² and beside the allowed one."""
    both = pd.read_parquet(one).merge(pd.read_parquet(other), on=["site_id", "feature_id"], how="outer")
    a, b = (both[f"overlap_m2_{side}"].fillna(0.0) for side in "xy")
    allowed = EQUAL * np.maximum(1.0, np.maximum(a, b))
    return {"largest_m2": float((a - b).abs().max()), "unequal": int((~((a - b).abs() <= allowed)).sum())}


def child_one_site(pack: str, rounds: int) -> dict[str, float]:
    """Screen one site after another against a loaded zone: the median, after a warm-up."""
    import geojw  # noqa: PLC0415 - what is measured is loaded where it is

    zone = geojw.open_zone(pack)
    if Path(pack).is_dir():
        shapes = sites(rounds + 1)
        frame = gpd.GeoDataFrame(
            {"site_id": np.arange(len(shapes)).astype(str)}, geometry=shapes, crs=zone.analysis.crs
        )
    else:
        frame = gpd.read_file(zone.sample_sites, rows=rounds + 1)
    seconds = []
    for row in range(len(frame)):
        site = frame.iloc[[row]]
        started = time.perf_counter()
        geojw.screen(site, zone, on=DAY)
        seconds.append(time.perf_counter() - started)
    return {"first_s": seconds[0], "median_s": median(seconds[1:]), "largest_s": max(seconds[1:])}


def child_limit(site_file: str, feature_file: str) -> dict[str, float]:
    """Count what any engine has to look at: coordinates, boxes that meet, edges whose boxes meet a site's."""
    from geojw.measure.grid import candidates_in, edges_of, grid_of, runs_for  # noqa: PLC0415 - what is measured is loaded late

    site, feature = (
        np.asarray(gpd.read_parquet(path).geometry.values, dtype=object) for path in (site_file, feature_file)
    )
    boxes, grid = shapely.bounds(site), grid_of(feature)
    met, found, runs = 0, np.empty(len(grid.edges.px), dtype=np.int32), runs_for(grid)
    for west, south, east, north in boxes[:: max(len(site) // 10_000, 1)]:
        met += candidates_in(grid, west, south, east, north, found, runs)
    xy = shapely.get_coordinates(site)
    started = time.perf_counter()
    xy.sum(axis=0)
    return {
        "read_s": time.perf_counter() - started,
        "site_edges": len(edges_of(site).px),
        "layer_edges": len(grid.edges.px),
        "boxes": len(shapely.STRtree(feature).query(site)[0]),
        "edges_a_site": met / len(boxes[:: max(len(site) // 10_000, 1)]),
        "mb": (xy.nbytes + shapely.get_coordinates(feature).nbytes) / 1e6,
    }


def child_make(plan: str) -> dict[str, float]:
    """Make the data, as a process of its own."""
    asked = json.loads(plan)
    started = time.perf_counter()
    sizes = tuple(asked["screened"])
    growth = tuple(asked["growth"])
    make(Plan(Path(asked["work"]), asked["sites"], asked["big_sites"], sizes, 0.0, 0, asked["beside"], growth))
    return {"seconds": time.perf_counter() - started}


def child_script(sites_file: str, forest_file: str, red_line_file: str, work: str) -> dict[str, float]:
    """Do what many a script does: read, project, overlay, write the areas."""
    from geojw.measure.geodesy import AnalysisCRS  # noqa: PLC0415 - for the same equal-area plane

    crs = AnalysisCRS(*CENTRE).crs
    site = gpd.read_file(sites_file, engine="pyogrio").to_crs(crs)
    for number, path in enumerate((forest_file, red_line_file)):
        feature = gpd.read_file(path, engine="pyogrio").to_crs(crs)
        shared = gpd.overlay(site, feature, how="intersection", keep_geom_type=True)
        pd.DataFrame(shared[["site_id", "id"]]).assign(overlap_m2=shared.area).to_parquet(
            Path(work) / f"s{number}.parquet"
        )
    return {}


CHILDREN: dict[str, Callable[..., dict[str, float]]] = {
    "script": child_script,
    "way": child_way,
    "compare": child_compare,
    "one_site": lambda pack, rounds: child_one_site(pack, int(rounds)),
    "make": child_make,
    "limit": child_limit,
}

# ------------------------------------------------------------------------------------------------- measuring

WATCH = """
import json, os, signal, subprocess, sys, time
limit, command = float(sys.argv[1]), sys.argv[2:]
started = time.perf_counter()
process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
def end(*_):
    os.killpg(process.pid, signal.SIGKILL)
signal.signal(signal.SIGALRM, end)
signal.setitimer(signal.ITIMER_REAL, limit)
said = process.stdout.read().decode()
_, status, used = os.wait4(process.pid, 0)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({"wall_s": time.perf_counter() - started, "peak_mb": used.ru_maxrss * unit / 1e6,
                  "cpu_s": used.ru_utime + used.ru_stime, "code": os.waitstatus_to_exitcode(status), "said": said}))
"""
"""Starts a command, ends it at the limit and tells what it used. A small process of its own: a started process's peak
memory counts from what its starter holds."""


@dataclass(frozen=True)
class Used:
    """What a process used and said."""

    wall_s: float
    peak_mb: float
    cpu_s: float
    code: int
    said: str

    @property
    def figures(self) -> dict[str, float]:
        """What a child of this script measured."""
        out: dict[str, float] = json.loads(self.said.splitlines()[-1])
        return out


def watched(command: Sequence[str], limit_s: float) -> Used:
    """Run a command and tell what it used; code -9 is the time limit."""
    # Every preparation is measured, not read from a cache, unless GEOJW_CACHE names one.
    environment = {"GEOJW_CACHE": "off", **os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", WATCH, str(limit_s), *command], env=environment, check=True, stdout=subprocess.PIPE
    )
    return Used(**json.loads(done.stdout))


def child(task: str, *arguments: object, limit_s: float = 3600.0) -> Used:
    """Run a task of this script in a process of its own."""
    return watched([sys.executable, str(Path(__file__)), "--child", task, *map(str, arguments)], limit_s)


def screened(plan: Plan, sites_file: Path, zone: str, kind: str = "parquet") -> Used:
    """Run ``geojw screen`` as a user does."""
    run = "from geojw.cli import main; main()"
    options = ["--zone", zone, "--format", kind, "--no-map", "--on", DAY.isoformat(), "--quiet"]
    out = plan.work / "screened"
    used = watched([sys.executable, "-c", run, "screen", str(sites_file), *options, "--out", str(out)], 3600.0)
    # One layer of the embedded zone is not delivered on purpose: code 4.
    if used.code != 0 and (used.code, zone) != (4, "gaoxin"):
        raise SystemExit(f"geojw screen ended with code {used.code}")
    return used


# ------------------------------------------------------------------------------------------------- the run


@dataclass
class Results:
    """The rows of the tables, and what was to be reached."""

    engine: list[dict[str, str]] = field(default_factory=list)
    screening: list[dict[str, str]] = field(default_factory=list)
    targets: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    engine_s: dict[str, dict[str, float]] = field(default_factory=dict)
    compiled: dict[str, float] = field(default_factory=dict)
    growth: dict[str, dict[int, float]] = field(default_factory=dict)
    limit: dict[str, float] = field(default_factory=dict)

    def grew(self, way: str, count: int, seconds: float) -> None:
        """Note how long a way took for so many sites."""
        self.growth.setdefault(way, {})[count] = seconds

    def target(self, what: str, asked: str, got: str, *, met: bool | None) -> None:
        """Note what was to be reached and what was; None is not known."""
        word = {True: "met", False: "NOT met", None: "open"}[met]
        self.targets.append({"to reach": what, "asked": asked, "measured": got, "": word})


def tell(text: str) -> None:
    """Say how far it is."""
    print(f"{datetime.now().astimezone():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def left_out(way: str) -> str:
    """Say why a peer cannot be measured here, or nothing."""
    if way.startswith("PostGIS") and POSTGIS not in os.environ:
        return f"{POSTGIS} names no server"
    for module in NEEDS.get(way.split(",", maxsplit=1)[0], ()):
        if importlib.util.find_spec(module.split(".")[0]) is None:
            return f"{module} is not installed (pip install 'geojw[bench]')"
    return ""


def compare_ways(plan: Plan, results: Results) -> None:
    """Measure every way on every polygon layer, and compare the pairs with geojw's."""
    for layer, feature_file, count in plan.inputs:
        figures: dict[str, dict[str, float] | None] = {}
        rows: dict[str, dict[str, str]] = {}
        for way in WAYS:
            if why := left_out(way):
                tell(f"{way} is left out: {why}")
                continue
            tell(f"{layer}, {count:,} sites: {way}")
            pairs = plan.work / f"pairs_{list(WAYS).index(way)}.parquet"
            pairs.unlink(missing_ok=True)
            rows[way], figures[way] = one_way(plan, way, (layer, feature_file, count), pairs, results)
        reference = figures[REFERENCE]
        for way, row in rows.items():
            mine = figures[way]
            row["faster"] = f"{engine_s(reference) / engine_s(mine):.1f} x" if reference and mine else ""
            results.engine.append(row)
        results.engine_s[layer] = {way: engine_s(f) for way, f in figures.items() if f}
    note_speeds(results)
    note_compiled(plan, results)
    for way, seconds in results.engine_s["forest"].items():
        results.grew(way, plan.sites, seconds)
    grow(plan, results)
    results.limit = child("limit", plan.sites_input(plan.sites), plan.work / "forest.parquet").figures


def grow(plan: Plan, results: Results) -> None:
    """Measure the ways with other numbers of sites, to show how their time grows."""
    pairs = plan.work / "pairs_growth.parquet"
    for count in plan.growth:
        for way in WAYS:
            if left_out(way) or (count > plan.sites and way not in OURS):
                continue
            tell(f"forest, {count:,} sites: {way}")
            used = child("way", way, plan.sites_input(count), plan.work / "forest.parquet", pairs, limit_s=plan.limit_s)
            if used.code == 0:
                results.grew(way, count, engine_s(used.figures))


def note_compiled(plan: Plan, results: Results) -> None:
    """Note how long compiled code takes to be loaded, and to be made on a machine's first run."""
    task = (
        "way",
        OURS[0],
        plan.sites_input(plan.sites),
        plan.work / "plots.parquet",
        plan.work / "pairs_first.parquet",
    )
    results.compiled["loaded"] = child(*task).figures["loaded_s"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        results.compiled["made"] = child(*task).figures["loaded_s"]
        del os.environ["NUMBA_CACHE_DIR"]


def engine_s(figures: dict[str, float]) -> float:
    """Give the seconds of a way without its preparation."""
    return figures["seconds"] - figures["prepared_s"]


TO_REACH = (
    (POLYGON_LAYERS, "geopandas.overlay", 15.0),
    (("forest",), "geopandas.overlay", 50.0),
    (("forest",), "SedonaDB", 15.0),
    (("forest",), "PostGIS, ST_Subdivide", 5.0),
    (("forest_big",), "geopandas.overlay", 15.0),
    (("forest_huge",), "geopandas.overlay", 400.0),
    (("forest_huge",), "SedonaDB", 100.0),
)
"""Layers, the peer, and how many times faster the engine alone is to be."""


def note_speeds(results: Results) -> None:
    """Hold the engine's speed, with as many threads as are best, against what was to be reached."""
    for named, peer, asked in TO_REACH:
        seconds = [results.engine_s[name] for name in named]
        title = ", ".join(f"{name} (largest {LARGEST[name]:,})" if name in LARGEST else name for name in named)
        what = f"engine alone, faster than {peer}: {title}"
        if any(peer not in some for some in seconds):
            results.target(what, f"{asked:.0f} x", "not measured, or did not come to its end", met=None)
            continue
        ours = sum(min(some[way] for way in OURS if way in some) for some in seconds)
        times = sum(some[peer] for some in seconds) / ours
        results.target(what, f"{asked:.0f} x", f"{times:.1f} x", met=times >= asked)


def one_way(
    plan: Plan, way: str, case: tuple[str, str, int], pairs: Path, results: Results
) -> tuple[dict[str, str], dict[str, float] | None]:
    """Measure one way on one layer: the table's row, and its figures unless it was ended."""
    layer, feature_file, count = case
    used = child("way", way, plan.sites_input(count), plan.work / feature_file, pairs, limit_s=plan.limit_s)
    row = {"layer": layer, "sites": f"{count:,}", "way": way}
    if used.code != 0:
        why = f"> {plan.limit_s:,.0f} s" if used.code == -9 else f"failed ({used.code})"
        return {**row, "preparation s": "", "engine s": why}, None
    mine = used.figures
    difference = child("compare", plan.work / "pairs_0.parquet", pairs).figures
    if difference["unequal"]:
        results.faults.append(f"{layer}: {way} differs from {next(iter(WAYS))} in {difference['unequal']:.0f} pairs")
    figures = {
        "preparation s": f"{mine['prepared_s']:.2f}" if mine["prepared_s"] else "",
        "engine s": f"{engine_s(mine):.2f}",
        "faster": "",
        "pairs": f"{mine['pairs']:,.0f}",
        "area m²": f"{mine['total_m2']:,.3f}",
        "largest difference m²": "" if way == next(iter(WAYS)) else f"{difference['largest_m2']:.1e}",
        "peak MB": f"{used.peak_mb:,.0f}",
    }
    return {**row, **figures}, mine


def screen_all(plan: Plan, results: Results) -> None:
    """Measure the whole screening for growing numbers of sites."""
    peaks, walls = {}, {}
    first_run(plan, results)
    for name, largest in LARGEST.items():
        for count in plan.screened:
            if name != "forest" and (name, count) != ("forest_big", sorted(plan.screened)[len(plan.screened) // 2]):
                continue
            tell(f"geojw screen, {count:,} sites x 4 layers ({name})")
            used = screened(plan, plan.sites_file(count), str(plan.work / f"pack_{name}"))
            peaks[name, count], walls[name, count] = used.peak_mb, used.wall_s
            if name == "forest":
                results.grew(WHOLE, count, used.wall_s)
            results.screening.append(
                {
                    "largest polygon": f"{largest:,}",
                    "sites": f"{count:,}",
                    "seconds": f"{used.wall_s:.1f}",
                    "CPU s": f"{used.cpu_s:.1f}",
                    "sites a second": f"{count / used.wall_s:,.0f}",
                    "peak MB": f"{used.peak_mb:,.0f}",
                }
            )
    peak = max(peaks.values())
    results.target("peak memory of the whole screening", "1,500 MB", f"{peak:,.0f} MB", met=peak < 1500.0)
    if (most := max(plan.screened)) >= 1_000_000:
        wall_s = walls["forest", most]
        results.target(f"{most:,} sites x 4 layers, 4 rules, no map", "60 s", f"{wall_s:.1f} s", met=wall_s < 60.0)
    counts = [count for count in plan.screened if count > BATCH]
    if len(counts) > 1:
        few, many = peaks["forest", min(counts)], peaks["forest", max(counts)]
        told = f"{few:,.0f} MB at {min(counts):,}, {many:,.0f} MB at {max(counts):,} sites"
        results.target("memory independent of the number of sites", "+ 10 % at most", told, met=many <= 1.1 * few)


WHOLE = "geojw screen, the whole process"


def first_run(plan: Plan, results: Results) -> None:
    """Measure the first run on a machine, which makes compiled code and index; later ones find both."""
    for name in ("GEOJW_CACHE", "NUMBA_CACHE_DIR"):
        folder = plan.work / name.casefold()
        shutil.rmtree(folder, ignore_errors=True)
        os.environ[name] = str(folder)
    count = min(plan.screened)
    tell(f"geojw screen, {count:,} sites, the first run on a machine")
    results.compiled["first"] = screened(plan, plan.sites_file(count), str(plan.work / "pack_forest")).wall_s


def screen_beside_script(plan: Plan, results: Results) -> None:
    """Measure the screening on two layers beside a script that only reads and calls geopandas.overlay."""
    if plan.beside == 0:
        return
    pack = two_layers(plan)

    def ours_s() -> list[float]:
        """Half of the repeats before the script and half after: a shared machine changes its speed in minutes."""
        tell(f"geojw screen, {plan.beside:,} sites x 2 layers")
        runs = range(plan.repeats // 2 + 1)
        return [screened(plan, plan.sites_file(plan.beside), str(pack)).wall_s for _ in runs]

    before = ours_s()
    tell("a script with geopandas.overlay, the same files")
    used = child("script", plan.sites_file(plan.beside), pack / "forest.fgb", pack / "red_line.fgb", plan.work)
    ours = median([*before, *ours_s()])
    what = f"whole screening of {plan.beside:,} sites x (forest, red line), faster than a script with geopandas.overlay"
    told = f"{used.wall_s / ours:.1f} x ({ours:.1f} s, the script {used.wall_s:.1f} s)"
    results.target(what, "20 x", told, met=used.wall_s / ours >= 20.0)


def two_layers(plan: Plan) -> Path:
    """Make a pack with the rules on forest and red line only."""
    folder = plan.work / "pack_two"
    if not folder.is_dir():
        part = folder.with_name("part-pack_two")
        shutil.copytree(plan.work / "pack_forest", part, dirs_exist_ok=True)
        rows = (part / "access_list.toml").read_text("utf-8").split("[[rule]]")
        kept = [row for row in rows if 'layer = "forest"' in row or 'layer = "red_line"' in row]
        (part / "access_list.toml").write_text("".join(f"[[rule]]{row}" for row in kept), "utf-8")
        part.rename(folder)
    return folder


def screen_one(plan: Plan, results: Results) -> None:
    """Measure one site against a loaded zone, and from a cold start."""
    for title, zone in (("this benchmark's zone", str(plan.work / "pack_forest")), ("the embedded zone", "gaoxin")):
        tell(f"one site against {title}")
        figures = child("one_site", zone, 20).figures
        told = f"median {figures['median_s'] * 1e3:.0f} ms, largest {figures['largest_s'] * 1e3:.0f} ms"
        for most_ms in (50, 20):
            met = figures["median_s"] < most_ms / 1000.0
            results.target(f"one site against {title}, loaded", f"{most_ms} ms", told, met=met)
    for kind, most_s in (("parquet", 5.0), ("csv", 2.0)):
        tell(f"cold start, {kind}")
        cold = median(screened(plan, plan.embedded, "gaoxin", kind).wall_s for _ in range(plan.repeats))
        what = f"cold `geojw screen --format {kind}` of one site, embedded zone, no map"
        results.target(what, f"{most_s:.0f} s", f"{cold:.1f} s", met=cold < most_s)


# ------------------------------------------------------------------------------------------------- the page


def table(rows: Sequence[dict[str, str]]) -> str:
    """Give rows as a Markdown table; figures are set right."""
    if not rows:
        return "Not measured in this run."
    columns = list(dict.fromkeys(column for row in rows for column in row))
    left = {"layer", "way", "to reach", "measured", ""}
    lines = [columns, ["---" if column in left else "---:" for column in columns]]
    lines += [[row.get(column, "") for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(*more: str) -> str:
    """Give the machine's size and the versions that matter."""
    names = ("geopandas", "shapely", "numpy", "pandas", "pyarrow", "pyproj", "pyogrio", "sedonadb", *more)
    versions = [f"Python {platform.python_version()}", f"GEOS {shapely.geos_version_string}"]
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    today = datetime.now(UTC).date().isoformat()
    return f"{today}; {cores} cores ({platform.machine()}), {memory_gb:.0f} GB; {', '.join(versions)}."


def busy() -> str:
    """Say whether the machine had other work when the run began: then the figures are upper bounds."""
    load = os.getloadavg()[0]
    return f"Load average at the start {load:.1f}" + (
        ": other work ran, times are upper bounds." if load > 0.5 else "."
    )


def chart(results: Results) -> str:
    """Draw seconds against sites, both by powers of ten, as SVG."""
    import matplotlib as mpl  # noqa: PLC0415 - only where it is drawn

    mpl.use("svg")
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "geojw", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(8.0, 5.0), layout="constrained")
        axes = figure.add_subplot(xscale="log", yscale="log", xlabel="sites", ylabel="seconds")
        for (way, seconds), mark in zip(results.growth.items(), "os^vDPXd*", strict=False):
            counts = sorted(seconds)
            line = "-" if way in OURS else ":" if way == WHOLE else "--"
            axes.plot(counts, [seconds[count] for count in counts], line, marker=mark, markersize=5, label=way)
        axes.grid(visible=True, which="major", alpha=0.4)
        axes.legend(fontsize="small")
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "scripts/bench.py"})
    return out.getvalue()


def growth_table(results: Results) -> str:
    """Give seconds by way and number of sites."""
    counts = sorted({count for seconds in results.growth.values() for count in seconds})
    rows = [
        {"way": way, **{f"{count:,}": f"{seconds[count]:.2f}" if count in seconds else "" for count in counts}}
        for way, seconds in results.growth.items()
    ]
    return table(rows)


def remains(plan: Plan, results: Results) -> str:
    """Say what is between geojw and the limit."""
    if not results.limit:
        return ""
    it, ours = results.limit, min(results.engine_s["forest"][way] for way in OURS)
    return f"""
- What any engine has to look at for {plan.sites:,} sites on *forest*: {it["mb"]:,.0f} MB of coordinates
  ({it["site_edges"]:,.0f} edges of sites, {it["layer_edges"]:,.0f} of the layer), {it["boxes"]:,.0f} pairs of boxes
  that meet, and {it["edges_a_site"] * plan.sites:,.0f} edges of the layer whose boxes meet a site's
  ({it["edges_a_site"]:.1f} a site). Reading the sites' coordinates once takes {it["read_s"] * 1e3:.1f} ms; geojw's
  engine takes {ours * 1e3:,.0f} ms, {ours / plan.sites * 1e6:.1f} microseconds a site."""


def page(plan: Plan, results: Results, load: str, *, quick: bool) -> str:
    """Give the whole report as Markdown."""
    small = "A quick run (`--quick`): too small for the figures to be reached; see the full one.\n\n" if quick else ""
    faults = (
        "\n".join(f"- **{fault}**" for fault in results.faults)
        or "All ways that came to their end agree on every pair."
    )
    return f"""# Performance

`scripts/bench.py --write` measures and writes this page; `scripts/bench.py --quick` is a small version (about a
minute). It is no test: nothing fails because a machine is slow.

{small}{machine()} {load}

## To be reached

{table(results.targets)}

## The engine and its peers

Sites (10 to 20 vertices, 60 to 150 m wide) against one polygon layer, all in the analysis CRS, the same frames in
memory, each way in a process of its own. *forest*: {FOREST_POLYGONS:,} polygons with holes, {FOREST_VERTICES}, the
largest with {LARGEST["forest"]:,}; *forest_big*: as many, the largest with {LARGEST["forest_big"]:,};
*forest_huge*: sampled more finely, the largest with {LARGEST["forest_huge"]:,}; *red_line*: 25 polygons of 200 to 1,500
vertices; *plots*: 60 of 8 to 30. *Preparation* is the index of the layer (geojw: its edges in a grid; PostGIS: loading,
cutting into pieces, trees; DuckDB: loading), *engine* the rest. *Faster* compares engines, with `{REFERENCE}`. A
way that takes longer than {plan.limit_s:,.0f} s is ended. Pairs that share at most {TOUCH_M2:g} m² only touch. Peak
memory is that of the whole process, libraries and inputs included. geojw's compiled code is loaded before, from numba's
cache, in {results.compiled.get("loaded", 0.0):.1f} s; the first run on a machine makes it, in
{results.compiled.get("made", 0.0):.0f} s.

{table(results.engine)}

Each pair of site and feature is compared with geojw's; equal is a difference of at most {EQUAL:g} m², or {EQUAL:g} of
the area where that is more. {faults}

## Growth

Seconds on *forest*, engines without preparation, for growing numbers of sites; {WHOLE}, is on four layers.

{growth_table(results)}

![Seconds against sites, both by powers of ten](performance.svg)

## What limits each way

- `geopandas.overlay` and `sjoin` + `intersection` give GEOS the whole polygon for every pair: the cost grows with pairs
  times vertices of the largest polygons. SedonaDB and DuckDB do the same, on more threads.
- PostGIS on pieces pays some 50 microseconds of overlay for each site that crosses an edge, whatever the piece's size.
- geojw builds no shape: a site meets the edges in the cells below it, and a site without any costs one look into a
  cell. What remains is taking the sites apart and comparing the edges that are near.{remains(plan, results)}
- The whole screening is limited by what is made for each site around its figures: projection, texts, tables, Parquet.

## The whole screening

`geojw screen --format parquet --no-map` as a process: start, reading, four rules on four layers (share of forest, red
line, listed and suspected plots, stations within 3 km), verdicts with margins and certainty, all tables and the shapes
of the sites that are not clear, the checksums and the passport. Batches of {BATCH:,} sites. Index and compiled code
come from their caches; the first run on a machine, which makes both, took {results.compiled.get("first", 0.0):.0f} s
for {min(plan.screened):,} sites.

{table(results.screening)}
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small version that ends in about a minute")
    parser.add_argument(
        "--work", type=Path, help="folder of the made data, kept and used again (default: a temporary one)"
    )
    parser.add_argument("--sites", type=int, help="sites of the comparison with peers (100,000; quick: 2,000)")
    parser.add_argument("--big-sites", type=int, help="the same against the largest polygons (500; quick: 300)")
    parser.add_argument("--screened", type=int, nargs="+", help="sites of the whole screenings (10000 100000 1000000)")
    parser.add_argument("--limit", type=float, default=1800.0, help="end a peer after so many seconds (1800)")
    parser.add_argument("--only", choices=("engine", "screening", "beside", "one"), help="only this part")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md, other parts of it stay")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write and asked.only:
        parser.error("--write goes without --only: the page's figures are of one run")
    return asked


def planned(asked: argparse.Namespace, work: Path) -> Plan:
    """Fill in what was not asked for."""
    few = asked.quick
    count = asked.sites or (2_000 if few else 100_000)
    sizes = asked.screened or ([count] if few else [10_000, 100_000, 1_000_000])
    big = min(asked.big_sites or (300 if few else 500), count)
    growth = (500,) if few else (1_000, 10_000, 1_000_000)
    return Plan(work, count, big, tuple(sizes), asked.limit, 1 if few else 3, 0 if few else 200_000, growth)


def measure(plan: Plan, only: str | None) -> Results:
    """Make the data and measure."""
    tell("making the data")
    asked = {"work": str(plan.work), "sites": plan.sites, "big_sites": plan.big_sites, "screened": plan.screened}
    asked |= {"beside": plan.beside, "growth": plan.growth}
    made = child("make", json.dumps(asked))
    if made.code != 0:
        raise SystemExit("the data could not be made")
    results = Results()
    for name, part in (
        ("engine", compare_ways),
        ("screening", screen_all),
        ("beside", screen_beside_script),
        ("one", screen_one),
    ):
        if only in (None, name):
            part(plan, results)
    return results


def main() -> int:
    """Measure, print, and write the page if asked."""
    asked = arguments()
    if asked.child:
        print(json.dumps(CHILDREN[asked.child[0]](*asked.child[1:])))
        return 0
    load = busy()
    with tempfile.TemporaryDirectory(prefix="geojw-bench-") as folder:
        plan = planned(asked, (asked.work or Path(folder)).resolve())
        results = measure(plan, asked.only)
    text = page(plan, results, load, quick=asked.quick)
    print(text)
    if asked.write:
        sections.write(ROOT / "docs" / "performance.md", text)
        (ROOT / "docs" / "performance.svg").write_text(chart(results), "utf-8")
    return 1 if results.faults else 0


if __name__ == "__main__":
    sys.exit(main())
