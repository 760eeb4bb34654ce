"""What counts as nothing: parts of a site so small that they come from drawing, not from the place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from geojw.law.access_list import Test
from geojw.law.catalogue import Zone
from geojw.measure.geodesy import Floats
from geojw.measure.index import AREA, LINE, POINT, Bools, Shapes

SLIVER_SHARE = 0.01
WRITTEN_M2, WRITTEN_M = 1e-4, 1e-3
"""Last digits that the tables show."""

BEND_M = 1e-5
"""How far two neighbours' projected edges may part where one has a vertex more: the sagitta of 100 m, twice."""


@dataclass(frozen=True, eq=False)
class Slivers:
    """
    The rule of slivers for some sites.

    Parameters
    ----------
    shapes
        The sites.
    zone
        With the largest slivers.
    """

    shapes: Shapes
    zone: Zone

    @cached_property
    def limit(self) -> Floats:
        """The largest sliver of each site: m² or m."""
        shapes = self.shapes
        sizes = [self.zone.sliver_m2, self.zone.sliver_m]
        absolute = np.select([shapes.dimension == AREA, shapes.dimension == LINE], sizes, 0.0)
        share = np.where(shapes.dimension > POINT, SLIVER_SHARE * shapes.size, 0.0)
        return np.asarray(np.minimum(absolute, share), dtype=float)

    def counts(self, part: Floats) -> Bools:
        """Whether a part of each site is more than a sliver; NaN counts."""
        return np.asarray(~(part <= self.limit), dtype=bool)

    def found(self, part: Floats, test: Test) -> Floats:
        """Give the part that may be a sliver: what is inside, or for absence tests what is outside."""
        return part if test.is_presence else np.asarray(self.shapes.size - part)

    def is_sliver(self, part: Floats, test: Test) -> Bools:
        """Whether what was found is a sliver, and more than rounding."""
        found = self.found(part, test)
        return np.asarray((found > self._noise) & ~self.counts(found), dtype=bool)

    @cached_property
    def _noise(self) -> Floats:
        """What is no sliver but rounding, or edges that neighbours share and that bend apart when projected."""
        bent = np.maximum(WRITTEN_M2 / 2.0, BEND_M * np.asarray(shapely.length(self.shapes.geometries)))
        return np.where(self.shapes.dimension == AREA, bent, WRITTEN_M / 2.0)

    def tested(self, part: Floats, test: Test) -> Floats:
        """Give the figure that the test sees: slivers count as nothing, shares are shares."""
        nothing = 0.0 if test.is_presence else self.shapes.size
        part = np.asarray(np.where(self.counts(self.found(part, test)), part, nothing), dtype=float)
        return np.asarray(part / self.shapes.size if test.is_share else part)
