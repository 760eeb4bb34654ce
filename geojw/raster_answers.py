"""Floor 6: put the tests of rules to the sites, on one raster, three-valued: cells without data as none and as all."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import shapely

from geojw import cover
from geojw.access_list import FALSE, TRUE, Rule, Test
from geojw.answers import Answer, Batch, Texts
from geojw.catalogue import Layer
from geojw.geodesy import Floats
from geojw.overlay import POINT, Bools, Shapes
from geojw.pieces import Ints
from geojw.rasters import RasterData
from geojw.slivers import Slivers

FEW_CELLS = 10
"""A site of fewer cells says too little of them to be firm."""


class OnRaster:
    """
    The sites of a batch on one raster: its cells are read once, whatever the rules ask.

    Parameters
    ----------
    batch
        The sites.
    row
        The layer's row of the catalogue.
    data
        The raster.
    """

    def __init__(self, batch: Batch, row: Layer, data: RasterData) -> None:
        self.batch, self.row, self.data = batch, row, data
        self.shapes = batch.shapes
        self.slivers = Slivers(batch.shapes, batch.pack.zone)
        self._answers: dict[str, Answer] = {}

    @cached_property
    def _table(self) -> pd.DataFrame:
        return cover.cover(self.shapes, self.data.raster)

    @cached_property
    def _unspoken(self) -> Bools:
        """Sites that the layer's coverage, whatever the cells say, does not hold."""
        return self.slivers.counts(self.data.coverage.outside(self.shapes, self.batch.workers))

    @cached_property
    def _spoken_for(self) -> pd.DataFrame:
        """What has which value where the layer's coverage speaks for it."""
        rows = np.flatnonzero(self._unspoken)
        out = self._table.copy()
        if rows.size:
            parts = _held(self.shapes.geometries[rows], self.data)
            lost = shapely.get_dimensions(parts) != self.shapes.dimension[rows]
            parts[lost | shapely.is_empty(parts)] = shapely.Polygon()
            out.iloc[rows] = cover.cover(Shapes.of(parts), self.data.raster).to_numpy()
        return out

    def _parts(self, rule: Rule) -> tuple[Floats, Floats]:
        """Give what surely is and what may be of the wanted classes: m², m or 1."""
        raster, table = self.data.raster, self._table
        wanted = raster.wanted(rule.where["class"])
        others = [value for value in raster.declared if value not in wanted]
        whole = table.drop(columns="cells").sum(axis=1).to_numpy()
        least = table[wanted].sum(axis=1).to_numpy()
        most = whole - self._spoken_for[others].sum(axis=1).to_numpy()
        point = self.shapes.dimension == POINT
        # One of several points is enough, as for overlaps.
        low = np.where(point, least > 0.0, least / whole) * self.shapes.size
        high = np.where(point, most > 0.0, most / whole) * self.shapes.size
        return low, np.maximum(low, high)

    def answer(self, rule: Rule) -> Answer:
        """Put a rule's test to every site; rules with the same classes and test share the answer."""
        key = repr((sorted(rule.where.items()), rule.test))
        if key not in self._answers:
            self._answers[key] = self._answered(rule)
        return self._answers[key]

    def _answered(self, rule: Rule) -> Answer:
        test, n, size = rule.test, len(self.shapes), self.shapes.size
        low, high = self._parts(rule)
        verdict = np.where(self._holds(test, low), TRUE, FALSE).astype(np.int8)
        found = verdict == (TRUE if test.is_presence else FALSE)
        sign = 1.0 if test.is_presence else -1.0
        margin = sign * (test.value - np.where(found, low, high) / size)
        sliver = self.slivers.is_sliver(low, test) | self.slivers.is_sliver(high, test)
        blank = np.full(n, "", dtype=object)
        return Answer(
            verdict, low / size, margin, np.full(n, "share", dtype=object),
            self._firm(rule, found, low, high) & ~sliver, sliver, np.full(n, test.measure, dtype=object), blank, blank,
        )  # fmt: skip

    def _holds(self, test: Test, part: Floats) -> Bools:
        return np.asarray(test.holds(self.slivers.tested(part, test)), dtype=bool)

    def uncovered(self, rule: Rule, rows: Ints) -> Bools:
        """Whether cells without data, or beyond the coverage, could turn each of these answers."""
        low, high = self._parts(rule)
        turned = self._holds(rule.test, low) != self._holds(rule.test, high)
        return np.asarray(turned[rows], dtype=bool)

    def _firm(self, rule: Rule, found: Bools, low: Floats, high: Floats) -> Bools:
        """
        Whether the answer survives half a cell and the accuracy of raster and site.

        A find could only be lost by shrinking what surely is there; its absence only by growing all that may be.
        """
        test, raster = rule.test, self.data.raster
        by_m = raster.half_cell_m + self.data.accuracy_m + self.batch.accuracy_m
        able = (self._table["cells"].to_numpy() >= FEW_CELLS) & ~np.isnan(by_m)
        wanted = raster.wanted(rule.where["class"])
        firm = np.zeros(len(self.shapes), dtype=bool)
        for side, part, grown in ((found, low, False), (~found & ~self._unspoken, high, True)):
            rows = np.flatnonzero(side & able)
            moved = part.copy()
            moved[rows] = cover.moved(self.shapes.take(rows), raster, wanted, by_m[rows], grown=grown)
            moved = np.maximum(moved, part) if grown else np.minimum(moved, part)
            firm[rows] = (self._holds(test, moved) == self._holds(test, part))[rows]
        return firm

    @property
    def notes(self) -> tuple[tuple[int, int, str], ...]:
        """Pairs that needed a fallback: cells never do."""
        return ()


def _held(geometries: Texts, data: RasterData) -> Texts:
    """Cut sites to where the layer is authoritative."""
    out = geometries
    if data.coverage.inside is not None:
        out = shapely.intersection(out, data.coverage.inside.union)
    if len(data.coverage.holes):
        out = shapely.difference(out, shapely.union_all(data.coverage.holes))
    return np.array(out, dtype=object)
