"""
Floor 3: measure sites against one layer. No opinions: areas, lengths and distances, and what was hard to get.

A layer is cut once into pieces of at most `MAX_VERTICES` vertices under one tree. A site that lies inside one piece
needs no intersection at all; for the others only the pieces that it touches are intersected, and their areas
are summed in a fixed order, so that batches and threads change no result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from threading import RLock

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from geojw.geodesy import Floats, Geometries
from geojw.pieces import Ints, chunked, subdivide

SNAP_M = 1e-3
EDGE_M = 1e-6
CROSSING_M = 1e-5
"""A line that crosses an edge is within `EDGE_M` of it for about that length; only longer stretches run along it."""

FACET_EDGES = 4
"""Edges of a chunk of outline to which distances are taken: GEOS compares every edge of a candidate with the site."""

AREA, LINE, POINT = 2, 1, 0
"""Dimensions of sites and features."""

NOISE_M2 = 1e-6
"""Two features of a layer overlap if they share more than this; below it is rounding of the pieces' cut edges."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Shapes:
    """
    Sites as the engine sees them, in the analysis CRS.

    Parameters
    ----------
    geometries
        Polygons, lines and points, valid.
    dimension
        2, 1 or 0 for each.
    size
        Area in m², length in m, or 1.
    """

    geometries: Geometries
    dimension: Ints
    size: Floats

    @classmethod
    def of(cls, geometries: Geometries) -> Shapes:
        """Take geometries in the analysis CRS."""
        dimension = np.asarray(shapely.get_dimensions(geometries), dtype=np.int64)
        return cls(geometries, dimension, size_of(geometries, dimension))

    def take(self, rows: Ints) -> Shapes:
        """Give some of them."""
        return Shapes(self.geometries[rows], self.dimension[rows], self.size[rows])

    def __len__(self) -> int:
        return len(self.geometries)


def size_of(geometries: Geometries, dimension: Ints) -> Floats:
    """Area in m² of what should be polygons, length in m of lines, 1 for points that are there."""
    area, length = shapely.area(geometries), shapely.length(geometries)
    there = (~shapely.is_empty(geometries)).astype(float)
    return np.asarray(np.select([dimension == AREA, dimension == LINE], [area, length], there), dtype=float)


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


class LayerIndex:
    """
    One vector layer, cut and indexed.

    Parameters
    ----------
    features
        In the analysis CRS, valid, index = feature id, sorted by it; other columns are the attributes.
    kind
        ``polygon``, ``line`` or ``point``.
    """

    def __init__(self, features: gpd.GeoDataFrame, kind: str) -> None:
        self.features = features
        self.kind = kind
        self.geometries: Geometries = np.asarray(features.geometry.values, dtype=object)
        self.pieces, self.owner = subdivide(self.geometries)
        # A prepared geometry used by two callers at once crashes the process.
        self.lock = RLock()
        self._selections: dict[bytes, Selection] = {}

    def __len__(self) -> int:
        return len(self.features)

    def select(self, kept: Bools) -> Selection:
        """Give the selection of some features, indexed once."""
        with self.lock:
            key = kept.tobytes()
            if key not in self._selections:
                self._selections[key] = Selection(self, kept)
            return self._selections[key]

    @cached_property
    def everything(self) -> Selection:
        """All features."""
        return self.select(np.ones(len(self), dtype=bool))

    @cached_property
    def component(self) -> Ints:
        """For each feature, the group of features that overlap each other directly or through others."""
        parent = np.arange(len(self))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        a, b = self.everything.tree.query(self.pieces, predicate="intersects")
        rows = self.owner[a] < self.owner[b]
        a, b = a[rows], b[rows]
        rows = ~np.asarray(shapely.touches(self.pieces[a], self.pieces[b]), dtype=bool)
        a, b = a[rows], b[rows]
        shapes, _ = intersections(self.pieces[a], self.pieces[b])
        rows = ~(shapely.area(shapes) <= NOISE_M2)  # a pair that could not be measured counts as overlapping
        for i, j in zip(self.owner[a[rows]], self.owner[b[rows]], strict=True):
            low, high = sorted((root(int(i)), root(int(j))))
            parent[high] = low
        return np.array([root(i) for i in range(len(self))], dtype=np.int64)


@dataclass(eq=False)
class Selection:
    """
    Some features of a layer: what a rule's `where` keeps.

    Parameters
    ----------
    layer
        The layer.
    kept
        For each feature, whether it counts.
    """

    layer: LayerIndex
    kept: Bools
    pieces: Geometries = field(init=False)
    owner: Ints = field(init=False)
    tree: shapely.STRtree = field(init=False)

    def __post_init__(self) -> None:
        rows = self.kept[self.layer.owner]
        self.pieces, self.owner = self.layer.pieces[rows], self.layer.owner[rows]
        self.tree = _tree(self.pieces)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not bool(self.kept.any())

    @cached_property
    def edges(self) -> tuple[Geometries, Ints, shapely.STRtree]:
        """The features' own outlines (not the cuts between pieces) in short chunks, their owners, their tree."""
        kept = np.flatnonzero(self.kept)
        chunks, owner = chunked(shapely.boundary(self.layer.geometries[kept]))
        return chunks, kept[owner], _tree(chunks)

    @cached_property
    def facets(self) -> tuple[Geometries, Ints, shapely.STRtree]:
        """What sites outside are distant from: outlines and lines in very short chunks, or points; owners; tree."""
        kept = np.flatnonzero(self.kept)
        shapes = self.layer.geometries[kept]
        if self.layer.kind == "point":
            parts, owner = shapely.get_parts(shapes, return_index=True)
        else:
            lines = shapely.boundary(shapes) if self.layer.kind == "polygon" else shapes
            parts, owner = chunked(lines, FACET_EDGES)
        return parts, kept[owner], _tree(parts)

    @cached_property
    def union(self) -> shapely.Geometry:
        """The union of the unsplit features."""
        return shapely.union_all(self.layer.geometries[self.kept])

    @cached_property
    def outline(self) -> shapely.STRtree:
        """The outline of the union, in short chunks, as a tree; made once, for coverages and the depth of points."""
        return _tree(chunked(np.array([shapely.boundary(self.union)], dtype=object))[0])


def _tree(geometries: Geometries) -> shapely.STRtree:
    tree = shapely.STRtree(geometries)
    tree.query(shapely.box(0.0, 0.0, 0.0, 0.0))  # the first query builds it; two threads must not
    return tree


# ---------------------------------------------------------------------------------------------- overlap


def runs(*keys: Ints) -> Ints:
    """
    Give where the runs of equal keys begin, and the end.

    Examples
    --------
    >>> runs(np.array([3, 3, 7])).tolist(), runs(np.array([], dtype=int)).tolist()
    ([0, 2, 3], [0])
    """
    if not len(keys[0]):
        return np.zeros(1, dtype=np.int64)
    change = np.any([np.diff(key) != 0 for key in keys], axis=0)
    return np.concatenate([[0], np.flatnonzero(change) + 1, [len(keys[0])]]).astype(np.int64)


def in_threads(work: Callable[[slice], None], cuts: Sequence[int], workers: int) -> None:
    """Run `work` on the slices between the cuts; results must not depend on which thread does what."""
    slices = [slice(a, b) for a, b in pairwise(cuts) if b > a]
    if workers <= 1 or len(slices) <= 1:
        for part in slices:
            work(part)
        return
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(work, part) for part in slices]:
            future.result()


def default_workers() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    with layer.lock:
        site, piece = layer.everything.tree.query(shapes.geometries)
        order = np.lexsort((site, piece))
        site, piece = site[order], piece[order]
        overlap = np.zeros(len(site))
        notes: list[tuple[int, int, str]] = []

        def measure(part: slice) -> None:
            overlap[part], hard = _overlaps(shapes, site[part], layer.pieces, piece[part])
            notes.extend((int(s), int(layer.owner[p]), what) for s, p, what in hard)

        in_threads(measure, _piece_cuts(piece, workers), workers)
    return _per_feature(shapes, layer, site, piece, overlap, tuple(sorted(notes)))


def _piece_cuts(piece: Ints, workers: int) -> list[int]:
    """Cut sorted pairs so that each piece belongs to one thread: see the crash of shared prepared geometries."""
    starts = runs(piece)
    return [int(cut) for cut in starts[np.arange(8 * workers + 1) * (len(starts) - 1) // (8 * workers)]]


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


def shared_shapes(sites: Geometries, feature: Ints, layer: LayerIndex, workers: int = 1) -> Geometries:
    """
    Build the shapes that sites share with features, pair by pair.

    Parameters
    ----------
    sites
        In the analysis CRS.
    feature
        Position of a feature for each.
    layer
        A polygon layer.
    workers
        Threads.

    Returns
    -------
    ndarray
        A geometry a pair.
    """
    with layer.lock:
        row, piece = layer.everything.tree.query(sites)
        mine = layer.owner[piece] == feature[row]
        row, piece = row[mine], piece[mine]
        order = np.lexsort((row, piece))
        row, piece = row[order], piece[order]
        parts = np.full(len(row), None, dtype=object)

        def cut(part: slice) -> None:
            inside, rest, shared, _ = _shared(sites[row[part]], layer.pieces, piece[part])
            built: Geometries = np.full(len(inside), None, dtype=object)
            built[inside] = sites[row[part]][inside]
            built[rest] = shared
            parts[part] = built

        in_threads(cut, _piece_cuts(piece, workers), workers)
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
    chunks, _ = chunked(np.array([shapely.boundary(polygon)], dtype=object))
    return _interior(shape, polygon, closed, chunks[shapely.dwithin(chunks, shape, EDGE_M)])[0]


def union_overlap(shapes: Shapes, pairs: Pairs, selection: Selection) -> Floats:
    """
    Measure what each site shares with the union of the kept features.

    Parameters
    ----------
    shapes
        The sites.
    pairs
        Their overlaps with the single features.
    selection
        The features that count.

    Returns
    -------
    ndarray
        m², m, or 1 for each site; never more than its size, NaN where a pair failed.
    """
    n = len(shapes)
    kept = selection.kept[pairs.feature]
    site, feature, overlap = pairs.site[kept], pairs.feature[kept], pairs.overlap[kept]
    if not len(site):
        return np.zeros(n)
    total = np.bincount(site, overlap, minlength=n)
    several = np.bincount(site, minlength=n) > 1
    # A line along the common edge of two features is inside their union; overlapping ones must not count twice.
    again = several & (shapes.dimension < AREA)
    again[pairs.site[kept & pairs.touch]] = True
    if np.any(several & (shapes.dimension == AREA)):
        component = selection.layer.component[feature]
        order = np.lexsort((component, site))
        same = (np.diff(site[order]) == 0) & (np.diff(component[order]) == 0)
        again[site[order][1:][same]] = True
    again &= ~np.isnan(total)
    for row in np.flatnonzero(again):
        total[row] = interior_size(shapes.geometries[row], _local_union(shapes, int(row), selection))
    return np.minimum(total, shapes.size)


def _local_union(shapes: Shapes, row: int, selection: Selection) -> shapely.Geometry:
    """Union of the kept pieces that a site touches; for lines of the whole features, whose edges matter."""
    near = selection.tree.query(shapes.geometries[row], predicate="dwithin", distance=EDGE_M)
    if shapes.dimension[row] == AREA:
        return shapely.union_all(selection.pieces[near])
    return shapely.union_all(selection.layer.geometries[np.unique(selection.owner[near])])


def exact_overlap(shape: shapely.Geometry, selection: Selection) -> float:
    """Measure one site on the unsplit features: what decides where a result lies at its limit."""
    near = np.unique(selection.owner[selection.tree.query(shape, predicate="dwithin", distance=EDGE_M)])
    return interior_size(shape, shapely.union_all(selection.layer.geometries[near])) if near.size else 0.0


# ---------------------------------------------------------------------------------------------- coverage


@dataclass(frozen=True, eq=False)
class Coverage:
    """
    Where a layer is authoritative.

    Parameters
    ----------
    inside
        The coverage polygons; None is everywhere.
    holes
        Envelopes of features that could not be trusted: not covered, whatever the polygons say.
    """

    inside: Selection | None
    holes: Geometries

    def outside(self, shapes: Shapes, workers: int = 1) -> Floats:
        """Measure how much of each site is not covered: m², m, or 1."""
        out = np.zeros(len(shapes))
        if self.inside is not None:
            out = shapes.size - self._covered(shapes, self.inside, workers)
            out[out < NOISE_M2] = 0.0
        if len(self.holes):
            site, hole = shapely.STRtree(self.holes).query(shapes.geometries, predicate="intersects")
            shared = shapely.intersection(shapes.geometries[site], self.holes[hole])
            lost = size_of(np.asarray(shared, dtype=object), shapes.dimension[site])
            out = np.minimum(out + np.bincount(site, lost, minlength=len(shapes)), shapes.size)
        return out

    @staticmethod
    def _covered(shapes: Shapes, inside: Selection, workers: int) -> Floats:
        covered = union_overlap(shapes, overlap_pairs(shapes, inside.layer, workers), inside)
        # A coverage holds its own edge, unlike a layer, whose touched edge is no overlap; and every point of a site.
        for row in np.flatnonzero((shapes.dimension == LINE) & (covered < shapes.size)):
            covered[row] = shapely.length(shapely.intersection(shapes.geometries[row], inside.union))
        points = np.flatnonzero(shapes.dimension == POINT)
        covered[points] = shapely.covers(inside.union, shapes.geometries[points])
        return covered

    def outside_widened(self, shapes: Shapes, by_m: float, workers: int = 1) -> tuple[Floats, Floats]:
        """Measure how much of each site, widened by `by_m`, is not covered, in m², and how large it is."""
        if self.inside is None and not len(self.holes):
            return np.zeros(len(shapes)), np.ones(len(shapes))
        safe = np.zeros(len(shapes), dtype=bool)
        if self.inside is not None:
            tree = self.inside.outline
            near = np.unique(tree.query(shapes.geometries, predicate="dwithin", distance=by_m * 1.0001)[0])
            safe = self.outside(shapes, workers) == 0.0
            safe[near] = False
        if len(self.holes):
            holes = shapely.STRtree(self.holes).query(shapes.geometries, predicate="dwithin", distance=by_m * 1.0001)
            safe |= self.inside is None
            safe[np.unique(holes[0])] = False
        out, size = np.zeros(len(shapes)), np.ones(len(shapes))
        rows = np.flatnonzero(~safe)
        if rows.size:
            wide = Shapes.of(shapely.buffer(shapes.geometries[rows], by_m, quad_segs=64))
            out[rows], size[rows] = self.outside(wide, workers), wide.size
        return out, size
