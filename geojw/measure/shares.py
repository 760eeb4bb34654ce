"""
What sites share with the features of a layer, as areas and lengths, without any shape. Compiled.

The area of A and B together is the sum of 1/2 (x dy - y dx) over the parts of A's boundary inside B and of B's inside
A. On a straight edge from p to q that is its share inside times 1/2 (p x q), and the share inside is the sum of +t over
the crossings where the edge leaves, of -t over those where it enters, and of 1 if it ends inside: no crossing has to be
put in order, and each is found by signs that are exact (`exact`), so that no rounding can turn inside into outside.

Error bound. With u = 2^-53, all coordinates taken from the middle of the site, D the largest of them, a crossing at
fraction t of A's edge is placed on B's edge by dropping it there, so that both boundaries turn at points that differ by
at most 4 u D across the edges; along them they may be off by u D / sin(angle), which moves both boundaries alike and
changes the area by the product of the two, at most 8 u D^2. Each term adds its own rounding, at most 8 u times its
size. So the sum of n terms is off by at most 8 u times the sum of their sizes plus 8 u D^2 a crossing; `noise` in
`_site_areas` adds that up, and what is not larger is no overlap but a touch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geojw.measure.exact import compiled, side_of_site_edge, uncounted
from geojw.measure.geodesy import Floats
from geojw.measure.grid import (
    Grid,
    candidates_in,
    cell_at,
    crossing,
    first_met,
    grown,
    in_order,
    runs_for,
    square_to_edge,
    step_over,
)
from geojw.measure.index import Part, even_cuts, in_threads
from geojw.measure.pieces import Ints

ROUNDING = 16 * 2.0**-53
"""Twice the bound of the docstring: what a term may be off, as a share of its size."""

IMPOSSIBLE = 1e-9
"""An area below 0 or above the smaller shape by more than this share, and the error, is a contradiction."""

CLOSE_M = 2e-6
"""A vertex so near another's edge may lie on it: for lines and points that is not for this module to decide."""


def shared(part: Part, grid: Grid, workers: int = 1) -> tuple[Ints, Ints, Floats]:
    """
    Measure what sites share with each feature of a polygon layer.

    Parameters
    ----------
    part
        Sites of one dimension; point sites are one point each.
    grid
        The layer.
    workers
        Threads.

    Returns
    -------
    site, feature : ndarray
        Positions of the pairs that share more than a touch, sorted.
    size : ndarray
        m², m or 1. NaN where this is not to be said here: shapes that contradict themselves, as invalid ones do;
        lines and points of which a vertex lies within `CLOSE_M` of an edge, so that they may run along it.
    """
    measure = {2: _areas, 1: _lengths, 0: _points}[part.dimension]
    found: dict[int, tuple[Ints, Ints, Floats]] = {}

    def work(some: slice) -> None:
        found[some.start] = measure(part.edges, part.place, part.size, grid, some.start, some.stop)

    in_threads(work, even_cuts(len(part.rows), 2 * workers), workers)
    none = np.zeros(0, dtype=np.int64)
    parts = [found[start] for start in sorted(found)] or [(none, none, np.zeros(0))]
    site, feature, size = (np.concatenate(column) for column in zip(*parts, strict=True))
    return part.rows[site], feature, size


class _Work(NamedTuple):
    """
    Room to measure one site after another on a layer.

    Parameters
    ----------
    total, noise, state, role
        What is known of each feature; all 0 before and after a site.
    touched
        The features that something is known of.
    turn
        What is known of each of the layer's edges; 0 as above.
    found, runs, own, boxes, meets
        The edges near a site and room to look for them (`candidates_in`), those of them that are of one feature, their
        boxes, and whether an edge's box meets theirs.
    """

    total: Floats
    noise: Floats
    state: NDArray[np.int32]
    role: NDArray[np.uint8]
    touched: Ints
    turn: NDArray[np.int16]
    found: NDArray[np.int32]
    runs: NDArray[np.int64]
    own: NDArray[np.int32]
    boxes: Floats
    meets: NDArray[np.bool_]


MET, WRONG = 1, 2
"""Bits of a feature's role: boundaries cross or one lies in the other; the shapes contradict themselves or, for lines
and points, lie too close to say."""

FEW = 64
"""Up to so many candidates every edge of a site looks at all of them; above, only at those in its own cells."""


@uncounted
def features_at(grid, x, y, state, touched, many):
    """Add 1 to `state` for the features in which a point of a site lies; give how many are `touched` now."""
    if x < grid.bounds[0] or x > grid.bounds[2] or y < grid.bounds[1] or y > grid.bounds[3]:
        return many
    first, listed, owner, within = grid.first, grid.listed, grid.edges.owner, grid.within
    ux, uy, vx, vy, area = grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy, grid.area_m2
    c, r = cell_at(x, grid.x0, grid.cell_m, grid.columns), cell_at(y, grid.y0, grid.cell_m, grid.rows)
    cell = r * grid.columns + c
    for i in range(grid.within_first[cell], grid.within_first[cell + 1]):
        state[within[i]] += 1
        many = _touch(within[i], touched, many)
    middle_x, middle_y = grid.x0 + (c + 0.5) * grid.cell_m, grid.y0 + (r + 0.5) * grid.cell_m
    for i in range(first[cell], first[cell + 1]):
        j = listed[i]
        step = step_over(ux[j], uy[j], vx[j], vy[j], middle_x, middle_y, x, y)
        if step and area[owner[j]] > 0.0:  # lines have no inside
            f = owner[j]
            state[f] += step
            many = _touch(f, touched, many)
    return many


@uncounted
def _touch(f, touched, many):
    for k in range(many):
        if touched[k] == f:
            return many
    touched[many] = f
    return many + 1


@uncounted
def site_holds(sites, first, last, x, y):
    """Give how often a vertex of the layer lies in a site: 0 or 1, the site moved by nothing."""
    count = 0
    for e in range(first, last):
        py, qy = sites.py[e], sites.qy[e]
        # The site a little north of where it is: an end at the height of y lies above it.
        up, down = py < y <= qy, qy < y <= py
        if up or down:
            left = side_of_site_edge(sites.px[e], py, sites.qx[e], qy, x, y)
            if up and left > 0.0:
                count += 1
            elif down and left < 0.0:
                count -= 1
    return count


@compiled
def work_for(grid):
    """Give the room to measure sites on a layer."""
    features, edges = len(grid.area_m2), len(grid.edges.px)
    return _Work(  # what of the room is not used takes no memory
        np.zeros(features), np.zeros(features), np.zeros(features, dtype=np.int32),
        np.zeros(features, dtype=np.uint8), np.empty(features + 1, dtype=np.int64),
        np.zeros(edges, dtype=np.int16), np.empty(edges, dtype=np.int32), runs_for(grid),
        np.empty(edges, dtype=np.int32), np.empty((4, edges)), np.empty(edges, dtype=np.bool_),
    )  # fmt: skip


@uncounted
def box_of(sites, first, last):
    """Give west, south, east, north of one site."""
    west, south, east, north = np.inf, np.inf, -np.inf, -np.inf
    for e in range(first, last):
        west, east = min(west, sites.px[e], sites.qx[e]), max(east, sites.px[e], sites.qx[e])
        south, north = min(south, sites.py[e], sites.qy[e]), max(north, sites.py[e], sites.qy[e])
    return west, south, east, north


@uncounted
def _cross(px, py, qx, qy, mine, x0, y0, j, ux, uy, vx, vy, owner, total, noise, state, role, turn):
    """Add what a crossing of a site's edge with a layer's edge gives, if there is one."""
    step = step_over(ux[j], uy[j], vx[j], vy[j], px, py, qx, qy)
    if step != 0:
        f = owner[j]
        t, at = crossing(px, py, qx, qy, ux[j], uy[j], vx[j], vy[j])
        one, other = t * mine, at * ((ux[j] - x0) * (vy[j] - y0) - (uy[j] - y0) * (vx[j] - x0))
        total[f] += step * (other - one)
        noise[f] += abs(one) + abs(other)
        state[f] += step
        role[f] |= MET
        turn[j] -= step


@uncounted
def _cross_cells(px, py, qx, qy, mine, x0, y0, grid, work):
    """Look for crossings of a site's edge in the cells that it may lie in."""
    ux, uy, vx, vy, owner = grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy, grid.edges.owner
    first, listed = grid.first, grid.listed
    total, noise, state, role, turn = work.total, work.noise, work.state, work.role, work.turn
    c0 = cell_at(min(px, qx), grid.x0, grid.cell_m, grid.columns)
    c1 = cell_at(max(px, qx), grid.x0, grid.cell_m, grid.columns)
    r0, r1 = (
        cell_at(min(py, qy), grid.y0, grid.cell_m, grid.rows),
        cell_at(max(py, qy), grid.y0, grid.cell_m, grid.rows),
    )
    for r in range(r0, r1 + 1):
        for c in range(c0, c1 + 1):
            cell = r * grid.columns + c
            for i in range(first[cell], first[cell + 1]):
                j = listed[i]
                if first_met(grid, j, c, r, c0, r0):
                    _cross(px, py, qx, qy, mine, x0, y0, j, ux, uy, vx, vy, owner, total, noise, state, role, turn)


@uncounted
def _walk_site(sites, first, last, grid, candidates, many, x0, y0, work):
    """Add the parts of a site's boundary that lie inside features; give how many features are touched."""
    sx, sy, tx, ty, behind = sites.px, sites.py, sites.qx, sites.qy, sites.before
    ux, uy, vx, vy, owner = grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy, grid.edges.owner
    touched, state, total, noise, role, turn = work.touched, work.state, work.total, work.noise, work.role, work.turn
    by_cells = candidates > FEW and last - first > FEW
    near = 0 if by_cells else candidates
    found, boxes, meets = work.found, work.boxes, work.meets
    boxes_of(grid.edges, found, near, boxes)
    ring = first
    while ring < last:
        end = behind[ring] + 1
        for k in range(many):
            state[touched[k]] = 0
        many = features_at(grid, sx[ring], sy[ring], state, touched, many)
        for e in range(ring, end):
            px, py, qx, qy = sx[e], sy[e], tx[e], ty[e]
            mine = (px - x0) * (qy - y0) - (py - y0) * (qx - x0)
            if by_cells:
                _cross_cells(px, py, qx, qy, mine, x0, y0, grid, work)
            mark_meeting(boxes, near, px, py, qx, qy, meets)
            for k in range(near):
                if meets[k]:
                    j = found[k]
                    _cross(px, py, qx, qy, mine, x0, y0, j, ux, uy, vx, vy, owner, total, noise, state, role, turn)
            for k in range(many):
                f = touched[k]
                if state[f] != 0:
                    total[f] += mine
                    noise[f] += abs(mine)
                    if state[f] != 1:
                        role[f] |= WRONG
        ring = end
    return many


@uncounted
def boxes_of(edges, found, candidates, boxes):
    """Write west, south, east, north of some edges, each in a row of its own."""
    px, py, qx, qy = edges.px, edges.py, edges.qx, edges.qy
    for k in range(candidates):
        j = found[k]
        boxes[0, k], boxes[1, k] = min(px[j], qx[j]), min(py[j], qy[j])
        boxes[2, k], boxes[3, k] = max(px[j], qx[j]), max(py[j], qy[j])


@uncounted
def mark_meeting(boxes, candidates, px, py, qx, qy, meets):
    """Mark the boxes that the box of an edge meets: without a branch, so that a processor compares several at once."""
    west, south, east, north = boxes[0], boxes[1], boxes[2], boxes[3]
    low_x, high_x, low_y, high_y = min(px, qx), max(px, qx), min(py, qy), max(py, qy)
    for k in range(candidates):
        meets[k] = (west[k] <= high_x) & (east[k] >= low_x) & (south[k] <= high_y) & (north[k] >= low_y)


@uncounted
def _walk_features(sites, first, last, edges, candidates, x0, y0, work):
    """Add the parts of the features' boundaries that lie inside a site."""
    found = work.found
    ux, uy, vx, vy, behind, owner = edges.px, edges.py, edges.qx, edges.qy, edges.before, edges.owner
    turn, total, noise, role = work.turn, work.total, work.noise, work.role
    holds = 0
    for k in range(candidates):
        j = found[k]
        if behind[j] > j:  # a ring begins, which may lie in the site as a whole
            holds = site_holds(sites, first, last, ux[j], uy[j])
        elif k == 0 or behind[j] != found[k - 1]:  # the ring comes from outside the site's box
            holds = 0
        holds += turn[j]
        turn[j] = 0
        if holds != 0:
            f = owner[j]
            theirs = (ux[j] - x0) * (vy[j] - y0) - (uy[j] - y0) * (vx[j] - x0)
            total[f] += theirs
            noise[f] += abs(theirs)
            role[f] |= MET if holds == 1 else WRONG


@uncounted
def _area_of(f, size_m2, grid, work):
    """Give the area that a site shares with a feature, 0 for a touch, NaN for a contradiction; leave nothing behind."""
    area, error = 0.5 * work.total[f], 0.5 * ROUNDING * work.noise[f]
    most = min(size_m2, grid.area_m2[f])
    allowed = error + IMPOSSIBLE * most
    role = work.role[f]
    work.total[f], work.noise[f], work.state[f], work.role[f] = 0.0, 0.0, 0, 0
    if role & WRONG or area < -allowed or area > most + allowed:
        return np.nan
    if area <= error:
        return 0.0
    return size_m2 if role & MET == 0 and area > size_m2 - allowed else min(area, most)  # exactly all of the site


@uncounted
def _measure_area(sites, first, last, size_m2, grid, work):
    """Add up what a polygon site shares with each feature; give how many are touched, in order."""
    found, touched, total, state, owner = work.found, work.touched, work.total, work.state, grid.edges.owner
    west, south, east, north = box_of(sites, first, last)
    candidates = candidates_in(grid, west, south, east, north, found, work.runs)
    if candidates == 0:  # no edge is near: all of the site lies in a feature, or nothing
        many = features_at(grid, sites.px[first], sites.py[first], state, touched, 0)
        for k in range(many):
            total[touched[k]] = 2.0 * size_m2 * state[touched[k]]
    else:
        many = _owners(found, candidates, owner, touched)
        x0, y0 = (west + east) / 2.0, (south + north) / 2.0
        many = _walk_site(sites, first, last, grid, candidates, many, x0, y0, work)
        _walk_features(sites, first, last, grid.edges, candidates, x0, y0, work)
    in_order(touched, many)
    return many


@uncounted
def _owners(found, candidates, owner, touched):
    """Note the features that edges belong to, which stand in order; give how many."""
    many = 0
    for k in range(candidates):
        f = owner[found[k]]
        if k == 0 or f != owner[found[k - 1]]:
            touched[many] = f
            many += 1
    return many


@compiled
def _areas(sites, place, size_m2, grid, start, stop):
    work, begins = work_for(grid), sites.start
    touched = work.touched
    site, feature, area = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int64), np.empty(1024)
    count = 0
    for s in range(start, stop):
        many = _measure_area(sites, begins[place[s]], begins[place[s] + 1], size_m2[s], grid, work)
        if count + many > len(site):
            site, feature, area = grown(site, count, many), grown(feature, count, many), grown(area, count, many)
        for k in range(many):
            shared = _area_of(touched[k], size_m2[s], grid, work)
            if shared != 0.0:
                site[count], feature[count], area[count] = s, touched[k], shared
                count += 1
    return site[:count].copy(), feature[:count].copy(), area[:count].copy()


# ---------------------------------------------------------------------------------------------- lines and points


@uncounted
def _too_close(sites, e, edges, j):
    """Whether an end of one of two edges lies within `CLOSE_M` of the other."""
    near = CLOSE_M * CLOSE_M
    px, py, qx, qy = sites.px[e], sites.py[e], sites.qx[e], sites.qy[e]
    ux, uy, vx, vy = edges.px[j], edges.py[j], edges.qx[j], edges.qy[j]
    return (
        square_to_edge(ux, uy, px, py, qx, qy) <= near
        or square_to_edge(vx, vy, px, py, qx, qy) <= near
        or square_to_edge(px, py, ux, uy, vx, vy) <= near
        or square_to_edge(qx, qy, ux, uy, vx, vy) <= near
    )


@uncounted
def _line_inside(sites, first, last, grid, work):
    """Add the lengths of a line that lie inside features; give how many features are touched, in order."""
    edges, found, touched, total, state, role = (
        grid.edges, work.found, work.touched, work.total, work.state, work.role,
    )  # fmt: skip
    west, south, east, north = box_of(sites, first, last)
    pad = 2.0 * CLOSE_M
    candidates = candidates_in(grid, west - pad, south - pad, east + pad, north + pad, found, work.runs)
    many = _owners(found, candidates, edges.owner, touched)
    for e in range(first, last):
        px, py, qx, qy = sites.px[e], sites.py[e], sites.qx[e], sites.qy[e]
        if sites.before[e] < 0:
            for k in range(many):
                state[touched[k]] = 0
            many = features_at(grid, px, py, state, touched, many)
        length = np.hypot(qx - px, qy - py)
        for k in range(candidates):
            j = found[k]
            f = edges.owner[j]
            if _too_close(sites, e, edges, j):
                role[f] |= WRONG
            ux, uy, vx, vy = edges.px[j], edges.py[j], edges.qx[j], edges.qy[j]
            step = step_over(ux, uy, vx, vy, px, py, qx, qy)
            if step:
                total[f] -= step * length * crossing(px, py, qx, qy, ux, uy, vx, vy)[0]
                state[f] += step
                role[f] |= MET
        for k in range(many):
            if state[touched[k]] == 1:
                total[touched[k]] += length
    in_order(touched, many)
    return many


@uncounted
def _length_of(f, size_m, work):
    """Give the length that a site shares with a feature, NaN where it may run along an edge; leave nothing behind."""
    length = work.total[f] if work.role[f] & MET or work.total[f] <= 0.0 else size_m
    if work.role[f] & WRONG:
        length = np.nan
    work.total[f], work.state[f], work.role[f] = 0.0, 0, 0
    return length


@compiled
def _lengths(sites, place, size_m, grid, start, stop):
    work, begins = work_for(grid), sites.start
    touched = work.touched
    site, feature, inside = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int64), np.empty(1024)
    count = 0
    for s in range(start, stop):
        many = _line_inside(sites, begins[place[s]], begins[place[s] + 1], grid, work)
        if count + many > len(site):
            site, feature, inside = grown(site, count, many), grown(feature, count, many), grown(inside, count, many)
        for k in range(many):
            length = _length_of(touched[k], size_m[s], work)
            if not length <= 0.0:
                site[count], feature[count], inside[count] = s, touched[k], length
                count += 1
    return site[:count].copy(), feature[:count].copy(), inside[:count].copy()


@uncounted
def _point_inside(x, y, grid, work):
    """Note the features that a point lies in, and those that it is too close to; give how many, in order."""
    edges, found, touched, role = grid.edges, work.found, work.touched, work.role
    many = features_at(grid, x, y, work.state, touched, 0)
    pad = 2.0 * CLOSE_M
    for k in range(candidates_in(grid, x - pad, y - pad, x + pad, y + pad, found, work.runs)):
        j = found[k]
        if square_to_edge(x, y, edges.px[j], edges.py[j], edges.qx[j], edges.qy[j]) <= CLOSE_M * CLOSE_M:
            role[edges.owner[j]] |= WRONG
            many = _touch(edges.owner[j], touched, many)
    in_order(touched, many)
    return many


@compiled
def _points(sites, place, size, grid, start, stop):
    work, begins, px, py = work_for(grid), sites.start, sites.px, sites.py
    touched, state, role = work.touched, work.state, work.role
    point, feature, inside = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int64), np.empty(1024)
    count = 0
    for s in range(start, stop):
        many = _point_inside(px[begins[place[s]]], py[begins[place[s]]], grid, work)
        if count + many > len(point):
            point, feature, inside = grown(point, count, many), grown(feature, count, many), grown(inside, count, many)
        for k in range(many):
            f = touched[k]
            value = np.nan if role[f] & WRONG else state[f] * size[s]
            state[f], role[f] = 0, 0
            if value != 0.0:
                point[count], feature[count], inside[count] = s, f, value
                count += 1
    return point[:count].copy(), feature[:count].copy(), inside[:count].copy()
