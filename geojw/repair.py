"""Floor 9: repair of delivered geometries, and their way into the analysis CRS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from geojw.geodesy import AnalysisCRS, Floats, Geometries
from geojw.index import Bools


@dataclass(frozen=True, eq=False)
class Repairs:
    """What had to be repaired."""

    invalid: Bools
    why: np.ndarray[Any, Any]
    changed_m2: Floats
    raw: Geometries


def repaired(geometry: Geometries) -> tuple[Geometries, Geometries, Bools]:
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
    flat = shapely.force_2d(geometry)
    missing = shapely.is_missing(flat) | ~_finite(flat)
    flat[missing] = shapely.Polygon()
    invalid = np.asarray(~shapely.is_valid(flat), dtype=bool)
    fixed = flat.copy()
    fixed[invalid] = [_made_valid(shape) for shape in flat[invalid]]
    return flat, fixed, invalid


def in_analysis(geometry: Geometries, crs: CRS, analysis: AnalysisCRS) -> tuple[Geometries, Repairs]:
    """Repair copies in the CRS of delivery and project them; what is lost comes back empty."""
    flat, fixed, invalid = repaired(geometry)
    why = np.full(len(flat), "", dtype=object)
    why[invalid] = shapely.is_valid_reason(flat[invalid])
    shapes = analysis.project(fixed, crs)
    shapes[~_finite(shapes)] = shapely.Polygon()
    bent = np.flatnonzero(~shapely.is_valid(shapes))  # thin shapes may cross themselves once projected
    shapes[bent] = [_made_valid(shape) for shape in shapes[bent]]
    raw = flat.copy()
    raw[invalid] = analysis.project(flat[invalid], crs)
    changed = np.zeros(len(flat))
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
