"""
The shapes that polygon sites share with features, traced along both boundaries. Compiled.

From a crossing where the site's boundary enters the feature it is followed to where it leaves, from there the feature's
boundary to where that leaves the site, and so on until the ring is closed. Which parts lie inside is known from the
exact signs that the areas rest on (`shares`). What comes out is checked: a shape that is not valid, or has another
area than was measured, is not used.
"""

from __future__ import annotations

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from shapely import GeometryType

from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.grid import FEW, Grid, candidates_in, crossing, grown, grown_rows, step_over
from geojw.measure.index import AGREES_M2, AGREES_SHARE, Bools, Part, even_cuts, in_threads
from geojw.measure.pieces import Ints
from geojw.measure.repair import are_valid
from geojw.measure.shares import box_of, boxes_of, features_at, mark_meeting, site_holds, work_for


def traced(part: Part, feature: Ints, area_m2: Floats, grid: Grid, workers: int = 1) -> Geometries:
    """
    Build the shapes that sites share with features, pair by pair.

    Parameters
    ----------
    part
        Polygon sites, one a pair.
    feature
        Position of a feature for each.
    area_m2
        What they share, as measured and perhaps rounded.
    grid
        The layer.
    workers
        Threads.

    Returns
    -------
    ndarray
        A polygon or multipolygon a pair; None where it could not be traced: those are for GEOS.
    """
    found: dict[int, tuple[Floats, Ints, Ints, NDArray[np.bool_]]] = {}
    edges = part.edges
    after, behind = (np.empty(len(some.px), dtype=np.int64) for some in (edges, grid.edges))
    after[edges.before], behind[grid.edges.before] = np.arange(len(after)), np.arange(len(behind))

    def work(some: slice) -> None:
        found[some.start] = _trace(edges, after, part.place, feature, grid, behind, some.start, some.stop)

    in_threads(work, even_cuts(len(feature), 2 * workers), workers)
    shapes = np.full(len(feature), None, dtype=object)
    for start in sorted(found):
        _assemble(shapes, start, *found[start])
    done = np.abs(shapely.area(shapes) - area_m2) <= AGREES_M2 + AGREES_SHARE * area_m2
    done[done] = are_valid(shapes[done])
    shapes[~done] = None
    return shapes


def _assemble(shapes: Geometries, start: int, xy: Floats, ring_ends: Ints, rings: Ints, outer: Bools) -> None:
    """Make polygons and multipolygons of rings; a pair with a hole that lies in no outer ring is left open."""
    pairs = len(rings) - 1
    owner = np.repeat(np.arange(pairs), np.diff(rings))
    shell = _shells_of(xy, ring_ends, owner, outer)
    good = np.bincount(owner[shell < 0], minlength=pairs) == 0
    order = np.lexsort((~outer, shell, owner))
    order = order[good[owner[order]]]
    if not len(order):
        return
    length = np.diff(ring_ends)[order]
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(length)])
    points = np.repeat(ring_ends[order] - ends[:-1], length) + np.arange(ends[-1])
    begins = np.flatnonzero(outer[order])  # each outer ring begins a polygon
    polygons = shapely.from_ragged_array(GeometryType.POLYGON, xy[points], (ends, np.append(begins, len(order))))
    owned = owner[order][begins]
    single = np.bincount(owned, minlength=pairs)[owned] == 1
    shapes[start + owned[single]] = polygons[single]
    if not single.all():
        several, group = np.unique(owned[~single], return_inverse=True)
        shapes[start + several] = shapely.multipolygons(polygons[~single], indices=group)


def _shells_of(xy: Floats, ring_ends: Ints, owner: Ints, outer: Bools) -> Ints:
    """Give for each ring the outer one that it belongs to: itself, or the smallest of its pair that holds it, or -1."""
    shells = np.bincount(owner[outer], minlength=owner.max(initial=-1) + 1)
    out = np.where(outer, np.arange(len(owner)), -1)
    last = np.zeros(len(shells), dtype=np.int64)
    last[owner[outer]] = np.flatnonzero(outer)
    alone = ~outer & (shells[owner] == 1)
    out[alone] = last[owner[alone]]
    rows = np.flatnonzero((shells > 1)[owner] & np.isin(owner, owner[~outer]))  # of pairs with several and with holes
    if rows.size:
        length = np.diff(ring_ends)[rows]
        points = np.repeat(ring_ends[rows] - (np.cumsum(length) - length), length) + np.arange(length.sum())
        drawn = shapely.polygons(shapely.linearrings(xy[points], indices=np.repeat(np.arange(len(rows)), length)))
        hole = np.flatnonzero(~outer[rows])
        first, stop = (np.searchsorted(owner[rows], owner[rows[hole]], side) for side in ("left", "right"))
        some = stop - first
        other = np.repeat(first - (np.cumsum(some) - some), some) + np.arange(some.sum())
        hole = np.repeat(hole, some)
        held = outer[rows[other]] & shapely.contains(drawn[other], drawn[hole])
        hole, other = hole[held], other[held]
        order = np.lexsort((-shapely.area(drawn[other]), hole))  # the smallest is the last to be written
        out[rows[hole[order]]] = rows[other[order]]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _crossings(sites, first, last, edges, f, found, candidates, spots):
    """List the crossings of a site with a feature: site's edge, share, feature's edge, share, step, x, y."""
    # Arrays by their own names: taking them out of their tuple again and again would cost more than all the rest.
    px, py, qx, qy, ux, uy, vx, vy, owner = (
        sites.px, sites.py, sites.qx, sites.qy, edges.px, edges.py, edges.qx, edges.qy, edges.owner,
    )  # fmt: skip
    own, number = np.empty(candidates, dtype=np.int32), 0
    for k in range(candidates):
        if owner[found[k]] == f:
            own[number] = found[k]
            number += 1
    boxes, meets = boxes_of(edges, own, number), np.empty(number, dtype=np.bool_)
    count = 0
    for e in range(first, last):
        mark_meeting(boxes, px[e], py[e], qx[e], qy[e], meets)
        for k in range(number):
            if not meets[k]:
                continue
            j = own[k]
            step = step_over(ux[j], uy[j], vx[j], vy[j], px[e], py[e], qx[e], qy[e])
            if step == 0:
                continue
            t, at = crossing(px[e], py[e], qx[e], qy[e], ux[j], uy[j], vx[j], vy[j])
            if count == len(spots):
                spots = grown_rows(spots, count)
            spots[count, 0], spots[count, 1], spots[count, 2], spots[count, 3], spots[count, 4] = e, t, j, at, step
            spots[count, 5], spots[count, 6] = px[e] + t * (qx[e] - px[e]), py[e] + t * (qy[e] - py[e])
            count += 1
    return count, spots


@njit(cache=True, nogil=True, error_model="numpy")
def _next_along(spots, count, one, edge_column, after):
    """Give the crossing that follows `one` along a boundary, and how many edges' ends lie between; -1 where none."""
    e, share = int(spots[one, edge_column]), spots[one, edge_column + 1]
    best = -1
    for k in range(count):  # on the same edge, further on
        further = k != one and int(spots[k, edge_column]) == e and spots[k, edge_column + 1] > share
        if further and (best < 0 or spots[k, edge_column + 1] < spots[best, edge_column + 1]):
            best = k
    if best >= 0:
        return best, 0
    passed, at = 0, e
    while True:
        at = after[at]
        passed += 1
        for k in range(count):
            there = int(spots[k, edge_column]) == at and (at != e or spots[k, edge_column + 1] <= share)
            if there and (best < 0 or spots[k, edge_column + 1] < spots[best, edge_column + 1]):
                best = k
        if best >= 0 or at == e:
            return best, passed


@njit(cache=True, nogil=True, error_model="numpy")
def _put(xy, count, x, y, start):
    """Append a point unless it repeats the last of its ring."""
    if count > start and xy[count - 1, 0] == x and xy[count - 1, 1] == y:
        return xy, count
    if count == len(xy):
        xy = grown_rows(xy, count)
    xy[count, 0], xy[count, 1] = x, y
    return xy, count + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _close(xy, count, start):
    """Close a ring; give its end and twice its area, or its start and 0 where it has none."""
    if count - start > 1 and xy[count - 1, 0] == xy[start, 0] and xy[count - 1, 1] == xy[start, 1]:
        count -= 1
    if count - start < 3:
        return xy, start, 0.0
    twice = 0.0
    for i in range(start + 1, count - 1):
        twice += (xy[i, 0] - xy[start, 0]) * (xy[i + 1, 1] - xy[start, 1])
        twice -= (xy[i, 1] - xy[start, 1]) * (xy[i + 1, 0] - xy[start, 0])
    if count == len(xy):
        xy = grown_rows(xy, count)
    xy[count, 0], xy[count, 1] = xy[start, 0], xy[start, 1]
    return xy, count + 1, twice


@njit(cache=True, nogil=True, error_model="numpy")
def _first_alike(xy, start, end, first):
    """Note for each point of a ring the first that has its place; give whether one comes twice."""
    again, slots = False, 4
    if end - start <= FEW:
        for i in range(start, end):
            k = start
            while xy[k, 0] != xy[i, 0] or xy[k, 1] != xy[i, 1]:
                k += 1
            first[i - start] = k - start
            again = again or k < i
        return again
    while slots < 2 * (end - start):
        slots *= 2
    table = np.full(slots, -1, dtype=np.int64)
    for i in range(end - start):
        x, y = xy[start + i, 0], xy[start + i, 1]
        slot = hash(x + 1.618 * y) & (slots - 1)
        while table[slot] >= 0 and (xy[start + table[slot], 0] != x or xy[start + table[slot], 1] != y):
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = i
        first[i] = table[slot]
        again = again or first[i] < i
    return again


@njit(cache=True, nogil=True, error_model="numpy")
def _loops(xy, start, first):
    """Part a ring where it comes to a place again: give the points of simple rings, and where each ends."""
    number = len(first)
    points, ends = np.empty((number, 2)), np.empty(number + 1, dtype=np.int64)
    way, place = np.empty(number, dtype=np.int64), np.full(number, -1, dtype=np.int64)
    on_way, done, rings = 0, 0, 0  # `way` has the points of the ring that is not closed yet, `place` where they stand
    for i in range(number):
        back = place[first[i]]
        if back >= 0:
            for k in range(back, on_way):
                points[done] = xy[start + way[k]]
                place[way[k]] = -1
                done += 1
            ends[rings] = done
            rings += 1
            on_way = back
        way[on_way], place[first[i]] = first[i], on_way
        on_way += 1
    for k in range(on_way):
        points[done] = xy[start + way[k]]
        done += 1
    ends[rings] = done
    return points, ends[: rings + 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _noted(xy, start, end, ring_ends, outer, count):
    """Close what was traced from a start to an end and note its rings; a start is where the last ring ended."""
    first = np.empty(end - start, dtype=np.int64)
    if not _first_alike(xy, start, end, first):
        xy, end, twice = _close(xy, end, start)
        ring_ends, outer, count = _ring(ring_ends, outer, count, end, twice)
        return xy, end, ring_ends, outer, count
    points, ends = _loops(xy, start, first)
    begin = 0
    for number in range(len(ends)):
        at = start
        for k in range(begin, ends[number]):
            xy, at = _put(xy, at, points[k, 0], points[k, 1], start)
        begin = ends[number]
        xy, start, twice = _close(xy, at, start)
        ring_ends, outer, count = _ring(ring_ends, outer, count, start, twice)
    return xy, start, ring_ends, outer, count


@njit(cache=True, nogil=True, error_model="numpy")
def _ring(ring_ends, outer, count, end, twice):
    """Note a ring of so much area, twice; none of no area."""
    if twice == 0.0:
        return ring_ends, outer, count
    if count + 1 >= len(ring_ends):
        ring_ends, outer = grown(ring_ends, count + 1, 2), grown(outer, count, 3)
    outer[count] = twice > 0.0
    ring_ends[count + 1] = end
    return ring_ends, outer, count + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(sites, after, edges, behind, spots, count, used, one, xy, points):
    """Trace the ring that begins at an entering crossing; give where its points end, or -1 where it does not close."""
    start, at = points, one
    for _ in range(count):
        used[at] = 1
        xy, points = _put(xy, points, spots[at, 5], spots[at, 6], start)
        leaves, passed = _next_along(spots, count, at, 0, after)
        if leaves < 0 or spots[leaves, 4] > 0.0:
            return xy, -1
        e = int(spots[at, 0])
        for _ in range(passed):
            xy, points = _put(xy, points, sites.qx[e], sites.qy[e], start)
            e = after[e]
        xy, points = _put(xy, points, spots[leaves, 5], spots[leaves, 6], start)
        at, passed = _next_along(spots, count, leaves, 2, behind)
        if at < 0 or spots[at, 4] < 0.0:
            return xy, -1
        j = int(spots[leaves, 2])
        for _ in range(passed):
            xy, points = _put(xy, points, edges.qx[j], edges.qy[j], start)
            j = behind[j]
        if at == one:
            return xy, points
        if used[at]:
            return xy, -1
    return xy, -1


@njit(cache=True, nogil=True, error_model="numpy")
def _whole_ring(edges, ring, xy, points):
    start = points
    for e in range(ring, edges.before[ring] + 1):
        xy, points = _put(xy, points, edges.px[e], edges.py[e], start)
    return xy, points


@njit(cache=True, nogil=True, error_model="numpy")
def _crossed(spots, count, column, first, last):
    some = False
    for k in range(count):
        some = some or first <= spots[k, column] <= last
    return some


@njit(cache=True, nogil=True, error_model="numpy")
def _trace(sites, after, place, feature, grid, behind, start, stop):
    work, edges = work_for(grid), grid.edges
    found, spots = np.empty(256, dtype=np.int32), np.empty((16, 7))
    xy = np.empty((16 * (stop - start) + 64, 2))
    ring_ends, outer = (
        np.zeros(2 * (stop - start) + 16, dtype=np.int64),
        np.zeros(2 * (stop - start) + 16, dtype=np.bool_),
    )
    rings = np.zeros(stop - start + 1, dtype=np.int64)
    points, ring_count = 0, 0
    for pair in range(start, stop):
        f = feature[pair]
        first, last = sites.start[place[pair]], sites.start[place[pair] + 1]
        west, south, east, north = box_of(sites, first, last)
        found, candidates = candidates_in(grid, west, south, east, north, found)
        count, spots = _crossings(sites, first, last, edges, f, found, candidates, spots)
        used = np.zeros(count, dtype=np.uint8)
        begin, kept = points, ring_count
        failed = False
        for kind in range(3):
            number = count if kind == 0 else (last - first if kind == 1 else candidates)
            for k in range(number):
                at = points
                if kind == 0:  # rings along both
                    if used[k] or spots[k, 4] < 0.0:
                        continue
                    xy, at = _follow(sites, after, edges, behind, spots, count, used, k, xy, points)
                    if at < 0:
                        failed = True
                        break
                elif kind == 1:  # the site's own rings inside the feature
                    ring = first + k
                    if sites.before[ring] < ring or _crossed(spots, count, 0, ring, sites.before[ring]):
                        continue
                    many = features_at(grid, sites.px[ring], sites.py[ring], work.state, work.touched, 0)
                    inside = False
                    for i in range(many):
                        inside = inside or (work.touched[i] == f and work.state[f] == 1)
                        if work.touched[i] != f:
                            work.state[work.touched[i]] = 0
                    work.state[f] = 0
                    if not inside:
                        continue
                    xy, at = _whole_ring(sites, ring, xy, points)
                else:  # the feature's own rings inside the site
                    ring = found[k]
                    if edges.owner[ring] != f or edges.before[ring] < ring:
                        continue
                    if _crossed(spots, count, 2, ring, edges.before[ring]):
                        continue
                    if site_holds(sites, first, last, edges.px[ring], edges.py[ring]) != 1:
                        continue
                    xy, at = _whole_ring(edges, ring, xy, points)
                xy, points, ring_ends, outer, ring_count = _noted(xy, points, at, ring_ends, outer, ring_count)
            if failed:
                break
        if failed:
            points, ring_count = begin, kept
        rings[pair - start + 1] = ring_count
    return xy[:points].copy(), ring_ends[: ring_count + 1].copy(), rings, outer[:ring_count].copy()
