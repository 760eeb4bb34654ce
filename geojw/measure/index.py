"""Sites and layers as the engine sees them, and the trees and grids by which they find each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from threading import RLock, current_thread
from typing import TYPE_CHECKING, NamedTuple

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from geojw.measure.cache import WORTH_VERTICES, Arrays, digest_of, remembered
from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.pieces import MAX_VERTICES, Ints, chunked, subdivide

if TYPE_CHECKING:
    from geojw.measure.grid import Edges, Grid

FACET_EDGES = 4
"""Edges of a chunk of outline to which distances are taken: GEOS compares every edge of a candidate with the site."""

POOL = "geojw"
"""Name of our threads."""

AREA, LINE, POINT = 2, 1, 0
"""Dimensions of sites and features."""

AGREES_M2, AGREES_SHARE = 1e-4, 1e-9
"""Two areas agree to this; 1e-4 m² is the last digit that is written."""

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
    many
        Whether so many are measured in all that compiled code pays: figures are the same to 1e-6 m².
    whole
        The sites that these were taken from, and where they stand among them: they are taken apart only once.
    """

    geometries: Geometries
    dimension: Ints
    size: Floats
    many: bool = False
    whole: tuple[Shapes, Ints] | None = None

    @classmethod
    def of(cls, geometries: Geometries, *, many: bool = False) -> Shapes:
        """Take geometries in the analysis CRS."""
        dimension = np.asarray(shapely.get_dimensions(geometries), dtype=np.int64)
        return cls(geometries, dimension, size_of(geometries, dimension), many)

    def take(self, rows: Ints) -> Shapes:
        """Give some of them."""
        whole = (self, rows) if self.whole is None else (self.whole[0], self.whole[1][rows])
        return Shapes(self.geometries[rows], self.dimension[rows], self.size[rows], self.many, whole)

    def parts(self) -> list[Part]:
        """Give them by dimension, as compiled code takes them."""
        base, places = (self, np.arange(len(self))) if self.whole is None else self.whole
        edges, place = base._apart  # noqa: SLF001 - of this class
        out = []
        for dimension in edges:
            rows = np.flatnonzero(self.dimension == dimension)
            if rows.size:
                out.append(Part(dimension, rows, edges[dimension], place[places[rows]], self.size[rows]))
        return out

    @cached_property
    def _apart(self) -> tuple[dict[int, Edges], Ints]:
        from geojw.measure.grid import edges_of  # noqa: PLC0415 - numba is loaded only where many sites are measured

        edges, place = {}, np.zeros(len(self), dtype=np.int64)
        for dimension in (AREA, LINE, POINT):
            rows = np.flatnonzero(self.dimension == dimension)
            if rows.size:
                edges[dimension], place[rows] = edges_of(self.geometries[rows]), np.arange(len(rows))
        return edges, place

    def __len__(self) -> int:
        return len(self.geometries)


class Part(NamedTuple):
    """
    Sites of one dimension, for compiled code.

    Parameters
    ----------
    dimension
        2, 1 or 0.
    rows
        Their positions among the shapes.
    edges
        Of these and perhaps of other sites.
    place
        Where each stands among the owners of the edges.
    size
        Area in m², length in m, or 1.
    """

    dimension: int
    rows: Ints
    edges: Edges
    place: Ints
    size: Floats

    @property
    def is_of_one_piece(self) -> bool:
        """Whether each point site is one point: compiled code knows no others."""
        return self.dimension != POINT or bool(np.all(np.diff(self.edges.start) == 1))


def size_of(geometries: Geometries, dimension: Ints) -> Floats:
    """Area in m² of what should be polygons, length in m of lines, 1 for points that are there."""
    out = np.empty(len(geometries))
    areas, lines = dimension == AREA, dimension == LINE
    rest = ~(areas | lines)
    out[areas], out[lines] = shapely.area(geometries[areas]), shapely.length(geometries[lines])
    out[rest] = ~shapely.is_empty(geometries[rest])
    return out


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
        # A prepared geometry used by two callers at once crashes the process.
        self.lock = RLock()
        self._selections: dict[bytes, Selection] = {}
        self.component: Ints | None = None
        """For each feature the group of features that overlap each other, once somebody has asked (`overlay`)."""

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def _digest(self) -> str:
        """The hash of all geometries; empty for layers so small that everything is made at once."""
        large = int(shapely.get_num_coordinates(self.geometries).sum()) >= WORTH_VERTICES
        return digest_of(self.geometries) if large else ""

    def remembered(self, what: str, depends_on: Iterable[object], make: Callable[[], Arrays]) -> Arrays:
        """Give what is dear to make of the layer, from the disk where it was made before (`cache.remembered`)."""
        known = (self._digest, self.kind, MAX_VERTICES, *depends_on)
        return remembered(what, known, make) if self._digest else make()

    @cached_property
    def _cut(self) -> tuple[Geometries, Ints]:
        with self.lock:
            pieces, owner = self.remembered("pieces", (), lambda: subdivide(self.geometries, MAX_VERTICES))
            return pieces, owner

    @property
    def pieces(self) -> Geometries:
        """The features in pieces of at most `MAX_VERTICES` vertices, cut when first asked for."""
        return self._cut[0]

    @property
    def owner(self) -> Ints:
        """Position of the feature that each piece belongs to."""
        return self._cut[1]

    @cached_property
    def grid(self) -> Grid:
        """The edges of all features in a grid, for compiled code."""
        from geojw.measure.grid import grid_of  # noqa: PLC0415 - numba is loaded only where many sites are measured

        return grid_of(self.geometries)

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
    moved: dict[tuple[bool, float], Grid] = field(default_factory=dict)
    """The union grown (True) or shrunk by its own accuracy and a site's, in m, for compiled code (`accuracy`)."""

    @cached_property
    def _cut(self) -> tuple[Geometries, Ints, shapely.STRtree]:
        with self.layer.lock:
            rows = self.kept[self.layer.owner]
            pieces = self.layer.pieces[rows]
            return pieces, self.layer.owner[rows], _tree(pieces)

    @property
    def pieces(self) -> Geometries:
        """The pieces of the kept features."""
        return self._cut[0]

    @property
    def owner(self) -> Ints:
        """Position of the feature that each piece belongs to."""
        return self._cut[1]

    @property
    def tree(self) -> shapely.STRtree:
        """The tree of the pieces."""
        return self._cut[2]

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
        shapes = self.layer.geometries[self.kept]
        (made,) = self.layer.remembered("union", (self.kept,), lambda: (np.array([shapely.union_all(shapes)]),))
        union: shapely.Geometry = made[0]
        return union

    @cached_property
    def dissolved(self) -> Grid:
        """The edges of the union in a grid, for compiled code."""
        from geojw.measure.grid import grid_of  # noqa: PLC0415 - numba is loaded only where many sites are measured

        return grid_of(shapely.get_parts(self.union))

    @cached_property
    def outline(self) -> shapely.STRtree:
        """The outline of the union, in short chunks, as a tree; made once, for coverages and the depth of points."""
        return _tree(chunked(np.array([shapely.boundary(self.union)], dtype=object))[0])


def _tree(geometries: Geometries) -> shapely.STRtree:
    tree = shapely.STRtree(geometries)
    tree.query(shapely.box(0.0, 0.0, 0.0, 0.0))  # the first query builds it; two threads must not
    return tree


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
    if workers <= 1 or len(slices) <= 1 or current_thread().name.startswith(POOL):  # one of ours would wait for itself
        if slices:  # nobody to share with: each slice would wait for the interpreter again, and make its room
            work(slice(slices[0].start, slices[-1].stop))
        return
    futures = [_pool(workers, os.getpid()).submit(work, part) for part in slices]
    wait(futures)
    for future in futures:
        future.result()


@cache
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Give the threads of this process; starting them for each task would cost more than many a task."""
    return ThreadPoolExecutor(workers, f"{POOL}-{process}")


def even_cuts(count: int, slices: int) -> list[int]:
    """Give where to cut so many things into slices of about one size, for `in_threads`."""
    slices = min(slices, max(count, 1))
    return [count * number // slices for number in range(slices + 1)]


def default_workers() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
