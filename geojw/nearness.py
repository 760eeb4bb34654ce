"""Floor 4: distances on the ellipsoid, and overlaps within the accuracy of layer and site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from geojw.geodesy import AnalysisCRS, Floats, Geometries
from geojw.overlay import Ints, Selection, Shapes, in_threads, intersections, runs, size_of

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


def nearest(
    shapes: Shapes, selection: Selection, analysis: AnalysisCRS, *, apart: bool = False, workers: int = 1
) -> Nearest:
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
    apart
        The sites are known to lie outside every kept feature: short chunks of their edges are then enough, and the
        nearest in the plane is taken. Else features that are farther in the plane by less than its distortion compete
        on the ellipsoid too.
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
    parts, owner, tree = selection.edges if apart else (selection.pieces, selection.owner, selection.tree)
    if not len(parts):
        return out

    def find(part: slice) -> None:
        geometries = shapes.geometries[part]
        (site, piece), planar = tree.query_nearest(geometries, return_distance=True, all_matches=True)
        if not apart:
            reach = np.zeros(len(geometries))
            reach[site] = planar
            reach *= 1.0 + 2.0 * analysis.distortion(geometries)
            site, piece = tree.query(geometries, predicate="dwithin", distance=reach + 1e-6)
        _keep_nearest(out, geometries, site, parts[piece], owner[piece], analysis, part.start)

    cuts = np.linspace(0, n, min(8 * workers, n) + 1, dtype=int)
    in_threads(find, [int(cut) for cut in cuts], workers)
    return out


def _keep_nearest(
    out: Nearest,
    geometries: Geometries,
    site: Ints,
    parts: Geometries,
    feature: Ints,
    analysis: AnalysisCRS,
    start: int,
) -> None:
    """Measure candidates on the ellipsoid and write the nearest of each site."""
    ends = shapely.get_coordinates(shapely.shortest_line(geometries[site], parts)).reshape(-1, 2, 2)
    distance = np.zeros(len(site))
    apart = np.any(ends[:, 0] != ends[:, 1], axis=1)
    distance[apart] = analysis.distance_m(ends[apart, 0], ends[apart, 1])
    order = np.lexsort((feature, np.round(distance, 6), site))
    first = order[runs(site[order])[:-1]]
    rows = site[first] + start
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
        moved = _moved_union(shapes.geometries[mine], reach[mine], selection, accuracy_m, site_accuracy_m[mine], grown=grown)
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
    window = shapely.box(*_padded(sites, 2.0 * reach_m + 1.0).T)
    local, _ = intersections(selection.pieces[piece], window[site])
    # Features of one accuracy move together: the edges between them are sure.
    level, code = np.unique(accuracy_m[selection.owner[piece]], return_inverse=True)
    union = _grouped_union(local, site * len(level) + code, len(sites) * len(level))
    by_m = (site_accuracy_m[:, None] + level[None, :]).ravel()
    moved = shapely.buffer(union, by_m if grown else -by_m, quad_segs=ARC_SEGMENTS)
    if len(level) == 1:
        return np.asarray(moved, dtype=object)
    return _grouped_union(moved, np.repeat(np.arange(len(sites)), len(level)), len(sites))


def _padded(geometries: Geometries, pad_m: Floats) -> Floats:
    bounds = shapely.bounds(geometries)
    return np.asarray(bounds + np.column_stack([-pad_m, -pad_m, pad_m, pad_m]), dtype=float)


def _grouped_union(parts: Geometries, group: Ints, groups: int) -> Geometries:
    """Union of the parts of each group; empty where a group has none."""
    order = np.argsort(group, kind="stable")
    parts, group = parts[order], group[order]
    starts = np.searchsorted(group, np.arange(groups + 1))
    out = np.empty(groups, dtype=object)
    for row in range(groups):
        mine = parts[starts[row] : starts[row + 1]]
        out[row] = mine[0] if len(mine) == 1 else shapely.union_all(mine)
    return out
