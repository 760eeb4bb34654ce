"""Shapes for a reader: generalised, snapped to a grid, and how far that moved them, measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import CRS

from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries

ROUNDS = 3
"""How often what the grid swallowed is looked for again."""

CLOSE_M = 0.05
"""How closely the farthest point of a line is found."""

_LONLAT = CRS(4490)
_POLYGON = 2
_STRETCH = 1.0 + 1e-4
"""Planar metres of the analysis CRS are true to better than this within 100 km of its centre."""
_SPECK = 1e-3
_METRES_A_DEGREE = 111_700.0


@dataclass(frozen=True)
class Grade:
    """
    How fine a reader may see.

    Parameters
    ----------
    decimals
        Of a degree: every published coordinate lies on this grid.
    tolerance_m
        Wiggles up to about this size are smoothed away; 0 smooths nothing.
    """

    decimals: int
    tolerance_m: float = 0.0

    @property
    def step(self) -> float:
        """The grid in degrees."""
        return float(10.0**-self.decimals)


@dataclass(frozen=True, eq=False)
class Generalised:
    """
    Shapes as published.

    Parameters
    ----------
    shapes
        CGCS2000 longitude and latitude, a shape a feature, on the grid; none is left out.
    precision_m
        Beyond this distance from a published outline, published and source agree on what is inside; distances to the
        two differ by at most as much. None was not measured.
    """

    shapes: Geometries
    precision_m: float | None


def generalise(geometries: Geometries, analysis: AnalysisCRS, grade: Grade) -> Generalised:
    """
    Generalise the features of a layer, and measure what that did.

    Parameters
    ----------
    geometries
        In the analysis CRS, valid, none missing; empty ones stay empty.
    analysis
        The CRS.
    grade
        How fine.

    Returns
    -------
    Generalised
        Neighbours that shared an edge share it still: a coverage is simplified and snapped as one.
    """
    whole = np.asarray(geometries, dtype=object)
    is_cover = bool(np.all(shapely.get_dimensions(whole) == _POLYGON)) and bool(shapely.coverage_is_valid(whole))
    snap = _snapped_cover if is_cover else _snapped
    published = snap(analysis.to_geographic(_smoothed(whole, grade.tolerance_m, is_cover=is_cover)), grade)
    for _ in range(ROUNDS):
        gained, holes = _lost(whole, published, analysis, grade)
        if not gained and not holes:
            break
        published = snap(_given_back(published, gained, holes), grade)
    return Generalised(published, precision_m(whole, published, analysis))


def _smoothed(geometries: Geometries, tolerance_m: float, *, is_cover: bool) -> Geometries:
    if tolerance_m == 0.0:
        return geometries
    if is_cover:
        return np.asarray(shapely.coverage_simplify(geometries, tolerance_m), dtype=object)
    return np.asarray(shapely.simplify(geometries, tolerance_m, preserve_topology=True), dtype=object)


def _snapped(shapes: Geometries, grade: Grade) -> Geometries:
    out = shapes.copy()
    areas = shapely.get_dimensions(shapes) == _POLYGON
    out[areas] = shapely.set_precision(shapes[areas], grade.step)
    return np.asarray(shapely.transform(out, lambda xy: np.round(xy, grade.decimals)), dtype=object)


def _snapped_cover(shapes: Geometries, grade: Grade) -> Geometries:
    """Snap a coverage as one net of lines, so that neighbours keep their common edges to the last bit."""
    net = shapely.union_all(shapely.boundary(shapes), grid_size=grade.step)
    faces = np.asarray(shapely.get_parts(shapely.polygonize(shapely.get_parts(net))), dtype=object)
    tree = shapely.STRtree(shapes)
    face, owner = tree.query(faces, predicate="intersects")
    shared = shapely.area(shapely.intersection(faces[face], shapes[owner]))
    order = np.lexsort((owner, -shared, face))
    first = order[np.unique(face[order], return_index=True)[1]]
    # What is mostly a gap between features stays a gap.
    mine = first[shared[first] > 0.5 * shapely.area(faces[face[first]])]
    out = np.full(len(shapes), shapely.Polygon(), dtype=object)
    for at in np.unique(owner[mine]):
        out[at] = shapely.union_all(faces[face[mine[owner[mine] == at]]])
    return np.asarray(shapely.transform(out, lambda xy: np.round(xy, grade.decimals)), dtype=object)


def _lost(
    source: Geometries, published: Geometries, analysis: AnalysisCRS, grade: Grade
) -> tuple[dict[int, shapely.Geometry], dict[int, shapely.Geometry]]:
    """
    Find what the grid swallowed: small or narrow parts, and holes and gaps, as cells of the grid.

    A cell lies wholly inside or wholly outside what was published, for the swallowed outline is farther from the
    published one than a cell is wide.
    """
    gained: dict[int, shapely.Geometry] = {}
    holes: dict[int, shapely.Geometry] = {}
    planar = analysis.project(published, _LONLAT)
    cell_m = float(np.hypot(1.0, np.cos(np.radians(analysis.lat)))) * grade.step * _METRES_A_DEGREE
    far_m = 1.05 * cell_m + grade.tolerance_m
    for at in np.flatnonzero(~shapely.is_empty(source) & (shapely.get_dimensions(source) == _POLYGON)):
        kept = shapely.buffer(_outline(planar[at]), far_m, quad_segs=4)
        lines = shapely.get_parts(shapely.difference(_outline(source[at]), kept))
        lines = lines[shapely.length(lines) > 0.0]
        inside = shapely.intersects(planar[at], lines)
        for lost, out in ((lines[~inside], gained), (lines[inside], holes)):
            if len(lost):
                out[int(at)] = _cells(analysis.to_geographic(lost), grade.step)
    return gained, holes


def _given_back(
    shapes: Geometries, gained: dict[int, shapely.Geometry], holes: dict[int, shapely.Geometry]
) -> Geometries:
    """Give each feature its lost cells; what another feature gains it gives up."""
    out = shapes.copy()
    every = shapely.STRtree([*gained.values()])
    owners = np.array([*gained], dtype=int)
    for at, cells in holes.items():
        out[at] = shapely.difference(out[at], cells)
    for at, taken in zip(*every.query(shapes, predicate="intersects"), strict=True):
        if owners[taken] != at:
            out[at] = shapely.difference(out[at], gained[int(owners[taken])])
    for at, cells in gained.items():
        out[at] = shapely.union(out[at], cells)
    return out


def _cells(lines: Geometries, step: float) -> shapely.Geometry:
    """Give the cells of the grid along lines."""
    xy = shapely.get_coordinates(shapely.segmentize(lines, step / 4.0))
    corners = np.unique(np.floor(xy / step), axis=0) * step
    return shapely.union_all(shapely.box(*corners.T, *(corners + step).T), grid_size=step)


# ---------------------------------------------------------------------------------------------- precision


def precision_m(source: Geometries, shapes: Geometries, analysis: AnalysisCRS) -> float:
    """
    Measure how far published shapes are from their source.

    Parameters
    ----------
    source
        In the analysis CRS.
    shapes
        As published, longitude and latitude.
    analysis
        The CRS.

    Returns
    -------
    float
        The Hausdorff distance between the outlines of each feature and its published shape, the largest of all, in m,
        rounded up to 0.1; larger where that is not enough for a place beyond it to be on the same side of both.
    """
    there = ~shapely.is_empty(source)
    published = analysis.project(shapes[there], _LONLAT)
    worst = max((_apart_m(*pair) for pair in zip(source[there], published, strict=True)), default=0.0)
    return float(np.ceil(worst * _STRETCH * 10.0) / 10.0)


def _apart_m(source: shapely.Geometry, published: shapely.Geometry) -> float:
    if shapely.get_dimensions(source) == 0:
        return float(shapely.hausdorff_distance(source, published))
    a, b = _outline(source), _outline(published)
    reach = max(_farthest_m(a, b), _farthest_m(b, a))
    if shapely.get_dimensions(source) != _POLYGON:
        return reach
    # A thin ring that was filled is near its outline everywhere, and yet another shape. What is off by more than
    # `more` beyond the reach holds a circle of that radius.
    more = max(CLOSE_M, 0.1 * reach)
    moved = shapely.get_parts(shapely.symmetric_difference(source, published))
    moved = moved[~shapely.is_empty(shapely.buffer(moved, -more, quad_segs=4))]
    reach += more
    while len(moved):
        near = shapely.buffer(b, reach, quad_segs=16)
        shapely.prepare(near)
        moved = moved[~shapely.covers(near, moved)]
        moved = moved[shapely.area(shapely.difference(moved, near)) > _SPECK]
        reach *= 1.1 if len(moved) else 1.0
    return reach


def _outline(shape: shapely.Geometry) -> shapely.Geometry:
    return shapely.boundary(shape) if shapely.get_dimensions(shape) == _POLYGON else shape


def _farthest_m(line: shapely.Geometry, other: shapely.Geometry) -> float:
    """Find how far the farthest point of one line is from another, to `CLOSE_M` and never too little."""
    segments = _segments(other)
    tree = shapely.STRtree(segments)
    ends = shapely.get_coordinates(_segments(line)).reshape(-1, 2, 2)
    least = 0.0
    while len(ends):
        middle = ends.mean(axis=1)
        nearest, away = tree.query_nearest(shapely.points(middle), return_distance=True, all_matches=False)
        least = max(least, float(away.max()))
        # The distance to one straight segment is largest at an end: no point between the ends has more than this.
        corners = np.asarray(shapely.points(ends.reshape(-1, 2)), dtype=object).reshape(-1, 2)
        most = shapely.distance(corners, segments[nearest[1]][:, None]).max(axis=1)
        long = ends[most > least + CLOSE_M]
        middle = middle[most > least + CLOSE_M]
        ends = np.concatenate([np.stack([long[:, 0], middle], 1), np.stack([middle, long[:, 1]], 1)])
    return least + CLOSE_M


def _segments(line: shapely.Geometry) -> Geometries:
    pairs: Iterable[Floats] = (shapely.get_coordinates(part) for part in shapely.get_parts(line))
    ends = np.concatenate([np.stack([xy[:-1], xy[1:]], axis=1) for xy in pairs])
    return np.asarray(shapely.linestrings(ends), dtype=object)
