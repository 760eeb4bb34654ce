"""Measure what two versions of one layer differ in, whole and by division: areas, lengths, numbers, cover."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely

from geojw.law.quantity_rows import AREA_UNITS
from geojw.measure.cover import NO_DATA, UNDECLARED, cover
from geojw.measure.geodesy import Floats
from geojw.measure.index import LayerIndex, Shapes
from geojw.measure.overlay import overlap_pairs
from geojw.measure.rasters import Raster

PLACE = ("layer", "division", "feature_id", "name")
AREAS = (
    *PLACE, "old_m2", "new_m2", "added_m2", "removed_m2", "change_m2", "added_mu", "removed_mu", "change_mu",
)  # fmt: skip
LENGTHS = (*PLACE, "old_m", "new_m", "added_m", "removed_m", "change_m")
COUNTS = (*PLACE, "old_count", "new_count", "added_count", "removed_count", "change_count")
COVERS = (
    "layer", "class", *PLACE[1:], "old_m2", "new_m2", "change_m2", "change_mu", "old_no_data_m2", "new_no_data_m2",
)  # fmt: skip
OUTSIDE = "outside"
"""The division that stands for what lies in none."""

NOTHING: Mapping[str, shapely.Geometry] = {
    "polygon": shapely.MultiPolygon(),
    "line": shapely.MultiLineString(),
    "point": shapely.MultiPoint(),
}
GRID_M = 1e-3
"""Lines and points of two versions that are this close are the same: a vertex more on a straight line is no change."""

_UNIT = {"polygon": "m2", "line": "m", "point": "count"}
_DIGITS = {"polygon": 4, "line": 3, "point": 0}


@dataclass(frozen=True, eq=False)
class Division:
    """
    What changes are told by: towns, or control units.

    Parameters
    ----------
    ids, titles
        Of its features.
    shapes
        In the analysis CRS.
    """

    ids: Sequence[str]
    titles: Sequence[str]
    shapes: Shapes


@dataclass(frozen=True, eq=False)
class Change:
    """
    What was there of a vector layer, what is there, and what was added and removed.

    Parameters
    ----------
    kind
        ``polygon``, ``line`` or ``point``.
    old, new, added, removed
        Unions in the analysis CRS.
    """

    kind: str
    old: shapely.Geometry
    new: shapely.Geometry
    added: shapely.Geometry
    removed: shapely.Geometry

    @classmethod
    def between(cls, kind: str, old: shapely.Geometry, new: shapely.Geometry) -> Change:
        """Find what was added and removed; where two versions only touch there is nothing."""
        grid = None if kind == "polygon" else GRID_M
        added, removed = (shapely.difference(*pair, grid_size=grid) for pair in ((new, old), (old, new)))
        return cls(kind, old, new, *(_of_kind(kind, shape) for shape in (added, removed)))

    @property
    def four(self) -> tuple[shapely.Geometry, ...]:
        """Old, new, added and removed."""
        return self.old, self.new, self.added, self.removed

    @property
    def is_none(self) -> bool:
        """Whether both versions are in the same places."""
        return bool(shapely.is_empty(self.added) and shapely.is_empty(self.removed))

    def rows(self, layer: str, divisions: Mapping[str, Division]) -> Iterator[dict[str, object]]:
        """Give the rows of `AREAS`, `LENGTHS` or `COUNTS`: the whole, then each division."""
        size, shared = _SIZE[self.kind], _SHARED[self.kind]
        yield self._row((layer, "", "", ""), [size(shape) for shape in self.four])
        for name, division in divisions.items():
            parts = np.array([shared(shape, division.shapes) for shape in self.four])
            for number, (key, title) in enumerate(zip(division.ids, division.titles, strict=True)):
                yield self._row((layer, name, key, title), list(parts[:, number]))
            rest = shapely.union_all(division.shapes.geometries)
            yield self._row((layer, name, OUTSIDE, ""), [size(shapely.difference(shape, rest)) for shape in self.four])

    def _row(self, place: tuple[str, ...], four: Sequence[float]) -> dict[str, object]:
        unit, digits = _UNIT[self.kind], _DIGITS[self.kind]
        old, new, added, removed = (round(float(value), digits) + 0.0 for value in four)
        values = {"old": old, "new": new, "added": added, "removed": removed, "change": round(new - old, digits) + 0.0}
        row: dict[str, object] = dict(zip(PLACE, place, strict=True))
        row |= {f"{name}_{unit}": int(value) if unit == "count" else value for name, value in values.items()}
        if unit == "m2":
            row |= {f"{name}_mu": mu(values[name]) for name in ("added", "removed", "change")}
        return row


def mu(m2: float) -> float:
    """
    Give an area in 亩 as it is written.

    Examples
    --------
    >>> mu(100_000.0)
    150.0
    """
    return round(m2 / AREA_UNITS["mu"], 7) + 0.0


def _of_kind(kind: str, shape: shapely.Geometry) -> shapely.Geometry:
    """Leave out lines and points where two versions only touch."""
    parts = shapely.get_parts(shape)
    if kind == "polygon":
        return shapely.MultiPolygon(list(parts[shapely.area(parts) > 0.0]))
    if kind == "line":
        return shapely.MultiLineString(list(parts[shapely.length(parts) > 0.0]))
    return shapely.MultiPoint(list(parts[~shapely.is_empty(parts)]))


def _points(shape: shapely.Geometry) -> float:
    """Count places."""
    return float(shapely.get_num_coordinates(shape))


def _areas_in(shape: shapely.Geometry, divisions: Shapes) -> Floats:
    """Measure in m² what each division has of an area."""
    out = np.zeros(len(divisions))
    if not shapely.is_empty(shape):
        pairs = overlap_pairs(divisions, LayerIndex(gpd.GeoDataFrame(geometry=[shape]), "polygon"))
        out[pairs.site] = pairs.overlap
    return out


def _lengths_in(shape: shapely.Geometry, divisions: Shapes) -> Floats:
    """Measure in m what each division has of a line; what runs along the edge of two is in both."""
    return np.asarray(shapely.length(shapely.intersection(shape, divisions.geometries)), dtype=float)


def _points_in(shape: shapely.Geometry, divisions: Shapes) -> Floats:
    """Count what each division has of points; one on the edge of two is in both."""
    return np.asarray(shapely.get_num_coordinates(shapely.intersection(shape, divisions.geometries)), dtype=float)


_SIZE: Mapping[str, Callable[[shapely.Geometry], float]] = {
    "polygon": shapely.area,
    "line": shapely.length,
    "point": _points,
}
_SHARED: Mapping[str, Callable[[shapely.Geometry, Shapes], Floats]] = {
    "polygon": _areas_in,
    "line": _lengths_in,
    "point": _points_in,
}


def cover_rows(
    layer: str, old: Raster | None, new: Raster | None, outline: shapely.Geometry, divisions: Mapping[str, Division]
) -> Iterator[dict[str, object]]:
    """
    Measure what a raster's classes cover before and after.

    Parameters
    ----------
    layer
        The layer.
    old, new
        None where a version has no such layer: its figures are NaN, for nothing is known of it.
    outline
        Of the zone: the whole.
    divisions
        Towns, control units.

    Yields
    ------
    dict
        Rows of `COVERS`, by class.
    """
    places = [("", "", "", outline)]
    for name, one in divisions.items():
        keys = zip(one.ids, one.titles, one.shapes.geometries, strict=True)
        places += [(name, key, title, shape) for key, title, shape in keys]
    shapes = Shapes.of(np.array([place[3] for place in places], dtype=object))
    sides, lost = zip(*(_cover_of(raster, shapes) for raster in (old, new)), strict=True)
    for name in sorted({*sides[0], *sides[1]}):
        before, after = (side.get(name, np.full(len(shapes), np.nan)) for side in sides)
        figures = np.column_stack([before, after, after - before, *lost]).round(4) + 0.0
        for place, (old_m2, new_m2, change_m2, *lost_m2) in zip(places, figures.tolist(), strict=True):
            cells = (layer, name, *place[:3], old_m2, new_m2, change_m2, mu(change_m2), *lost_m2)
            yield dict(zip(COVERS, cells, strict=True))


def _cover_of(raster: Raster | None, shapes: Shapes) -> tuple[dict[str, Floats], Floats]:
    """Give m² of each class in each shape, and of what has no data or a value of no class."""
    if raster is None:
        return {}, np.full(len(shapes), np.nan)
    table = cover(shapes, raster)
    by_class = {name: table[raster.wanted([name])].sum(axis=1).to_numpy() for name in raster.classes}
    return by_class, table[[NO_DATA, UNDECLARED]].sum(axis=1).to_numpy()
