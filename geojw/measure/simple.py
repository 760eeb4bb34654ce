"""
Which polygons are valid beyond doubt: rings of few vertices, no two edges of which meet. Compiled.

What is not so plain (edges that touch, points that repeat, parts within parts) is no fault here, but a question for
GEOS, whose answer takes fifty times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from shapely import GeometryType

from geojw.measure.exact import SIDE_ERROR, compiled, uncounted
from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.index import Bools
from geojw.measure.pieces import Ints

MOST_VERTICES = 64
"""Every edge is compared with every other: above, GEOS is as fast."""


class Rings(NamedTuple):
    """
    Polygons of one ring of few vertices each.

    Parameters
    ----------
    rows
        Their positions among others.
    xy, ends
        Their vertices, and where each ring begins and the last one ends.
    """

    rows: Ints
    xy: Floats
    ends: Ints


def plain_rings(geometries: Geometries) -> Rings:
    """Take those of many geometries apart that are polygons of one ring of few vertices, without heights."""
    count = shapely.get_num_coordinates(geometries)
    plain = (shapely.get_type_id(geometries) == GeometryType.POLYGON) & (count > 0) & (count <= MOST_VERTICES)
    plain &= (shapely.get_num_interior_rings(geometries) == 0) & ~shapely.has_z(geometries) & ~shapely.has_m(geometries)
    rows = np.flatnonzero(plain)
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(count[rows], dtype=np.int64)])
    return Rings(rows, shapely.get_coordinates(geometries[rows]), ends)


def are_simple(rings: Rings, most: float = np.inf, longest: float = np.inf) -> Bools:
    """
    Find rings that make surely valid polygons.

    Parameters
    ----------
    rings
        Of polygons.
    most, longest
        What no coordinate may exceed, nor the way from one vertex to the next, east and north added.

    Returns
    -------
    ndarray
        For each ring; False says nothing.
    """
    return np.asarray(_rings_simple(rings.xy, rings.ends, most, longest), dtype=bool)


def are_plain(xy: Floats, ends: Ints, sets: Ints, shell: Ints) -> Bools:
    """
    Find sets of rings that surely make valid polygons and multipolygons.

    Parameters
    ----------
    xy, ends
        Vertices of closed rings, and where each ring ends, after a 0.
    sets
        Where the rings of each set begin, and the end.
    shell
        For each ring the outer ring of its polygon: itself, or of a hole the one around it; -1 where there is none.

    Returns
    -------
    ndarray
        For each set; False says nothing.
    """
    return np.asarray(_sets_plain(xy, ends, sets, shell), dtype=bool)


def polygons_of(rings: Rings) -> Geometries:
    """Make polygons of rings."""
    offsets = (rings.ends, np.arange(len(rings.rows) + 1))
    return np.asarray(shapely.from_ragged_array(GeometryType.POLYGON, rings.xy, offsets), dtype=object)


@uncounted
def _surely_aside(ax, ay, bx, by, px, py, qx, qy):
    """Whether p and q lie on the same side of the line from a to b, neither on it, and no rounding can change that."""
    left, right = (bx - ax) * (py - ay), (by - ay) * (px - ax)
    one, error_one = left - right, SIDE_ERROR * (abs(left) + abs(right))
    left, right = (bx - ax) * (qy - ay), (by - ay) * (qx - ax)
    other, error_other = left - right, SIDE_ERROR * (abs(left) + abs(right))
    return (one > error_one and other > error_other) or (one < -error_one and other < -error_other)


@uncounted
def _surely_turns(ax, ay, bx, by, cx, cy):
    """Whether the way from a by b to c does not lead back along itself."""
    left, right = (bx - ax) * (cy - ay), (by - ay) * (cx - ax)
    if abs(left - right) > SIDE_ERROR * (abs(left) + abs(right)):
        return True
    return (bx - ax) * (cx - bx) > 0.0 or (by - ay) * (cy - by) > 0.0


@uncounted
def _ring_simple(xy, first, last, most, longest):
    """Whether a closed ring of the points from first to last meets itself nowhere, and keeps to what is asked."""
    if last - first < 4 or xy[first, 0] != xy[last - 1, 0] or xy[first, 1] != xy[last - 1, 1]:
        return False
    edges = last - first - 1
    for i in range(first, last):
        if not (np.isfinite(xy[i, 0]) and np.isfinite(xy[i, 1])) or max(abs(xy[i, 0]), abs(xy[i, 1])) > most:
            return False
    for e in range(edges):
        a, b, c = first + e, first + e + 1, first + (e + 1) % edges + 1
        if not abs(xy[b, 0] - xy[a, 0]) + abs(xy[b, 1] - xy[a, 1]) <= longest:
            return False
        if not _surely_turns(xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]):
            return False
    for e in range(edges - 2):  # noqa: SIM110 - numba; the last edge and the first are neighbours
        if not _surely_apart(xy, first + e, first + e + 2, first + edges - (e == 0)):
            return False
    return True


@uncounted
def _surely_apart(xy, e, start, stop):
    """Whether the edge that begins at e meets none of those that begin from start to stop."""
    ax, ay, bx, by = xy[e, 0], xy[e, 1], xy[e + 1, 0], xy[e + 1, 1]
    low_x, high_x, low_y, high_y = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
    for o in range(start, stop):
        px, py, qx, qy = xy[o, 0], xy[o, 1], xy[o + 1, 0], xy[o + 1, 1]
        if (px > high_x and qx > high_x) or (px < low_x and qx < low_x):
            continue
        if (py > high_y and qy > high_y) or (py < low_y and qy < low_y):
            continue
        if not (_surely_aside(ax, ay, bx, by, px, py, qx, qy) or _surely_aside(px, py, qx, qy, ax, ay, bx, by)):
            return False
    return True


@uncounted
def _side_of_ring(xy, first, last, x, y):
    """Give 1 where a point surely lies in a closed ring, -1 where it surely does not, 0 where rounding could tell."""
    inside = -1
    for i in range(first, last - 1):
        ax, ay, bx, by = xy[i, 0], xy[i, 1], xy[i + 1, 0], xy[i + 1, 1]
        if (ay > y) == (by > y):
            continue
        left, right = (bx - ax) * (y - ay), (by - ay) * (x - ax)
        if abs(left - right) <= SIDE_ERROR * (abs(left) + abs(right)):
            return 0
        if (left > right) == (by > ay):
            inside = -inside
    return inside


@uncounted
def _set_plain(xy, ends, shell, start, stop):
    """Whether the rings from start to stop are simple, do not meet, and lie in each other as their shells say."""
    if ends[stop] - ends[start] > MOST_VERTICES:
        return False
    for r in range(start, stop):
        if shell[r] < 0 or not _ring_simple(xy, ends[r], ends[r + 1], np.inf, np.inf):
            return False
        for e in range(ends[r], ends[r + 1] - 1):
            for o in range(r + 1, stop):
                if not _surely_apart(xy, e, ends[o], ends[o + 1] - 1):
                    return False
    for r in range(start, stop):
        x, y = xy[ends[r], 0], xy[ends[r], 1]
        for o in range(start, stop):  # in its own shell, in no hole, in no other part
            wanted = 1 if o == shell[r] else -1
            if o != r and _side_of_ring(xy, ends[o], ends[o + 1], x, y) != wanted:
                return False
    return True


@compiled
def _rings_simple(xy, ends, most, longest):
    out = np.empty(len(ends) - 1, dtype=np.bool_)
    for ring in range(len(ends) - 1):
        out[ring] = _ring_simple(xy, ends[ring], ends[ring + 1], most, longest)
    return out


@compiled
def _sets_plain(xy, ends, sets, shell):
    out = np.empty(len(sets) - 1, dtype=np.bool_)
    for k in range(len(sets) - 1):
        out[k] = _set_plain(xy, ends, shell, sets[k], sets[k + 1])
    return out
