"""Where a layer is authoritative, and how much of a site lies outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.index import LINE, POINT, Selection, Shapes, size_of
from geojw.measure.overlay import overlap_pairs
from geojw.measure.unions import NOISE_M2, union_overlap


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

    def outside(self, shapes: Shapes, workers: int = 1, known: dict[int, Floats] | None = None) -> Floats:
        """
        Measure how much of each site is not covered: m², m, or 1.

        Parameters
        ----------
        shapes
            The sites.
        workers
            Threads.
        known
            What lies outside of coverages measured before, of these very sites: several layers have one coverage.
        """
        out = np.zeros(len(shapes))
        if self.inside is not None:
            known = {} if known is None else known
            if id(self.inside) not in known:
                out = shapes.size - self._covered(shapes, self.inside, workers)
                out[out < NOISE_M2] = 0.0
                known[id(self.inside)] = out
            out = known[id(self.inside)].copy()
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
        lines = np.flatnonzero((shapes.dimension == LINE) & (covered < shapes.size))
        covered[lines] = shapely.length(shapely.intersection(shapes.geometries[lines], inside.union))
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
            wide = Shapes.of(shapely.buffer(shapes.geometries[rows], by_m, quad_segs=64), many=shapes.many)
            out[rows], size[rows] = self.outside(wide, workers), wide.size
        return out, size
