"""Floor 4: distances on the ellipsoid, and overlaps within the accuracy of layer and site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from geojw.geodesy import AnalysisCRS, Floats, Geometries
from geojw.overlay import Selection, Shapes, grouped_union, in_threads, intersections, runs, size_of
from geojw.pieces import Ints

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
    cuts = np.linspace(0, n, min(8 * workers, n) + 1, dtype=int)
    in_threads(find, [int(cut) for cut in cuts], workers)
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
    distance = np.zeros(len(site))
    apart = np.any(ends[:, 0] != ends[:, 1], axis=1)
    distance[apart] = analysis.distance_m(ends[apart, 0], ends[apart, 1])
    feature = owner[part]
    order = np.lexsort((feature, np.round(distance, 6), site))
    first = order[runs(site[order])[:-1]]
    rows = rows[site[first]]
    out.distance_m[rows], out.feature[rows] = distance[first], feature[first]
    away = ends[first, 0] - ends[first, 1]
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
    corners = shapely.points(shapely.get_coordinates(shapely.convex_hull(area)))
    out = np.full(len(shapes), np.inf)
    for row, shape in enumerate(shapes.geometries):
        lines = shapely.get_coordinates(shapely.shortest_line(shape, corners)).reshape(-1, 2, 2)
        corner_m = float(analysis.distance_m(lines[:, 0], lines[:, 1]).max())
        if corner_m > within_m[row] or shapely.equals(shapely.convex_hull(shape), shape):
            out[row] = corner_m
        elif shapely.covers(shapely.buffer(shape, max(within_m[row], 0.0), quad_segs=256), area):
            out[row] = corner_m  # the buffer lies within the true distance
    return out


def moved_overlap(
    shapes: Shapes,
    overlap: Floats,
    selection: Selection,
    accuracy_m: Floats,
    site_accuracy_m: Floats,
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
    chunks, _, tree = selection.edges
    if not len(chunks):
        return out
    rows = np.unique(tree.query(shapes.geometries, predicate="dwithin", distance=reach)[0])
    rows = rows[(reach[rows] > 0.0) & ((overlap[rows] < shapes.size[rows]) if grown else (overlap[rows] > 0.0))]

    def measure(part: slice) -> None:
        mine = rows[part]
        moved = _moved_union(
            shapes.geometries[mine], reach[mine], selection, accuracy_m, site_accuracy_m[mine], grown=grown
        )
        out[mine] = size_of(intersections(shapes.geometries[mine], moved)[0], shapes.dimension[mine])

    cuts = np.linspace(0, len(rows), min(8 * workers, len(rows)) + 1, dtype=int)
    in_threads(measure, [int(cut) for cut in cuts], workers)
    return np.maximum(out, overlap) if grown else np.minimum(out, overlap)


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
