"""Cover shares against an independent computation: cells as polygons, their areas on the ellipsoid, one by one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from geojw.errors import LayerError
from geojw.measure import cover, rasters
from geojw.measure.geodesy import AnalysisCRS
from geojw.measure.index import Shapes

ANALYSIS = AnalysisCRS(106.33, 29.52)
GEOD = Geod(a=6378137.0, rf=298.257222101)
GRIDS = {
    "gauss-krueger": ("EPSG:4544", Affine(10.0, 0.0, 628_000.0, 0.0, -10.0, 3_268_000.0)),
    "degrees": ("EPSG:4490", Affine(1e-4, 0.0, 106.33, 0.0, -1e-4, 29.53)),
    "utm": ("EPSG:32648", Affine(30.0, 0.0, 628_000.0, 0.0, -20.0, 3_268_000.0)),
}
ROWS, COLUMNS = 60, 50
NO_DATA = 255
CLASSES = {"forest": (1,), "other": (0, 2)}


@cache
def made_cells() -> np.ndarray[Any, Any]:
    cells = np.random.default_rng(3).integers(0, 3, (ROWS, COLUMNS)).astype(np.uint8)
    cells[20:28, 10:22] = NO_DATA
    cells[5, 5] = 9  # of no class
    return cells


def write(path: Path, cells: np.ndarray[Any, Any], crs: str, at: Affine, **options: Any) -> rasters.Raster:
    known = {"driver": "GTiff", "nodata": NO_DATA, "count": 1, "dtype": cells.dtype.name, **options}
    with rasterio.open(path, "w", height=cells.shape[0], width=cells.shape[1], crs=crs, transform=at, **known) as file:
        file.write(cells, 1)
    return rasters.open_raster(path, path.name, CRS(crs), CLASSES, ANALYSIS)


@pytest.fixture(scope="module", params=GRIDS)
def grid(request: Any, tmp_path_factory: pytest.TempPathFactory) -> rasters.Raster:
    return write(tmp_path_factory.mktemp("grid") / "cells.tif", made_cells(), *GRIDS[request.param])


def cell_of(raster: rasters.Raster, row: int, column: int) -> shapely.Polygon:
    """A cell in the raster's own CRS; neighbours share their corners to the last bit."""
    west, east = raster.left + column * raster.dx, raster.left + (column + 1) * raster.dx
    north, south = raster.top - row * raster.dy, raster.top - (row + 1) * raster.dy
    return shapely.box(west, south, east, north)


@cache
def true_m2(code: int, row: int, column: int) -> float:
    """Area of a cell on the ellipsoid, without the analysis CRS."""
    at = next(at for crs, at in GRIDS.values() if crs == f"EPSG:{code}")
    corners = [
        (at.c + (column + x) * at.a, at.f + (row + y) * at.e)
        for x, y in ((0, 0), (0, 0.5), (0, 1), (1, 1), (1, 0.5), (1, 0), (0.5, 0))
    ]
    x, y = transformer(code, 4490).transform(*np.array(corners).T)
    return abs(GEOD.polygon_area_perimeter(x, y)[0])


@cache
def transformer(source: int, target: int) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def expected(raster: rasters.Raster, polygon: shapely.Geometry) -> dict[object, float]:
    """Add up the cells that a polygon of the raster's CRS covers: share of the cell times its area."""
    cells = made_cells()
    out: dict[object, float] = dict.fromkeys([0, 1, 2, "no_data", "undeclared"], 0.0)
    window = cover._window_of(shapely.bounds(raster.in_cells(ANALYSIS.project(np.array([polygon]), raster.crs)))[0])
    for row in range(window.row - 1, window.row_end + 1):
        for column in range(window.column - 1, window.column_end + 1):
            cell = cell_of(raster, row, column)
            share = shapely.intersection(cell, polygon).area / cell.area
            there = 0 <= row < ROWS and 0 <= column < COLUMNS
            value = int(cells[row, column]) if there else NO_DATA
            key = "no_data" if value == NO_DATA else "undeclared" if value == 9 else value
            if share > 0.0:
                out[key] += share * true_m2(raster.crs.to_epsg(), row, column)
    return out


def assert_equal(raster: rasters.Raster, polygon: shapely.Geometry, apart: float = 1e-6) -> None:
    shapes = Shapes.of(ANALYSIS.project(np.array([polygon], dtype=object), raster.crs))
    (row,) = cover.cover(shapes, raster).drop(columns="cells").to_dict("records")
    want = expected(raster, polygon)
    assert set(row) == set(want)
    for key, value in want.items():
        assert row[key] / shapes.size[0] == pytest.approx(value / shapes.size[0], abs=apart), key
    assert sum(row.values()) == pytest.approx(shapes.size[0], rel=1e-6)


def in_grid(raster: rasters.Raster, shape: shapely.Geometry) -> shapely.Geometry:
    """Draw in columns and rows (from the north)."""
    scale, shift = np.array([raster.dx, -raster.dy]), np.array([raster.left, raster.top])
    return shapely.transform(shape, lambda xy: xy * scale + shift)


PLACES = {
    "smaller than a cell": shapely.box(30.2, 40.3, 30.7, 40.9),
    "smaller than a cell, across an edge": shapely.box(29.8, 40.3, 30.1, 40.6),
    "equal to a cell": shapely.box(31, 41, 32, 42),
    "many cells": shapely.Point(35, 45).buffer(7.3),
    "with a hole": shapely.Point(35, 45).buffer(7.3).difference(shapely.Point(36, 44).buffer(3.1)),
    "across no data": shapely.Polygon([(8.5, 18.2), (24.1, 21.7), (15.3, 33.3)]),
    "within no data": shapely.box(12, 22, 18, 25),
    "over a value of no class": shapely.box(4.5, 4.5, 6.5, 6.5),
    "across the edge of the raster": shapely.box(-3.3, 50.1, 8.4, 64.9),
    "across a corner": shapely.Polygon([(45, -4), (56, 3), (47, 9)]),
    "two parts": shapely.MultiPolygon([shapely.box(1.1, 1.2, 3.3, 3.4), shapely.box(40.5, 50.5, 44.5, 51.5)]),
}


@pytest.mark.parametrize("place", PLACES)
def test_cover_is_the_sum_of_cells(grid: rasters.Raster, place: str) -> None:
    assert_equal(grid, in_grid(grid, PLACES[place]))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    x=st.floats(-5, COLUMNS + 5), y=st.floats(-5, ROWS + 5), radius=st.floats(0.05, 9.0), corners=st.integers(3, 9),
    turn=st.floats(0, 6.3),
)  # fmt: skip
def test_cover_of_random_polygons(
    grid: rasters.Raster, x: float, y: float, radius: float, corners: int, turn: float
) -> None:
    angle = turn + 2.0 * np.pi * np.arange(corners) / corners
    polygon = shapely.Polygon(np.column_stack([x + radius * np.cos(angle), y + 0.6 * radius * np.sin(angle)]))
    if polygon.intersects(shapely.box(0, 0, COLUMNS, ROWS)):
        assert_equal(grid, in_grid(grid, polygon))


@pytest.mark.parametrize("place", ["smaller than a cell", "many cells", "across no data", "across a corner"])
def test_a_site_in_another_crs_than_the_raster(grid: rasters.Raster, place: str) -> None:
    """Edges are straight in the site's own CRS: they are split there, and every vertex is moved by itself."""
    own = CRS("EPSG:4490" if grid.crs.is_projected else "EPSG:4544")
    there = transformer(grid.crs.to_epsg(), own.to_epsg())
    back = transformer(own.to_epsg(), grid.crs.to_epsg())
    drawn = shapely.transform(
        in_grid(grid, PLACES[place]), lambda xy: np.column_stack(there.transform(xy[:, 0], xy[:, 1]))
    )
    dense = shapely.segmentize(drawn, 5e-5 if own.is_geographic else 5.0)
    polygon = shapely.transform(dense, lambda xy: np.column_stack(back.transform(xy[:, 0], xy[:, 1])))
    shapes = Shapes.of(ANALYSIS.project(np.array([drawn], dtype=object), own))
    (row,) = cover.cover(shapes, grid).drop(columns="cells").to_dict("records")
    for key, value in expected(grid, polygon).items():
        assert row[key] / shapes.size[0] == pytest.approx(value / shapes.size[0], abs=2e-6), key


def test_areas_of_cells_are_those_on_the_ellipsoid(grid: rasters.Raster) -> None:
    areas = grid.areas_m2(rasters.Window(-70, -70, ROWS + 70, COLUMNS + 70))
    for row, column in [(-70, -70), (0, 0), (31, 17), (59, 49), (129, 119)]:
        assert areas[row + 70, column + 70] == pytest.approx(true_m2(grid.crs.to_epsg(), row, column), rel=1e-7)


def authalic_m2(south: float, north: float) -> float:
    """Area of the ellipsoid between two parallels for one degree of longitude (Snyder 1987, equation 3-12)."""
    e = np.sqrt(GEOD.f * (2.0 - GEOD.f))

    def q(lat: float) -> float:
        s = np.sin(np.radians(lat))
        return float((1.0 - e**2) * (s / (1.0 - e**2 * s**2) - np.log((1.0 - e * s) / (1.0 + e * s)) / (2.0 * e)))

    return GEOD.a**2 / 2.0 * np.radians(1.0) * (q(north) - q(south))


def test_cells_of_degrees_have_the_areas_of_the_literature(tmp_path: Path) -> None:
    """Snyder's area in closed form, which gives the authalic radius that is stated for GRS 80 (Moritz 2000)."""
    assert np.sqrt(360.0 * authalic_m2(-90.0, 90.0) / (4.0 * np.pi)) == pytest.approx(6_371_007.181, abs=5e-4)
    raster = write(tmp_path / "cells.tif", made_cells(), *GRIDS["degrees"])
    areas = raster.areas_m2(rasters.Window(0, 0, ROWS, COLUMNS))
    for row in (0, 17, 59):
        north = raster.top - row * raster.dy
        assert areas[row] == pytest.approx(raster.dx * authalic_m2(north - raster.dy, north), rel=1e-7)


def test_the_area_of_a_cell_depends_on_the_cell_alone(grid: rasters.Raster) -> None:
    whole = grid.areas_m2(rasters.Window(-10, -10, 200, 300))
    part = grid.areas_m2(rasters.Window(63, 100, 130, 140))
    assert np.array_equal(whole[73:140, 110:150], part)


def test_the_square_of_the_documentation_of_exactextract() -> None:
    """A square of two cells a side in the middle of 3 by 3: a quarter of each corner, halves, and one whole cell."""
    numbers, cell, share = cover._exact_shares(
        np.array([shapely.box(0.5, -2.5, 2.5, -0.5)]), rasters.Window(0, 0, 3, 3)
    )
    assert numbers.tolist() == [0] * 9
    assert cell.tolist() == list(range(9))
    assert share.tolist() == [0.25, 0.5, 0.25, 0.5, 1.0, 0.5, 0.25, 0.5, 0.25]


def many_sites(raster: rasters.Raster) -> Shapes:
    rng = np.random.default_rng(8)
    middles = rng.uniform([-5, -5], [COLUMNS + 5, ROWS + 5], (40, 2))
    drawn = [shapely.Point(xy).buffer(r) for xy, r in zip(middles, rng.uniform(0.2, 25.0, 40), strict=True)]
    drawn += [shapely.LineString(rng.uniform(0, 50, (4, 2))) for _ in range(3)] + [shapely.Point(10.5, 10.5)]
    drawn += [shapely.Point(500, 500).buffer(3)]
    return Shapes.of(ANALYSIS.project(np.array([in_grid(raster, shape) for shape in drawn]), raster.crs))


@pytest.mark.parametrize("block", [7, 16])
def test_blocks_change_no_result(grid: rasters.Raster, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = many_sites(grid)
    whole = cover.cover(shapes, grid)
    read: list[int] = []
    plain = rasters.Raster.read

    def noted(self: rasters.Raster, dataset: Any, window: rasters.Window) -> Any:
        read.append(window.shape[0] * window.shape[1])
        return plain(self, dataset, window)

    monkeypatch.setattr(rasters.Raster, "read", noted)
    for module in (rasters, cover):
        monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(cover, "CELLS_AT_ONCE", 100)
    parts = cover.cover(shapes, grid)
    assert max(read) <= block * block, "a raster larger than memory is read block by block"
    assert np.allclose(parts, whole, rtol=1e-9, atol=1e-6)
    assert np.array_equal(whole.sum(axis=1) > 0, np.ones(len(shapes), dtype=bool))


def test_other_sites_change_no_result(grid: rasters.Raster) -> None:
    shapes = many_sites(grid)
    whole = cover.cover(shapes, grid).to_numpy()
    rows = np.arange(len(shapes))[::-3]
    assert np.array_equal(cover.cover(shapes.take(rows), grid).to_numpy(), whole[rows])


def test_a_line_is_cut_at_the_grid(grid: rasters.Raster) -> None:
    line = in_grid(grid, shapely.LineString([(1.5, 1.5), (8.5, 1.5), (8.5, 4.25)]))
    shapes = Shapes.of(ANALYSIS.project(np.array([line], dtype=object), grid.crs))
    (row,) = cover.cover(shapes, grid).to_dict("records")
    cells = made_cells()
    passed = [(1, 1, 0.5), *((1, c, 1.0) for c in range(2, 8)), (1, 8, 1.0), (2, 8, 1.0), (3, 8, 1.0), (4, 8, 0.25)]
    assert row["cells"] == 11.0
    assert sum(row[key] for key in (0, 1, 2)) == pytest.approx(shapes.size[0], rel=1e-9)
    parts = {value: sum(share for r, c, share in passed if cells[r, c] == value) for value in (0, 1, 2)}
    if grid.crs.to_epsg() == 4544:  # square cells: every stretch is told by its share of a cell
        assert [row[key] / 10.0 for key in (0, 1, 2)] == pytest.approx([parts[key] for key in (0, 1, 2)], rel=1e-3)


def test_moved_edges_are_those_of_the_cells(grid: rasters.Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of forest as polygons, united, grown and shrunk: whatever the blocks."""
    circle = in_grid(grid, shapely.Point(40, 42).buffer(6.0))
    shapes = Shapes.of(ANALYSIS.project(np.array([circle], dtype=object), grid.crs))
    cells = made_cells()
    forest = [cell_of(grid, row, column) for row, column in np.argwhere(cells == 1)]
    union = shapely.union_all(ANALYSIS.project(np.array(forest, dtype=object), grid.crs))
    for by_m, grown in ((6.0, True), (2.0, False)):
        edge = shapely.buffer(union, by_m if grown else -by_m, quad_segs=16)
        want = shapely.area(shapely.intersection(shapes.geometries[0], edge))
        for block in (1024, 8):
            for module in (rasters, cover):
                monkeypatch.setattr(module, "BLOCK", block)
            got = cover.moved(shapes, grid, [1], np.array([by_m]), grown=grown)
            assert got[0] == pytest.approx(want, rel=1e-6), (by_m, block)


def test_numbers_that_are_none_have_no_data(tmp_path: Path) -> None:
    cells = np.array([[1.0, np.nan], [0.0, 1.5]], dtype=np.float32)
    raster = write(tmp_path / "f.tif", cells, *GRIDS["gauss-krueger"], nodata=None)
    site = in_grid(raster, shapely.box(0, 0, 2, 2))
    (row,) = cover.cover(Shapes.of(ANALYSIS.project(np.array([site], dtype=object), raster.crs)), raster).to_dict(
        "records"
    )
    assert [round(row[key] / 99.96) for key in (0, 1, 2, "no_data", "undeclared")] == [1, 1, 0, 1, 1]
    assert rasters.undeclared_values(raster) == (["1.5"], 1)


def test_all_faults_of_a_raster_at_once(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "x.tif", "w", driver="GTiff", height=2, width=2, count=2, dtype="uint8",
        transform=Affine(1.0, 0.5, 3.0, 0.5, -1.0, 4.0),
    ):  # fmt: skip
        pass
    with pytest.raises(LayerError) as caught:
        rasters.open_raster(tmp_path / "x.tif", "x.tif", CRS(4544), CLASSES, ANALYSIS)
    assert [fault.key for fault in caught.value.faults] == ["crs_absent", "raster_turned", "raster_bands"]
