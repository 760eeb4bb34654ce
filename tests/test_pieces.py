"""Polygons in pieces: nothing is lost, nothing twice, whatever a cut meets."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import Geometry, affinity

from geojw.measure import pieces
from geojw.measure.pieces import MAX_VERTICES, subdivide


def checkered(size: int, seed: int, scale: float = 1.0, offset: float = 0.0) -> Geometry:
    """The largest polygon of random cells: vertices in rows, holes that touch the shell and each other in corners."""
    columns, rows = np.nonzero(np.random.default_rng(seed).random((size, size)) > 0.3)
    cells = shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))
    parts = shapely.get_parts(cells)
    return affinity.scale(
        affinity.translate(parts[np.argmax(shapely.area(parts))], offset, offset), scale, scale, 1, (0, 0)
    )


def assert_pieces(shape: Geometry, most: int = MAX_VERTICES) -> np.ndarray:
    """Small, valid, without overlap, and the whole when put together."""
    found, owner = subdivide(np.array([shapely.Point(0, 0), shape], dtype=object), most)
    found = found[owner == 1]
    assert shapely.is_valid(found).all()
    assert (shapely.get_type_id(found) == shapely.GeometryType.POLYGON).all()
    assert shapely.get_num_coordinates(found).max() <= most
    assert shapely.remove_repeated_points(found).tolist() == found.tolist()  # no cut goes through a vertex
    assert shapely.area(found).sum() == pytest.approx(shape.area, rel=1e-12)
    difference = shapely.symmetric_difference(shapely.union_all(found), shape)
    assert shapely.area(difference) <= 1e-12 * shape.area
    return found


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to the slow way."""
    real = pieces._cut_by_geos

    def nothing(parts: np.ndarray, *rest: object) -> object:
        assert not len(parts)
        return real(parts, *rest)

    monkeypatch.setattr(pieces, "_cut_by_geos", nothing)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (20.0, 1_780_000.0), (0.37, -1000.5)])
def test_cells_that_touch_in_corners(scale: float, offset: float) -> None:
    shape = checkered(70, 5, scale, offset)
    assert len(shape.interiors) > 100
    assert len(assert_pieces(shape)) > 20
    assert_pieces(shape, 16)


@pytest.mark.usefixtures("fast")
def test_holes_go_with_their_shell() -> None:
    """A comb whose teeth have holes each: once it is cut, a cell holds several shells, all with holes."""
    teeth = [shapely.box(i * 10, 0, i * 10 + 6, 100) for i in range(40)]
    comb = shapely.union_all([*teeth, shapely.box(0, -5, 396, 0)])
    holes = [shapely.buffer(shapely.Point(i * 10 + 3, y), 2) for i in range(40) for y in (20, 50, 80)]
    assert_pieces(comb.difference(shapely.union_all(holes)), 140)


@pytest.mark.usefixtures("fast")
def test_a_hole_between_two_cuts() -> None:
    """A long hole that touches the shell in one point and is cut through with it."""
    shell = shapely.segmentize(shapely.box(0, 0, 1000, 100), 1.0)
    hole = shapely.segmentize(shapely.Polygon([(10, 50), (500, 100), (990, 50), (500, 20)]), 1.0)
    assert_pieces(shapely.Polygon(shell.exterior, [hole.exterior]))


def test_the_same_pieces_again() -> None:
    shape = checkered(60, 9)
    one, again = (shapely.to_wkb(subdivide(np.array([shape], dtype=object))[0]).tolist() for _ in range(2))
    assert one == again


def test_lines_and_points_and_nothing() -> None:
    line = shapely.LineString(np.cumsum(np.random.default_rng(1).uniform(-1, 2, (1000, 2)), axis=0))
    several = shapely.MultiPoint([(0, 0), (1, 1)])
    found, owner = subdivide(np.array([several, line, shapely.Polygon()], dtype=object))
    assert shapely.get_num_coordinates(found).max() <= MAX_VERTICES
    assert owner.tolist() == [0, 0, *[1] * (len(found) - 3), 2]
    assert shapely.length(found).sum() == pytest.approx(line.length, rel=1e-12)
    assert shapely.line_merge(shapely.multilinestrings(found[2:-1])).equals(line)
    assert [len(part) for part in subdivide(np.zeros(0, dtype=object))] == [0, 0]


@pytest.mark.parametrize("broken", ["no cut tells", "a ring is lost"])
def test_geos_cuts_what_the_fast_way_cannot(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    shape = checkered(40, 2)
    if broken == "no cut tells":
        monkeypatch.setattr(pieces, "CUTS_AT", ())
    else:
        real = pieces._rejoined

        def lossy(*arguments: object) -> object:
            rings = real(*arguments)
            return rings.take(np.arange(len(rings.cell) - 1))

        monkeypatch.setattr(pieces, "_rejoined", lossy)
    real_cut, asked = pieces._cut_by_geos, []

    def watched(parts: np.ndarray, *rest: object) -> object:
        asked.extend(parts)
        return real_cut(parts, *rest)

    monkeypatch.setattr(pieces, "_cut_by_geos", watched)
    assert_pieces(shape)
    assert len(asked) == 1
    assert asked[0].equals(shape)
