"""
The shapes that polygon sites share with features, traced along both boundaries. Compiled.

From a crossing where the site's boundary enters the feature it is followed to where it leaves, from there the feature's
boundary to where that leaves the site, and so on until the ring is closed. Which parts lie inside is known from the
exact signs that the areas rest on (`shares`). What comes out is checked: a shape that is not valid, or has another
area than was measured, is not used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from geojw.measure.exact import compiled, uncounted
from geojw.measure.geodesy import Floats, Moved, unmoved
from geojw.measure.grid import Grid, candidates_in, crossing, step_over
from geojw.measure.index import AGREES_M2, AGREES_SHARE, Bools, Part
from geojw.measure.pieces import Ints
from geojw.measure.shares import box_of, boxes_of, features_at, mark_meeting, site_holds, work_for
from geojw.measure.simple import are_plain
from geojw.measure.wkb import rings_written

FEW = 64
"""So many points of a ring are compared one with another; of more, equal ones are found by a table."""


def traced(
    part: Part, feature: Ints, area_m2: Floats, grid: Grid, moved: Moved = unmoved
) -> tuple[Ints, pa.LargeBinaryArray]:
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
    moved
        Brings coordinates to where the shapes are to be.

    Returns
    -------
    pairs : ndarray
        Positions of those that could be traced, sorted; the others are for GEOS.
    shapes : LargeBinaryArray
        The WKB of a polygon or multipolygon for each of them.
    """
    after, behind = (np.empty(len(some.px), dtype=np.int64) for some in (part.edges, grid.edges))
    after[part.edges.before], behind[grid.edges.before] = np.arange(len(after)), np.arange(len(behind))
    xy, ring_ends, rings, twice = _trace(part.edges, after, part.place, feature, grid, behind)
    if not len(twice):
        return np.zeros(0, dtype=np.int64), pa.nulls(0, pa.large_binary())
    owner = np.repeat(np.arange(len(feature)), np.diff(rings))
    shell = _shells_of(xy, ring_ends, owner, twice > 0.0)
    size = np.bincount(owner, 0.5 * twice, minlength=len(feature))
    good = np.abs(size - area_m2) <= AGREES_M2 + AGREES_SHARE * area_m2
    good[owner[shell < 0]] = False
    open_, unsure = _assembled(xy, ring_ends, owner, shell, good & ~are_plain(xy, ring_ends, rings, shell))
    good[open_] = shapely.is_valid(shapely.from_wkb(unsure.to_numpy(zero_copy_only=False)))
    return _assembled(moved(xy), ring_ends, owner, shell, good)


def _assembled(
    xy: Floats, ring_ends: Ints, owner: Ints, shell: Ints, wanted: Bools
) -> tuple[Ints, pa.LargeBinaryArray]:
    """Make polygons and multipolygons of the rings of wanted pairs; give which have some, and their WKB."""
    outer = shell == np.arange(len(shell))
    order = np.lexsort((~outer, shell, owner))
    order = order[wanted[owner[order]]]
    polygons = np.flatnonzero(outer[order])  # each outer ring begins one
    pairs, shapes = np.unique(owner[order][polygons], return_index=True)
    ends = (np.append(polygons, len(order)), np.append(shapes, len(polygons)))
    return pairs, rings_written(xy, ring_ends, order, *ends)


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


class _Room(NamedTuple):
    """
    Room to trace pairs.

    Parameters
    ----------
    spots, used
        Crossings of a site with a feature (site's edge, share, feature's edge, share, step, x, y), and which of them
        a ring has passed.
    xy
        The points of all rings so far, and of the one that is being traced.
    ring_ends, twice
        Where each ring ends, after a 0, and twice its area, less than 0 of a hole.
    first, way, place, table, parted, ends
        Where a ring is parted (`_loops`).
    """

    spots: Floats
    used: NDArray[np.uint8]
    xy: Floats
    ring_ends: Ints
    twice: Floats
    first: Ints
    way: Ints
    place: Ints
    table: Ints
    parted: Floats
    ends: Ints


@compiled
def _room_for(crossings, points):
    """Make room; what of it is not used takes no memory."""
    return _Room(
        np.empty((crossings, 7)), np.empty(crossings, dtype=np.uint8), np.empty((points, 2)),
        np.zeros(points + 1, dtype=np.int64), np.empty(points), np.empty(points, dtype=np.int64),
        np.empty(points, dtype=np.int64), np.empty(points, dtype=np.int64), np.empty(4 * points, dtype=np.int64),
        np.empty((points, 2)), np.empty(points, dtype=np.int64),
    )  # fmt: skip


@compiled
def _more_room(room, points, rings):
    """Make twice the room, with the points and rings so far."""
    more = _room_for(2 * len(room.spots), 2 * len(room.xy))
    more.xy[:points] = room.xy[:points]
    more.ring_ends[: rings + 1] = room.ring_ends[: rings + 1]
    more.twice[:rings] = room.twice[:rings]
    return more


@uncounted
def _crossings(sites, first, last, edges, f, candidates, work, spots):
    """List the crossings of a site with a feature; give how many, -1 where there are more than the list takes."""
    px, py, qx, qy, ux, uy, vx, vy, owner = (
        sites.px, sites.py, sites.qx, sites.qy, edges.px, edges.py, edges.qx, edges.qy, edges.owner,
    )  # fmt: skip
    found, own, boxes, meets = work.found, work.own, work.boxes, work.meets
    number, count = 0, 0
    for k in range(candidates):
        if owner[found[k]] == f:
            own[number] = found[k]
            number += 1
    boxes_of(edges, own, number, boxes)
    for e in range(first, last):
        mark_meeting(boxes, number, px[e], py[e], qx[e], qy[e], meets)
        for k in range(number):
            if not meets[k]:
                continue
            j = own[k]
            step = step_over(ux[j], uy[j], vx[j], vy[j], px[e], py[e], qx[e], qy[e])
            if step == 0:
                continue
            if count == len(spots):
                return -1
            t, at = crossing(px[e], py[e], qx[e], qy[e], ux[j], uy[j], vx[j], vy[j])
            spots[count, 0], spots[count, 1], spots[count, 2], spots[count, 3], spots[count, 4] = e, t, j, at, step
            spots[count, 5], spots[count, 6] = px[e] + t * (qx[e] - px[e]), py[e] + t * (qy[e] - py[e])
            count += 1
    return count


@uncounted
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


@uncounted
def _put(xy, count, x, y, start):
    """Append a point unless it repeats the last of its ring; a contradictory ring may find no room (`_follow`)."""
    if count == len(xy) or (count > start and xy[count - 1, 0] == x and xy[count - 1, 1] == y):
        return count
    xy[count, 0], xy[count, 1] = x, y
    return count + 1


@uncounted
def _close(xy, count, start):
    """Close a ring; give its end and twice its area, or its start and 0 where it has none."""
    if count - start > 1 and xy[count - 1, 0] == xy[start, 0] and xy[count - 1, 1] == xy[start, 1]:
        count -= 1
    if count - start < 3:
        return start, 0.0
    twice = 0.0
    for i in range(start + 1, count - 1):
        twice += (xy[i, 0] - xy[start, 0]) * (xy[i + 1, 1] - xy[start, 1])
        twice -= (xy[i, 1] - xy[start, 1]) * (xy[i + 1, 0] - xy[start, 0])
    xy[count, 0], xy[count, 1] = xy[start, 0], xy[start, 1]
    return count + 1, twice


@uncounted
def _first_alike(xy, start, end, first, table):
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
    table[:slots] = -1
    for i in range(end - start):
        x, y = xy[start + i, 0], xy[start + i, 1]
        slot = int(8_191.0 * x + 131_071.0 * y) & (slots - 1)
        while table[slot] >= 0 and (xy[start + table[slot], 0] != x or xy[start + table[slot], 1] != y):
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = i
        first[i] = table[slot]
        again = again or first[i] < i
    return again


@uncounted
def _loops(start, number, room):
    """Part a ring where it comes to a place again: put the points of simple rings and where each ends into the room."""
    xy, first, points, ends, way, place = room.xy, room.first, room.parted, room.ends, room.way, room.place
    on_way, done, rings = 0, 0, 0  # `way` has the points of the ring that is not closed yet, `place` where they stand
    for i in range(number):
        place[i] = -1
    for i in range(number):
        back = place[first[i]]
        if back >= 0:
            for k in range(back, on_way):
                points[done, 0], points[done, 1] = xy[start + way[k], 0], xy[start + way[k], 1]
                place[way[k]] = -1
                done += 1
            ends[rings] = done
            rings += 1
            on_way = back
        way[on_way], place[first[i]] = first[i], on_way
        on_way += 1
    for k in range(on_way):
        points[done, 0], points[done, 1] = xy[start + way[k], 0], xy[start + way[k], 1]
        done += 1
    ends[rings] = done
    return rings + 1


@uncounted
def _noted(start, end, count, room):
    """Close what was traced from a start to an end and note its rings; a start is where the last ring ended."""
    xy, points, ends = room.xy, room.parted, room.ends
    if not _first_alike(xy, start, end, room.first, room.table):
        return _ring(room, count, start, end)
    begin = 0
    for number in range(_loops(start, end - start, room)):
        at = start
        for k in range(begin, ends[number]):
            at = _put(xy, at, points[k, 0], points[k, 1], start)
        begin = ends[number]
        start, count = _ring(room, count, start, at)
    return start, count


@uncounted
def _ring(room, count, start, end):
    """Close a ring and note it, one of no area not; give where the next begins, and how many there are."""
    end, twice = _close(room.xy, end, start)
    if twice == 0.0:
        return start, count
    room.twice[count] = twice
    room.ring_ends[count + 1] = end
    return end, count + 1


@uncounted
def _follow(sites, after, edges, behind, room, count, one, points):
    """Trace the ring that begins at an entering crossing; give where its points end, or -1 where it does not close."""
    spots, used, xy = room.spots, room.used, room.xy
    start, at = points, one
    for _ in range(count):
        used[at] = 1
        points = _put(xy, points, spots[at, 5], spots[at, 6], start)
        leaves, passed = _next_along(spots, count, at, 0, after)
        if leaves < 0 or spots[leaves, 4] > 0.0:
            return -1
        e = int(spots[at, 0])
        for _ in range(passed):
            points = _put(xy, points, sites.qx[e], sites.qy[e], start)
            e = after[e]
        points = _put(xy, points, spots[leaves, 5], spots[leaves, 6], start)
        at, passed = _next_along(spots, count, leaves, 2, behind)
        if at < 0 or spots[at, 4] < 0.0:
            return -1
        j = int(spots[leaves, 2])
        for _ in range(passed):
            points = _put(xy, points, edges.qx[j], edges.qy[j], start)
            j = behind[j]
        if at == one:
            return points if points < len(xy) else -1
        if used[at]:
            return -1
    return -1


@uncounted
def _whole_ring(edges, ring, xy, points):
    start = points
    for e in range(ring, edges.before[ring] + 1):
        points = _put(xy, points, edges.px[e], edges.py[e], start)
    return points


@uncounted
def _crossed(spots, count, column, first, last):
    some = False
    for k in range(count):
        some = some or first <= spots[k, column] <= last
    return some


@uncounted
def _lies_in(f, grid, x, y, work):
    """Whether a point of a site lies in a feature."""
    many = features_at(grid, x, y, work.state, work.touched, 0)
    inside = False
    for i in range(many):
        inside = inside or (work.touched[i] == f and work.state[f] == 1)
        work.state[work.touched[i]] = 0
    return inside


@uncounted
def _traced_pair(sites, first, last, after, f, grid, behind, work, room, points, rings):
    """Trace what a site shares with a feature; give how many points and rings there are then, -1 without room."""
    edges, found, xy, spots = grid.edges, work.found, room.xy, room.spots
    west, south, east, north = box_of(sites, first, last)
    candidates = candidates_in(grid, west, south, east, north, found, work.runs)
    count = _crossings(sites, first, last, edges, f, candidates, work, spots)
    # No more points than crossings and ends of edges, twice for what is put in and taken apart, and closed.
    if count < 0 or len(xy) - points < 4 * (count + last - first + candidates) + 16:
        return -1, rings
    room.used[:count] = 0
    begin, kept = points, rings
    for k in range(count):  # rings along both
        if room.used[k] or spots[k, 4] < 0.0:
            continue
        end = _follow(sites, after, edges, behind, room, count, k, points)
        if end < 0:
            return begin, kept
        points, rings = _noted(points, end, rings, room)
    for ring in range(first, last):  # the site's own rings inside the feature
        if sites.before[ring] < ring or _crossed(spots, count, 0, ring, sites.before[ring]):
            continue
        if _lies_in(f, grid, sites.px[ring], sites.py[ring], work):
            points, rings = _noted(points, _whole_ring(sites, ring, xy, points), rings, room)
    for k in range(candidates):  # the feature's own rings inside the site
        ring = found[k]
        if edges.owner[ring] != f or edges.before[ring] < ring:
            continue
        if _crossed(spots, count, 2, ring, edges.before[ring]):
            continue
        if site_holds(sites, first, last, edges.px[ring], edges.py[ring]) == 1:
            points, rings = _noted(points, _whole_ring(edges, ring, xy, points), rings, room)
    return points, rings


@compiled
def _trace(sites, after, place, feature, grid, behind):
    work, begins, pairs = work_for(grid), sites.start, len(feature)
    room = _room_for(64, 32 * pairs + 1024)
    rings = np.zeros(pairs + 1, dtype=np.int64)
    points, count, pair = 0, 0, 0
    while pair < pairs:
        first, last = begins[place[pair]], begins[place[pair] + 1]
        end, number = _traced_pair(sites, first, last, after, feature[pair], grid, behind, work, room, points, count)
        if end < 0:
            room = _more_room(room, points, count)
            continue
        points, count = end, number
        rings[pair + 1] = count
        pair += 1
    return room.xy[:points].copy(), room.ring_ends[: count + 1].copy(), rings, room.twice[:count].copy()
