"""Floor 2: cut geometries into pieces small enough to be measured fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geojw.geodesy import Geometries

MAX_VERTICES = 256
"""Largest piece: measured as the best trade between more pieces and dearer intersections."""

EDGE_VERTICES = 64

Ints = NDArray[np.int64]


def subdivide(geometries: Geometries, most: int = MAX_VERTICES) -> tuple[Geometries, Ints]:
    """
    Cut geometries into pieces that are small enough.

    Parameters
    ----------
    geometries
        Valid, in the analysis CRS.
    most
        Vertices a piece may have.

    Returns
    -------
    pieces : ndarray
        Single polygons, lines or points, in the order of their owners.
    owner : ndarray
        Position of the geometry that each piece belongs to.
    """
    parts, owner = shapely.get_parts(geometries, return_index=True)
    done, owners = [], []
    while len(parts):
        big = shapely.get_num_coordinates(parts) > most
        done.append(parts[~big])
        owners.append(owner[~big])
        parts, owner = _halved(parts[big], owner[big])
    if not done:
        return np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64)
    pieces, owner = np.concatenate(done), np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return pieces[order], owner[order].astype(np.int64)


def _halved(parts: Geometries, owner: Ints) -> tuple[Geometries, Ints]:
    """Cut each part across the middle of its longer side."""
    halves: list[Any] = []
    owners: list[int] = []
    for part, (x0, y0, x1, y1), own in zip(parts, shapely.bounds(parts), owner, strict=True):
        pad = 1.0  # the outer edges of the two rectangles keep clear of the part's own vertices
        if x1 - x0 >= y1 - y0:
            middle = (x0 + x1) / 2.0
            boxes = ((x0 - pad, y0 - pad, middle, y1 + pad), (middle, y0 - pad, x1 + pad, y1 + pad))
        else:
            middle = (y0 + y1) / 2.0
            boxes = ((x0 - pad, y0 - pad, x1 + pad, middle), (x0 - pad, middle, x1 + pad, y1 + pad))
        cut = [piece for box in boxes for piece in _clipped(part, box)]
        halves += cut
        owners += [int(own)] * len(cut)
    return np.array(halves, dtype=object), np.array(owners, dtype=np.int64)


def _clipped(part: shapely.Geometry, box: tuple[float, float, float, float]) -> Sequence[shapely.Geometry]:
    """Clip one polygon or line; the fast clip gives way to the exact one where it makes an invalid shape."""
    try:
        clipped = shapely.clip_by_rect(part, *box)
        if not shapely.is_valid(clipped):
            clipped = shapely.intersection(part, shapely.box(*box))
    except shapely.GEOSException:
        clipped = shapely.intersection(part, shapely.box(*box))
    pieces = shapely.get_parts(clipped)
    return list(pieces[shapely.get_dimensions(pieces) == shapely.get_dimensions(part)])


def chunked(lines: Geometries, most: int = EDGE_VERTICES) -> tuple[Geometries, Ints]:
    """Cut lines into chunks of at most `most` edges that share their end points, each with its line's position."""
    parts, owner = shapely.get_parts(lines, return_index=True)
    rows = shapely.get_num_coordinates(parts) > 1
    parts, owner = parts[rows], owner[rows]
    if not len(parts):
        return np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64)
    xy, line = shapely.get_coordinates(parts, return_index=True)
    first = np.flatnonzero(np.diff(line, prepend=-1))
    edges = np.diff(np.append(first, len(xy))) - 1
    number = -(-edges // most)
    chunk_line = np.repeat(np.arange(len(parts)), number)
    within = np.arange(len(chunk_line)) - np.repeat(np.cumsum(number) - number, number)
    start = first[chunk_line] + within * most
    count = np.minimum(most, edges[chunk_line] - within * most) + 1
    index = np.repeat(np.arange(len(count)), count)
    offset = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    chunks = shapely.linestrings(xy[start[index] + offset], indices=index)
    return np.asarray(chunks, dtype=object), owner[chunk_line].astype(np.int64)
