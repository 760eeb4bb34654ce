"""What sites share with several features together: no stretch is counted twice where features overlap."""

from __future__ import annotations

import numpy as np
import shapely

from geojw.measure.geodesy import Floats
from geojw.measure.index import (
    AREA,
    LINE,
    POINT,
    LayerIndex,
    Selection,
    Shapes,
)
from geojw.measure.overlay import EDGE_M, Pairs, interior_size, intersections
from geojw.measure.pieces import Ints

NOISE_M2 = 1e-6
"""Two features of a layer overlap if they share more than this; below it is rounding of the pieces' cut edges."""


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
    again = several & (shapes.dimension == LINE)
    again[pairs.site[kept & pairs.touch]] = True
    if np.any(several & (shapes.dimension == AREA)):
        component = components(selection.layer)[feature]
        order = np.lexsort((component, site))
        same = (np.diff(site[order]) == 0) & (np.diff(component[order]) == 0)
        twice = site[order][1:][same]
        again[twice[shapes.dimension[twice] != POINT]] = True  # a point is inside or not, however often
    rows = np.flatnonzero(again & ~np.isnan(total))
    total[rows] = _with_union(shapes, rows, selection)
    return np.minimum(total, shapes.size)


def _with_union(shapes: Shapes, rows: Ints, selection: Selection) -> Floats:
    """Measure some sites on the union itself, where the sum over the features would not do."""
    out = np.full(len(rows), np.nan)
    if shapes.many:
        from geojw.measure.shares import shared  # noqa: PLC0415 - numba is loaded only where many sites are measured

        for part in shapes.take(rows).parts():
            if part.dimension != POINT:
                site, _, size = shared(part, selection.dissolved)
                out[part.rows] = np.bincount(site, size, minlength=len(rows))[part.rows]
    for at in np.flatnonzero(np.isnan(out)):
        row = int(rows[at])
        out[at] = interior_size(shapes.geometries[row], _local_union(shapes, row, selection))
    return out


def components(layer: LayerIndex) -> Ints:
    """Give for each feature the group of features that overlap each other, directly or through others."""
    with layer.lock:
        if layer.component is None:
            (layer.component,) = layer.remembered("components", (), lambda: (_components(layer),))
        return layer.component


def _components(layer: LayerIndex) -> Ints:
    parent = np.arange(len(layer))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in zip(*_overlapping(layer), strict=True):
        low, high = sorted((root(int(i)), root(int(j))))
        parent[high] = low
    return np.array([root(i) for i in range(len(layer))], dtype=np.int64)


def _overlapping(layer: LayerIndex) -> tuple[Ints, Ints]:
    """Find the pairs of features that overlap, piece by piece; a pair that could not be measured counts."""
    pieces, owner = layer.pieces, layer.owner
    a, b = layer.everything.tree.query(pieces, predicate="intersects")
    rows = owner[a] < owner[b]
    a, b = a[rows], b[rows]
    rows = ~np.asarray(shapely.touches(pieces[a], pieces[b]), dtype=bool)
    a, b = a[rows], b[rows]
    shapes, _ = intersections(pieces[a], pieces[b])
    pairs, pair = np.unique(np.column_stack([owner[a], owner[b]]), axis=0, return_inverse=True)
    rows = ~(np.bincount(pair.ravel(), shapely.area(shapes), minlength=len(pairs)) <= NOISE_M2)
    return pairs[rows, 0], pairs[rows, 1]


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
