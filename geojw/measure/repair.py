"""Repair of delivered geometries, and their way into the analysis CRS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from geojw.measure.cache import WORTH_VERTICES, digest_of, remembered
from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries, surely_short
from geojw.measure.index import Bools


@dataclass(frozen=True, eq=False)
class Repairs:
    """
    What had to be repaired.

    Parameters
    ----------
    invalid, why, changed_m2
        Which shapes, for what reason, and by how much each changed.
    raw
        All as delivered, those that were repaired projected as they were.
    whole
        Which are what was delivered: repaired neither before they were projected nor after.
    """

    invalid: Bools
    why: np.ndarray[Any, Any]
    changed_m2: Floats
    raw: Geometries
    whole: Bools


FARTHEST = 1e9
"""No position in metres, and none in degrees, is as large."""

MOST_PARTS = 1_000_000.0
"""Into so many parts the edges of one shape may be split before they are projected."""


WORTH_COMPILED = 2_000
"""For so many shapes loading compiled code pays."""

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
        wild: Bools = np.any(~(np.abs(bounds) <= most), axis=1)
        parts_a_unit = 1_113.2 if degrees else 1.0 / 300.0
        # No edge is longer than its box is wide and high: few shapes have to be measured.
        at_most = shapely.get_num_coordinates(geometry) * (bounds[:, 2:] - bounds[:, :2]).sum(axis=1) * parts_a_unit
        long = np.flatnonzero(~(at_most <= MOST_PARTS))
        wild[long] |= ~(shapely.length(geometry[long]) * parts_a_unit <= MOST_PARTS)
    return np.asarray(wild & ~empty, dtype=bool)


def are_valid(geometry: Geometries, *, kept: bool = False) -> Bools:
    """
    Whether each shape is valid, as GEOS says it.

    Parameters
    ----------
    geometry
        Of many, those about which there is no doubt are known before.
    kept
        Whether the shapes are a layer's, that come again: what GEOS said of large ones is kept on disk.
    """

    def by_geos(some: Geometries) -> Bools:
        if kept and int(shapely.get_num_coordinates(some).sum()) >= WORTH_VERTICES:
            said = remembered("valid", (digest_of(some),), lambda: (np.asarray(shapely.is_valid(some), dtype=bool),))
            return np.asarray(said[0], dtype=bool)
        return np.asarray(shapely.is_valid(some), dtype=bool)

    if len(geometry) < WORTH_COMPILED:
        return by_geos(geometry)
    from geojw.measure.simple import are_simple, plain_rings  # noqa: PLC0415 - numba is loaded only where there are many

    rings, out = plain_rings(geometry), np.zeros(len(geometry), dtype=bool)
    out[rings.rows] = are_simple(rings)
    doubtful = np.flatnonzero(~out)
    out[doubtful] = by_geos(geometry[doubtful])
    return out


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


def repaired(geometry: Geometries, crs: CRS, *, kept: bool = False) -> tuple[Geometries, Geometries, Bools]:
    """
    Repair copies in the CRS of delivery; `kept` as in `are_valid`.

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
    invalid = ~are_valid(flat, kept=kept)
    for at in np.flatnonzero(invalid):
        if is_tangled(flat[at]):
            flat[at], invalid[at] = shapely.Polygon(), False
    fixed = flat.copy()
    fixed[invalid] = [_made_valid(shape) for shape in flat[invalid]]
    return flat, fixed, invalid


def in_analysis(
    geometry: Geometries, crs: CRS, analysis: AnalysisCRS, *, kept: bool = False
) -> tuple[Geometries, Repairs]:
    """Repair copies in the CRS of delivery and project them; what is lost is empty. `kept` as in `are_valid`."""
    if len(geometry) < WORTH_COMPILED:
        return _mended(geometry, crs, analysis, kept=kept)
    n, shapes = len(geometry), _plain(geometry, crs, analysis)
    rest = np.flatnonzero(shapely.is_missing(shapes))
    shapes[rest], mended = _mended(geometry[rest], crs, analysis, kept=kept)
    all_ = Repairs(np.zeros(n, bool), np.full(n, "", object), np.zeros(n), geometry.copy(), np.ones(n, bool))
    for whole, some in zip(vars(all_).values(), vars(mended).values(), strict=True):
        whole[rest] = some
    return shapes, all_


def _plain(geometry: Geometries, crs: CRS, analysis: AnalysisCRS) -> Geometries:
    """Project the many polygons in which there is beyond doubt nothing to be mended and no edge to be split."""
    from geojw.measure.simple import are_simple, plain_rings, polygons_of  # noqa: PLC0415 - numba is loaded only for many

    rings, out = plain_rings(geometry), np.full(len(geometry), None, dtype=object)
    good = are_simple(rings, 360.0 if crs.is_geographic else FARTHEST, surely_short(crs))
    if len(rings.rows):
        rings = rings._replace(xy=analysis.of_crs(rings.xy, crs))
        good &= are_simple(rings)
        out[rings.rows[good]] = polygons_of(rings)[good]
    return out


def _mended(geometry: Geometries, crs: CRS, analysis: AnalysisCRS, *, kept: bool) -> tuple[Geometries, Repairs]:
    """Repair and project what may need it."""
    flat, fixed, invalid = repaired(geometry, crs, kept=kept)
    why = np.full(len(flat), "", dtype=object)
    why[invalid] = shapely.is_valid_reason(flat[invalid])
    shapes = analysis.project(fixed, crs)
    shapes[~_finite(shapes)] = shapely.Polygon()
    bent = np.flatnonzero(~are_valid(shapes, kept=kept))  # thin shapes may cross themselves once projected
    shapes[bent] = [_made_valid(shape) for shape in shapes[bent]]
    raw, changed = flat.copy(), np.zeros(len(flat))
    if invalid.any():
        raw[invalid] = analysis.project(flat[invalid], crs)
        with np.errstate(invalid="ignore"):  # what is nowhere has no area
            changed[invalid] = np.abs(shapely.area(shapes[invalid]) - shapely.area(raw[invalid]))
    whole = ~invalid
    whole[bent] = False
    return shapes, Repairs(invalid, why, changed, raw, whole)


def _finite(geometry: Geometries) -> Bools:
    return np.asarray(shapely.is_empty(geometry) | np.isfinite(shapely.bounds(geometry)).all(axis=1), dtype=bool)


def _made_valid(shape: shapely.Geometry) -> shapely.Geometry:
    """Repair a copy, keeping only what has the dimension of the original."""
    fixed = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    parts = shapely.get_parts(fixed)
    same = parts[shapely.get_dimensions(parts) == shapely.get_dimensions(shape)]
    return shapely.union_all(same) if len(same) else shapely.Polygon()
