"""Repair of delivered geometries, and their way into the analysis CRS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries
from geojw.measure.index import Bools


@dataclass(frozen=True, eq=False)
class Repairs:
    """What had to be repaired."""

    invalid: Bools
    why: np.ndarray[Any, Any]
    changed_m2: Floats
    raw: Geometries


FARTHEST = 1e9
"""No position in metres, and none in degrees, is as large."""

MOST_PARTS = 1_000_000.0
"""Into so many parts the edges of one shape may be split before they are projected."""


SAMPLED, MOST_MET, MOST_CROSSINGS = 200, 20.0, 20_000.0


def is_wild(geometry: Geometries, *, degrees: bool) -> Bools:
    """
    Find shapes whose coordinates are no places: not finite, beyond all bounds, or with edges around the Earth.

    They would have to be split into more parts than memory holds.
    """
    bounds = shapely.bounds(geometry)
    empty = shapely.is_missing(geometry) | shapely.is_empty(geometry)
    with np.errstate(invalid="ignore", over="ignore"):
        most = 360.0 if degrees else FARTHEST
        inside = (np.abs(bounds) <= most).all(axis=1)
        parts = shapely.length(geometry) * (1_113.2 if degrees else 1.0 / 300.0)
        wild = ~inside | ~(parts <= MOST_PARTS)
    return np.asarray(wild & ~empty, dtype=bool)


def is_tangled(shape: shapely.Geometry) -> bool:
    """
    Whether the edges of a shape cross so often that a repair would not end: a drawing is never like that.

    The crossings are estimated by the boxes of some hundred edges against all; neighbours account for a few each.
    """
    xy, of = shapely.get_coordinates(shapely.get_rings(shape), return_index=True)
    if len(xy) < SAMPLED:
        return False
    same = of[1:] == of[:-1]
    boxes = shapely.box(*np.minimum(xy[1:], xy[:-1])[same].T, *np.maximum(xy[1:], xy[:-1])[same].T)
    some = boxes[np.linspace(0, len(boxes) - 1, SAMPLED).astype(np.int64)]
    met = len(shapely.STRtree(boxes).query(some)[0]) / SAMPLED
    return met * len(boxes) > MOST_MET * len(boxes) + MOST_CROSSINGS


def repaired(geometry: Geometries, crs: CRS) -> tuple[Geometries, Geometries, Bools]:
    """
    Repair copies in the CRS of delivery.

    Returns
    -------
    flat : ndarray
        As delivered, without heights; empty where nothing can be used.
    fixed : ndarray
        The same, valid.
    invalid : ndarray
        Where the two differ.
    """
    flat, high = geometry.copy(), shapely.has_z(geometry) | shapely.has_m(geometry)
    with np.errstate(invalid="ignore"):  # coordinates that are no numbers are found here
        flat[high] = shapely.force_2d(flat[high])
    missing = shapely.is_missing(flat) | is_wild(flat, degrees=crs.is_geographic)
    flat[missing] = shapely.Polygon()
    invalid = np.asarray(~shapely.is_valid(flat), dtype=bool)
    for at in np.flatnonzero(invalid):
        if is_tangled(flat[at]):
            flat[at], invalid[at] = shapely.Polygon(), False
    fixed = flat.copy()
    fixed[invalid] = [_made_valid(shape) for shape in flat[invalid]]
    return flat, fixed, invalid


def in_analysis(geometry: Geometries, crs: CRS, analysis: AnalysisCRS) -> tuple[Geometries, Repairs]:
    """Repair copies in the CRS of delivery and project them; what is lost comes back empty."""
    flat, fixed, invalid = repaired(geometry, crs)
    why = np.full(len(flat), "", dtype=object)
    why[invalid] = shapely.is_valid_reason(flat[invalid])
    shapes = analysis.project(fixed, crs)
    shapes[~_finite(shapes)] = shapely.Polygon()
    bent = np.flatnonzero(~shapely.is_valid(shapes))  # thin shapes may cross themselves once projected
    shapes[bent] = [_made_valid(shape) for shape in shapes[bent]]
    raw = flat.copy()
    raw[invalid] = analysis.project(flat[invalid], crs)
    changed = np.zeros(len(flat))
    with np.errstate(invalid="ignore"):  # what is nowhere has no area
        changed[invalid] = np.abs(shapely.area(shapes[invalid]) - shapely.area(raw[invalid]))
    return shapes, Repairs(invalid, why, changed, raw)


def _finite(geometry: Geometries) -> Bools:
    return np.asarray(shapely.is_empty(geometry) | np.isfinite(shapely.bounds(geometry)).all(axis=1), dtype=bool)


def _made_valid(shape: shapely.Geometry) -> shapely.Geometry:
    """Repair a copy, keeping only what has the dimension of the original."""
    fixed = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    parts = shapely.get_parts(fixed)
    same = parts[shapely.get_dimensions(parts) == shapely.get_dimensions(shape)]
    return shapely.union_all(same) if len(same) else shapely.Polygon()
