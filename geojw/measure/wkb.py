"""
Polygons as WKB (OGC 06-103r4, 8.2), straight from their coordinates. Compiled.

Of millions of shapes that are only written, none becomes a geometry of GEOS first, which costs more than to measure it.
GeoArrow's library writes as fast, but registers its types for the whole process: other readers' columns would change.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely

from geojw.measure.exact import compiled, uncounted
from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.pieces import Ints
from geojw.measure.simple import plain_rings
from geojw.wording import in_place

_POLYGON, _MULTIPOLYGON = 3, 6
"""Numbers of the types."""

_HEAD, _COUNT, _POINT = 5, 4, 16
"""Bytes of the order of bytes and a type, of a number of parts, of a point."""


def written(geometries: Geometries) -> pa.LargeBinaryArray:
    """
    Write geometries, as `shapely.to_wkb` does, the many of one ring without it.

    Parameters
    ----------
    geometries
        Of any kind.

    Returns
    -------
    LargeBinaryArray
        Of each its WKB.
    """
    rings = plain_rings(geometries)
    rest = np.setdiff1d(np.arange(len(geometries)), rings.rows, assume_unique=True)
    each = np.arange(len(rings.rows) + 1)
    plain = rings_written(rings.xy, rings.ends, each[:-1], each, each)
    return in_place([rings.rows, rest], [plain, pa.array(shapely.to_wkb(geometries[rest]), pa.large_binary())])


def rings_written(xy: Floats, ends: Ints, rings: Ints, polygons: Ints, shapes: Ints) -> pa.LargeBinaryArray:
    """
    Write shapes of rings: polygons, or multipolygons where a shape has several.

    Parameters
    ----------
    xy, ends
        Vertices of closed rings, and where each ring ends, after a 0.
    rings
        Which ring comes next: the outer one of a polygon, then its holes, polygon by polygon.
    polygons
        Where in `rings` each polygon begins, and the end.
    shapes
        Where in `polygons` each shape begins, and the end.

    Returns
    -------
    LargeBinaryArray
        Of each shape its WKB.
    """
    begins, block = _write(np.ascontiguousarray(xy).view(np.uint8), ends, rings, polygons, shapes)
    return pa.Array.from_buffers(pa.large_binary(), len(begins) - 1, [None, pa.py_buffer(begins), pa.py_buffer(block)])


@compiled
def _write(points, ends, rings, polygons, shapes):
    """Give where the bytes of each shape begin, and the bytes."""
    begins = np.zeros(len(shapes), dtype=np.int64)
    for s in range(len(shapes) - 1):
        first, last = shapes[s], shapes[s + 1]
        size = _HEAD + _COUNT if last - first > 1 else 0
        for p in range(first, last):
            size += _HEAD + _COUNT
            for k in range(polygons[p], polygons[p + 1]):
                size += _COUNT + _POINT * (ends[rings[k] + 1] - ends[rings[k]])
        begins[s + 1] = begins[s] + size
    block = np.empty(begins[-1], dtype=np.uint8)
    at = 0
    for s in range(len(shapes) - 1):
        first, last = shapes[s], shapes[s + 1]
        if last - first > 1:
            at = _write_head(block, at, _MULTIPOLYGON, last - first)
        for p in range(first, last):
            at = _write_head(block, at, _POLYGON, polygons[p + 1] - polygons[p])
            for k in range(polygons[p], polygons[p + 1]):
                begin, end = ends[rings[k]], ends[rings[k] + 1]
                at = _write_number(block, at, end - begin)
                for i in range(begin, end):
                    for b in range(_POINT):
                        block[at + b] = points[i, b]
                    at += _POINT
    return begins, block


@uncounted
def _write_head(block, at, kind, parts):
    """Write what a shape begins with; give where the next byte stands."""
    block[at] = 1  # the least byte of a number first, as in the memory of every machine that numba compiles for
    return _write_number(block, _write_number(block, at + 1, kind), parts)


@uncounted
def _write_number(block, at, number):
    """Write a number of four bytes."""
    for b in range(_COUNT):
        block[at + b] = (number >> (8 * b)) & 255
    return at + _COUNT
