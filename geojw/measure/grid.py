"""
A layer's edges in a grid of cells, from which areas, lengths and distances come without any shape being built.

Compiled; loaded only where many sites are measured. Every cell lists the edges that may lie in it and the features in
which its middle lies, so that whether a point lies in a feature is known from the few edges of one cell, and a site
meets only the edges of the cells below it, however large the feature is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from geojw.measure.exact import compiled, side_of_layer_edge, side_of_site_edge, uncounted
from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.pieces import Ints

EDGES_A_CELL = 4
"""Edges for each cell on average: fewer cells, more edges to compare; more cells, more of them to visit."""

MOST_CELLS = 4_000_000

_HALF, _LOW = 32, 0xFFFFFFFF
"""Two edges in one number."""


class Edges(NamedTuple):
    """
    The edges of polygons (shells counter-clockwise, holes clockwise), lines or points of one kind, none of no length.

    Parameters
    ----------
    px, py, qx, qy
        Ends, in metres of the analysis CRS; of a point both are the point.
    owner
        Position of the geometry that each belongs to; sorted.
    before
        The edge that ends where this one begins; -1 at the start of a line, for points.
    start
        Where the edges of each geometry begin, and the end.
    """

    px: Floats
    py: Floats
    qx: Floats
    qy: Floats
    owner: Ints
    before: Ints
    start: Ints


class Grid(NamedTuple):
    """
    Edges in cells.

    Parameters
    ----------
    edges
        Of a layer.
    x0, y0, cell_m, columns, rows
        South-west corner, width of a cell, and how many there are.
    first, listed
        For each cell where its list of edges begins, and the lists.
    within_first, within
        For each cell where its list of features begins in which its middle lies, and the lists.
    bounds
        West, south, east, north of all edges.
    area_m2
        Area, length or 1 of each feature.
    """

    edges: Edges
    x0: float
    y0: float
    cell_m: float
    columns: int
    rows: int
    first: NDArray[np.int64]
    listed: NDArray[np.int32]
    within_first: NDArray[np.int64]
    within: NDArray[np.int32]
    bounds: Floats
    area_m2: Floats


def edges_of(geometries: Geometries) -> Edges:
    """
    Take geometries apart.

    Parameters
    ----------
    geometries
        Valid polygons, lines or points, in the analysis CRS.

    Returns
    -------
    Edges
        In the order of the geometries.
    """
    if not len(geometries):
        none, zero = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Edges(none, none, none, none, zero, zero, np.zeros(1, dtype=np.int64))
    dimension = shapely.get_dimensions(geometries)
    if np.ptp(dimension):
        return _mixed(geometries, dimension)
    if dimension[0] == 2:
        return Edges(*_taken_apart(*rings_of(geometries)))
    kind, xy, offsets = shapely.to_ragged_array(geometries, include_z=False)
    n = len(geometries)
    match kind:
        case GeometryType.POINT | GeometryType.MULTIPOINT:
            owner = np.repeat(np.arange(n), np.diff(offsets[0])) if offsets else np.arange(n)
            x, y = np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1])
            there = np.isfinite(x)  # an empty point has no place
            x, y, owner = x[there], y[there], owner[there]
            return Edges(x, y, x, y, owner, np.full(len(x), -1), np.searchsorted(owner, np.arange(n + 1)))
        case _:
            paths = offsets[1] if len(offsets) > 1 else np.arange(n + 1)
            return Edges(*_taken_apart(xy, offsets[0], np.zeros(0, dtype=np.int64), paths))


class Polygons(NamedTuple):
    """
    Polygons as plain numbers.

    Parameters
    ----------
    xy, ends
        Vertices, and where each ring ends, after a 0.
    shells
        Which rings are outer ones.
    polygons
        Where the rings of each polygon begin, and the end.
    """

    xy: Floats
    ends: Ints
    shells: Ints
    polygons: Ints


def rings_of(geometries: Geometries) -> Polygons:
    """
    Take polygons apart.

    As `shapely.to_ragged_array` does, which builds every ring: most sites have but one, known by its polygon.
    """
    count = shapely.get_num_coordinates(geometries).astype(np.int64)
    many = (shapely.get_type_id(geometries) != GeometryType.POLYGON) | (shapely.get_num_interior_rings(geometries) > 0)
    parts, polygon = shapely.get_parts(geometries[many], return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    number = (count > 0).astype(np.int64)
    number[many] = np.bincount(polygon[part], minlength=int(many.sum()))
    owner = np.repeat(np.arange(len(geometries)), number)
    vertices, outer = count[owner], np.ones(len(owner), dtype=bool)
    vertices[many[owner]] = shapely.get_num_coordinates(rings)
    outer[many[owner]] = np.diff(part, prepend=-1) != 0
    begins = [np.concatenate([np.zeros(1, np.int64), np.cumsum(some)]) for some in (vertices, number)]
    return Polygons(shapely.get_coordinates(geometries), begins[0], np.flatnonzero(outer), begins[1])


def _mixed(geometries: Geometries, dimension: NDArray[np.int32]) -> Edges:
    """Take geometries of several kinds apart, as where a point layer has a feature that is somewhere in an area."""
    rows = [np.flatnonzero(dimension == one) for one in np.unique(dimension)]
    parts = [edges_of(geometries[some]) for some in rows]
    shifts = np.cumsum([0, *(len(part.px) for part in parts)])
    owner = np.concatenate([some[part.owner] for some, part in zip(rows, parts, strict=True)])
    before = np.concatenate(
        [np.where(part.before < 0, -1, part.before + shift) for part, shift in zip(parts, shifts, strict=False)]
    )
    order = np.argsort(owner, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    before = np.where(before < 0, -1, place[before])[order]
    px, py, qx, qy = (np.concatenate([getattr(p, name) for p in parts])[order] for name in ("px", "py", "qx", "qy"))
    owner = owner[order].astype(np.int64)
    return Edges(px, py, qx, qy, owner, before, np.searchsorted(owner, np.arange(len(geometries) + 1)).astype(np.int64))


@compiled
def _taken_apart(xy, ends, shells, paths):
    """Give the edges of rings (`shells` names the outer ones) or of lines; `paths` are each owner's."""
    n = len(xy)
    px, py, qx, qy = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    owner, before = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    start = np.empty(len(paths), dtype=np.int64)
    count, shell = 0, 0
    for g in range(len(paths) - 1):
        start[g] = count
        for ring in range(paths[g], paths[g + 1]):
            a, b = ends[ring], ends[ring + 1]
            backwards = False
            if len(shells):
                while shell < len(shells) and shells[shell] < ring:
                    shell += 1
                outer = shell < len(shells) and shells[shell] == ring
                twice = 0.0
                for i in range(a, b - 1):
                    twice += (xy[i, 0] - xy[a, 0]) * (xy[i + 1, 1] - xy[a, 1])
                    twice -= (xy[i, 1] - xy[a, 1]) * (xy[i + 1, 0] - xy[a, 0])
                backwards = (twice < 0.0) == outer
            begin = count
            for i in range(b - a - 1):
                here, there = (b - 1 - i, b - 2 - i) if backwards else (a + i, a + i + 1)
                if xy[here, 0] == xy[there, 0] and xy[here, 1] == xy[there, 1]:
                    continue
                px[count], py[count], qx[count], qy[count] = xy[here, 0], xy[here, 1], xy[there, 0], xy[there, 1]
                owner[count], before[count] = g, count - 1
                count += 1
            if count > begin:
                before[begin] = count - 1 if len(shells) else -1
    start[len(paths) - 1] = count
    return (px[:count], py[:count], qx[:count], qy[:count], owner[:count], before[:count], start)


def grid_of(geometries: Geometries) -> Grid:
    """
    Put the edges of a layer into cells.

    Parameters
    ----------
    geometries
        Valid, of one kind, in the analysis CRS.

    Returns
    -------
    Grid
        Ready to be asked.
    """
    areal = bool(shapely.get_dimensions(geometries).max(initial=0) == 2)
    return _in_cells(edges_of(geometries), np.asarray(shapely.area(geometries)), areal=areal)


def grid_of_polygons(polygons: Polygons, area_m2: Floats) -> Grid:
    """Put the edges of polygons into cells, as `grid_of` those of a layer."""
    return _in_cells(Edges(*_taken_apart(*polygons)), area_m2, areal=True)


def _in_cells(edges: Edges, area_m2: Floats, *, areal: bool) -> Grid:
    n = len(edges.px)
    if not n:
        none = np.zeros(0, dtype=np.int32)
        return Grid(
            edges, 0.0, 0.0, 1.0, 1, 1, np.zeros(2, np.int64), none, np.zeros(2, np.int64), none,
            np.array([np.inf, np.inf, -np.inf, -np.inf]), area_m2,
        )  # fmt: skip
    west, south = min(edges.px.min(), edges.qx.min()), min(edges.py.min(), edges.qy.min())
    east, north = max(edges.px.max(), edges.qx.max()), max(edges.py.max(), edges.qy.max())
    cells = float(np.clip(n / EDGES_A_CELL, 1, MOST_CELLS))
    wide, high = max(east - west, 1.0), max(north - south, 1.0)
    cell_m = max(np.sqrt(wide * high / cells), max(wide, high) / cells, 1e-3)
    while True:
        columns, rows = int(wide / cell_m) + 1, int(high / cell_m) + 1
        counts = _count_listed(edges, west, south, cell_m, columns, rows)
        if counts.sum() <= 8 * n + columns * rows or columns * rows <= 1:
            break
        cell_m *= 2.0  # long edges lie in many cells
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    listed = _list_edges(edges, west, south, cell_m, columns, rows, first)
    none = np.zeros(0, dtype=np.int32)
    grid = Grid(
        edges, west, south, cell_m, columns, rows, first, listed, np.zeros(columns * rows + 1, np.int64), none,
        np.array([west, south, east, north]), area_m2,
    )  # fmt: skip
    if not areal:
        return grid
    within_first, within = _list_within(grid)
    return grid._replace(within_first=within_first, within=within)


@uncounted
def cell_at(value, origin, cell_m, count):
    """Give the column or row of a coordinate; what lies beyond the grid belongs to its outermost cells."""
    number = int((value - origin) / cell_m)
    return min(max(number, 0), count - 1)


@compiled
def _count_listed(edges, x0, y0, cell_m, columns, rows):
    px, py, qx, qy = edges.px, edges.py, edges.qx, edges.qy
    counts = np.zeros(columns * rows, dtype=np.int64)
    for e in range(len(px)):
        c0 = cell_at(min(px[e], qx[e]), x0, cell_m, columns)
        c1 = cell_at(max(px[e], qx[e]), x0, cell_m, columns)
        r0 = cell_at(min(py[e], qy[e]), y0, cell_m, rows)
        r1 = cell_at(max(py[e], qy[e]), y0, cell_m, rows)
        for r in range(r0, r1 + 1):
            for c in range(c0, c1 + 1):
                counts[r * columns + c] += 1
    return counts


@compiled
def _list_edges(edges, x0, y0, cell_m, columns, rows, first):
    px, py, qx, qy = edges.px, edges.py, edges.qx, edges.qy
    listed = np.empty(first[-1], dtype=np.int32)
    at = first[:-1].copy()
    for e in range(len(px)):
        c0 = cell_at(min(px[e], qx[e]), x0, cell_m, columns)
        c1 = cell_at(max(px[e], qx[e]), x0, cell_m, columns)
        r0 = cell_at(min(py[e], qy[e]), y0, cell_m, rows)
        r1 = cell_at(max(py[e], qy[e]), y0, cell_m, rows)
        for r in range(r0, r1 + 1):
            for c in range(c0, c1 + 1):
                listed[at[r * columns + c]] = e
                at[r * columns + c] += 1
    return listed


@uncounted
def step_over(ux, uy, vx, vy, ax, ay, bx, by):
    """Give 1 where a site's way from a to b enters at the layer's edge from u to v, -1 where it leaves, else 0."""
    if max(ux, vx) < min(ax, bx) or min(ux, vx) > max(ax, bx) or max(uy, vy) < min(ay, by) or min(uy, vy) > max(ay, by):
        return 0
    if side_of_site_edge(ax, ay, bx, by, ux, uy) == side_of_site_edge(ax, ay, bx, by, vx, vy):
        return 0
    from_side = side_of_layer_edge(ux, uy, vx, vy, ax, ay)
    if from_side == side_of_layer_edge(ux, uy, vx, vy, bx, by):
        return 0
    return 1 if from_side < 0.0 else -1


@uncounted
def crossing(px, py, qx, qy, ux, uy, vx, vy):
    """
    Give where an edge from p to q and one from u to v, which cross, do so: the shares of the first and the second.

    The first is the ratio of two distances from the second edge, which have no cancellation in common; the second is
    that point dropped there.
    """
    ex, ey = vx - ux, vy - uy
    before = abs(ex * (py - uy) - ey * (px - ux))
    after = abs(ex * (qy - uy) - ey * (qx - ux))
    t = before / (before + after) if before + after > 0.0 else 0.5
    return t, (((px - ux) + t * (qx - px)) * ex + ((py - uy) + t * (qy - py)) * ey) / (ex * ex + ey * ey)


@compiled
def _list_within(grid):
    """Walk along the middles of each row of cells and note the features in which each lies."""
    px, py, qx, qy, owner = grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy, grid.edges.owner
    x0, cell_m, columns, first, listed, area_m2 = (
        grid.x0, grid.cell_m, grid.columns, grid.first, grid.listed, grid.area_m2,
    )  # fmt: skip
    west, features = grid.bounds[0], len(area_m2)
    inside = np.zeros(features, dtype=np.int32)
    met = np.empty(features, dtype=np.int32)
    within_first = np.zeros(columns * grid.rows + 1, dtype=np.int64)
    within = np.empty(max(columns * grid.rows, 16), dtype=np.int32)
    count = 0
    for r in range(grid.rows):
        y = grid.y0 + (r + 0.5) * cell_m
        many = 0
        for c in range(columns):
            here = x0 + (c + 0.5) * cell_m
            there = x0 + (c - 1 + 0.5) * cell_m if c else west - 1.0
            for back in range(2 if c else 1):
                cell = r * columns + c - back
                for i in range(first[cell], first[cell + 1]):
                    e = listed[i]
                    if back and cell_at(max(px[e], qx[e]), x0, cell_m, columns) >= c:
                        continue  # seen in the cell itself
                    step = step_over(px[e], py[e], qx[e], qy[e], there, y, here, y)
                    if step and area_m2[owner[e]] > 0.0:
                        f = owner[e]
                        if inside[f] == 0:
                            met[many] = f
                            many += 1
                        inside[f] += step
                        if inside[f] == 0:
                            many -= 1
                            for k in range(many):
                                if met[k] == f:
                                    met[k] = met[many]
                                    break
            if count + many > len(within):
                larger = np.empty(2 * (count + many), dtype=np.int32)
                larger[:count] = within[:count]
                within = larger
            for k in range(many):
                if inside[met[k]] == 1:
                    within[count] = met[k]
                    count += 1
            within_first[r * columns + c + 1] = count
        for k in range(many):
            inside[met[k]] = 0
    return within_first, within[:count].copy()


# ---------------------------------------------------------------------------------------------- asking


@compiled
def grown(values, count, more):
    """Give a longer copy of an array of which `count` places are taken and `more` are needed."""
    longer = np.empty(2 * (count + more), dtype=values.dtype)
    longer[:count] = values[:count]
    return longer


@compiled
def grown_rows(values, count, more):
    """Give a longer copy of a table of which `count` rows are taken and `more` are needed, as long as `grown` does."""
    longer = np.empty((2 * (count + more), values.shape[1]))
    longer[:count] = values[:count]
    return longer


@uncounted
def first_met(grid, e, column, row, first_column, first_row):
    """Whether no cell before this one, of a block that begins at the first column and row, lists the edge too."""
    edges = grid.edges
    if column > first_column and cell_at(min(edges.px[e], edges.qx[e]), grid.x0, grid.cell_m, grid.columns) < column:
        return False
    return row <= first_row or cell_at(min(edges.py[e], edges.qy[e]), grid.y0, grid.cell_m, grid.rows) >= row


@compiled
def runs_for(grid):
    """Give the room that `candidates_in` needs: a run is one number, its first edge before its last."""
    return np.empty(len(grid.listed), dtype=np.int64)


@uncounted
def candidates_in(grid, west, south, east, north, found, runs):
    """
    Put the edges whose boxes meet a box into `found`, which has room for all, sorted; give how many.

    Boundaries pass from cell to cell: what is found are runs of edges that follow each other, which are put in order.
    """
    if west > grid.bounds[2] or east < grid.bounds[0] or south > grid.bounds[3] or north < grid.bounds[1]:
        return 0
    px, py, qx, qy, first, listed = grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy, grid.first, grid.listed
    columns = grid.columns
    c0, c1 = cell_at(west, grid.x0, grid.cell_m, columns), cell_at(east, grid.x0, grid.cell_m, columns)
    r0, r1 = cell_at(south, grid.y0, grid.cell_m, grid.rows), cell_at(north, grid.y0, grid.cell_m, grid.rows)
    number, last = 0, -2
    for r in range(r0, r1 + 1):
        for i in range(first[r * columns + c0], first[r * columns + c1 + 1]):
            e = listed[i]
            if min(px[e], qx[e]) > east or min(py[e], qy[e]) > north:
                continue
            if max(px[e], qx[e]) < west or max(py[e], qy[e]) < south:
                continue
            if e == last + 1:
                runs[number - 1] += 1
            else:
                runs[number] = np.int64(e) << _HALF | e
                number += 1
            last = e
    in_order(runs, number)
    count, after = 0, 0
    for k in range(number):
        end = (runs[k] & _LOW) + 1
        for e in range(max(runs[k] >> _HALF, after), end):  # an edge may be listed in several cells
            found[count] = e
            count += 1
        after = max(after, end)
    return count


@uncounted
def _first_gap(count):
    """Of a few, neighbours are put in order at once; of many, those first that stand so far apart (D. L. Shell)."""
    gap = 1
    while 9 * gap < count:
        gap = 3 * gap + 1
    return gap


@uncounted
def in_order(values, count):
    """Sort the first `count` numbers of an array in place."""
    gap = _first_gap(count)
    while gap > 0:
        for i in range(gap, count):
            one, k = values[i], i - gap
            while k >= 0 and values[k] > one:
                values[k + gap] = values[k]
                k -= gap
            values[k + gap] = one
        gap //= 3


@uncounted
def square_to_edge(x, y, ux, uy, vx, vy):
    """Give the square of the distance from a point to an edge, in m2."""
    ex, ey, dx, dy = vx - ux, vy - uy, x - ux, y - uy
    square = ex * ex + ey * ey
    t = min(max((dx * ex + dy * ey) / square, 0.0), 1.0) if square > 0.0 else 0.0
    dx, dy = dx - t * ex, dy - t * ey
    return dx * dx + dy * dy
