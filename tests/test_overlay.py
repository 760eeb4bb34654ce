"""Measures against other engines and against counting by hand."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geojw.measure import nearness, overlay, pieces
from geojw.measure.geodesy import ELLIPSOID, AnalysisCRS, densify, ellipsoidal_area_m2
from geojw.measure.index import LayerIndex, Shapes
from geojw.measure.overlay import overlap_pairs
from geojw.measure.unions import union_overlap

TRAFFORD = Path(__file__).resolve().parents[2] / "shared" / "data" / "trafford" / "trafford.gpkg"
HERE = AnalysisCRS(106.33, 29.52)
DEGREES, ZONE_35 = CRS(4490), CRS(4544)
FORWARD = Transformer.from_crs(DEGREES, HERE.crs, always_xy=True)


def layer_of(shapes: list[shapely.Geometry], kind: str = "polygon") -> LayerIndex:
    ids = [f"F{number:03}" for number in range(len(shapes))]
    return LayerIndex(gpd.GeoDataFrame(index=ids, geometry=shapes, crs=HERE.crs), kind)


def union_of(sites: list[shapely.Geometry], layer: LayerIndex, workers: int = 1) -> np.ndarray:
    shapes = Shapes.of(np.array(sites, dtype=object))
    return union_overlap(shapes, overlap_pairs(shapes, layer, workers), layer.everything)


def star(x: float, y: float, radius: float, corners: int, seed: int) -> shapely.Polygon:
    rng = np.random.default_rng(seed)
    turn = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    far = radius * (0.6 + 0.4 * rng.random(corners))
    return shapely.Polygon(np.column_stack([x + far * np.cos(turn), y + far * np.sin(turn)]))


# ------------------------------------------------------------------------------ counting by hand

boxes = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 6)] * 2)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.lists(boxes, min_size=1, max_size=6), boxes)
def test_unions_equal_counted_cells(zones: list[tuple[int, ...]], site: tuple[int, ...]) -> None:
    """Rectangles on whole metres: the cells that are covered can be counted."""
    covered = np.zeros((20, 20), dtype=bool)
    for x, y, width, height in zones:
        covered[x : x + width, y : y + height] = True
    x, y, width, height = site
    layer = layer_of([shapely.box(a, b, a + w, b + h) for a, b, w, h in zones])
    found = union_of([shapely.box(x, y, x + width, y + height)], layer)
    assert found[0] == pytest.approx(covered[x : x + width, y : y + height].sum(), abs=1e-9)


def test_touching_is_not_overlapping() -> None:
    layer = layer_of([shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)])
    sites = [
        shapely.box(20, 0, 30, 10),  # a common edge
        shapely.box(20, 10, 30, 20),  # a common corner
        shapely.LineString([(0, 10), (20, 10)]),  # along the outer edge
        shapely.LineString([(10, 0), (10, 10)]),  # along the edge between two features: inside their union
        shapely.LineString([(-5, 5), (5, 5)]),  # half inside
        shapely.Point(20, 5),  # on the outer edge
        shapely.Point(10, 5),  # on the edge between
        shapely.Point(5, 5),
    ]
    assert union_of(sites, layer).tolist() == pytest.approx([0, 0, 0, 10, 5, 0, 1, 1], abs=1e-5)


def test_a_line_along_a_cut_counts_once() -> None:
    """A line exactly on a cut lies in two pieces."""
    layer = layer_of([shapely.buffer(shapely.Point(0, 0), 1000, quad_segs=512)])
    west, _, east, _ = shapely.bounds(layer.pieces).T
    cut = float(np.intersect1d(west, east)[0])
    assert union_of([shapely.LineString([(cut, -500), (cut, 300)]), shapely.Point(cut, 0)], layer).tolist() == [
        800.0,
        1.0,
    ]


def test_holes_are_not_inside() -> None:
    ring = shapely.box(0, 0, 30, 30).difference(shapely.box(10, 10, 20, 20))
    found = union_of([shapely.box(10, 10, 20, 20), shapely.box(5, 5, 25, 25), shapely.Point(15, 15)], layer_of([ring]))
    assert found.tolist() == pytest.approx([0.0, 300.0, 0.0])


# ------------------------------------------------------------------------------ cutting


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.integers(3, 4000), st.integers(0, 10_000))
def test_pieces_make_the_whole(corners: int, seed: int) -> None:
    shape = star(3.7, -9.1, 5000.0, corners, seed)
    parts, owner = pieces.subdivide(np.array([shape, shape], dtype=object))
    assert (shapely.get_num_coordinates(parts) <= pieces.MAX_VERTICES).all()
    assert shapely.is_valid(parts).all()
    for number in (0, 1):
        assert shapely.area(parts[owner == number]).sum() == pytest.approx(shape.area, rel=1e-12)


def test_chunks_keep_every_edge() -> None:
    ring = shapely.LinearRing(shapely.get_coordinates(star(0, 0, 100, 301, 1)))
    chunks, owner = pieces.chunked(np.array([ring, ring], dtype=object), 64)
    assert shapely.length(chunks[owner == 1]).sum() == pytest.approx(ring.length)
    assert shapely.get_num_coordinates(chunks).max() == 65


def test_threads_change_nothing_and_do_not_crash() -> None:
    rng = np.random.default_rng(3)
    layer = layer_of([star(x, y, 900, 700, i) for i, (x, y) in enumerate(rng.uniform(-4000, 4000, (25, 2)))])
    sites = [star(x, y, 80, 9, i) for i, (x, y) in enumerate(rng.uniform(-5000, 5000, (4000, 2)))]
    one, four = union_of(sites, layer, 1), union_of(sites, layer, 4)
    assert np.array_equal(one, four)
    whole = shapely.union_all(layer.geometries)
    assert one == pytest.approx([shapely.area(shapely.intersection(site, whole)) for site in sites], abs=1e-6)


# ------------------------------------------------------------------------------ hard pairs


def test_a_hard_pair_is_snapped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """GEOS refuses one pair: it is measured on a 1 mm grid, the others as always, and the pair is named."""
    layer = layer_of([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)])
    shapes = Shapes.of(np.array([shapely.box(5, 5, 15, 15), shapely.box(25, 5, 35, 15)], dtype=object))
    real = shapely.intersection

    def refuse(a: object, b: object, **options: object) -> object:
        first = np.atleast_1d(np.asarray(a, dtype=object))
        exact = [shape for shape in first if shapely.get_precision(shape) == 0.0]
        if any(shapely.bounds(shape)[0] == 5.0 for shape in exact):
            msg = "TopologyException: found non-noded intersection"
            raise shapely.GEOSException(msg)
        return real(a, b, **options)

    monkeypatch.setattr(overlay.shapely, "intersection", refuse)
    pairs = overlap_pairs(shapes, layer)
    assert pairs.overlap.tolist() == pytest.approx([25.0, 25.0])
    assert pairs.notes == ((0, 0, "snapped"),)


def test_a_pair_that_nothing_can_measure_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of([shapely.box(0, 0, 10, 10)])

    def refuse(*_: object, **__: object) -> object:
        msg = "TopologyException"
        raise shapely.GEOSException(msg)

    monkeypatch.setattr(overlay.shapely, "intersection", refuse)
    shapes = Shapes.of(np.array([shapely.box(5, 5, 15, 15)], dtype=object))
    pairs = overlap_pairs(shapes, layer)
    assert pairs.notes == ((0, 0, "failed"),)
    assert np.isnan(union_overlap(shapes, pairs, layer.everything)).all()


# ------------------------------------------------------------------------------ the ellipsoid


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.floats(106.15, 106.5), st.floats(29.35, 29.7), st.floats(0.0005, 0.05), st.integers(3, 60), st.integers(0, 999)
)
def test_areas_are_ellipsoidal(lon: float, lat: float, radius: float, corners: int, seed: int) -> None:
    shape = star(lon, lat, radius, corners, seed)
    dense = shapely.segmentize(shape, 0.0002)  # geodesics are then as straight as the edges
    planar = shapely.area(HERE.project(np.array([shape], dtype=object), DEGREES))[0]
    assert planar == pytest.approx(ellipsoidal_area_m2(dense), rel=2e-7, abs=0.01)


def test_there_and_back_is_the_same_place() -> None:
    """PROJ's own inverse is 1.3 mm off everywhere but at the centre, which would tear a shape with a vertex there."""
    xy = np.array([[0.0, 0.0], [0.0, 1.0], [-9_000.0, 14_000.0], [150_000.0, -90_000.0]])
    shape = shapely.LineString(xy)
    (back,) = HERE.to_geographic(np.array([shape], dtype=object))
    again = shapely.transform(back, lambda lonlat: np.column_stack(FORWARD.transform(*lonlat.T)))
    assert np.abs(shapely.get_coordinates(again) - xy).max() < 1e-6


def test_gauss_kruger_overstates_here() -> None:
    """The fact that decides a pass: 27.5 km² of Gauss-Krüger area are 1.2 ha less on the ellipsoid."""
    side = 27.5e6**0.5
    square = shapely.box(632_000, 3_263_000, 632_000 + side, 3_263_000 + side)
    true = shapely.area(HERE.project(np.array([square], dtype=object), ZONE_35))[0]
    assert 10_000 < 27.5e6 - true < 14_000


def test_neighbours_share_the_points_of_a_common_edge() -> None:
    """Whichever way round they run, split points of a common edge are the same to the last bit."""
    a, b = (106.3, 29.5), (106.31234567, 29.5087654321)
    one, other = densify(np.array([shapely.LineString([a, b]), shapely.LineString([b, a])], dtype=object), DEGREES)
    there, back = shapely.get_coordinates(one), shapely.get_coordinates(other)
    assert len(there) == 1 + np.ceil(ELLIPSOID.inv(*a, *b)[2] / 100.0)
    assert np.array_equal(there, back[::-1])


def test_long_edges_are_straight_where_they_were_drawn() -> None:
    """A neighbour with a vertex more on a long common edge touches, and does not overlap by square metres."""
    west = shapely.Polygon([(106.30, 29.50), (106.31, 29.50), (106.31, 29.51), (106.30, 29.51)])
    east = shapely.Polygon([(106.31, 29.50), (106.32, 29.50), (106.32, 29.51), (106.31, 29.51), (106.31, 29.5047)])
    layer = layer_of(list(HERE.project(np.array([west], dtype=object), DEGREES)))
    found = union_of(list(HERE.project(np.array([east], dtype=object), DEGREES)), layer)
    assert found[0] < 0.05


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.floats(-20_000, 20_000), st.floats(-20_000, 20_000), st.floats(0, 2 * np.pi), st.floats(1, 6000))
def test_distances_are_geodesic(x: float, y: float, turn: float, far: float) -> None:
    site = shapely.Point(x, y)
    station = shapely.Point(x + far * np.cos(turn), y + far * np.sin(turn))
    found = nearness.nearest(Shapes.of(np.array([site])), layer_of([station], "point").everything, HERE)
    (a, b), (c, d) = HERE.lonlat(np.array([[x, y], [station.x, station.y]]))
    assert found.distance_m[0] == pytest.approx(ELLIPSOID.inv(a, b, c, d)[2], abs=1e-6)


def test_of_equally_near_features_the_lowest_id() -> None:
    layer = layer_of([shapely.Point(0, 10), shapely.Point(10, 0), shapely.Point(10, 0)], "point")
    found = nearness.nearest(Shapes.of(np.array([shapely.Point(10, 1), shapely.Point(9, 9)])), layer.everything, HERE)
    assert found.feature.tolist() == [1, 0]


@pytest.mark.parametrize("workers", [1, 3])
def test_distances_to_several_layers_are_measured_together(workers: int) -> None:
    """Each as if it were the only one, with threads or without, whoever is read first; none where nothing is kept."""
    rng = np.random.default_rng(16)
    spots = rng.uniform(-3000, 3000, (30, 2))
    points = layer_of([shapely.Point(xy) for xy in spots], "point")
    blobs = layer_of([shapely.Point(xy).buffer(150.0, quad_segs=4) for xy in spots[::-1] + 40.0])
    kept = [
        points.everything,
        points.select(np.arange(30) % 2 == 0),
        blobs.everything,
        blobs.select(np.zeros(30, bool)),
    ]
    sites = [Shapes.of(shapely.points(rng.uniform(-4000, 4000, (count, 2)))) for count in (90, 1, 40, 7)]
    together = nearness.Together(HERE, workers)
    asked = [together.ask(some, selection) for some in sites for selection in kept]
    found = [one.nearest for one in reversed(asked)][::-1]
    alone = [nearness.nearest(some, selection, HERE) for some in sites for selection in kept]
    for one, other in zip(found, alone, strict=True):
        for part in ("distance_m", "feature", "away"):
            assert np.array_equal(getattr(one, part), getattr(other, part))
    planar = shapely.distance(sites[0].geometries[:, None], points.geometries[None, :]).min(axis=1)
    assert found[0].distance_m == pytest.approx(planar, rel=2e-5)
    assert np.isinf(found[3].distance_m).all()
    assert (found[3].feature == -1).all()


def test_the_ring_is_decided_by_distance_not_by_a_drawn_buffer() -> None:
    """A drawn circle of 3 km is up to 3.6 m short: a site 3 m inside the limit is not in it, and near all the same."""
    turn = np.pi / 64
    site = shapely.Point(2997.0 * np.cos(turn), 2997.0 * np.sin(turn))
    assert not shapely.buffer(shapely.Point(0, 0), 3000.0, quad_segs=16).covers(site)
    found = nearness.nearest(Shapes.of(np.array([site])), layer_of([shapely.Point(0, 0)], "point").everything, HERE)
    assert found.distance_m[0] == pytest.approx(2997.0, abs=0.02)


# ------------------------------------------------------------------------------ real data


@pytest.mark.skipif(not TRAFFORD.exists(), reason="the open data of Trafford is not beside the repository")
def test_overlaps_of_real_data_equal_another_computation() -> None:
    """Wards x woodland in England: cut in degrees by plain GEOS, measured by geodesics, against the engine."""
    wards, wood = (gpd.read_file(TRAFFORD, layer=name).make_valid() for name in ("wards", "woodland"))
    plane = AnalysisCRS(-2.35, 53.42)
    degrees = CRS(4326)
    frame = gpd.GeoDataFrame(
        index=[f"W{i:04}" for i in range(len(wood))],
        geometry=plane.project(np.asarray(wood.values, dtype=object), degrees),
        crs=plane.crs,
    )
    layer = LayerIndex(frame, "polygon")
    shapes = Shapes.of(plane.project(np.asarray(wards.values, dtype=object), degrees))
    pairs = overlap_pairs(shapes, layer, 2)
    found = np.zeros((len(wards), len(wood)))
    found[pairs.site, pairs.feature] = pairs.overlap
    expected = np.zeros_like(found)
    ward, tree = shapely.STRtree(wood.values).query(wards.values, predicate="intersects")
    shared = shapely.intersection(wards.values[ward], wood.values[tree])
    shared = shapely.segmentize(shared, 0.0002)  # geodesics are then as straight as the edges
    expected[ward, tree] = [ellipsoidal_area_m2(shape) if shape.area else 0.0 for shape in shared]
    assert (found > 0.05).sum() > 700
    assert np.abs(found - expected).max() < 0.02 + 1e-6 * expected.max()
    assert found.sum() == pytest.approx(expected.sum(), rel=2e-7)


@pytest.mark.skipif(not TRAFFORD.exists(), reason="the open data of Trafford is not beside the repository")
def test_areas_of_real_data_equal_the_published_ones() -> None:
    """Reference areas were measured in the British grid, which is up to 0.04 % off the ellipsoid, and rounded."""
    frame = gpd.read_file(TRAFFORD, layer="conservation_areas")
    plane = AnalysisCRS(-2.35, 53.42)
    grid = CRS(27700)
    ours = shapely.area(plane.project(np.asarray(frame.to_crs(grid).geometry.values, dtype=object), grid))
    assert ours == pytest.approx(frame["site_area_square_metres"].to_numpy(float), rel=1.5e-3, abs=1.0)
