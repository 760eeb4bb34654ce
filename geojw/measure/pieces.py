"""
Cut geometries into pieces small enough to be measured fast.

Polygons are cut across the middle of their longer side until the pieces are small: all polygons at once, as rings of
plain coordinates. A cut goes through no vertex; where the rings cross it, neighbouring crossings are joined along it.
Shapes are built only of the last pieces. GEOS makes valid what touches itself after a cut (a hole that touched the
shell, both cut through), and cuts again from the start a polygon whose pieces do not sum up to its area.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from geojw.measure.geodesy import Floats, Geometries

MAX_VERTICES = 256
"""Largest piece: measured as the best trade between more pieces and dearer intersections."""

EDGE_VERTICES = 64

CUTS_AT = (0.5, 0.4872971, 0.5141593, 0.4718282, 0.5317637, 0.4366803, 0.5686149)
"""Where a polygon is cut, as a share of its longer side: the next one where a cut met a vertex or could not be told.
Their digits keep clear of vertices at whole metres and centimetres."""

AREA_KEPT = 1e-12
"""By so much of a polygon's area its pieces may be off; else GEOS cuts it."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class _Rings(NamedTuple):
    """
    Rings of polygons that are being cut, without their closing points, shells counter-clockwise and holes clockwise.

    Parameters
    ----------
    x, y
        Corners, in m.
    start
        Where the corners of each ring begin, and the end.
    cell
        The cell of each ring, sorted: what lies between the cuts so far, of one polygon.
    hole
        Whether each ring is a hole; a ring that was cut is none.
    """

    x: Floats
    y: Floats
    start: Ints
    cell: Ints
    hole: Bools

    @property
    def length(self) -> Ints:
        """Number of corners of each ring."""
        return np.diff(self.start)

    def take(self, rows: Ints) -> _Rings:
        """Give some of the rings, in another order."""
        length = self.length[rows]
        corner = _ranges(self.start[rows], length)
        start = np.concatenate([[0], np.cumsum(length)])
        return _Rings(self.x[corner], self.y[corner], start, self.cell[rows], self.hole[rows])


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
    big = shapely.get_num_coordinates(parts) > most
    areal = shapely.get_dimensions(parts) == 2  # noqa: PLR2004 - polygons
    rows = [np.flatnonzero(~big), np.flatnonzero(big & areal), np.flatnonzero(big & ~areal)]
    polygons, of_polygon = _cut(parts[rows[1]], most)
    lines, of_line = chunked(shapely.remove_repeated_points(parts[rows[2]]), most - 1)
    pieces = np.concatenate([parts[rows[0]], polygons, lines])
    part = np.concatenate([rows[0], rows[1][of_polygon], rows[2][of_line]])
    order = np.argsort(part, kind="stable")
    return pieces[order], owner[part[order]].astype(np.int64)


def _cut(polygons: Geometries, most: int) -> tuple[Geometries, Ints]:
    """Cut polygons, and give the pieces with the position of their polygon."""
    if not len(polygons):
        return np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64)
    rings, of = _rings_of(polygons), np.arange(len(polygons))
    tries = np.zeros(len(polygons), dtype=np.int64)
    done: list[Geometries] = []
    owners: list[Ints] = []
    while len(rings.cell):
        ready = (_largest_piece(rings) <= most) | (tries == len(CUTS_AT))
        pieces, owner = _assembled(rings.take(np.flatnonzero(ready[rings.cell])), of)
        done.append(pieces)
        owners.append(owner)
        rings, of, tries = _halved(rings.take(np.flatnonzero(~ready[rings.cell])), of, tries)
    pieces, owner = _made_valid(np.concatenate(done), np.concatenate(owners))
    area = shapely.area(polygons)
    off = np.abs(np.bincount(owner, shapely.area(pieces), minlength=len(polygons)) - area) > AREA_KEPT * area
    again = np.flatnonzero(off)
    whole, big = ~off[owner], shapely.get_num_coordinates(pieces) > most
    rest = whole & big
    exact, of_exact = _cut_by_geos(
        np.concatenate([pieces[rest], polygons[again]]), np.concatenate([owner[rest], again]), most
    )
    kept = whole & ~big
    return np.concatenate([pieces[kept], exact]), np.concatenate([owner[kept], of_exact])


def _rings_of(polygons: Geometries) -> _Rings:
    turned = shapely.orient_polygons(shapely.remove_repeated_points(polygons))
    _, xy, (ends, shells) = shapely.to_ragged_array(turned, include_z=False)
    open_ = np.ones(len(xy), dtype=bool)
    open_[ends[1:] - 1] = False
    hole = np.ones(len(ends) - 1, dtype=bool)
    hole[shells[:-1]] = False
    cell = np.repeat(np.arange(len(polygons)), np.diff(shells))
    start = np.asarray(ends - np.arange(len(ends)), dtype=np.int64)
    return _Rings(xy[open_, 0].copy(), xy[open_, 1].copy(), start, cell, hole)


def _largest_piece(rings: _Rings) -> Ints:
    """Give for each cell the most corners that a piece may have: of its largest shell with all holes."""
    size = rings.length + 1
    cells = int(rings.cell[-1]) + 1
    shell = np.zeros(cells, dtype=np.int64)
    np.maximum.at(shell, rings.cell[~rings.hole], size[~rings.hole])
    holes = np.bincount(rings.cell[rings.hole], size[rings.hole], minlength=cells)
    return np.asarray(shell + holes, dtype=np.int64)


class _Crossings(NamedTuple):
    """
    Where rings cross the cuts, in the order of the corners before them.

    Parameters
    ----------
    corner
        The corner before each.
    x, y
        Its place.
    partner
        The crossing at the other end of the stretch of cut that lies in the polygon.
    """

    corner: Ints
    x: Floats
    y: Floats
    partner: Ints


def _halved(rings: _Rings, of: Ints, tries: Ints) -> tuple[_Rings, Ints, Ints]:
    """Cut each cell in two, and give the new cells' rings, polygons and failed tries."""
    if not len(rings.cell):
        return rings, of[:0], tries[:0]
    ring = np.repeat(np.arange(len(rings.cell)), rings.length)
    beyond, failed, crossings = _crossed(rings, ring, tries)
    touched = np.zeros(len(rings.cell), dtype=bool)
    touched[ring[crossings.corner]] = True
    rest = rings.take(np.flatnonzero(~touched))
    side = beyond[rings.start[:-1][~touched]] & ~failed[rest.cell]
    rest = rest._replace(cell=2 * rest.cell + side)
    both = _joined(rest, _rejoined(rings, ring, beyond, crossings))
    both = both.take(np.argsort(both.cell, kind="stable"))
    old, cell = np.unique(both.cell, return_inverse=True)
    return both._replace(cell=cell), of[old // 2], np.where(failed[old // 2], tries[old // 2] + 1, 0)


def _crossed(rings: _Rings, ring: Ints, tries: Ints) -> tuple[Bools, Bools, _Crossings]:
    """Lay the cuts: which corners lie beyond, which cells could not be cut, and the crossings of the others."""
    cell = rings.cell[ring]
    begin = np.flatnonzero(np.diff(cell, prepend=-1))
    of = cell[begin]
    cells = int(of[-1]) + 1
    low = [np.minimum.reduceat(values, begin) for values in (rings.x, rings.y)]
    wide = [np.maximum.reduceat(values, begin) - least for values, least in zip((rings.x, rings.y), low, strict=True)]
    across, at = np.zeros(cells, dtype=bool), np.zeros(cells)
    across[of] = wide[0] >= wide[1]
    at[of] = np.where(across[of], low[0], low[1]) + np.maximum(*wide) * np.asarray(CUTS_AT)[tries[of]]
    turned = across[cell]
    u, v, cut = np.where(turned, rings.x, rings.y), np.where(turned, rings.y, rings.x), at[cell]
    beyond = u > cut
    failed = np.zeros(cells, dtype=bool)
    failed[cell[u == cut]] = True
    after = _after(rings)
    corner = np.flatnonzero((beyond != beyond[after]) & ~failed[cell])
    end = after[corner]
    share = (cut[corner] - u[corner]) / (u[end] - u[corner])
    w = v[corner] + share * (v[end] - v[corner])
    order = np.lexsort((w, cell[corner]))
    partner = np.empty(len(order), dtype=np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    # Crossings in one place, or two that follow each other and both go in: rounding has lost their order.
    same = (np.diff(w[order]) == 0.0) & (np.diff(cell[corner[order]]) == 0)
    failed[cell[corner[order[1:][same]]]] = True
    failed[cell[corner[beyond[corner] == beyond[corner[partner]]]]] = True
    good = ~failed[cell[corner]]
    partner = (np.cumsum(good) - 1)[partner[good]]
    corner, w = corner[good], w[good]
    x, y = np.where(turned[corner], cut[corner], w), np.where(turned[corner], w, cut[corner])
    return beyond, failed, _Crossings(corner, x, y, partner)


def _rejoined(rings: _Rings, ring: Ints, beyond: Bools, crossings: _Crossings) -> _Rings:
    """Make rings of the chains between crossings: each goes on along the cut with the chain of its partner."""
    corner, m = crossings.corner, len(crossings.corner)
    if not m:
        return rings.take(np.zeros(0, dtype=np.int64))
    of = ring[corner]
    first = np.flatnonzero(np.diff(of, prepend=-1))
    follow = np.arange(1, m + 1)
    follow[np.append(first[1:], m) - 1] = first
    walk, begin = _cycles(crossings.partner[follow])
    start, length = rings.start[of], rings.length[of]
    count = (corner[follow] - corner) % length
    size = count[walk] + 2
    chain = np.repeat(walk, size)
    within = _ranges(np.zeros_like(size), size)
    source = start[chain] + (corner[chain] - start[chain] + within) % length[chain]
    n = len(rings.x)
    source = np.where(within == 0, n + chain, source)
    source = np.where(within == count[chain] + 1, n + follow[chain], source)
    x, y = np.append(rings.x, crossings.x)[source], np.append(rings.y, crossings.y)[source]
    lead = corner[walk[begin]]
    cell = 2 * rings.cell[ring[lead]] + ~beyond[lead]  # a chain lies on the other side than the corner before it
    ends = np.append(np.add.reduceat(size, begin).cumsum(), 0)
    return _Rings(x, y, np.roll(ends, 1), cell, np.zeros(len(begin), dtype=bool))


def _cycles(after: Ints) -> tuple[Ints, Ints]:
    """
    Give the cycles of a permutation one after another, and where each begins.

    Examples
    --------
    >>> [found.tolist() for found in _cycles(np.array([2, 1, 0]))]
    [[0, 2, 1], [0, 2]]
    """
    succession, seen = after.tolist(), bytearray(len(after))
    walk: list[int] = []
    begin: list[int] = []
    for one in range(len(succession)):
        if seen[one]:
            continue
        begin.append(len(walk))
        at = one
        while not seen[at]:
            seen[at] = 1
            walk.append(at)
            at = succession[at]
    return np.array(walk, dtype=np.int64), np.array(begin, dtype=np.int64)


def _assembled(rings: _Rings, of: Ints) -> tuple[Geometries, Ints]:
    """Build polygons of shells and holes, and give the position of the polygon that each was cut from."""
    shell = np.flatnonzero(~rings.hole)
    if not shell.size:
        return np.zeros(0, dtype=object), np.zeros(0, dtype=np.int64)
    polygon = np.full(len(rings.cell), -1)
    polygon[shell] = np.arange(len(shell))
    hole = np.flatnonzero(rings.hole)
    polygon[hole] = _shell_around(rings, shell, hole)
    order = np.lexsort((rings.hole, polygon))
    order = order[polygon[order] >= 0]  # a hole of no shell: the area will tell
    return _polygons(rings.take(order), polygon[order]), of[rings.cell[shell]]


def _shell_around(rings: _Rings, shell: Ints, hole: Ints) -> Ints:
    """Find the shell, by its position among the shells, in which each hole lies; -1 where none is found."""
    cells = int(rings.cell[-1]) + 1
    count = np.bincount(rings.cell[shell], minlength=cells)
    only = np.full(cells, -1)
    only[rings.cell[shell]] = np.arange(len(shell))
    out = np.where(count[rings.cell[hole]] == 1, only[rings.cell[hole]], -1)
    open_ = np.flatnonzero(out < 0)
    some = np.flatnonzero(np.isin(rings.cell[shell], rings.cell[hole[open_]]))
    if open_.size and some.size:
        corner = rings.start[hole[open_]]  # the middle of an edge: a corner may touch another shell
        x, y = ((values[corner] + values[corner + 1]) / 2.0 for values in (rings.x, rings.y))
        shells = _polygons(rings.take(shell[some]), np.arange(len(some)))
        at, found = shapely.STRtree(shells).query(shapely.points(x, y), predicate="within")
        mine = rings.cell[hole[open_[at]]] == rings.cell[shell[some[found]]]
        out[open_[at[mine]]] = some[found[mine]]
    return out


def _polygons(rings: _Rings, polygon: Ints) -> Geometries:
    """Build polygons of rings sorted by polygon, shells first."""
    length = rings.length
    start = np.concatenate([[0], np.cumsum(length + 1)])
    ring = np.repeat(np.arange(len(length)), length + 1)
    corner = rings.start[ring] + _ranges(np.zeros_like(length), length + 1) % length[ring]
    xy = np.column_stack([rings.x[corner], rings.y[corner]])
    shells = np.append(np.flatnonzero(np.diff(polygon, prepend=-1)), len(polygon))
    return np.asarray(shapely.from_ragged_array(GeometryType.POLYGON, xy, (start, shells)), dtype=object)


def _made_valid(pieces: Geometries, owner: Ints) -> tuple[Geometries, Ints]:
    bad = ~shapely.is_valid(pieces)
    if not bad.any():
        return pieces, owner
    mended = shapely.make_valid(pieces[bad], method="structure", keep_collapsed=False)
    parts, of = shapely.get_parts(mended, return_index=True)
    there = shapely.area(parts) > 0.0
    pieces = np.concatenate([pieces[~bad], parts[there]])
    return pieces, np.concatenate([owner[~bad], owner[bad][of[there]]])


def _cut_by_geos(parts: Geometries, owner: Ints, most: int) -> tuple[Geometries, Ints]:
    """Cut polygons by exact intersections: slow, for those that the fast way could not do."""
    done, owners = [parts[:0]], [owner[:0]]
    while len(parts):
        big = shapely.get_num_coordinates(parts) > most
        done.append(parts[~big])
        owners.append(owner[~big])
        parts, owner = parts[big], owner[big]
        x0, y0, x1, y1 = shapely.bounds(parts).T
        x, y = (x0 + x1) / 2.0, (y0 + y1) / 2.0
        flat, pad = x1 - x0 >= y1 - y0, 1.0  # outer edges keep clear of the part's own vertices
        near = shapely.box(x0 - pad, y0 - pad, np.where(flat, x, x1 + pad), np.where(flat, y1 + pad, y))
        far = shapely.box(np.where(flat, x, x0 - pad), np.where(flat, y0 - pad, y), x1 + pad, y1 + pad)
        halves = shapely.intersection(np.concatenate([parts, parts]), np.concatenate([near, far]))
        parts, of = shapely.get_parts(halves, return_index=True)
        areal = shapely.area(parts) > 0.0
        parts, owner = parts[areal], np.concatenate([owner, owner])[of[areal]]
    return np.concatenate(done), np.concatenate(owners)


def _joined(one: _Rings, other: _Rings) -> _Rings:
    x, y, cell, hole = (np.concatenate([a, b]) for a, b in ((one.x, other.x), (one.y, other.y),
                        (one.cell, other.cell), (one.hole, other.hole)))  # fmt: skip
    return _Rings(x, y, np.concatenate([one.start[:-1], one.start[-1] + other.start]), cell, hole)


def _after(rings: _Rings) -> Ints:
    """Give the corner that follows each."""
    after = np.arange(1, len(rings.x) + 1)
    after[rings.start[1:] - 1] = rings.start[:-1]
    return after


def _ranges(start: Ints, count: Ints) -> Ints:
    """
    Give the numbers from each start on, so many.

    Examples
    --------
    >>> _ranges(np.array([3, 7]), np.array([2, 3])).tolist()
    [3, 4, 7, 8, 9]
    """
    return np.asarray(np.arange(int(count.sum())) + np.repeat(start - (np.cumsum(count) - count), count))


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
