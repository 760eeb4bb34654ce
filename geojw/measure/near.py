"""Which features of a layer are nearest to sites, in the plane of the analysis CRS. Compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geojw.measure.exact import compiled, uncounted
from geojw.measure.geodesy import Floats
from geojw.measure.grid import Grid, cell_at, grown, grown_rows, square_to_edge, step_over
from geojw.measure.index import AREA, Bools, Part, even_cuts, in_threads
from geojw.measure.pieces import Ints
from geojw.measure.shares import box_of, features_at, site_holds, work_for

MEET_M = 1e-9
"""So near is a touch: rounding of a vertex that lies on an edge."""

SLACK_M = 1e-6
"""Candidates for the nearest are so much farther at most, beside what the plane distorts."""


def nearest_candidates(
    part: Part, grid: Grid, kept: Bools, distortion: Floats, workers: int = 1
) -> tuple[Ints, Ints, Floats, Floats]:
    """
    Find for each site the features that may be the nearest.

    Parameters
    ----------
    part
        Sites of one dimension; what lies in a polygon site is at distance 0.
    grid
        The layer.
    kept
        For each feature whether it counts; at least one does.
    distortion
        For each site, by what share a distance in the plane may be off.
    workers
        Threads.

    Returns
    -------
    site, feature : ndarray
        Positions of the candidates, sorted by site; every site has at least one.
    start, end : ndarray
        (n, 2), the nearest points of site and feature; equal where they meet.
    """
    found: dict[int, tuple[Ints, Ints, Floats]] = {}

    def work(some: slice) -> None:
        found[some.start] = _candidates(
            part.dimension == AREA, part.edges, part.place, grid, kept, distortion, some.start, some.stop
        )

    in_threads(work, even_cuts(len(part.rows), 2 * workers), workers)
    site, feature, ends = (np.concatenate(column) for column in zip(*(found[at] for at in sorted(found)), strict=True))
    return part.rows[site], feature, ends[:, :2], ends[:, 2:]


@uncounted
def _share(x, y, ux, uy, ex, ey, inverse):
    """Give where on an edge, from 0 to 1, the point nearest to a point lies; `inverse` is 1 by its length squared."""
    return min(max(((x - ux) * ex + (y - uy) * ey) * inverse, 0.0), 1.0)


@uncounted
def _inverse(ex, ey):
    square = ex * ex + ey * ey
    return 1.0 / square if square > 0.0 else 0.0


@uncounted
def _closest(sx, sy, tx, ty, inverse, first, last, ux, uy, vx, vy, open_end, may_cross):
    """Give the square of the distance of a layer's edge to a site's edges, and the two nearest points."""
    square, x, y, a, b = np.inf, 0.0, 0.0, 0.0, 0.0
    ex, ey = vx - ux, vy - uy
    inverse_e = _inverse(ex, ey)
    for e in range(first, last):
        # Of two edges that do not cross, an end of one is nearest; the site's other ends belong to its next edges.
        t = _share(sx[e], sy[e], ux, uy, ex, ey, inverse_e)
        dx, dy = ux + t * ex - sx[e], uy + t * ey - sy[e]
        if dx * dx + dy * dy < square:
            square, x, y, a, b = dx * dx + dy * dy, sx[e], sy[e], ux + t * ex, uy + t * ey
        if e + 1 == last or sx[e + 1] != tx[e] or sy[e + 1] != ty[e]:
            t = _share(tx[e], ty[e], ux, uy, ex, ey, inverse_e)
            dx, dy = ux + t * ex - tx[e], uy + t * ey - ty[e]
            if dx * dx + dy * dy < square:
                square, x, y, a, b = dx * dx + dy * dy, tx[e], ty[e], ux + t * ex, uy + t * ey
        gx, gy = tx[e] - sx[e], ty[e] - sy[e]
        t = _share(ux, uy, sx[e], sy[e], gx, gy, inverse[e - first])
        dx, dy = sx[e] + t * gx - ux, sy[e] + t * gy - uy
        if dx * dx + dy * dy < square:
            square, x, y, a, b = dx * dx + dy * dy, sx[e] + t * gx, sy[e] + t * gy, ux, uy
        if open_end:  # else the layer's next edge begins there
            t = _share(vx, vy, sx[e], sy[e], gx, gy, inverse[e - first])
            dx, dy = sx[e] + t * gx - vx, sy[e] + t * gy - vy
            if dx * dx + dy * dy < square:
                square, x, y, a, b = dx * dx + dy * dy, sx[e] + t * gx, sy[e] + t * gy, vx, vy
        if may_cross and step_over(ux, uy, vx, vy, sx[e], sy[e], tx[e], ty[e]):
            return 0.0, a, b, a, b
    return (square, x, y, a, b) if square > MEET_M * MEET_M else (0.0, a, b, a, b)


@uncounted
def _beyond(sx, sy, tx, ty, first, last, x, y, ux, uy, vx, vy, limit):
    """Whether a strip wider than the limit separates a layer's edge from a site around (x, y): then it is no nearer."""
    ex, ey = vx - ux, vy - uy
    t = _share(x, y, ux, uy, ex, ey, _inverse(ex, ey))
    nx, ny = ux + t * ex - x, uy + t * ey - y
    length = np.sqrt(nx * nx + ny * ny)
    if length == 0.0:
        return False
    nx, ny = nx / length, ny / length
    most = -np.inf
    for e in range(first, last):
        most = max(most, (sx[e] - x) * nx + (sy[e] - y) * ny, (tx[e] - x) * nx + (ty[e] - y) * ny)
    gap = min((ux - x) * nx + (uy - y) * ny, (vx - x) * nx + (vy - y) * ny) - most
    return gap > 0.0 and gap * gap > limit


@uncounted
def _from_middle(x, y, edges, listed, begin, end, kept, squares):
    """
    Give the squares of the distances of a cell's edges from a point, and where in its list the nearest one is.

    Looked at first, it leaves few others to look at.
    """
    ux, uy, vx, vy, owner = edges.px, edges.py, edges.qx, edges.qy, edges.owner
    best, least = begin, np.inf
    for i in range(begin, end):
        j = listed[i]
        one = square_to_edge(x, y, ux[j], uy[j], vx[j], vy[j]) if kept[owner[j]] else np.inf
        squares[i - begin] = one
        if one < least:
            best, least = i, one
    return best


@uncounted
def _radius(sx, sy, tx, ty, first, last, x, y):
    """Give how far the farthest vertex of a site is from a point."""
    square = 0.0
    for e in range(first, last):
        square = max(square, (sx[e] - x) ** 2 + (sy[e] - y) ** 2, (tx[e] - x) ** 2 + (ty[e] - y) ** 2)
    return np.sqrt(square)


@uncounted
def _search(areal_site, sites, first, last, grid, kept, spread, room):
    """
    Look through the cells around a site, ring by ring, until none can hold a nearer edge.

    Give how many candidates are in the room, -1 where it is too small, and the square of what others may exceed.
    """
    found, ends, squares, inverse, from_middle = room
    ux, uy, vx, vy, owner = grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy, grid.edges.owner
    sx, sy, tx, ty, begins, listed = sites.px, sites.py, sites.qx, sites.qy, grid.first, grid.listed
    columns, rows, cell_m, area = grid.columns, grid.rows, grid.cell_m, grid.area_m2
    west, south, east, north = box_of(sites, first, last)
    c0, c1 = cell_at(west, grid.x0, cell_m, columns), cell_at(east, grid.x0, cell_m, columns)
    r0, r1 = cell_at(south, grid.y0, cell_m, rows), cell_at(north, grid.y0, cell_m, rows)
    middle_x, middle_y = (west + east) / 2.0, (south + north) / 2.0
    for e in range(first, last):
        inverse[e - first] = _inverse(tx[e] - sx[e], ty[e] - sy[e])
    count, limit, far = 0, np.inf, np.inf
    radius = _radius(sx, sy, tx, ty, first, last, middle_x, middle_y)
    for ring in range(max(columns, rows) + 1):
        reach = (ring - 1) * cell_m
        if reach > 0.0 and reach * reach > limit:
            break
        for r in range(max(r0 - ring, 0), min(r1 + ring, rows - 1) + 1):
            step = 1 if ring == 0 or r == r0 - ring or r == r1 + ring else c1 - c0 + 2 * ring
            for c in range(c0 - ring, c1 + ring + 1, step):
                if c < 0 or c >= columns:
                    continue
                begin, end = begins[r * columns + c], begins[r * columns + c + 1]
                if begin == end:
                    continue
                left, low = grid.x0 + c * cell_m, grid.y0 + r * cell_m
                dx, dy = max(west - left - cell_m, left - east, 0.0), max(south - low - cell_m, low - north, 0.0)
                if dx * dx + dy * dy > limit:  # of an edge that is nearer, the nearest point lies in another cell
                    continue
                ahead = _from_middle(middle_x, middle_y, grid.edges, listed, begin, end, kept, from_middle)
                for i in range(begin - 1, end):
                    if i == ahead:
                        continue
                    at = i if i >= begin else ahead
                    if from_middle[at - begin] > far or from_middle[at - begin] == np.inf:  # not kept
                        continue
                    j = listed[at]
                    dx = max(west - max(ux[j], vx[j]), min(ux[j], vx[j]) - east, 0.0)
                    dy = max(south - max(uy[j], vy[j]), min(uy[j], vy[j]) - north, 0.0)
                    if dx * dx + dy * dy > limit:
                        continue
                    if _beyond(sx, sy, tx, ty, first, last, middle_x, middle_y, ux[j], uy[j], vx[j], vy[j], limit):
                        continue
                    square, x, y, a, b = _closest(
                        sx, sy, tx, ty, inverse, first, last, ux[j], uy[j], vx[j], vy[j],
                        area[owner[j]] == 0.0, dx == 0.0 and dy == 0.0,
                    )  # fmt: skip
                    if areal_site and ring == 0 and square > 0.0 and site_holds(sites, first, last, ux[j], uy[j]):
                        square, x, y, a, b = 0.0, ux[j], uy[j], ux[j], uy[j]
                    if square <= limit:
                        if count == len(found):
                            return -1, limit
                        found[count], squares[count] = owner[j], square
                        ends[count, 0], ends[count, 1], ends[count, 2], ends[count, 3] = x, y, a, b
                        count += 1
                        limit = min(limit, _widened(square, spread))
                        far = (np.sqrt(limit) + radius) ** 2  # no nearer than its distance from the middle less that
    return count, limit


@uncounted
def _widened(square, spread):
    """Give the square of the distance up to which others compete with one at this distance."""
    near = np.sqrt(square) * (1.0 + 2.0 * spread) + SLACK_M
    return near * near


class _Room(NamedTuple):
    """Room to search for one site after another: features, ends and squares of candidates; of edges; of a cell."""

    found: Ints
    ends: Floats
    squares: Floats
    inverse: Floats
    from_middle: Floats


@compiled
def _room_for(candidates, edges, listed):
    return _Room(
        np.empty(candidates, dtype=np.int64), np.empty((candidates, 4)), np.empty(candidates),
        np.empty(edges), np.empty(listed),
    )  # fmt: skip


@compiled
def _longest(begins):
    """Give the length of the longest of some lists."""
    most = 0
    for i in range(len(begins) - 1):
        most = max(most, begins[i + 1] - begins[i])
    return most


@uncounted
def _with_inside(grid, kept, x, y, work, room, count, limit):
    """Add the features that a site's first vertex lies in, -1 where the room is too small; else as `_search`."""
    found, ends, squares, _, _ = room
    state, touched = work.state, work.touched
    inside = features_at(grid, x, y, state, touched, 0)
    for k in range(inside):
        f = touched[k]
        if state[f] > 0 and kept[f] and count >= 0:
            if count < len(found):
                found[count], squares[count] = f, 0.0
                ends[count, 0], ends[count, 1], ends[count, 2], ends[count, 3] = x, y, x, y
                count += 1
                limit = min(limit, SLACK_M * SLACK_M)
            else:
                count = -1
        state[f] = 0
    return count, limit


@uncounted
def _nearest_of(room, count, limit):
    """Keep the candidates within the limit, once where two edges of a feature meet in its nearest vertex; how many."""
    found, ends, squares, _, _ = room
    many = 0
    for k in range(count):
        if squares[k] <= limit and not (many > 0 and found[many - 1] == found[k] and _same(ends, many - 1, k)):
            found[many] = found[k]
            for i in range(4):
                ends[many, i] = ends[k, i]
            many += 1
    return many


@uncounted
def _same(ends, one, other):
    return (
        ends[one, 0] == ends[other, 0] and ends[one, 1] == ends[other, 1]
        and ends[one, 2] == ends[other, 2] and ends[one, 3] == ends[other, 3]
    )  # fmt: skip


@compiled
def _candidates(areal_site, sites, place, grid, kept, distortion, start, stop):
    work, begins, px, py = work_for(grid), sites.start, sites.px, sites.py
    edges, listed = _longest(begins), _longest(grid.first)
    room = _room_for(64, edges, listed)
    found, ends = room.found, room.ends
    some = 2 * (stop - start) + 64
    site, feature, points = np.empty(some, dtype=np.int64), np.empty(some, dtype=np.int64), np.empty((some, 4))
    many, s = 0, start
    while s < stop:
        first, last = begins[place[s]], begins[place[s] + 1]
        count, limit = _search(areal_site, sites, first, last, grid, kept, distortion[s], room)
        if count >= 0:
            count, limit = _with_inside(grid, kept, px[first], py[first], work, room, count, limit)
        if count < 0:  # again, with more room
            room = _room_for(2 * len(found), edges, listed)
            found, ends = room.found, room.ends
            continue
        count = _nearest_of(room, count, limit)
        if many + count > len(site):
            site, feature, points = (
                grown(site, many, count),
                grown(feature, many, count),
                grown_rows(points, many, count),
            )
        for k in range(count):
            site[many], feature[many] = s, found[k]
            for i in range(4):
                points[many, i] = ends[k, i]
            many += 1
        s += 1
    return site[:many].copy(), feature[:many].copy(), points[:many].copy()
