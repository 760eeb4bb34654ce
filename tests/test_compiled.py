"""Compiled measures: against exact arithmetic, against GEOS, and against the way that few sites go."""

from __future__ import annotations

import cProfile
import gc
import pstats
from datetime import date
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geojw
from geojw.decide import screening
from geojw.intake.sites import place
from geojw.measure import exact
from geojw.measure.accuracy import moved_overlap
from geojw.measure.geodesy import AnalysisCRS
from geojw.measure.index import LayerIndex, Shapes
from geojw.measure.nearness import nearest
from geojw.measure.overlay import overlap_pairs, shared_shapes
from geojw.measure.shares import shared
from geojw.measure.unions import components, union_overlap
from geojw.runs import report

HERE = AnalysisCRS(106.33, 29.52)
MINIZONE = Path(__file__).resolve().parent / "minizone"
FAR = 35_600_000.0
"""An easting with its zone prefix, if somebody measured in it."""

DAY = date(2026, 11, 22)
STEP = 2.0**-12
"""Coordinates on this grid keep every bit when they are moved by whole metres, as far as `FAR`."""


def layer_of(shapes: Any, kind: str = "polygon") -> LayerIndex:
    ids = [f"F{number:04}" for number in range(len(shapes))]
    return LayerIndex(gpd.GeoDataFrame(index=ids, geometry=list(shapes), crs=HERE.crs), kind)


def shapes_of(shapes: Any, *, many: bool) -> Shapes:
    return Shapes.of(np.array(list(shapes), dtype=object), many=many)


def sizes(sites: Any, layer: LayerIndex) -> dict[tuple[int, int], float]:
    """Measure by compiled code alone, without what GEOS would add."""
    (part,) = shapes_of(sites, many=True).parts()
    site, feature, size = shared(part, layer.grid, 2)
    return {(int(s), int(f)): float(v) for s, f, v in zip(site, feature, size, strict=True)}


def agree(sites: Any, features: Any, moved_m: float = 0.0) -> None:
    """Compare every pair with GEOS near the origin; `moved_m` moves what is measured, which changes no area."""
    sites, features = np.array(list(sites), dtype=object), np.array(list(features), dtype=object)
    site, feature = shapely.STRtree(features).query(sites)
    theirs = shapely.area(shapely.intersection(sites[site], features[feature]))
    there = [shapely.transform(some, lambda xy: xy + moved_m) for some in (sites, features)]
    ours = sizes(there[0], layer_of(there[1]))
    allowed = np.maximum(1e-6, 1e-12 * shapely.area(sites))
    expected = dict(zip(zip(site.tolist(), feature.tolist(), strict=True), theirs, strict=True))
    assert not any(np.isnan(value) for value in ours.values())
    for pair in ours.keys() | expected.keys():
        assert abs(ours.get(pair, 0.0) - expected.get(pair, 0.0)) <= allowed[pair[0]], pair


def snapped(shape: Any) -> Any:
    """Put vertices on the grid; 0 makes GEOS forget it, or it would snap its intersections too."""
    return shapely.set_precision(shapely.set_precision(shape, STEP), 0.0)


def mosaic(seed: int, cells: int = 60) -> list[shapely.Polygon]:
    """Neighbours that share every edge."""
    rng = np.random.default_rng(seed)
    points = shapely.multipoints(np.round(rng.random((cells, 2)) * 1000.0 / STEP) * STEP)
    frame = shapely.box(0, 0, 1000, 1000)
    made = shapely.intersection(shapely.get_parts(shapely.voronoi_polygons(points, extend_to=frame)), frame)
    return list(snapped(made))


def rectangles(seed: int, count: int, widest: int = 12) -> list[shapely.Polygon]:
    """Rectangles on whole metres: vertices on edges and edges along edges everywhere."""
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.integers(0, widest, (count, 2, 2)), axis=2)
    return [shapely.box(x[0], y[0], x[1] + 1, y[1] + 1) for x, y in ends]


def holed(seed: int, count: int) -> list[shapely.Geometry]:
    """Unions and differences of rectangles: several parts, holes, parts and holes that touch in points."""
    out: list[shapely.Geometry] = []
    while len(out) < count:
        seed += 1
        made = shapely.union_all(rectangles(seed, 5)).difference(shapely.union_all(rectangles(-seed % 10_000, 3)))
        if made.geom_type in ("Polygon", "MultiPolygon") and not made.is_empty:
            out.append(made)
    return out


def triangles(seed: int, count: int) -> list[shapely.Polygon]:
    rng = np.random.default_rng(seed)
    made = [shapely.Polygon(rng.integers(0, 8, (3, 2))) for _ in range(3 * count)]
    return [one for one in made if one.area > 0.0][:count]


def nearly_straight(seed: int) -> list[shapely.Polygon]:
    """Long edges that all but coincide: vertices from 1e-12 to 1e-5 m beside a common line."""
    rng = np.random.default_rng(seed)
    out = []
    for power in range(-12, -4):
        x = np.sort(rng.random(30)) * 1000.0
        edge = np.column_stack([x, rng.normal(0.0, 10.0**power, 30)])
        made = shapely.Polygon(np.vstack([edge, [[1000.0, 500.0], [0.0, 500.0]]]))
        out += [made] if made.is_valid else []
    return out


def spikes() -> list[shapely.Polygon]:
    return [
        shapely.Polygon([(0, k), (1000, k + 0.001), (1000, k + 0.002), (0, k + 0.5)]) for k in np.arange(0.0, 40.0, 1.3)
    ]


CASES = {
    "rectangles": (rectangles(1, 120), rectangles(2, 90)),
    "holes and parts": (holed(10, 60), holed(500, 60)),
    "triangles": (triangles(3, 150), triangles(4, 120)),
    "neighbours": (mosaic(5), mosaic(5)),
    "neighbours, more vertices": (list(snapped(shapely.segmentize(mosaic(6), 7.3))), mosaic(6)),
    "neighbours, moved by 2e-4 m": ([shapely.affinity.translate(one, STEP) for one in mosaic(7)], mosaic(7)),
    "spikes": (list(snapped(spikes())), mosaic(8)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("moved_m", [0.0, FAR])
def test_areas_agree_with_geos(name: str, moved_m: float) -> None:
    """Degenerate pairs too: an infinitely small step of the sites decides them, and areas do not see it."""
    valid = [[one for one in some if one.is_valid and one.area > 0.0] for some in CASES[name]]
    agree(*valid, moved_m)


def test_areas_of_shapes_that_all_but_coincide() -> None:
    agree(nearly_straight(1), nearly_straight(2))


def test_large_and_tiny_sites() -> None:
    """More edges than are compared one by one; and sites of a square millimetre."""
    rng = np.random.default_rng(9)
    disc = shapely.Point(0, 0).buffer(400.0, quad_segs=1000)
    blobs = [shapely.Point(x, y).buffer(20.0 + r, quad_segs=60) for x, y, r in np.abs(rng.normal(0, 150, (60, 3)))]
    agree([disc], blobs)
    agree(blobs, [disc])
    tiny = [shapely.box(x, y, x + 0.001, y + 0.001) for x, y in rng.random((150, 2)) * 1000.0]
    agree(tiny, mosaic(11))


def test_a_site_inside_has_its_own_area_to_the_last_bit() -> None:
    site = shapely.Polygon([(1, 1), (3.3, 1.1), (2.7, 3.9)])
    layer = layer_of([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)])
    assert sizes([site], layer) == {(0, 0): site.area}
    halves = shapely.MultiPolygon([site, shapely.affinity.translate(site, 40.0)])  # one part lies in nothing
    assert sizes([halves], layer)[0, 0] == pytest.approx(site.area, abs=1e-12)


def test_contradictions_are_left_to_others() -> None:
    """A bow tie has an area of two signs: no figure is made of it."""
    tie = shapely.Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
    assert np.isnan(sizes([tie], layer_of([shapely.box(1, -1, 5, 5)]))[0, 0])


# ------------------------------------------------------------------------------ signs

near = st.integers(-3, 3)
coordinate = st.integers(-(2**50), 2**50).map(lambda whole: whole / 2.0**23)
"""Up to 1e8 m, in steps of 1e-7 m."""


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.tuples(*[coordinate] * 4), st.floats(-1.0, 2.0), near, near)
def test_the_side_of_a_line_is_exact(ends: tuple[float, ...], t: float, up: int, right: int) -> None:
    ax, ay, bx, by = ends
    cx, cy = ax + t * (bx - ax), ay + t * (by - ay)
    for _ in range(abs(up)):
        cy = float(np.nextafter(cy, np.inf * np.sign(up)))
    for _ in range(abs(right)):
        cx = float(np.nextafter(cx, np.inf * np.sign(right)))
    cx, cy = (value if abs(value) > STEP**4 else 0.0 for value in (cx, cy))  # no metres are that small
    a, b, c, d, e, f = map(Fraction, (ax, ay, bx, by, cx, cy))
    turn = (c - a) * (f - b) - (d - b) * (e - a)
    assert exact.side(ax, ay, bx, by, cx, cy) == (turn > 0) - (turn < 0)


def test_no_vertex_lies_on_an_edge() -> None:
    """Both ways to ask agree on one moved site: moved east, or along a level edge north."""
    assert exact.side_of_layer_edge(0.0, 0.0, 0.0, 9.0, 0.0, 5.0) == -1.0  # now east of an edge that runs north
    assert exact.side_of_site_edge(0.0, 0.0, 0.0, 9.0, 0.0, 5.0) == 1.0  # what it left lies west of it
    assert exact.side_of_layer_edge(0.0, 0.0, 9.0, 0.0, 5.0, 0.0) == 1.0
    assert exact.side_of_site_edge(0.0, 0.0, 9.0, 0.0, 5.0, 0.0) == -1.0


# ------------------------------------------------------------------------------ lines, points, unions


def test_lines_and_points_agree_with_few() -> None:
    rng = np.random.default_rng(12)
    layer = layer_of(mosaic(13) + rectangles(14, 5))
    lines = [shapely.LineString(np.cumsum(rng.normal(0, 60, (9, 2)), axis=0) + rng.random(2) * 1000) for _ in range(60)]
    along = [shapely.LineString(shapely.get_coordinates(shapely.boundary(one))[:3]) for one in mosaic(13)[:8]]
    points = [shapely.Point(xy) for xy in rng.random((60, 2)) * 1000]
    corners = [shapely.Point(shapely.get_coordinates(one)[0]) for one in mosaic(13)[:8]]
    several = [shapely.MultiPoint(rng.random((3, 2)) * 1000)]
    sites = [*lines, *along, *points, *corners, *several]
    few, many = (overlap_pairs(shapes_of(sites, many=how), layer) for how in (False, True))
    for name in ("site", "feature"):
        assert np.array_equal(getattr(few, name), getattr(many, name)), name
    assert not (many.touch & ~few.touch).any()  # few also calls a flat crossing a touch, and takes its micrometres away
    assert many.touch.sum() >= 16
    assert many.overlap == pytest.approx(few.overlap, abs=5e-5)
    unions = [
        union_overlap(shapes_of(sites, many=how), pairs, layer.everything)
        for how, pairs in ((False, few), (True, many))
    ]
    assert unions[1] == pytest.approx(unions[0], abs=5e-5)


def groups(zones: list[shapely.Geometry]) -> list[int]:
    """For each zone the first of those that overlap it, directly or through others: pair after pair, by GEOS."""
    group = list(range(len(zones)))
    for i, j in combinations(range(len(zones)), 2):
        if zones[i].intersection(zones[j]).area > 0.0:
            low, high = sorted((group[i], group[j]))
            group = [low if one == high else one for one in group]
    return group


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10_000))
def test_unions_of_overlapping_features_count_once(seed: int) -> None:
    sites, zones = rectangles(seed, 9), rectangles(seed + 1, 6)
    shapes, layer = shapes_of(sites, many=True), layer_of(zones)
    whole = shapely.union_all(zones)
    found = union_overlap(shapes, overlap_pairs(shapes, layer), layer.everything)
    assert found == pytest.approx([site.intersection(whole).area for site in sites], abs=1e-9)
    assert components(layer_of(zones)).tolist() == groups(zones)


def test_nearest_features_agree_with_few() -> None:
    rng = np.random.default_rng(15)
    centres = rng.uniform(-6000, 6000, (40, 2))
    blobs = [shapely.Point(xy).buffer(200.0, quad_segs=5) for xy in centres]
    lines = [shapely.LineString(np.cumsum(rng.normal(0, 90, (20, 2)), axis=0) + xy) for xy in centres]
    sites = [shapely.Point(xy).buffer(60.0, quad_segs=3) for xy in rng.uniform(-9000, 9000, (80, 2))]
    sites += [shapely.boundary(one) for one in sites[:20]] + [shapely.centroid(one) for one in sites[:20]]
    for features, kind in ((blobs, "polygon"), (lines, "line"), ([shapely.Point(xy) for xy in centres], "point")):
        kept = layer_of(features, kind).select(np.arange(40) % 3 > 0)
        few, many = (nearest(shapes_of(sites, many=how), kept, HERE) for how in (False, True))
        assert np.array_equal(few.feature, many.feature)
        assert many.distance_m == pytest.approx(few.distance_m, abs=1e-5)
        assert many.away == pytest.approx(few.away, abs=1e-4)


def test_layers_grown_as_a_whole_agree_with_those_grown_around_a_site() -> None:
    rng = np.random.default_rng(16)
    layer = layer_of([shapely.Point(xy).buffer(300.0, quad_segs=200) for xy in rng.uniform(0, 4000, (30, 2))])
    sites = [shapely.box(x, y, x + 90, y + 60) for x, y in rng.uniform(0, 4000, (150, 2))]
    accuracy, own = np.full(30, 8.0), np.full(150, 2.0)
    for grown in (True, False):
        both = []
        for many in (False, True):
            shapes = shapes_of(sites, many=many)
            overlap = union_overlap(shapes, overlap_pairs(shapes, layer), layer.everything)
            both.append(moved_overlap(shapes, overlap, layer.everything, accuracy, own, 2.0, grown=grown))
        assert both[1] == pytest.approx(both[0], rel=2e-3, abs=2.0)  # arcs of chords: 16 a quarter, begun elsewhere
        assert np.mean(np.abs(both[1] - both[0])) < 0.1


# ------------------------------------------------------------------------------ shapes


@pytest.mark.parametrize("name", CASES)
def test_traced_shapes_are_the_intersections(name: str) -> None:
    sites, features = ([one for one in some if one.is_valid and one.area > 0.0][:70] for some in CASES[name])
    layer, shapes = layer_of(features), shapes_of(sites, many=True)
    pairs = overlap_pairs(shapes, layer)
    written = shared_shapes(shapes.take(pairs.site), pairs.feature, pairs.overlap, layer)
    made = shapely.from_wkb(written.to_numpy(zero_copy_only=False))
    theirs = shapely.intersection(shapes.geometries[pairs.site], layer.geometries[pairs.feature])
    assert shapely.is_valid(made).all()
    assert (shapely.area(shapely.symmetric_difference(made, areal(theirs))) <= 1e-4).all()
    assert shapely.area(made) == pytest.approx(pairs.overlap, abs=1e-6)


def areal(shapes: np.ndarray) -> np.ndarray:
    """Leave the lines and points out in which neighbours touch."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    some = shapely.get_dimensions(parts) == 2
    return np.asarray(shapely.multipolygons(parts[some], indices=owner[some], out=np.full(len(shapes), None)))


# ------------------------------------------------------------------------------ whole screenings


@pytest.mark.parametrize("zone", ["gaoxin", "minizone"])
def test_many_and_few_say_the_same(zone: str) -> None:
    folder, path = ("gaoxin", None) if zone == "gaoxin" else (MINIZONE / "pack", MINIZONE / "sites.gpkg")
    opened = geojw.open_zone(folder)
    sites = geojw.read_sites(path or opened.sample_sites)
    few, many = (geojw.screen(sites, geojw.open_zone(folder), on=DAY, many=how) for how in (False, True))
    for table in ("verdicts", "findings", "overlaps"):
        one, other = getattr(few, table), getattr(many, table)
        figures = [name for name in one.columns if pd.api.types.is_float_dtype(one[name])]
        pd.testing.assert_frame_equal(one.drop(columns=figures), other.drop(columns=figures))
        pd.testing.assert_frame_equal(one[figures], other[figures], rtol=0.0, atol=1.1e-3)
        assert (np.abs(one[figures] - other[figures]).max() > 1e-6).sum() == 0 or table == "findings"


def sites_around(count: int) -> gpd.GeoDataFrame:
    """Sites of all kinds in and around the minizone."""
    zone = geojw.open_zone(MINIZONE / "pack")
    xy = zone.analysis.to_geographic(np.array([zone.layer("boundary").index.everything.union], dtype=object))
    west, south, east, north = shapely.bounds(xy)[0]
    rng = np.random.default_rng(20)
    x, y = rng.uniform(west, east, count), rng.uniform(south, north, count)
    shapes = np.asarray(shapely.box(x, y, x + 6e-4, y + 5e-4), dtype=object)
    shapes[1::7] = shapely.boundary(shapes[1::7])
    shapes[2::7] = shapely.centroid(shapes[2::7])
    ids = [f"S{number:06}" for number in range(count)]
    return gpd.GeoDataFrame({"site_id": ids, "name": ids}, geometry=shapes, crs="EPSG:4490")


def calls_of(count: int, out: Path) -> int:
    """Count the calls of Python functions that a screening with all its tables takes, on a loaded zone."""
    zone = geojw.open_zone(MINIZONE / "pack")
    around = sites_around(count)
    around = around[around.geom_type != "LineString"]  # one line in a hundred runs along an edge, which GEOS decides
    sites = place(geojw.intake.sites.sites_of(around), zone.analysis, zone.pack.site_columns)
    warm = screening.screen(sites.frame, zone, on=DAY, workers=1, many=True)  # loads, compiles, grows the layers
    with report.Output(out.with_name(f"{out.name}-warm"), zone.analysis, "parquet") as output:
        output.add(warm, zone.layers_read(), only_not_clear=True)
    with report.Output(out, zone.analysis, "parquet") as output:
        gc.collect()
        gc.disable()  # what others hang on the collector is not ours to count
        profile = cProfile.Profile()
        profile.enable()
        part = screening.screen(sites.frame, zone, on=DAY, workers=1, many=True)
        output.add(part, zone.layers_read(), only_not_clear=True)
        profile.disable()
        gc.enable()
    return int(pstats.Stats(profile).total_calls)


def test_no_python_loop_over_sites(tmp_path: Path) -> None:
    """Twice the sites, as many calls: whatever is done for each site is done in compiled or vectorised code."""
    few, more = calls_of(1_500, tmp_path / "few"), calls_of(3_000, tmp_path / "more")
    assert more - few < 1_500 / 3, (few, more)
