"""Measure what the plan's targets are about, each in its unit, within its outline and by town."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw.decide.counted import NOTHING, ByDivision, Counted, Outline, Quantity, matched, worst_share
from geojw.decide.screening import Source
from geojw.errors import Fault, LayerError
from geojw.law.access_list import FALSE, text_of
from geojw.law.catalogue import Reported, Target
from geojw.law.quantity_rows import units_of
from geojw.measure import cover
from geojw.measure.geodesy import Floats
from geojw.measure.index import Shapes
from geojw.measure.rasters import RasterData
from geojw.texts import say

MEASURED = (
    "value", "value_max", "partial", "worst_case", "value_planar", "denominator", "data_share", "as_of", "source",
    "reason", "data",
)  # fmt: skip
DIVISIONS = (
    "target_id", "layer", "feature_id", "name", "value", "unit", "area_m2", "division_area_m2", "data_share",
)  # fmt: skip
DECIMALS = {"km2": 10, "ha": 8, "mu": 7, "m2": 4, "%": 7, "share": 9}
"""Written digits by unit, 6 for others: m² to 1e-4, shares to 1e-9."""


@dataclass(frozen=True, eq=False)
class Quantities:
    """
    What was measured for all targets.

    Parameters
    ----------
    table
        `MEASURED`, index = target id.
    divisions
        `DIVISIONS`: each measured target by town, by control unit.
    counted
        Index = target id, in the analysis CRS: the areas that count.
    failed
        Layer -> why it could not be used.
    """

    table: pd.DataFrame
    divisions: pd.DataFrame
    counted: gpd.GeoDataFrame
    failed: Mapping[str, LayerError]


def measure(targets: Sequence[Target], source: Source, *, on: date, lang: str) -> Quantities:
    """
    Measure every target.

    Parameters
    ----------
    targets
        Rows of ``targets.toml``.
    source
        The zone.
    on
        Reports of later days are not looked at; layers of later days say so.
    lang
        ``zh`` or ``en``, for `source` and `denominator`.

    Returns
    -------
    Quantities
        A row a target, whatever failed.
    """
    work = _Measuring(source, on, lang)
    found = {target.id: work.quantity(target) for target in targets}
    rows = [_written(target, found[target.id]) for target in targets]
    table = pd.DataFrame(rows, columns=list(MEASURED), index=pd.Index(found, name="id", dtype=object))
    shown = {name: one.counted for name, one in found.items() if one.counted is not None}
    shapes = gpd.GeoSeries(
        list(shown.values()), index=pd.Index(shown, name="id", dtype=object), crs=source.analysis.crs
    )
    counted = gpd.GeoDataFrame(geometry=shapes)
    divisions = pd.DataFrame(work.divisions, columns=list(DIVISIONS))
    return Quantities(table, divisions, counted, dict(sorted(work.failed.items())))


def _written(target: Target, one: Quantity) -> tuple[object, ...]:
    """Round to the digits that are written: what is decided on is what is told."""
    digits = DECIMALS.get(target.unit, 6)
    low, high, worst, planar = (round(float(v), digits) + 0.0 for v in (one.low, one.high, one.worst, one.planar))
    told = (one.denominator, one.data_share, one.as_of, one.source, one.reason, ";".join(sorted(one.words)))
    return (low, high, one.partial, worst, planar, *told)


@dataclass(eq=False)
class _Measuring:
    """The measuring of one zone's targets: outlines and divisions are made once."""

    source: Source
    day: date
    lang: str
    failed: dict[str, LayerError] = field(default_factory=dict)
    divisions: list[dict[str, object]] = field(default_factory=list)
    _outlines: dict[str, Outline] = field(default_factory=dict)
    _parts: list[_Division] | None = None

    def quantity(self, target: Target) -> Quantity:
        """Measure one target; a layer that fails leaves it unknown and is named."""
        kind = target.quantity.kind
        if kind == "scope":
            return Quantity()
        if kind == "reported":
            return self._reported(target)
        name = at = str(target.quantity.layer)
        row = self.source.pack.layers[name]
        try:
            at = str(target.quantity.within)
            outline = self._outline(at)
            at = name
            one = self._covered(target, outline) if kind == "cover_share" else self._on_features(target, outline)
        except LayerError as error:
            self.failed.setdefault(at, error)
            one = Quantity(reason=error.text(self.lang).replace("\n", "; "))
        if one.by_division is not None:
            self._by_division(target, one.by_division)
        words = {*one.words, *({"newer_than_day"} if row.source.date > self.day else ())}
        about = row.source
        said = " · ".join(word for word in (about.publisher, about.version, about.licence) if word)
        return replace(one, as_of=about.date, source=f"{row.title.in_(self.lang)}: {said}", words=tuple(words))

    def _reported(self, target: Target) -> Quantity:
        """Take the latest report that is not after the day; one without a day only where there is no other."""
        rows = [row for row in self.source.pack.reported if row.target == target.id]
        past = [row for row in rows if row.as_of is None or row.as_of <= self.day]
        if not past:
            return Quantity(reason="reported_later" if rows else "not_reported")
        last: Reported = past[-1]  # the pack sorts them by day, those without one first
        words = ("synthetic",) if last.status == "synthetic" else ()
        known = Quantity(as_of=last.as_of, source=last.source, words=words)
        if last.of == 0.0:
            return replace(known, reason=NOTHING)
        return replace(known, low=last.value, high=last.value)

    # -- places -----------------------------------------------------------------------------------

    def _outline(self, name: str) -> Outline:
        if name not in self._outlines:
            data = self.source.layer(name)
            row = self.source.pack.layers[name]
            usable = ~data.adrift & ~data.unplaced
            shape = data.index.select(usable).union
            if shapely.area(shape) == 0.0:
                raise LayerError([Fault("outline_empty", row.path, {"within": name})])
            worst = float(np.max(data.accuracy_m[usable]))
            self._outlines[name] = Outline(name, row.title.in_(self.lang), shape, worst)
        return self._outlines[name]

    def _division_parts(self) -> list[_Division]:
        """Give towns, units and whatever else the zone is divided into."""
        if self._parts is None:
            self._parts = []
            for name in self.source.pack.zone.divisions:
                try:
                    data = self.source.layer(name)
                except LayerError as error:
                    self.failed.setdefault(name, error)
                    continue
                label = self.source.pack.layers[name].label
                features = data.index.features
                named = label in features.columns
                titles = [text_of(value) for value in features[label]] if named else [""] * len(features)
                self._parts += [
                    _Division(name, str(i), title, shape)
                    for i, title, shape in zip(data.ids, titles, data.index.geometries, strict=True)
                ]
        return self._parts

    def _by_division(self, target: Target, values: ByDivision) -> None:
        """Add a target's rows by division."""
        parts = self._division_parts()
        if not parts:
            return
        shapes = Shapes.of(np.array([part.shape for part in parts], dtype=object))
        digits = DECIMALS.get(target.unit, 6)
        for part, size, (value, area_m2, data) in zip(parts, shapes.size, values(shapes), strict=True):
            self.divisions.append({
                "target_id": target.id, "layer": part.layer, "feature_id": part.id, "name": part.title,
                "value": round(value, digits), "unit": target.unit, "area_m2": round(area_m2, 4),
                "division_area_m2": round(size, 4), "data_share": round(data, 9),
            })  # fmt: skip

    # -- vector layers ----------------------------------------------------------------------------

    def _on_features(self, target: Target, outline: Outline) -> Quantity:
        quantity, name = target.quantity, str(target.quantity.layer)
        data, row = self.source.layer(name), self.source.pack.layers[name]
        counts = matched(data, row, quantity.counts, target.id)
        whole = matched(data, row, quantity.of, target.id)
        out = max(float(data.coverage.outside(Shapes.of(np.array([outline.shape], dtype=object)))[0]), 0.0)
        size = float(shapely.area(outline.shape))
        lost = bool((data.unplaced & (np.minimum(counts, whole) > FALSE)).any())
        partial = lost or out > self.source.pack.zone.sliver_m2
        zone, crs = self.source.pack.zone, self.source.analysis.crs
        counted = Counted(target.unit, outline, data, counts, whole, crs, zone.planar_crs, self.lang)
        one = counted.quantity(quantity.kind)
        words = {"synthetic"} & {*data.statuses, row.status}
        words |= {"partial"} if partial else set()
        words |= {"formula_unverified"} if quantity.formula_verified is False else set()
        return replace(one, partial=partial, data_share=round(1.0 - out / size, 9), words=tuple(words))

    # -- rasters ----------------------------------------------------------------------------------

    def _covered(self, target: Target, outline: Outline) -> Quantity:
        """Share of the outline that a raster's classes cover: cells without data as none, and as all."""
        quantity, name = target.quantity, str(target.quantity.layer)
        data = self.source.raster(name)
        shapes = Shapes.of(np.array([outline.shape], dtype=object))
        low, high, known = (float(column[0]) for column in self._cover_shares(target, data, shapes))
        if known == 0.0:
            fields = {"within": outline.name}
            raise LayerError([Fault("outline_outside", self.source.pack.layers[name].path, fields)])
        scale = 1.0 / (units_of(quantity.kind) or {})[target.unit]
        edge_m = float(cover.edges_m(shapes, data.raster, data.raster.wanted(quantity.classes))[0])
        off_m2 = (data.raster.half_cell_m + data.accuracy_m) * edge_m
        size, length = float(shapes.size[0]), float(shapely.length(outline.shape))

        def parts(divisions: Shapes) -> Iterable[tuple[float, float, float]]:
            share, _, there = self._cover_shares(target, data, divisions)
            return zip(share * scale, share * divisions.size, there, strict=True)

        least = quantity.min_data_share or 0.0
        little = say("target.little_data", self.lang, share=f"{known:.1%}", least=f"{least:.1%}")
        words = {"estimate"} | ({"synthetic"} & data.statuses) | ({"partial"} if known < 1.0 else set())
        return Quantity(
            low=low * scale, high=high * scale, denominator=outline.sized(self.lang), data_share=known,
            worst=worst_share(low * size, off_m2, size, outline.accuracy_m * length) * scale,
            reason=little if known < least else "", words=tuple(words), by_division=parts,
        )  # fmt: skip

    def _cover_shares(self, target: Target, data: RasterData, shapes: Shapes) -> tuple[Floats, Floats, Floats]:
        """Give the share of each shape that surely is of the classes, that may be, and that has data."""
        wanted = data.raster.wanted(target.quantity.classes)
        others = [value for value in data.raster.declared if value not in wanted]
        table = cover.cover(shapes, data.raster).drop(columns="cells")
        whole = table.sum(axis=1).to_numpy()
        # Beyond the layer's coverage a cell of the class is there all the same; another one proves nothing.
        spoken = table[others].sum(axis=1).to_numpy()
        for row in np.flatnonzero(data.coverage.outside(shapes) > self.source.pack.zone.sliver_m2):
            held = Shapes.of(cover.held(shapes.geometries[[row]], data.coverage))
            spoken[row] = cover.cover(held, data.raster)[others].sum(axis=1).iloc[0]
        low, other = table[wanted].sum(axis=1).to_numpy() / whole, spoken / whole
        return np.round(low, 12), np.round(np.maximum(1.0 - other, low), 12), np.round(np.minimum(low + other, 1.0), 12)


@dataclass(frozen=True, eq=False)
class _Division:
    """A town, or a control unit."""

    layer: str
    id: str
    title: str
    shape: shapely.Geometry
