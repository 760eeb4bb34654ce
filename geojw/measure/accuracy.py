"""Overlaps within the accuracy of layer and site: what they would be, were the layer grown or shrunk by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.index import AREA, Selection, Shapes, even_cuts, in_threads, size_of
from geojw.measure.overlay import grouped_union, intersections
from geojw.measure.pieces import Ints

if TYPE_CHECKING:
    from geojw.measure.grid import Grid

PIECES_A_TILE = 4
"""Pieces of a layer in each tile in which the whole layer is grown or shrunk, on average."""

ARC_SEGMENTS = 16
"""Segments of a quarter circle where a layer is grown or shrunk by its accuracy."""


def most_changed(
    shapes: Shapes, selection: Selection, accuracy_m: Floats, site_accuracy_m: Floats, *, grown: bool, workers: int = 1
) -> Floats:
    """
    Bound how much an overlap may change where the kept union is grown or shrunk, without growing anything.

    Parameters
    ----------
    shapes
        The sites.
    selection, accuracy_m, site_accuracy_m, grown, workers
        As in `moved_overlap`.

    Returns
    -------
    ndarray
        m², never less than `moved_overlap` finds; infinite where it is not bounded here: lines, points, few sites.
    """
    out = np.full(len(shapes), np.inf)
    if selection.is_empty:
        return np.zeros(len(shapes))
    if shapes.many:
        from geojw.measure.tubes import tube_areas  # noqa: PLC0415 - numba is loaded only where many sites are measured

        with selection.layer.lock:
            grid = selection.layer.grid
        for part in shapes.parts():
            if part.dimension == AREA:
                own = site_accuracy_m[part.rows]
                out[part.rows] = tube_areas(part, grid, selection.kept, accuracy_m, own, grown=grown, workers=workers)
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
    from geojw.measure.grid import Polygons, grid_of_polygons, rings_of  # noqa: PLC0415 - numba is loaded only for many sites

    def made() -> tuple[Floats | Ints, ...]:
        shapes = _moved_whole(selection, accuracy_m, site_accuracy_m, grown=grown, workers=workers)
        return np.asarray(shapely.area(shapes)), *rings_of(shapes)

    with selection.layer.lock:
        key = (grown, site_accuracy_m)
        if key not in selection.moved:
            depends_on = (*key, selection.kept, accuracy_m[selection.kept], PIECES_A_TILE, ARC_SEGMENTS)
            area_m2, *polygons = selection.layer.remembered("moved", depends_on, made)
            selection.moved[key] = grid_of_polygons(Polygons(*polygons), area_m2)
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
