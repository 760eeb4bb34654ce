"""Distances on the ellipsoid, and overlaps within the accuracy of layer and site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries
from geojw.measure.index import AREA, Selection, Shapes, even_cuts, in_threads, runs, size_of
from geojw.measure.overlay import grouped_union, intersections
from geojw.measure.pieces import Ints

if TYPE_CHECKING:
    from geojw.measure.grid import Grid

PIECES_A_TILE = 4
"""Pieces of a layer in each tile in which the whole layer is grown or shrunk, on average."""

ARC_SEGMENTS = 16
"""Segments of a quarter circle where a layer is grown or shrunk by its accuracy."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """
    The nearest kept feature of each site.

    Parameters
    ----------
    distance_m
        Geodesic distance in metres, 0 where they meet, infinite where nothing is kept.
    feature
        Its position; of equally near ones the lowest id; -1 where nothing is kept.
    away
        Unit vector from the feature to the site in the analysis CRS, (n, 2); 0 where they meet.
    """

    distance_m: Floats
    feature: Ints
    away: Floats


def nearest(shapes: Shapes, selection: Selection, analysis: AnalysisCRS, workers: int = 1) -> Nearest:
    """
    Find the nearest kept feature of each site.

    Parameters
    ----------
    shapes
        The sites.
    selection
        The features that count.
    analysis
        The CRS of both.
    workers
        Threads.

    Returns
    -------
    Nearest
        A row a site.
    """
    n = len(shapes)
    out = Nearest(np.full(n, np.inf), np.full(n, -1, dtype=np.int64), np.zeros((n, 2)))
    if selection.is_empty or not n:
        return out
    if shapes.many:
        return _compiled_nearest(out, shapes, selection, analysis, workers)

    def find(part: slice) -> None:
        rows = np.arange(part.start, part.stop)
        meets = np.zeros(len(rows), dtype=bool)
        if selection.layer.kind == "polygon":
            meets[selection.tree.query(shapes.geometries[rows], predicate="intersects")[0]] = True
        pieces = (selection.pieces, selection.owner, selection.tree)
        for some, targets in ((rows[meets], pieces), (rows[~meets], selection.facets)):
            if some.size and len(targets[0]):
                _keep_nearest(out, shapes.geometries[some], some, targets, analysis)

    selection.facets  # noqa: B018 - made here, not by two threads at once
    in_threads(find, even_cuts(n, 8 * workers), workers)
    return out


def _keep_nearest(
    out: Nearest,
    geometries: Geometries,
    rows: Ints,
    targets: tuple[Geometries, Ints, shapely.STRtree],
    analysis: AnalysisCRS,
) -> None:
    """Measure candidates on the ellipsoid and write the nearest of each site."""
    parts, owner, tree = targets
    (site, part), planar = tree.query_nearest(geometries, return_distance=True, all_matches=True)
    # What is farther in the plane by less than its distortion competes on the ellipsoid too.
    reach = np.zeros(len(rows))
    reach[site] = planar
    reach *= 1.0 + 2.0 * analysis.distortion(geometries)
    site, part = tree.query(geometries, predicate="dwithin", distance=reach + 1e-6)
    ends = shapely.get_coordinates(shapely.shortest_line(geometries[site], parts[part])).reshape(-1, 2, 2)
    _keep_first(out, rows[site], owner[part], ends[:, 0], ends[:, 1], analysis)


def _compiled_nearest(
    out: Nearest, shapes: Shapes, selection: Selection, analysis: AnalysisCRS, workers: int
) -> Nearest:
    """Find candidates by compiled code."""
    from geojw.measure.near import nearest_candidates  # noqa: PLC0415 - numba is loaded only where many sites are measured

    with selection.layer.lock:
        grid = selection.layer.grid
    distortion = analysis.distortion(shapes.geometries)
    for part in shapes.parts():
        site, feature, start, end = nearest_candidates(part, grid, selection.kept, distortion[part.rows], workers)
        begins = np.append(np.flatnonzero(np.diff(site, prepend=-1)), len(site))

        def keep(some: slice) -> None:
            mine = slice(begins[some.start], begins[some.stop])  # noqa: B023 - run before the loop goes on
            _keep_first(out, site[mine], feature[mine], start[mine], end[mine], analysis)  # noqa: B023

        in_threads(keep, even_cuts(len(begins) - 1, 4 * workers), workers)
    return out


def _keep_first(out: Nearest, row: Ints, feature: Ints, start: Floats, end: Floats, analysis: AnalysisCRS) -> None:
    """Measure candidates on the ellipsoid; write the nearest of each site, of equally near ones the first feature."""
    distance = np.zeros(len(row))
    apart = np.any(start != end, axis=1)
    distance[apart] = analysis.distance_m(start[apart], end[apart])
    order = np.lexsort((distance, feature, np.round(distance, 6), row))
    first = order[runs(row[order])[:-1]]
    rows = row[first]
    out.distance_m[rows], out.feature[rows] = distance[first], feature[first]
    away = start[first] - end[first]
    length = np.hypot(away[:, 0], away[:, 1])
    out.away[rows] = away / np.where(length == 0.0, 1.0, length)[:, None]


def farthest_m(shapes: Shapes, area: shapely.Geometry, within_m: Floats, analysis: AnalysisCRS) -> Floats:
    """
    Find how far the farthest point of an area is from each site, in m.

    Parameters
    ----------
    shapes
        The sites.
    area
        Where a thing of unknown position may be.
    within_m
        The distance that matters to each site.
    analysis
        The CRS of both.

    Returns
    -------
    ndarray
        Exact where a corner of the area is the farthest point, as for every convex site. Else it is at most `within_m`
        where all of the area is that near, and infinite where that is not sure.
    """
    corners = np.asarray(shapely.points(shapely.get_coordinates(shapely.convex_hull(area))), dtype=object)
    corner_m = _farthest_corner_m(shapes.geometries, corners, analysis)
    convex = shapely.equals(shapely.convex_hull(shapes.geometries), shapes.geometries)
    out = np.where((corner_m > within_m) | convex, corner_m, np.inf)
    rows = np.flatnonzero(np.isinf(out))
    if rows.size:  # the buffer lies within the true distance
        wide = shapely.buffer(shapes.geometries[rows], np.maximum(within_m[rows], 0.0), quad_segs=256)
        held = rows[np.asarray(shapely.covers(wide, area), dtype=bool)]
        out[held] = corner_m[held]
    return np.asarray(out, dtype=float)


def _farthest_corner_m(sites: Geometries, corners: Geometries, analysis: AnalysisCRS) -> Floats:
    """Give the geodesic distance to the corner that is farthest from each site."""
    planar = np.stack([shapely.distance(sites, corner) for corner in corners], axis=1)
    # What is nearer in the plane by less than its distortion competes on the ellipsoid too.
    reach = planar.max(axis=1) * (1.0 - 2.0 * analysis.distortion(sites, float(planar.max(initial=0.0)))) - 1e-6
    site, corner = np.nonzero(planar >= reach[:, None])
    lines = shapely.get_coordinates(shapely.shortest_line(sites[site], corners[corner])).reshape(-1, 2, 2)
    out = np.zeros(len(sites))
    np.maximum.at(out, site, analysis.distance_m(lines[:, 0], lines[:, 1]))
    return out


def moved_overlap(
    shapes: Shapes,
    overlap: Floats,
    selection: Selection,
    accuracy_m: Floats,
    site_accuracy_m: Floats,
    usual_m: float | None = None,
    *,
    grown: bool,
    workers: int = 1,
) -> Floats:
    """
    Measure the overlap with the kept union grown or shrunk by the accuracy of layer and site together.

    Parameters
    ----------
    shapes
        The sites.
    overlap
        Their measured overlaps.
    selection
        The features that count.
    accuracy_m
        Of each feature of the layer, in m.
    site_accuracy_m
        Of each site, in m.
    usual_m
        The accuracy that most sites have: of many such sites, the union is moved once for all of them.
    grown
        Grown, the most that the overlap may be, or else shrunk, the least.
    workers
        Threads.

    Returns
    -------
    ndarray
        Like `overlap`. Only sites near a kept edge differ; features of one accuracy are united first.
    """
    out = overlap.copy()
    if selection.is_empty:
        return out
    reach = site_accuracy_m + float(accuracy_m[selection.kept].max())
    open_ = (reach > 0.0) & ((overlap < shapes.size) if grown else (overlap > 0.0))
    if shapes.many and usual_m is not None and (usual := np.flatnonzero(open_ & (site_accuracy_m == usual_m))).size:
        grid = _moved_grid(selection, accuracy_m, usual_m, grown=grown, workers=workers)
        out[usual] = _within(shapes.take(usual), grid, workers)
        open_[usual] = np.isnan(out[usual])
    rows = _near_edges(shapes, selection, reach, np.flatnonzero(open_))
    out[rows] = overlap[rows]

    def measure(part: slice) -> None:
        mine = rows[part]
        moved = _moved_union(
            shapes.geometries[mine], reach[mine], selection, accuracy_m, site_accuracy_m[mine], grown=grown
        )
        out[mine] = size_of(intersections(shapes.geometries[mine], moved)[0], shapes.dimension[mine])

    in_threads(measure, even_cuts(len(rows), 8 * workers), workers)
    out = np.where(np.isnan(out) & ~np.isnan(overlap), overlap, out)  # far from every edge
    return np.asarray(np.maximum(out, overlap) if grown else np.minimum(out, overlap), dtype=float)


def _near_edges(shapes: Shapes, selection: Selection, reach_m: Floats, rows: Ints) -> Ints:
    """Give those of the rows that lie within reach of a kept edge: no other overlap can change."""
    if not rows.size:
        return rows
    chunks, _, tree = selection.edges
    if not len(chunks):
        return rows[:0]
    near = tree.query(shapes.geometries[rows], predicate="dwithin", distance=reach_m[rows])
    return np.asarray(rows[np.unique(near[0])], dtype=np.int64)


def _within(shapes: Shapes, grid: Grid, workers: int) -> Floats:
    """Measure what many sites share with the features of a grid together; NaN where compiled code leaves it open."""
    from geojw.measure.shares import shared  # noqa: PLC0415 - numba is loaded only where many sites are measured

    out = np.full(len(shapes), np.nan)
    for part in shapes.parts():
        if part.is_of_one_piece:
            site, _, size = shared(part, grid, workers)
            out[part.rows] = np.bincount(site, size, minlength=len(shapes))[part.rows]
    return out


def _moved_grid(selection: Selection, accuracy_m: Floats, site_accuracy_m: float, *, grown: bool, workers: int) -> Grid:
    """Give the whole kept union grown or shrunk, made once, as the edges of its tiles."""
    from geojw.measure.grid import grid_of  # noqa: PLC0415 - numba is loaded only where many sites are measured

    with selection.layer.lock:
        key = (grown, site_accuracy_m)
        if key not in selection.moved:
            (shapes,) = selection.layer.remembered(
                "moved",
                (*key, selection.kept, accuracy_m[selection.kept], PIECES_A_TILE, ARC_SEGMENTS),
                lambda: (_moved_whole(selection, accuracy_m, site_accuracy_m, grown=grown, workers=workers),),
            )
            selection.moved[key] = grid_of(shapes)
        return selection.moved[key]


def _moved_whole(
    selection: Selection, accuracy_m: Floats, site_accuracy_m: float, *, grown: bool, workers: int
) -> Geometries:
    """Grow or shrink the whole kept union, tile by tile."""
    most_m = float(accuracy_m[selection.kept].max())
    tiles = _tiles(selection, site_accuracy_m + most_m)
    moved: list[Geometries] = [np.zeros(0, dtype=object)] * len(tiles)
    at = np.full(len(tiles), site_accuracy_m)

    def move(part: slice) -> None:
        union = _moved_union(tiles[part], at[part] + most_m, selection, accuracy_m, at[part], grown=grown)
        pieces = shapely.get_parts(intersections(tiles[part], union)[0])
        moved[part.start] = np.asarray(pieces[shapely.get_dimensions(pieces) == AREA], dtype=object)

    selection.tree  # noqa: B018 - made here, not by two threads at once
    in_threads(move, even_cuts(len(tiles), 8 * workers), workers)
    return np.concatenate(moved)


def _tiles(selection: Selection, reach_m: float) -> Geometries:
    """Cut the extent of what is kept, with its reach, into boxes of a few pieces each; give those that hold some."""
    x0, y0, x1, y1 = shapely.total_bounds(selection.pieces) + np.array([-reach_m, -reach_m, reach_m, reach_m])
    number = int(np.ceil(np.sqrt(len(selection.pieces) / PIECES_A_TILE)))
    x, y = np.linspace(x0, x1, number + 1), np.linspace(y0, y1, number + 1)
    boxes = shapely.box(
        np.tile(x[:-1], number), np.repeat(y[:-1], number), np.tile(x[1:], number), np.repeat(y[1:], number)
    )
    some = np.unique(selection.tree.query(boxes, predicate="dwithin", distance=reach_m)[0])
    return np.asarray(boxes[some], dtype=object)


def _moved_union(
    sites: Geometries,
    reach_m: Floats,
    selection: Selection,
    accuracy_m: Floats,
    site_accuracy_m: Floats,
    *,
    grown: bool,
) -> Geometries:
    """Build what is kept around each site, grown or shrunk."""
    site, piece = selection.tree.query(sites, predicate="dwithin", distance=reach_m)
    local = _windowed(selection.pieces[piece], _padded(sites, 2.0 * reach_m + 1.0)[site])
    # Features of one accuracy move together: the edges between them are sure.
    level, code = np.unique(accuracy_m[selection.owner[piece]], return_inverse=True)
    union = grouped_union(local, site * len(level) + code, len(sites) * len(level))
    by_m = (site_accuracy_m[:, None] + level[None, :]).ravel()
    moved = shapely.buffer(union, by_m if grown else -by_m, quad_segs=ARC_SEGMENTS)
    if len(level) == 1:
        return np.asarray(moved, dtype=object)
    return grouped_union(moved, np.repeat(np.arange(len(sites)), len(level)), len(sites))


def _windowed(pieces: Geometries, windows: Floats) -> Geometries:
    """Clip each piece to its window; the fast clip gives way to the exact one where it makes an invalid shape."""
    bounds = shapely.bounds(pieces)
    out = pieces.copy()
    reaches_out = np.concatenate([bounds[:, :2] < windows[:, :2], bounds[:, 2:] > windows[:, 2:]], axis=1)
    rows = np.flatnonzero(reaches_out.any(axis=1))
    for row in rows:
        try:
            out[row] = shapely.clip_by_rect(pieces[row], *windows[row])
        except shapely.GEOSException:
            out[row] = None
    bad = rows[~shapely.is_valid(out[rows])]
    boxes = np.asarray(shapely.box(*windows[bad].T), dtype=object)
    out[bad] = intersections(pieces[bad], boxes)[0]
    return out


def _padded(geometries: Geometries, pad_m: Floats) -> Floats:
    bounds = shapely.bounds(geometries)
    return np.asarray(bounds + np.column_stack([-pad_m, -pad_m, pad_m, pad_m]), dtype=float)
