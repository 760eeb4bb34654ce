"""
Which polygons are valid beyond doubt: one ring of few vertices, no two edges of which meet. Compiled.

What is not so plain (holes, several parts, edges that touch, points that repeat) is no fault here, but a question for
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
    plain = (shapely.get_type_id(geometries) == GeometryType.POLYGON) & (count <= MOST_VERTICES)
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
    return (bx - ax) * (cx - bx) > 0.0 and (by - ay) * (cy - by) > 0.0


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
    for e in range(edges - 2):
        ax, ay, bx, by = xy[first + e, 0], xy[first + e, 1], xy[first + e + 1, 0], xy[first + e + 1, 1]
        low_x, high_x, low_y, high_y = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
        for o in range(e + 2, edges if e else edges - 1):  # the last edge and the first are neighbours
            px, py, qx, qy = xy[first + o, 0], xy[first + o, 1], xy[first + o + 1, 0], xy[first + o + 1, 1]
            if (px > high_x and qx > high_x) or (px < low_x and qx < low_x):
                continue
            if (py > high_y and qy > high_y) or (py < low_y and qy < low_y):
                continue
            if not (_surely_aside(ax, ay, bx, by, px, py, qx, qy) or _surely_aside(px, py, qx, qy, ax, ay, bx, by)):
                return False
    return True


@compiled
def _rings_simple(xy, ends, most, longest):
    out = np.empty(len(ends) - 1, dtype=np.bool_)
    for ring in range(len(ends) - 1):
        out[ring] = _ring_simple(xy, ends[ring], ends[ring + 1], most, longest)
    return out
