"""What spares GEOS work must never say otherwise: bounds of a change, polygons valid beyond doubt, shapes traced."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geojw.measure import outlines, overlay
from geojw.measure.accuracy import most_changed, moved_overlap
from geojw.measure.geodesy import AnalysisCRS
from geojw.measure.grid import candidates_in, runs_for
from geojw.measure.index import LayerIndex, Shapes
from geojw.measure.nearness import nearest
from geojw.measure.outlines import traced
from geojw.measure.overlay import overlap_pairs, shared_shapes
from geojw.measure.simple import are_plain, are_simple, plain_rings
from geojw.measure.unions import union_overlap
from geojw.measure.wkb import rings_written, written
from geojw.runs import tables

HERE = AnalysisCRS(106.36, 29.52)


def layer_of(shapes: Any) -> LayerIndex:
    return LayerIndex(gpd.GeoDataFrame(index=range(len(shapes)), geometry=list(shapes), crs=HERE.crs), "polygon")


def shapes_of(shapes: Any, *, many: bool = False) -> Shapes:
    return Shapes.of(np.array(list(shapes), dtype=object), many=many)


def swarm(seed: int, count: int, most_m: float, wide_m: float = 2000.0) -> list[shapely.Polygon]:
    """Stars of all sizes, with holes in some, in a square."""
    rng = np.random.default_rng(seed)
    out = []
    for x, y in rng.uniform(0, wide_m, (count, 2)):
        corners = int(rng.integers(3, 25))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        far = rng.uniform(0.2, 1.0, corners) * rng.uniform(5.0, most_m)
        star = shapely.Polygon(np.column_stack([x + far * np.cos(angle), y + far * np.sin(angle)]))
        if star.is_valid and star.area > 1.0:
            hole = shapely.affinity.scale(star, 0.4, 0.4, origin=star.representative_point())
            out.append(star.difference(hole) if rng.random() < 0.4 and star.contains(hole) else star)
    return [one for one in out if one.geom_type == "Polygon"]


def drawn(shapes: pa.LargeBinaryArray) -> Any:
    return shapely.from_wkb(shapes.to_numpy(zero_copy_only=False))


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10_000), st.booleans())
def test_no_overlap_changes_more_than_its_bound(seed: int, grown: bool) -> None:  # noqa: FBT001 - hypothesis
    """Grown and shrunk around each site by GEOS, features of different accuracy and sites of different accuracy."""
    rng = np.random.default_rng(seed)
    layer, sites = layer_of(swarm(seed, 40, 400.0)), swarm(seed + 1, 60, 120.0)
    kept = layer.select(rng.random(len(layer)) < 0.8)
    theirs, own = rng.choice([0.0, 3.0, 12.0], len(layer)), rng.choice([0.0, 2.0, 30.0], len(sites))
    few, many = shapes_of(sites), shapes_of(sites, many=True)
    overlap = union_overlap(few, overlap_pairs(few, layer), kept)
    moved = moved_overlap(few, overlap, kept, theirs, own, grown=grown)
    most = most_changed(many, kept, theirs, own, grown=grown)
    assert (np.abs(moved - overlap) <= most + 1e-6).all()
    assert np.isinf(most_changed(few, kept, theirs, own, grown=grown)).all()


def test_the_bound_of_a_change_by_hand() -> None:
    """A corner of a field reaches 60 m x 70 m into a lot of 100 m: its edges are 65 m and 75 m of the widened box."""
    layer, site = layer_of([shapely.box(-500, -500, 60, 70)]), [shapely.box(0, 0, 100, 100)]
    r, reach = np.array([5.0]), np.zeros(1)
    shapes = shapes_of(site, many=True)
    grown, shrunk = (most_changed(shapes, layer.everything, r, reach, grown=how) for how in (True, False))
    assert grown == pytest.approx(5.0 * (65.0 + 75.0) + 25.0 * np.pi / 4.0, rel=1e-3)  # and a quarter of a disc
    assert shrunk == pytest.approx(5.0 * (65.0 + 75.0), rel=1e-3)
    far = shapes_of([shapely.box(200, 200, 300, 300)], many=True)
    assert most_changed(far, layer.everything, r, reach, grown=True) == [0.0]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12), st.sampled_from([0.0, 3.5e7])
)
def test_what_is_surely_valid_is_valid_to_geos(corners: list[tuple[int, int]], far: float) -> None:
    """On a grid of few points, where edges touch, run along each other and turn back."""
    shape = np.array([shapely.Polygon([(x + far, y / 3.0) for x, y in corners])], dtype=object)
    assert not are_simple(plain_rings(shape))[0] or shapely.is_valid(shape)[0]


def test_most_plain_polygons_are_surely_valid() -> None:
    sites = [one for one in swarm(3, 400, 100.0) if not one.interiors]
    assert are_simple(plain_rings(np.array(sites, dtype=object))).sum() == len(sites)
    bow, spike = (
        shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]),
        shapely.Polygon([(0, 0), (1, 0), (2, 0), (1, 0), (1, 1)]),
    )
    holed, many = (
        shapely.Point(0, 0).buffer(9).difference(shapely.Point(0, 0).buffer(2)),
        shapely.MultiPolygon(sites[:2]),
    )
    nowhere = shapely.Polygon([(0, 0), (np.inf, 0), (0, 1)])
    others = [bow, spike, holed, many, nowhere, shapely.Polygon(), shapely.Point(0, 0).buffer(9, quad_segs=40), None]
    assert not are_simple(plain_rings(np.array(others, dtype=object))).any()


def rings_of(sets: list[list[tuple[int, Any]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Take sets of rings, each with the number of its shell in its set, as `are_plain` does."""
    flat = [(begin + shell if shell >= 0 else -1, ring) for begin, rings in zip(starts_of(sets), sets, strict=False)
            for shell, ring in rings]  # fmt: skip
    xy = np.concatenate([np.asarray(ring, dtype=float) for _, ring in flat])
    ends = np.cumsum([0, *(len(ring) for _, ring in flat)])
    return xy, ends, starts_of(sets), np.array([shell for shell, _ in flat])


def starts_of(sets: list[Any]) -> np.ndarray:
    return np.cumsum([0, *map(len, sets)])


def rings_in(shape: shapely.Geometry) -> list[tuple[int, Any]]:
    """Give the rings of polygons one after another, each shell before its holes."""
    out: list[tuple[int, Any]] = []
    for part in shapely.get_parts(shape):
        shell = len(out)
        out += [(shell, shapely.get_coordinates(ring)) for ring in shapely.get_rings(part)]
    return out


@pytest.mark.parametrize("seed", range(4))
def test_sets_of_rings_that_are_surely_valid_are(seed: int) -> None:
    """Shares of a raster's outlines, parts and holes, a tenth of them shaken: what is said to be valid is for GEOS."""
    rng = np.random.default_rng(seed)
    whole = shapely.intersection(shapely.union_all(cells(seed)), swarm(seed, 400, 20.0, 240.0))
    shapes = [one for one in whole if not one.is_empty and set(shapely.get_type_id(shapely.get_parts(one))) == {3}]
    sets = [rings_in(one) for one in (*shapes, *shapes)]
    for _, ring in (ring for rings in sets[len(shapes) :] for ring in rings):  # shaken, and closed again
        ring[:] = ring + rng.normal(0.0, 3.0, ring.shape) * (rng.random(len(ring)) < 0.1)[:, None]
        ring[-1] = ring[0]
    said = are_plain(*rings_of(sets))
    drawn = [drawn_of(rings) for rings in sets]
    assert shapely.is_valid(drawn)[said].all()
    assert said[: len(shapes)].mean() > 0.5
    assert (shapely.get_num_geometries(drawn)[said] > 1).any()
    assert (shapely.get_num_interior_rings(shapely.get_geometry(drawn, 0))[said] > 0).any()
    assert not shapely.is_valid(drawn).all()


def drawn_of(rings: list[tuple[int, Any]]) -> shapely.Geometry:
    shells = sorted({shell for shell, _ in rings})
    return shapely.MultiPolygon(
        [
            (rings[one][1], [ring for k, (shell, ring) in enumerate(rings) if shell == one and k != one])
            for one in shells
        ]
    )


def box_ring(x: float, y: float, wide: float) -> Any:
    return shapely.get_coordinates(shapely.box(x, y, x + wide, y + wide))


def test_sets_of_rings_that_are_not_surely_valid() -> None:
    """Holes outside, in holes, across and upon their shells, parts in parts: the question is left open."""
    shell, hole, inner = box_ring(0, 0, 90), box_ring(10, 10, 50), box_ring(20, 20, 9)
    own, apart = (0, shell), (1, box_ring(91, 0, 9))
    good = [
        [own], [own, (0, hole)], [own, (0, inner), (0, box_ring(40, 40, 9))], [own, apart],
        [own, (0, hole), (2, box_ring(200, 0, 9)), (2, box_ring(202, 2, 1))],
    ]  # fmt: skip
    assert are_plain(*rings_of(good)).all()
    beside, across, upon = box_ring(100, 0, 9), box_ring(80, 80, 20), box_ring(0, 0, 9)
    bow = np.array([(0, 0), (9, 9), (9, 0), (0, 9), (0, 0)])
    bad = [
        [own, (0, beside)], [own, (0, hole), (0, inner)], [own, (0, across)], [own, (0, upon)], [own, (1, inner)],
        [(0, inner), (1, shell)], [own, (-1, inner)], [own, (1, box_ring(90, 0, 9))], [own, (0, hole), (2, inner)],
        [own, own], [(0, beside), (0, inner), (2, shell)], [(0, bow)],
        [(0, shapely.get_coordinates(shapely.Point(0, 0).buffer(9, quad_segs=40)))],
    ]  # fmt: skip
    assert not are_plain(*rings_of(bad)).any()


# ------------------------------------------------------------------------------ shapes


def cells(seed: int, cells_wide: int = 24, cell_m: float = 10.0) -> list[shapely.Polygon]:
    """Unions of the cells of a random raster: holes that touch outlines and each other in corners."""
    mask = np.random.default_rng(seed).random((cells_wide, cells_wide)) < 0.6
    y, x = np.nonzero(mask)
    whole = shapely.union_all(shapely.box(x * cell_m, y * cell_m, (x + 1) * cell_m, (y + 1) * cell_m))
    return list(shapely.get_parts(whole))


@pytest.mark.parametrize("seed", range(4))
def test_shapes_that_touch_themselves_are_traced(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rings that come to a corner again are parted there; few shapes are left for GEOS."""
    layer, sites = layer_of(cells(seed)), swarm(seed, 80, 60.0, 240.0)
    shapes, left = shapes_of(sites, many=True), []
    by_geos = overlay._intersected_shapes
    monkeypatch.setattr(overlay, "_intersected_shapes", lambda *some: left.append(len(some[0])) or by_geos(*some))
    pairs = overlap_pairs(shapes, layer)
    made = drawn(shared_shapes(shapes.take(pairs.site), pairs.feature, pairs.overlap, layer))
    theirs = shapely.intersection(shapes.geometries[pairs.site], layer.geometries[pairs.feature])
    assert shapely.is_valid(made).all()
    assert (shapely.area(shapely.symmetric_difference(made, theirs)) <= 1e-6).all()
    assert len(made) > 20
    assert sum(left) <= 0.1 * len(made)


def test_shapes_of_areas_lines_and_points_keep_their_order() -> None:
    """Areas are traced, lines and points are built by GEOS: of all together each has its own."""
    layer, areas = layer_of(swarm(7, 60, 400.0)), swarm(8, 40, 120.0)
    lines = [shapely.LineString([one.centroid, other.centroid]) for one, other in itertools.pairwise(areas)]
    sites = [one for some in zip(areas, lines, [line.centroid for line in lines], strict=False) for one in some]
    shapes = shapes_of(sites, many=True)
    pairs = overlap_pairs(shapes, layer)
    assert set(shapes.dimension[pairs.site]) == {0, 1, 2}
    made = drawn(shared_shapes(shapes.take(pairs.site), pairs.feature, pairs.overlap, layer))
    theirs = shapely.intersection(shapes.geometries[pairs.site], layer.geometries[pairs.feature])
    assert shapely.get_dimensions(made).tolist() == shapes.dimension[pairs.site].tolist()
    assert (shapely.hausdorff_distance(made, theirs) < 1e-6).all()


def test_a_ring_that_meets_itself_is_left_to_geos_whatever_its_area(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bow with a wing of 16 m2 and one of 4 m2 that turns the other way: 12 m2 in sum, as much as was measured."""
    bow = np.array([(0.0, 0.0), (-2.0, -2.0), (-2.0, 2.0), (4.0, -4.0), (4.0, 4.0), (0.0, 0.0)])
    plain = shapely.get_coordinates(shapely.box(0, 0, 2, 4))
    layer, shapes = layer_of([shapely.box(-9, -9, 9, 9)]), shapes_of([shapely.box(-5, -5, 5, 5)], many=True)
    (part,) = shapes.parts()
    for ring, area_m2, found in ((bow, 12.0, []), (plain, 8.0, [0])):
        said = (ring, np.array([0, len(ring)]), np.array([0, 1]), np.array([2.0 * area_m2]))
        monkeypatch.setattr(outlines, "_trace", lambda *_, said=said: said)
        pairs, built = traced(part, np.zeros(1, dtype=np.int64), np.array([area_m2]), layer.grid)
        assert pairs.tolist() == found
        assert len(built) == len(found)
    assert drawn(built)[0].equals(shapely.box(0, 0, 2, 4))


# ------------------------------------------------------------------------------ WKB

ODD = [
    shapely.Polygon(), shapely.box(1, 2, 3, 4), shapely.MultiPolygon([shapely.box(0, 0, 1, 1)]), shapely.Point(3, -0.0),
    shapely.box(0, 0, 9, 9).difference(shapely.box(2, 2, 3, 3)), shapely.box(-1e7, 35_600_000.1, 5e-324, 35_600_009),
    shapely.LineString([(0, 0), (1, 1)]), shapely.from_wkt("POLYGON Z ((0 0 1, 1 0 1, 1 1 1, 0 0 1))"),
    shapely.Point(0, 0).buffer(1.0, quad_segs=40), shapely.GeometryCollection(), shapely.MultiPolygon(),
]  # fmt: skip


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(range(len(ODD)))))
def test_shapes_of_all_kinds_are_written_as_geos_writes_them(picked: list[int]) -> None:
    shapes = np.array([ODD[at] for at in picked], dtype=object)
    assert written(shapes).to_pylist() == list(shapely.to_wkb(shapes))


def test_polygons_and_multipolygons_are_written_from_their_rings() -> None:
    """A polygon with a hole, two of which the second has two holes, one of one ring: rings in another order."""
    box, holes = shapely.box(0, 0, 9, 9), [shapely.box(x, 1, x + 1, 2) for x in (1, 4)]
    far = shapely.affinity.translate(box, 100, 0)
    shapes = [
        shapely.Polygon(box.exterior, [holes[0].exterior]),
        shapely.MultiPolygon([far, shapely.Polygon(box.exterior, [hole.exterior for hole in holes])]),
        far,
    ]
    rings = [box, holes[1], holes[0], far]
    xy, ends = shapely.get_coordinates(rings), np.arange(5) * 5
    order, polygons = np.array([0, 2, 3, 0, 2, 1, 3]), np.array([0, 2, 3, 6, 7])
    made = rings_written(xy, ends, order, polygons, np.array([0, 1, 3, 4]))
    assert made.to_pylist() == [shapely.to_wkb(shape) for shape in shapes]


def test_shapes_of_more_bytes_than_a_chunk_takes_are_written_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = written(np.array(swarm(5, 60, 100.0), dtype=object))
    frame = pd.DataFrame({"site_id": [str(at) for at in range(len(shapes))]})
    assert len(tables._chunks(shapes)) == 1
    for name, most in (("one", tables.CHUNK_BYTES), ("several", 1_000)):
        monkeypatch.setattr(tables, "CHUNK_BYTES", most)
        table = tables.Table(tmp_path / name, ["site_id"], "parquet", crs="EPSG:4490")
        table.add(frame, shapes)
        table.close()
        assert pq.read_table(tmp_path / name)["geometry"].to_pylist() == shapes.to_pylist()
    assert len(tables._chunks(shapes)) > 3
    assert (tmp_path / "one").read_bytes() == (tmp_path / "several").read_bytes()


# ------------------------------------------------------------------------------ room


def comb(teeth: int, wide_m: float, high_m: float) -> shapely.Polygon:
    """Teeth that stand on a bar, from 0 northwards."""
    step = wide_m / teeth
    up = [
        (x * step + dx, y) for x in range(teeth) for dx, y in ((0, 1), (0, high_m), (step / 2, high_m), (step / 2, 1))
    ]
    return shapely.Polygon([(0, 0), *up, (wide_m, 1), (wide_m, 0)])


def test_more_crossings_and_points_than_there_is_room_for_at_first() -> None:
    """A bar across 300 teeth, one at a time and after others: each shape is that of GEOS, and none is left to it."""
    teeth = comb(300, 3000.0, 500.0)
    bars = [shapely.box(-5, y, 3005, y + 7 + y / 100) for y in (20, 90, 200, 350, 480)]
    small = [shapely.box(x, 2, x + 30, 30) for x in range(0, 3000, 40)]
    for sites in (bars[:1], [*small, *bars, *small[::-1]]):
        layer, shapes = layer_of([teeth]), shapes_of(sites, many=True)
        pairs = overlap_pairs(shapes, layer)
        (part,) = shapes.take(pairs.site).parts()
        rows, built = traced(part, pairs.feature, pairs.overlap, layer.grid)
        made = drawn(built)
        theirs = shapely.intersection(shapes.geometries[pairs.site], teeth)
        assert rows.tolist() == list(range(len(sites)))
        assert shapely.get_num_geometries(made).max() == 300
        assert shapely.area(shapely.symmetric_difference(made, theirs)).max() < 1e-6


def test_more_points_than_there_is_room_for_at_first() -> None:
    """A circle of 16,000 corners of which half lies in a box, alone and after small sites: two crossings, long ways."""
    box, circle = shapely.box(0, -1000, 2000, 1000), shapely.Point(0, 0).buffer(800.0, quad_segs=4000)
    layer = layer_of([box])
    for sites in ([circle], [shapely.box(-5, -5, 5, 5), circle, shapely.box(-5, 5, 5, 9)]):
        shapes = shapes_of(sites, many=True)
        pairs = overlap_pairs(shapes, layer)
        (part,) = shapes.take(pairs.site).parts()
        rows, built = traced(part, pairs.feature, pairs.overlap, layer.grid)
        made = drawn(built)
        assert rows.tolist() == list(range(len(sites)))
        assert shapely.area(shapely.symmetric_difference(made, shapely.intersection(sites, box))).max() < 1e-6


@pytest.mark.parametrize("count", [50, 64, 65, 300])
def test_more_candidates_than_there_is_room_for_at_first(count: int) -> None:
    """Points all around a site, as far away as the plane can tell: the ellipsoid decides, as without compiled code."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = shapely.points(900.0 * np.cos(angle), 900.0 * np.sin(angle))
    layer = LayerIndex(gpd.GeoDataFrame(index=range(count), geometry=list(points), crs=HERE.crs), "point")
    far = [shapely.Point(0, 0).buffer(30.0), shapely.box(5000, 0, 5010, 10), shapely.Point(0, 0).buffer(40.0)]
    one, other = (nearest(shapes_of(far, many=many), layer.everything, HERE) for many in (False, True))
    assert other.distance_m == pytest.approx(one.distance_m, abs=1e-6)
    assert other.feature.tolist() == one.feature.tolist()


def test_edges_near_a_box_are_found_once_and_in_order() -> None:
    """Of many layers and boxes, by the boxes of all edges; a hair's breadth more are allowed, for rounding."""
    for seed in range(6):
        grid = layer_of(swarm(seed, 60, 500.0)).grid
        ends = np.column_stack([grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy])
        low, high = np.minimum(ends[:, :2], ends[:, 2:]), np.maximum(ends[:, :2], ends[:, 2:])
        found, runs = np.empty(len(ends), dtype=np.int32), runs_for(grid)
        for west, south, wide in np.random.default_rng(seed).uniform((-300, -300, 0), (2200, 2200, 600), (200, 3)):
            box = np.array([west, south, west + wide, south + wide / 2])
            count = candidates_in(grid, *box, found, runs)
            meets, nearly = (
                np.flatnonzero(((low <= box[2:] + more) & (high >= box[:2] - more)).all(axis=1)) for more in (0.0, 1e-3)
            )
            assert (np.diff(found[:count]) > 0).all()
            assert set(meets) <= set(found[:count]) <= set(nearly)


def test_nothing_is_read_or_written_out_of_bounds(tmp_path: Path) -> None:
    """What is compiled does not look: the other tests of this file again, compiled so that it does."""
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", "not out_of_bounds"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout[-3000:]
