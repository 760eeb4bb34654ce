#!/usr/bin/env python3
"""
Benchmark of cover shares beside `rasterstats`: a 10 m raster of 35,000 x 35,000 cells, and 1,000 polygons.

``scripts/bench --only cover`` runs it (``--quick``: 4,000 x 4,000 cells and 100 polygons); with ``--write`` its figures
become a section of ``docs/performance.md``, the others stay. Each way runs in a process
of its own on the same file and polygons, so that its memory is its own. The raster is made block by block from a fixed
seed, tiled and deflated; it is never in memory as a whole. Not a test: it measures, and compares the results.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import shapely

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the checkout that holds this script is what is measured

SEED = 20261127
CRS = "EPSG:4544"
LEFT, TOP, CELL_M = 450_000.0, 3_450_000.0, 10.0
TILE = 512
NO_DATA = 255
CENTRE = (106.32, 29.50)

FULL, QUICK = (35_000, 1_000), (4_000, 100)
"""Cells a side, and polygons."""

MOST_MB = 1_000.0
"""Peak memory to be reached."""

Array = np.ndarray[Any, np.dtype[Any]]

PAGE = """## Cover shares from a raster

`scripts/bench --only cover --write` measures and writes this section. {small}{machine}

{count} polygons (5 to 300 vertices, 30 m to 3 km across, one of 20 km) on {cells} x {cells} cells of {cell} m
(GeoTIFF of {size} MB, tiles of {tile}, made in {made} s). {load} Peak memory is that of the process;
to be reached by geojw: less than {most} MB; measured {reached}.
*Apart*: mean / largest difference from geojw's share of one class, by the number of cells of the polygon.

| way | seconds | peak MB | apart, < 100 cells | 100 to 10,000 | above | no answer |
|---|---|---|---|---|---|---|
{rows}

The methods differ. `rasterstats` counts whole cells, those whose middle lies in the polygon (or all that it touches),
each alike: it parts most where a polygon has few cells, and *no answer* counts polygons that hold no cell's middle.
`exactextract` weighs cells by the share of them that the polygon covers, all cells alike; geojw takes those shares from
it and weighs by the cells' area on the ellipsoid too: they agree to the change of that area within a polygon.
"""


def block_of(row: int, column: int, size: int) -> Array:
    """Make one block of cells: patches of classes 0 to 3 some 30 cells wide, some of them without data."""
    rng = np.random.default_rng([SEED, row, column])
    coarse = rng.integers(0, 4, (size // 32 + 1, size // 32 + 1)).astype(np.uint8)
    coarse[rng.random(coarse.shape) < 0.03] = NO_DATA
    cells = np.kron(coarse, np.ones((32, 32), dtype=np.uint8))[:size, :size]
    speckled = rng.random((size, size)) < 0.1
    cells[speckled] = rng.integers(0, 4, int(speckled.sum()))
    return np.asarray(cells)


def make_raster(path: Path, cells: int) -> None:
    """Write the raster, a block at a time."""
    import rasterio  # noqa: PLC0415 - only where data are made
    from rasterio.windows import Window  # noqa: PLC0415

    at = rasterio.transform.from_origin(LEFT, TOP, CELL_M, CELL_M)
    with rasterio.open(
        path, "w", driver="GTiff", height=cells, width=cells, count=1, dtype="uint8", crs=CRS, transform=at,
        nodata=NO_DATA, tiled=True, blockxsize=TILE, blockysize=TILE, compress="deflate", zlevel=1, bigtiff="yes",
    ) as file:  # fmt: skip
        step = 4 * TILE
        for row in range(0, cells, step):
            for column in range(0, cells, step):
                height, width = min(step, cells - row), min(step, cells - column)
                block = block_of(row, column, step)[:height, :width]
                file.write(block, 1, window=Window(column, row, width, height))


def polygons(count: int, cells: int) -> Array:
    """Make polygons of 5 to 300 vertices and 30 m to 3 km across, and one of 20 km, all over the raster."""
    rng = np.random.default_rng(SEED)
    out = []
    for number in range(count):
        radius = 10_000.0 if number == 0 else float(np.exp(rng.uniform(np.log(30.0), np.log(3_000.0)))) / 2.0
        corners = int(rng.integers(5, 300))
        turn = np.sort(rng.uniform(0.0, 2.0 * np.pi, corners))
        reach = radius * rng.uniform(0.6, 1.0, corners)
        middle = np.array([LEFT, TOP]) + rng.uniform(0.02, 0.98, 2) * cells * CELL_M * np.array([1.0, -1.0])
        ring = middle + np.column_stack([reach * np.cos(turn), reach * np.sin(turn)])
        out.append(shapely.make_valid(shapely.Polygon(ring)))
    return np.array(out, dtype=object)


def by_geojw(raster: Path, shapes: Array) -> Array:
    """Share of class 1 by geojw: exact fractions, cells weighed by their area on the ellipsoid."""
    import pyproj  # noqa: PLC0415 - each way loads what it needs

    from geojw.measure.cover import cover  # noqa: PLC0415
    from geojw.measure.geodesy import AnalysisCRS  # noqa: PLC0415
    from geojw.measure.index import Shapes  # noqa: PLC0415
    from geojw.measure.rasters import open_raster  # noqa: PLC0415

    analysis = AnalysisCRS(*CENTRE)
    classes = {"forest": (1,), "other": (0, 2, 3)}
    data = open_raster(raster, raster.name, pyproj.CRS(CRS), classes, analysis)
    table = cover(Shapes.of(analysis.project(shapes, pyproj.CRS(CRS))), data)
    there = table[[0, 1, 2, 3]].sum(axis=1)
    return np.column_stack([table[1] / there, there])


def by_rasterstats(raster: Path, shapes: Array, *, all_touched: bool = False) -> Array:
    """Share of class 1 by rasterstats: cells whose middle lies in the polygon (or all touched), counted alike."""
    from rasterstats import zonal_stats  # noqa: PLC0415 - each way loads what it needs

    found = zonal_stats(list(shapes), str(raster), categorical=True, all_touched=all_touched)
    counts = np.array([[one.get(value, 0) for value in range(4)] for one in found], dtype=float)
    whole = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.column_stack([counts[:, 1] / whole, whole * CELL_M**2])


def by_rasterstats_touched(raster: Path, shapes: Array) -> Array:
    """Share of class 1 by rasterstats, of all cells that a polygon touches."""
    return by_rasterstats(raster, shapes, all_touched=True)


def by_exactextract(raster: Path, shapes: Array) -> Array:
    """Share of class 1 by exactextract itself: exact fractions, all cells alike."""
    import exactextract  # noqa: PLC0415 - each way loads what it needs
    import geopandas as gpd  # noqa: PLC0415

    frame = gpd.GeoDataFrame(geometry=shapes, crs=CRS)
    found = exactextract.exact_extract(str(raster), frame, ["unique", "frac", "count"], output="pandas")
    rows = zip(found["unique"], found["frac"], strict=True)
    share = [dict(zip(np.asarray(values).tolist(), shares, strict=True)).get(1, 0.0) for values, shares in rows]
    return np.column_stack([np.where(found["count"] > 0.0, share, np.nan), found["count"] * CELL_M**2])


WAYS = {
    "geojw": by_geojw,
    "exactextract": by_exactextract,
    "rasterstats": by_rasterstats,
    "rasterstats, all_touched": by_rasterstats_touched,
}


def child(way: str, work: Path, count: int, cells: int) -> None:
    """Run one way and write what it found, its time and its memory."""
    shapes = polygons(count, cells)
    start = time.perf_counter()
    found = WAYS[way](work / "cells.tif", shapes)
    seconds = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    np.save(work / f"{way}.npy", found)
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb}))


def compared(work: Path, way: str, sizes_m2: Array) -> str:
    """Say how far a way's shares are from geojw's, by the size of the polygons."""
    ours, theirs = np.load(work / "geojw.npy")[:, 0], np.load(work / f"{way}.npy")[:, 0]
    parts = []
    for low, high in ((0.0, 100.0), (100.0, 10_000.0), (10_000.0, np.inf)):
        rows = (sizes_m2 / CELL_M**2 >= low) & (sizes_m2 / CELL_M**2 < high)
        apart = np.abs(ours - theirs)[rows]
        known = apart[np.isfinite(apart)]
        parts.append(f"{known.mean():.2e} / {known.max():.2e}" if known.size else "-")
    missing = int((np.isfinite(ours) & ~np.isfinite(theirs)).sum())
    return " | ".join([*parts, str(missing)])


def measure(work: Path, count: int, cells: int, *, small: bool) -> str:
    """Make the data, run every way, and give the section."""
    from bench import busy, machine  # noqa: PLC0415 - not in the processes that are measured

    load = busy()
    raster = work / "cells.tif"
    start = time.perf_counter()
    if not raster.exists():
        make_raster(raster, cells)
    made = time.perf_counter() - start
    lines, reached = [], "not measured"
    for way in WAYS:
        words = [sys.executable, __file__, "--child", way, str(work), str(count), str(cells)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            lines.append(f"| {way} | {done.stderr.strip().splitlines()[-1]} | | | | | |")
            continue
        told = json.loads(done.stdout)
        if way == "geojw":
            reached = f"{told['peak_mb']:,.0f} MB: {'met' if told['peak_mb'] < MOST_MB else 'NOT met'}"
        apart = " | | | " if way == "geojw" else compared(work, way, shapely.area(polygons(count, cells)))
        lines.append(f"| {way} | {told['seconds']:.1f} | {told['peak_mb']:,.0f} | {apart} |")
    return PAGE.format(
        count=f"{count:,}", cells=f"{cells:,}", cell=f"{CELL_M:g}", size=f"{raster.stat().st_size / 1e6:,.0f}",
        tile=TILE, made=f"{made:.0f}", load=load, rows="\n".join(lines), reached=reached, most=f"{MOST_MB:,.0f}",
        machine=machine("rasterio", "exactextract", "rasterstats"),
        small="A small run (`--quick`): the figures say nothing of the full one. " if small else "",
    )  # fmt: skip


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="4,000 x 4,000 cells, 100 polygons")
    parser.add_argument("--work", type=Path, help="folder of the made data, kept and used again")
    parser.add_argument("--cells", type=int, help="rows and columns (35,000)")
    parser.add_argument("--polygons", type=int, help="polygons (1,000)")
    parser.add_argument("--write", action="store_true", help="write the section of docs/performance.md")
    asked = parser.parse_args()
    size = QUICK if asked.quick else FULL
    cells, count = asked.cells or size[0], asked.polygons or size[1]
    with tempfile.TemporaryDirectory(prefix="geojw-bench-") as folder:
        work = (asked.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        text = measure(work, count, cells, small=cells < FULL[0] or count < FULL[1])
    print(text)
    if asked.write:
        import sections  # noqa: PLC0415 - not in the processes that are measured

        sections.write(ROOT / "docs" / "performance.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
