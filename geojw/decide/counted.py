"""What counts of a layer within an outline: areas, shares, counts and rates, three-valued. No opinions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS

from geojw.decide.batch import LayerData
from geojw.errors import Fault, LayerError
from geojw.law.access_list import FALSE, TRUE, UNKNOWN, Three, listed, match_features
from geojw.law.catalogue import Filters, Layer
from geojw.law.quantity_rows import AREA_UNITS, units_of
from geojw.measure.geodesy import planar_area_m2, read_crs
from geojw.measure.index import Bools, LayerIndex, Shapes
from geojw.measure.overlay import overlap_pairs
from geojw.texts import say

ByDivision = Callable[[Shapes], Iterable[tuple[float, float, float]]]
"""Give value, m² and share with data of each division."""

NOTHING = "nothing"
"""Why a share is unknown whose whole is nothing."""


@dataclass(frozen=True, eq=False)
class Outline:
    """
    What a target is measured within: the union of a polygon layer.

    Parameters
    ----------
    name, title
        The layer.
    shape
        In the analysis CRS.
    accuracy_m
        The worst of its features; NaN is unknown.
    """

    name: str
    title: str
    shape: shapely.Geometry
    accuracy_m: float

    def sized(self, lang: str) -> str:
        """Say what a share is of."""
        km2 = float(shapely.area(self.shape)) / AREA_UNITS["km2"]
        return say("target.denominator", lang, title=self.title, area=f"{km2:,.4f}")


@dataclass(frozen=True, eq=False)
class Quantity:
    """
    One quantity, in the target's own unit.

    Parameters
    ----------
    low, high
        What is surely there, and the most that may be; equal where everything is known.
    partial
        Whether the layer does not speak for all of the outline, so that `high` is no bound.
    worst
        How far off it is if all edges are off one way by their accuracy; NaN is unknown.
    planar
        The figure in the planar CRS, for comparison; NaN where it makes no difference or there is none.
    denominator
        In words, what a share is of.
    data_share
        Share of the outline for which there are data.
    counted
        What counts, in the analysis CRS.
    reason
        Why it is unknown.
    words
        What every table must say of it.
    as_of, source
        Its day, and where it comes from.
    by_division
        Measure it by town or control unit: value, m² and share with data of each.
    """

    low: float = np.nan
    high: float = np.nan
    partial: bool = False
    worst: float = np.nan
    planar: float = np.nan
    denominator: str = ""
    data_share: float = np.nan
    counted: shapely.Geometry | None = None
    reason: str = ""
    words: tuple[str, ...] = ()
    as_of: date | None = None
    source: str = ""
    by_division: ByDivision | None = None


def filter_faults(data: LayerData, row: Layer, filters: Filters, target: str) -> Iterable[Fault]:
    """Find columns and values of filters that the delivered layer does not know: slips that would count too little."""
    columns = {column for where in filters for column in where}
    missing = columns - set(data.index.features.columns)
    for column in sorted(missing):
        yield Fault("target_column", row.path, {"column": column, "target": target})
    for where in filters:
        for column, values in where.items():
            there = frozenset() if column in missing or column in row.codes else data.values_of(column)
            for value in values:
                if there and not any(listed(text, (value,)) for text in there):
                    yield Fault("target_value", row.path, {"column": column, "value": value, "target": target})


def matched(data: LayerData, row: Layer, filters: Filters, target: str) -> Three:
    """Filter features, three-valued: any filter suffices, and without one all of them count."""
    faults = list(filter_faults(data, row, filters, target))
    if faults:
        raise LayerError(faults)
    out = np.full(len(data.index), FALSE if filters else TRUE, dtype=np.int8)
    for where in filters:
        out = np.maximum(out, match_features(data.index.features, where, row.codes)[0])
    return out


@dataclass(frozen=True, eq=False)
class Counted:
    """
    The features of one layer within an outline, as one target counts them.

    Parameters
    ----------
    unit
        The target's.
    outline
        Where they count.
    data
        The layer.
    counts, whole
        Whether each feature counts, and whether it belongs to the whole of a rate, three-valued.
    crs, planar_crs
        The analysis CRS, and that of the figures for comparison.
    lang
        ``zh`` or ``en``.
    """

    unit: str
    outline: Outline
    data: LayerData
    counts: Three
    whole: Three
    crs: CRS
    planar_crs: str | None
    lang: str

    def quantity(self, kind: str) -> Quantity:
        """Measure a kind of quantity."""
        by_kind = {
            "layer_area": self.area, "layer_share": self.share, "layer_count": self.count,
            "area_rate": self.area_rate, "count_rate": self.count_rate,
        }  # fmt: skip
        return by_kind[kind]()

    def _within(self, kept: Bools) -> shapely.Geometry:
        """Give the union of some features within the outline; nothing is an empty polygon."""
        shape = shapely.intersection(self.data.index.select(kept & ~self.data.unplaced).union, self.outline.shape)
        parts = shapely.get_parts(shape)
        areas = parts[shapely.get_dimensions(parts) == 2]  # noqa: PLR2004 - edges that only touch are no areas
        return shapely.multipolygons(areas) if len(areas) else shapely.MultiPolygon()

    @property
    def _sure(self) -> Bools:
        """Features that surely count, and whose place is known."""
        return np.asarray((self.counts == TRUE) & ~self.data.adrift, dtype=bool)

    def _accuracy_m(self, kept: Bools) -> float:
        """Give the worst accuracy of features and outline; NaN is unknown."""
        own = self.data.accuracy_m[kept]
        return float(np.max([*own, self.outline.accuracy_m])) if not np.isnan(own).any() else np.nan

    def _planar(self, *shapes: shapely.Geometry) -> list[float]:
        planar = self.planar_crs
        if planar is None:
            return [np.nan] * len(shapes)
        crs = read_crs(planar, "zone.toml, planar_crs")
        return [float(v) for v in planar_area_m2(np.array(shapes, dtype=object), self.crs, crs)]

    def area(self) -> Quantity:
        """Measure an area."""
        m2 = AREA_UNITS[self.unit]
        low, high = self._within(self._sure), self._within(self.counts >= UNKNOWN)
        worst = self._accuracy_m(self._sure) * float(shapely.length(low))
        return Quantity(
            low=float(shapely.area(low)) / m2, high=float(shapely.area(high)) / m2, worst=worst / m2,
            planar=self._planar(low)[0] / m2, counted=low,
            by_division=lambda shapes: ((part / m2, part, np.nan) for part in _shared(low, shapes)),
        )  # fmt: skip

    def share(self) -> Quantity:
        """Measure the share of the outline that an area takes."""
        scale = 1.0 / (units_of("layer_share") or {})[self.unit]
        low, high = self._within(self._sure), self._within(self.counts >= UNKNOWN)
        whole = self.outline.shape
        size, length = float(shapely.area(whole)), float(shapely.length(whole))
        off_m2 = self._accuracy_m(self._sure) * float(shapely.length(low))
        worst = worst_share(float(shapely.area(low)), off_m2, size, self.outline.accuracy_m * length)

        def parts(shapes: Shapes) -> Iterable[tuple[float, float, float]]:
            return ((a / s * scale, a, np.nan) for a, s in zip(_shared(low, shapes), shapes.size, strict=True))

        part, all_ = self._planar(low, whole)
        return Quantity(
            low=float(shapely.area(low)) / size * scale, high=float(shapely.area(high)) / size * scale,
            worst=worst * scale, planar=part / all_ * scale, denominator=self.outline.sized(self.lang), counted=low,
            by_division=parts,
        )  # fmt: skip

    # -- counts -----------------------------------------------------------------------------------

    def _inside(self, shape: shapely.Geometry) -> tuple[Bools, Bools]:
        """Whether each feature surely, and perhaps, is in a shape; touching from outside is not."""
        geometries = self.data.index.geometries
        shapely.prepare(shape)
        meets = np.asarray(shapely.intersects(shape, geometries), dtype=bool)
        if self.data.index.kind == "polygon":
            meets &= ~np.asarray(shapely.touches(shape, geometries), dtype=bool)
        surely = np.where(self.data.adrift, shapely.covers(shape, geometries), meets) & ~self.data.unplaced
        return np.asarray(surely, dtype=bool), meets | self.data.unplaced

    def count(self) -> Quantity:
        """Count features."""
        surely, perhaps = self._inside(self.outline.shape)
        kept = self.counts == TRUE
        edge = shapely.boundary(self.outline.shape)
        by_m = self.data.accuracy_m + self.outline.accuracy_m
        near = shapely.distance(edge, self.data.index.geometries) <= np.nan_to_num(by_m, nan=np.inf)
        sure = kept & ~self.data.adrift & ~self.data.unplaced
        worst = np.nan if np.isnan(by_m[sure]).any() else float((near & sure).sum())

        def parts(shapes: Shapes) -> Iterable[tuple[float, float, float]]:
            return ((float((self._inside(g)[0] & kept).sum()), np.nan, np.nan) for g in shapes.geometries)

        low, high = (surely & kept).sum(), (perhaps & (self.counts >= UNKNOWN)).sum()
        return Quantity(low=float(low), high=float(high), worst=worst, by_division=parts)

    # -- rates ------------------------------------------------------------------------------------

    def _rate_parts(self) -> tuple[Bools, Bools, Bools, Bools]:
        """Give which features surely and perhaps are good, and surely and perhaps are not."""
        good = np.minimum(self.whole, self.counts)
        bad = np.minimum(self.whole, (TRUE - self.counts).astype(np.int8))
        drift = self.data.adrift
        return (good == TRUE) & ~drift, good >= UNKNOWN, (bad == TRUE) & ~drift, bad >= UNKNOWN

    def area_rate(self) -> Quantity:
        """Measure what share of the area of some features is of others."""
        good, may_be_good, bad, may_be_bad = (self._within(kept) for kept in self._rate_parts())
        scale = 1.0 / (units_of("area_rate") or {})[self.unit]
        a, a_max, b, b_max = (float(shapely.area(shape)) for shape in (good, may_be_good, bad, may_be_bad))
        low, high = _ratio(a, b_max), _ratio(a_max, b)
        off = self._accuracy_m(self.whole >= UNKNOWN)
        off_a, off_b = (off * float(shapely.length(shape)) for shape in (good, may_be_bad))
        worst = max(_ratio(a + off_a, max(b_max - off_b, 0.0)) - low, low - _ratio(max(a - off_a, 0.0), b_max + off_b))

        def parts(shapes: Shapes) -> Iterable[tuple[float, float, float]]:
            both = zip(_shared(good, shapes), _shared(may_be_bad, shapes), strict=True)
            return ((_ratio(x, y) * scale, x, np.nan) for x, y in both)

        x, y = self._planar(good, may_be_bad)
        ha = (a + b_max) / AREA_UNITS["ha"]
        return Quantity(
            low=low * scale, high=high * scale, worst=worst * scale, planar=_ratio(x, y) * scale,
            denominator=say("target.of_area", self.lang, area=f"{ha:,.4f}"), counted=good, by_division=parts,
            reason=NOTHING if np.isnan(low) else "",
        )  # fmt: skip

    def count_rate(self) -> Quantity:
        """Measure what share of the number of some features is of others."""
        surely, perhaps = self._inside(self.outline.shape)
        good, may_be_good, bad, may_be_bad = self._rate_parts()
        a, b = float((good & surely).sum()), float((bad & surely).sum())
        a_max, b_max = float((may_be_good & perhaps).sum()), float((may_be_bad & perhaps).sum())
        scale = 1.0 / (units_of("count_rate") or {})[self.unit]
        low, high = _ratio(a, b_max), _ratio(a_max, b)

        def parts(shapes: Shapes) -> Iterable[tuple[float, float, float]]:
            for shape in shapes.geometries:
                inside, maybe = self._inside(shape)
                yield _ratio(float((good & inside).sum()), float((may_be_bad & maybe).sum())) * scale, np.nan, np.nan

        return Quantity(
            low=low * scale, high=high * scale, reason=NOTHING if np.isnan(low) else "", by_division=parts,
            denominator=say("target.of_count", self.lang, count=f"{a + b_max:,.0f}"),
        )  # fmt: skip


def _ratio(part: float, rest: float) -> float:
    """Give a part of a whole; of nothing there is no share."""
    return part / (part + rest) if part + rest > 0.0 else np.nan


def worst_share(part_m2: float, off_m2: float, size_m2: float, size_off_m2: float) -> float:
    """Give how far a share is off if all edges are off one way: the part's outwards, the whole's inwards, or back."""
    share = part_m2 / size_m2
    most = (part_m2 + off_m2) / max(size_m2 - size_off_m2, part_m2)
    return max(most - share, share - max(part_m2 - off_m2, 0.0) / (size_m2 + size_off_m2))


def _shared(counted: shapely.Geometry, shapes: Shapes) -> Iterable[float]:
    """Measure in m² what each division has of what counts."""
    features = gpd.GeoDataFrame(geometry=np.array([counted], dtype=object))
    pairs = overlap_pairs(shapes, LayerIndex(features, "polygon"))
    out = np.zeros(len(shapes))
    out[pairs.site] = pairs.overlap
    return [float(value) for value in out]
