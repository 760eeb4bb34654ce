"""
Measure what sites share with one layer. No opinions: areas and lengths, and what was hard to get.

Few sites are intersected with the layer's pieces by GEOS: a site inside one piece needs no intersection at all, for the
others only the pieces that it touches. Many are measured by compiled code without any shape (`shares`). Both sum
in a fixed order, so that batches and threads change no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import shapely

from geojw.measure.geodesy import Floats, Geometries, Moved, unmoved
from geojw.measure.index import (
    AGREES_M2,
    AGREES_SHARE,
    AREA,
    POINT,
    Bools,
    LayerIndex,
    Shapes,
    in_threads,
    runs,
    size_of,
)
from geojw.measure.pieces import Ints, chunked
from geojw.wording import in_place

WORTH_PAIRS = 64
"""For so many pairs of sites and pieces another thread pays."""

SNAP_M = 1e-3
EDGE_M = 1e-6
CROSSING_M = 1e-5
"""A line that crosses an edge is within `EDGE_M` of it for about that length; only longer stretches run along it."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """
    The overlap of sites with the single features of a layer, sorted by site and feature.

    Parameters
    ----------
    site, feature
        Positions.
    overlap
        m², m, or 1 of the feature's interior; NaN where even the fallback failed; 0 only with `touch`.
    touch
        Whether a line or point lies on the feature's edge: inside the union if another feature lies beyond.
    notes
        (site, feature, what happened) of the pairs that needed a fallback.
    """

    site: Ints
    feature: Ints
    overlap: Floats
    touch: Bools
    notes: tuple[tuple[int, int, str], ...] = ()

    @classmethod
    def none(cls) -> Pairs:
        """No pair at all."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing, np.zeros(0), np.zeros(0, dtype=bool))


def overlap_pairs(shapes: Shapes, layer: LayerIndex, workers: int = 1) -> Pairs:
    """
    Measure what each site shares with each feature of a polygon layer.

    Parameters
    ----------
    shapes
        The sites.
    layer
        A polygon layer.
    workers
        Threads.

    Returns
    -------
    Pairs
        Only pairs that share an interior: touching is not overlapping.
    """
    return _compiled_pairs(shapes, layer, workers) if shapes.many else _few_pairs(shapes, layer, workers)


def _few_pairs(shapes: Shapes, layer: LayerIndex, workers: int) -> Pairs:
    """Measure by GEOS, piece by piece."""
    with layer.lock:
        site, piece = layer.everything.tree.query(shapes.geometries)
        if not len(site):
            return Pairs.none()
        order = np.lexsort((site, piece))
        site, piece = site[order], piece[order]
        overlap = np.zeros(len(site))
        notes: list[tuple[int, int, str]] = []

        def measure(part: slice) -> None:
            overlap[part], hard = _overlaps(shapes, site[part], layer.pieces, piece[part])
            notes.extend((int(s), int(layer.owner[p]), what) for s, p, what in hard)

        in_threads(measure, _piece_cuts(piece, workers), workers)
    return _per_feature(shapes, layer, site, piece, overlap, tuple(sorted(notes)))


def _compiled_pairs(shapes: Shapes, layer: LayerIndex, workers: int) -> Pairs:
    """Measure by compiled code, and by GEOS the few pairs that it leaves open."""
    from geojw.measure.shares import shared  # noqa: PLC0415 - numba is loaded only where many sites are measured

    with layer.lock:
        grid = layer.grid
    found = [Pairs.none()]
    for part in shapes.parts():
        if not part.is_of_one_piece:
            some = _few_pairs(shapes.take(part.rows), layer, workers)
            notes = tuple((int(part.rows[site]), feature, what) for site, feature, what in some.notes)
            found.append(replace(some, site=part.rows[some.site], notes=notes))
            continue
        site, feature, size = shared(part, grid, workers)
        touch, hard = np.zeros(len(site), dtype=bool), []
        for pair in np.flatnonzero(np.isnan(size)):
            shape, polygon = shapes.geometries[site[pair]], layer.geometries[feature[pair]]
            size[pair], touch[pair], what = _whole_pair(shape, polygon)
            hard += [(int(site[pair]), int(feature[pair]), what)] if what else []
        there = ~(size <= 0.0) | touch
        found.append(Pairs(site[there], feature[there], size[there], touch[there], tuple(hard)))
    return _joined(found)


def _joined(found: Sequence[Pairs]) -> Pairs:
    """Put the pairs of several measurements in order."""
    site, feature, overlap, touch = (
        np.concatenate([getattr(part, name) for part in found]) for name in ("site", "feature", "overlap", "touch")
    )
    order = np.lexsort((feature, site))
    notes = tuple(sorted(note for part in found for note in part.notes))
    return Pairs(site[order], feature[order], overlap[order], touch[order], notes)


def _whole_pair(shape: shapely.Geometry, polygon: shapely.Geometry) -> tuple[float, bool, str]:
    """Measure one site on one unsplit feature: size inside, whether it touches the edge, what was hard."""
    shared, hard = intersections(np.array([shape], dtype=object), np.array([polygon], dtype=object))
    if shared[0] is None:
        return np.nan, False, hard[0][1]
    closed, what = _size(shared[0], shape), hard[0][1] if hard else ""
    if shapely.get_dimensions(shape) == AREA:
        return min(closed, float(shapely.area(shape))), False, what
    return *_interior(shape, polygon, closed, _edges_near(shape, polygon)), what


def _edges_near(shape: shapely.Geometry, polygon: shapely.Geometry) -> Geometries:
    chunks, _ = chunked(np.array([shapely.boundary(polygon)], dtype=object))
    return np.asarray(chunks[shapely.dwithin(chunks, shape, EDGE_M)], dtype=object)


def _piece_cuts(piece: Ints, workers: int) -> list[int]:
    """Cut sorted pairs so that each piece belongs to one thread: see the crash of shared prepared geometries."""
    starts, slices = runs(piece), min(8 * workers, 1 + len(piece) // WORTH_PAIRS)
    return [int(cut) for cut in starts[np.arange(slices + 1) * (len(starts) - 1) // slices]]


def _overlaps(shapes: Shapes, site: Ints, pieces: Geometries, piece: Ints) -> tuple[Floats, list[tuple[int, int, str]]]:
    """Overlap of sites with single pieces, and the pairs that needed a fallback."""
    inside, rest, shared, hard = _shared(shapes.geometries[site], pieces, piece)
    overlap = np.where(inside, shapes.size[site], 0.0)
    overlap[rest] = np.where(shapely.is_missing(shared), np.nan, size_of(shared, shapes.dimension[site[rest]]))
    return overlap, [(int(site[rest[row]]), int(piece[rest[row]]), what) for row, what in hard]


def _shared(
    sites: Geometries, pieces: Geometries, piece: Ints
) -> tuple[Bools, Ints, Geometries, list[tuple[int, str]]]:
    """
    Intersect sites with pieces, pair by pair.

    Returns
    -------
    inside : ndarray
        Pairs whose site lies inside the piece, so that nothing has to be intersected.
    rest : ndarray
        Rows of the other pairs that meet.
    shared : ndarray
        Their intersections; None where the fallback failed too.
    hard : list
        Those of them that needed a fallback.
    """
    shapely.prepare(pieces[np.unique(piece)])
    others = pieces[piece]
    inside = np.asarray(shapely.contains_properly(others, sites), dtype=bool)
    rest = np.flatnonzero(~inside)
    rest = rest[np.asarray(shapely.intersects(others[rest], sites[rest]), dtype=bool)]
    return inside, rest, *intersections(sites[rest], others[rest])


def lie_inside(shapes: Shapes, size: Floats) -> Bools:
    """Whether each polygon site shares the whole of itself with a feature, of which it shares so many m²."""
    agrees = np.abs(size - shapes.size) <= AGREES_M2 + AGREES_SHARE * shapes.size
    return np.asarray((shapes.dimension == AREA) & agrees, dtype=bool)


def shared_shapes(
    shapes: Shapes, feature: Ints, size: Floats, layer: LayerIndex, moved: Moved = unmoved
) -> pa.LargeBinaryArray:
    """
    Build the shapes that sites share with features, pair by pair.

    Parameters
    ----------
    shapes
        The sites, one a pair; those that `lie_inside` are such shapes themselves.
    feature
        Position of a feature for each.
    size
        What they share: m², m, or 1.
    layer
        A polygon layer.
    moved
        Brings coordinates to where the shapes are to be.

    Returns
    -------
    LargeBinaryArray
        The WKB of a geometry a pair: most are only written.
    """
    rows, pieces = [np.zeros(0, dtype=np.int64)], list[pa.LargeBinaryArray]()
    if shapes.many:
        from geojw.measure.outlines import traced  # noqa: PLC0415 - numba is loaded only where many sites are measured

        for part in shapes.parts():
            if part.dimension == AREA:
                pairs, drawn = traced(part, feature[part.rows], size[part.rows], layer.grid, moved)
                rows.append(part.rows[pairs])
                pieces.append(drawn)
    left = np.setdiff1d(np.arange(len(shapes)), np.concatenate(rows))
    rest = shapely.transform(_intersected_shapes(shapes.geometries[left], feature[left], layer), moved)
    return in_place([*rows, left], [*pieces, pa.array(shapely.to_wkb(rest), pa.large_binary())])


def _intersected_shapes(sites: Geometries, feature: Ints, layer: LayerIndex) -> Geometries:
    """Build them by GEOS, piece by piece."""
    with layer.lock:
        row, piece = layer.everything.tree.query(sites)
        mine = layer.owner[piece] == feature[row]
        row, piece = row[mine], piece[mine]
        order = np.lexsort((row, piece))
        row, piece = row[order], piece[order]
        inside, rest, shared, _ = _shared(sites[row], layer.pieces, piece)
        parts: Geometries = np.full(len(row), None, dtype=object)
        parts[inside], parts[rest] = sites[row[inside]], shared
    there = np.flatnonzero(~(shapely.is_missing(parts) | shapely.is_empty(parts)))
    there = there[np.lexsort((piece[there], row[there]))]
    return grouped_union(parts[there], row[there], len(sites))


def grouped_union(parts: Geometries, group: Ints, groups: int) -> Geometries:
    """Union of the parts of each group; empty where a group has none."""
    order = np.argsort(group, kind="stable")
    parts, group = parts[order], group[order]
    starts = np.searchsorted(group, np.arange(groups + 1))
    out = np.full(groups, shapely.Polygon(), dtype=object)
    single = np.flatnonzero(np.diff(starts) == 1)
    out[single] = parts[starts[single]]
    for row in np.flatnonzero(np.diff(starts) > 1):
        out[row] = shapely.union_all(parts[starts[row] : starts[row + 1]])
    return out


def intersections(a: Geometries, b: Geometries) -> tuple[Geometries, list[tuple[int, str]]]:
    """
    Intersect pairs; a pair that GEOS cannot do is snapped to 1 mm and made valid, and named.

    Parameters
    ----------
    a, b
        Geometries, pair by pair.

    Returns
    -------
    shapes : ndarray
        The intersections; None where the fallback failed too.
    hard : list of (row, what)
        ``snapped`` or ``failed``.
    """
    try:
        return np.asarray(shapely.intersection(a, b), dtype=object), []
    except shapely.GEOSException:
        pass
    out = np.full(len(a), None, dtype=object)
    hard = []
    for row, (one, other) in enumerate(zip(a, b, strict=True)):
        try:
            out[row] = shapely.intersection(one, other)
        except shapely.GEOSException:
            out[row], what = _snapped_intersection(one, other)
            hard.append((row, what))
    return out, hard


def _snapped_intersection(one: shapely.Geometry, other: shapely.Geometry) -> tuple[shapely.Geometry | None, str]:
    try:
        a, b = (shapely.make_valid(shapely.set_precision(shape, SNAP_M)) for shape in (one, other))
        return shapely.intersection(a, b), "snapped"
    except shapely.GEOSException:
        return None, "failed"


def _per_feature(
    shapes: Shapes,
    layer: LayerIndex,
    site: Ints,
    piece: Ints,
    overlap: Floats,
    notes: tuple[tuple[int, int, str], ...],
) -> Pairs:
    """Sum pieces to features, in the order of the pieces."""
    rows = np.flatnonzero(~(overlap <= 0.0))  # NaN stays
    rows = rows[np.lexsort((piece[rows], layer.owner[piece[rows]], site[rows]))]
    site, feature, overlap = site[rows], layer.owner[piece[rows]], overlap[rows]
    if not len(site):
        return Pairs(site, feature, overlap, np.zeros(0, dtype=bool), notes)
    starts = runs(site, feature)
    several, starts = np.diff(starts) > 1, starts[:-1]
    total = np.add.reduceat(overlap, starts)
    site, feature = site[starts], feature[starts]
    touch = np.zeros(len(site), dtype=bool)
    for row in np.flatnonzero(shapes.dimension[site] < AREA):
        shape, owned = (
            shapes.geometries[site[row]],
            layer.pieces[layer.owner == feature[row]] if several[row] else None,
        )
        if owned is not None:  # a line along a cut, or a point on it, lies in two pieces and counts once
            total[row] = _size(shapely.union_all(shapely.intersection(shape, owned)), shape)
        chunks, owner, tree = layer.everything.edges
        near = tree.query(shape, predicate="dwithin", distance=EDGE_M)
        polygon, near = layer.geometries[feature[row]], chunks[near[owner[near] == feature[row]]]
        total[row], touch[row] = _interior(shape, polygon, float(total[row]), near)
    total = np.minimum(total, shapes.size[site])
    there = ~(total <= 0.0) | touch
    return Pairs(site[there], feature[there], total[there], touch[there], notes)


def _size(shared: shapely.Geometry, site: shapely.Geometry) -> float:
    dimension = np.array([shapely.get_dimensions(site)], dtype=np.int64)
    return float(size_of(np.array([shared], dtype=object), dimension)[0])


def _interior(
    shape: shapely.Geometry, polygon: shapely.Geometry, closed: float, edges: Geometries
) -> tuple[float, bool]:
    """
    Take away where a line runs along a polygon's edge, or a point lies on it: touching is not overlapping.

    What lies within `EDGE_M` of the edge is on it: projected vertices are not exactly on a projected edge.

    Parameters
    ----------
    shape
        A line or point.
    polygon
        What it may lie in.
    closed
        Its length or presence in the polygon, edge included.
    edges
        The parts of the polygon's edge within `EDGE_M`.

    Returns
    -------
    size : float
        Length or presence in the interior.
    touch : bool
        Whether something was taken away.
    """
    if not len(edges):
        return closed, False
    if shapely.get_dimensions(shape) == POINT:
        points = shapely.get_parts(shape)
        on_edge = shapely.dwithin(points[:, None], edges[None, :], EDGE_M).any(axis=1)
        return float(shapely.intersects(points[~on_edge], polygon).any()), bool(on_edge.any())
    strip = shapely.union_all(shapely.buffer(edges, EDGE_M, cap_style="flat"))
    run = float(shapely.length(shapely.intersection(shapely.intersection(shape, polygon), strip)))
    return (max(closed - run, 0.0), True) if run > CROSSING_M * len(edges) else (closed, False)


def interior_size(shape: shapely.Geometry, polygon: shapely.Geometry) -> float:
    """Area, length or presence (1) of a site in the interior of a polygon, without any shortcut."""
    closed = _size(shapely.intersection(shape, polygon), shape)
    if shapely.get_dimensions(shape) == AREA or closed == 0.0:
        return closed
    return _interior(shape, polygon, closed, _edges_near(shape, polygon))[0]
