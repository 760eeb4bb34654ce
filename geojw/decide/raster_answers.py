"""Put the tests of rules to the sites, on one raster, three-valued: cells without data as none and as all."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from geojw.decide.answers import SHARE, Answer
from geojw.decide.batch import Batch
from geojw.law.access_list import FALSE, TRUE, Rule, Test
from geojw.law.catalogue import Layer
from geojw.measure import cover
from geojw.measure.geodesy import Floats
from geojw.measure.index import POINT, Bools, Shapes
from geojw.measure.pieces import Ints
from geojw.measure.rasters import RasterData
from geojw.wording import Kinds

DIGITS = 9
"""Of a share as it is written: what is tested is what is told."""

CELLS_NOISE = 1e-6
"""Shares of cells come in single precision."""

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
        self.slivers = batch.slivers
        self._answers: dict[str, Answer] = {}

    @cached_property
    def _table(self) -> pd.DataFrame:
        return cover.cover(self.shapes, self.data.raster)

    @cached_property
    def _unspoken(self) -> Bools:
        """Sites that the layer's coverage, whatever the cells say, does not hold."""
        return self.slivers.counts(self.data.coverage.outside(self.shapes, self.batch.workers, self.batch.uncovered))

    @cached_property
    def _spoken_for(self) -> pd.DataFrame:
        """What has which value where the layer's coverage speaks for it."""
        rows = np.flatnonzero(self._unspoken)
        out = self._table.copy()
        if rows.size:
            parts = cover.held(self.shapes.geometries[rows], self.data.coverage)
            out.iloc[rows] = cover.cover(Shapes.of(parts), self.data.raster).to_numpy()
        return out

    def _shares(self, rule: Rule) -> tuple[Floats, Floats]:
        """Give the share of each site that surely is, and that may be, of the wanted classes, as it is written."""
        raster, table = self.data.raster, self._table
        wanted = raster.wanted(rule.where["class"])
        others = [value for value in raster.declared if value not in wanted]
        whole = table.drop(columns="cells").sum(axis=1).to_numpy()
        least = table[wanted].sum(axis=1).to_numpy() / whole
        most = 1.0 - self._spoken_for[others].sum(axis=1).to_numpy() / whole
        point = self.shapes.dimension == POINT  # one of several points is enough, as for overlaps
        low = np.round(np.where(point, np.ceil(least), least), DIGITS)
        high = np.round(np.where(point, np.ceil(np.round(most, DIGITS)), most), DIGITS)
        return low + 0.0, np.maximum(low, high) + 0.0

    def answer(self, rule: Rule) -> Answer:
        """Put a rule's test to every site; rules with the same classes and test share the answer."""
        key = rule.test_key
        if key not in self._answers:
            self._answers[key] = self._answered(rule)
        return self._answers[key]

    def _answered(self, rule: Rule) -> Answer:
        test, n, size = rule.test, len(self.shapes), self.shapes.size
        low, high = self._shares(rule)
        verdict = np.where(self._holds(test, low), TRUE, FALSE).astype(np.int8)
        found = verdict == (TRUE if test.is_presence else FALSE)
        sign = 1.0 if test.is_presence else -1.0
        margin = sign * (test.value - np.where(found, low, high))
        sliver = self.slivers.is_sliver(low * size, test) | self.slivers.is_sliver(high * size, test)
        return Answer(
            verdict, low, lambda: margin, np.full(n, SHARE), self._firm(rule, found, low, high) & ~sliver,
            sliver, Kinds.same(test.measure, n), np.full(n, "", dtype=object), Kinds.same("", n),
        )  # fmt: skip

    def _holds(self, test: Test, share: Floats) -> Bools:
        """Whether each share passes, slivers counted as nothing."""
        found = self.slivers.found(share * self.shapes.size, test)
        nothing = 0.0 if test.is_presence else 1.0
        return np.asarray(test.holds(np.where(self.slivers.counts(found), share, nothing)), dtype=bool)

    def uncovered(self, rule: Rule, rows: Ints) -> Bools:
        """Whether cells without data, or beyond the coverage, could turn each of these answers."""
        low, high = self._shares(rule)
        turned = self._holds(rule.test, low) != self._holds(rule.test, high)
        return np.asarray(turned[rows], dtype=bool)

    def _firm(self, rule: Rule, found: Bools, low: Floats, high: Floats) -> Bools:
        """
        Whether the answer survives half a cell and the accuracy of raster and site.

        A find could only be lost by shrinking what surely is there; its absence only by growing all that may be.
        """
        test, raster, size = rule.test, self.data.raster, self.shapes.size
        by_m = raster.half_cell_m + self.data.accuracy_m + self.batch.accuracy_m
        able = (self._table["cells"].to_numpy() >= FEW_CELLS - CELLS_NOISE) & ~np.isnan(by_m)
        wanted = raster.wanted(rule.where["class"])
        firm = np.zeros(len(self.shapes), dtype=bool)
        for side, share, grown in ((found, low, False), (~found & ~self._unspoken, high, True)):
            rows = np.flatnonzero(side & able)
            moved = share.copy()
            part = cover.moved(self.shapes.take(rows), raster, wanted, by_m[rows], grown=grown)
            moved[rows] = np.round(part / size[rows], DIGITS)
            moved = np.maximum(moved, share) if grown else np.minimum(moved, share)
            firm[rows] = (self._holds(test, moved) == self._holds(test, share))[rows]
        return firm
