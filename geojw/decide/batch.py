"""What is put to the rules: the sites of a batch and a layer, ready to be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw.decide.slivers import Slivers
from geojw.law.access_list import FEW, Cells, Three, cells_of, match_sites, texts
from geojw.law.pack import Pack
from geojw.measure.coverage import Coverage
from geojw.measure.geodesy import AnalysisCRS, Floats
from geojw.measure.index import Bools, LayerIndex, Shapes
from geojw.measure.nearness import Together
from geojw.wording import Kinds, Texts

CODED_ROWS = 1_000
"""From so many rows on, categories pay."""


@dataclass(frozen=True, eq=False)
class LayerData:
    """
    One layer as delivered, ready to be measured.

    Parameters
    ----------
    index
        Its features in the analysis CRS.
    coverage
        Where it is authoritative.
    accuracy_m
        Of each feature; NaN is unknown.
    status
        Of each feature: official, open or synthetic.
    adrift
        Features whose true position is somewhere in their geometry.
    unplaced
        Features without a usable geometry: nobody knows where they are.
    values_of
        Give the texts that occur in a column of the whole file, read or not.
    reach_m
        How far from `near` it is complete; None is everywhere.
    near
        Where it was read, in the analysis CRS; None with `reach_m` None.
    """

    index: LayerIndex
    coverage: Coverage
    accuracy_m: Floats
    status: Texts
    adrift: Bools
    unplaced: Bools
    values_of: Callable[[str], frozenset[str]]
    reach_m: float | None = None
    near: shapely.Geometry | None = None

    @cached_property
    def ids(self) -> Texts:
        """The features' ids."""
        return np.asarray(self.index.features.index, dtype=object)

    @cached_property
    def statuses(self) -> frozenset[str]:
        """Every status that some feature has."""
        return frozenset(str(word) for word in self.status)

    @cached_property
    def kept(self) -> dict[str, Kept]:
        """What each `where` keeps, filled by those who ask: a loaded layer is filtered once."""
        return {}


class Columns(Mapping[str, Cells]):
    """The columns of a frame but its geometry as they are matched, each made when it is first asked for."""

    def __init__(self, frame: gpd.GeoDataFrame) -> None:
        self._frame, self._made = frame, dict[str, Cells]()
        self._names = dict.fromkeys(name for name in frame.columns if name != frame.active_geometry_name)
        if len(frame) < FEW:  # a row is sooner taken apart as a whole than asked for cell by cell
            rows = [frame.iloc[row].to_list() for row in range(len(frame))]
            cells = [np.array(column, dtype=object) for column in zip(*rows, strict=True)]
            self._made = dict(zip(frame.columns, cells, strict=False))

    def __getitem__(self, name: str) -> Cells:
        if name not in self._made:
            self._made[name] = cells_of(self._frame[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


@dataclass(frozen=True, eq=False)
class Batch:
    """
    Some sites, and what is asked of them.

    Parameters
    ----------
    ids
        Site ids, sorted.
    shapes
        Their geometries in the analysis CRS.
    attributes
        Their table.
    accuracy_m
        Of their own position; NaN is unknown.
    pack, analysis
        The zone.
    lang
        Language of the texts.
    workers
        Threads.
    uncovered
        What of the sites lies outside the coverages measured so far, filled by those who measure.
    asked
        What the attributes said to those who asked so far.
    """

    ids: Texts
    shapes: Shapes
    attributes: gpd.GeoDataFrame
    accuracy_m: Floats
    pack: Pack
    analysis: AnalysisCRS
    lang: str
    workers: int
    uncovered: dict[int, Floats] = field(default_factory=dict)
    asked: dict[str, tuple[Three, Kinds]] = field(default_factory=dict)

    @cached_property
    def distances(self) -> Together:
        """Where distances to the nearest features are asked for."""
        return Together(self.analysis, self.workers)

    @cached_property
    def words(self) -> pd.api.extensions.ExtensionArray:
        """The ids as tables hold them."""
        return pd.array(self.ids, dtype="str")

    @cached_property
    def cells(self) -> Columns:
        """The attributes, column by column, as they are matched."""
        return Columns(self.attributes)

    @cached_property
    def slivers(self) -> Slivers:
        """What counts as nothing."""
        return Slivers(self.shapes, self.pack.zone)

    def __len__(self) -> int:
        return len(self.ids)

    def matched(self, wanted: Mapping[str, tuple[str | bool, ...]]) -> tuple[Three, Kinds]:
        """Ask the sites for every key of an `applies` or `unless`, as `match_sites`; many rules ask the same."""
        known = self._known.get(id(wanted))  # its number is no other's while it is kept here
        if known is None:
            key = repr(sorted(wanted.items()))
            if key not in self.asked:
                self.asked[key] = match_sites(self.cells, len(self), wanted, self.pack.zone.attributes)
            known = self._known[id(wanted)] = (wanted, self.asked[key])
        return known[1]

    @cached_property
    def _known(self) -> dict[int, tuple[Mapping[str, tuple[str | bool, ...]], tuple[Three, Kinds]]]:
        return {}


@dataclass(frozen=True, eq=False)
class Kept:
    """What a `where` keeps of a layer: surely, perhaps, and the columns that leave it open."""

    certain: Bools
    possible: Bools
    missing: Texts


ADDED_ACCURACY = "_added_accuracy_m"
"""Column of sites whose coordinates were moved: what that adds to their accuracy, in m."""


def site_accuracy_m(attributes: pd.DataFrame, default: float | None) -> Floats:
    """Give the accuracy of each site's own position; what is stated and cannot be read is unknown, not the default."""
    out = np.full(len(attributes), np.nan if default is None else default)
    if "accuracy_m" in attributes:
        given = texts(attributes["accuracy_m"]) != ""
        own = pd.to_numeric(attributes["accuracy_m"], errors="coerce").to_numpy(float, na_value=np.nan)
        out = np.where(given, np.where(own >= 0.0, own, np.nan), out)
    if ADDED_ACCURACY in attributes:
        out = out + attributes[ADDED_ACCURACY].to_numpy(float)
    return out
