"""The analysis CRS and true area and distance on the CGCS2000 ellipsoid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion

from geojw.errors import CRSError, Fault

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Moved = Callable[[Floats], Floats]
"""Takes an (n, 2) array of coordinates elsewhere."""

ELLIPSOID = Geod(a=6378137.0, rf=298.257222101)
"""The CGCS2000 ellipsoid (GB 22021)."""

WORLD = CRS(4490)
"""Longitude and latitude of CGCS2000, in which results are written."""

_CENTRE_M = 1.0
"""So near to the centre PROJ's inverse is as it should be, or not."""

_REACH_DEGREES, _STEP_DEGREES = 30.0, 0.01
"""How far north and south what PROJ's inverse lacks is known, and in which steps: it is straight between them."""

_EARTH_RADIUS_M = 6_371_000.0
_DEGREE_M = np.radians(_EARTH_RADIUS_M) + 1.0
_EDGE_M = {True: 100.0, False: 300.0}
"""Longest edge left whole, by whether the CRS is geographic: longer ones bend when projected."""


@dataclass(frozen=True)
class AnalysisCRS:
    """
    The one CRS in which a zone is measured: Lambert azimuthal equal area on the CGCS2000 ellipsoid.

    Areas in it are ellipsoidal to 2e-7; distances are good to 5e-6 within 20 km of the centre, and are
    refined on the ellipsoid where they are reported.

    Parameters
    ----------
    lon, lat
        The centre in degrees, CGCS2000.
    """

    lon: float
    lat: float

    @property
    def crs(self) -> CRS:
        """The CRS itself."""
        return _laea(self.lon, self.lat)

    def project(self, geometries: Geometries, crs: CRS) -> Geometries:
        """
        Bring geometries into the analysis CRS, their edges straight in the CRS of delivery.

        Parameters
        ----------
        geometries
            Shapely geometries in `crs`, two-dimensional, none missing.
        crs
            The CRS of delivery.

        Returns
        -------
        ndarray
            New geometries in metres.
        """
        dense = densify(geometries, crs)
        return transformed(dense, _transformer(crs.to_wkt(), self.crs.to_wkt()))

    def to_geographic(self, geometries: Geometries) -> Geometries:
        """Bring geometries of this CRS to CGCS2000 longitude and latitude (EPSG:4490)."""
        return np.asarray(shapely.transform(geometries, self.lonlat), dtype=object)

    def lonlat(self, xy: Floats) -> Floats:
        """
        Bring an (n, 2) array of this CRS to longitude and latitude in degrees.

        PROJ's inverse is up to 1.6 mm off in northing (a cut series of the latitude alone), except at the very centre;
        with what it lacks at that latitude it is good to a nanometre.
        """
        forth, back = _there_and_back(self.lon, self.lat)
        out = _moved(xy, back)
        out[:, 1] += _looked_up(out[:, 1], *_lacking(self.lon, self.lat))
        rows = np.flatnonzero((np.abs(xy[:, 0]) < _CENTRE_M) & (np.abs(xy[:, 1]) < _CENTRE_M))
        if rows.size:
            some = xy[rows]
            out[rows] = _moved(2.0 * some - _moved(_moved(some, back), forth), back)
        return out

    def deproject(self, geometries: Geometries, crs: CRS) -> Geometries:
        """Bring geometries of this CRS into another, vertex by vertex: long edges are to be split before."""
        forth = _transformer("EPSG:4490", crs.to_wkt())
        moved = shapely.transform(geometries, lambda xy: _moved(self.lonlat(xy), forth))
        return np.asarray(moved, dtype=object)

    def of_crs(self, xy: Floats, crs: CRS) -> Floats:
        """Bring an (n, 2) array of another CRS into this one."""
        return _moved(xy, _transformer(crs.to_wkt(), self.crs.to_wkt()))

    def distance_m(self, start: Floats, end: Floats) -> Floats:
        """Geodesic distance in metres between the rows of two (n, 2) arrays of this CRS."""
        if len(start) == 0:
            return np.zeros(0)
        n = len(start)
        both = self.lonlat(np.concatenate([start, end]))
        if n == 1:  # see _moved
            (a, b), (c, d) = both.tolist()
            return np.array([ELLIPSOID.inv(a, b, c, d)[2]])
        return np.asarray(ELLIPSOID.inv(both[:n, 0], both[:n, 1], both[n:, 0], both[n:, 1])[2], dtype=float)

    def distortion(self, geometries: Geometries, reach_m: float = 0.0) -> Floats:
        """
        Bound how far planar distances at these geometries may be off, as a share.

        Parameters
        ----------
        geometries
            In this CRS.
        reach_m
            How much farther from the centre the distances may lead, in metres.
        """
        corners = np.abs(shapely.bounds(geometries))
        far_m = np.hypot(np.fmax(corners[:, 0], corners[:, 2]), np.fmax(corners[:, 1], corners[:, 3])) + reach_m
        # Spherical LAEA stretches by at most c^2/8 at angular distance c; twice that, and 5e-6 for the ellipsoid.
        return np.asarray(5e-6 + (far_m / _EARTH_RADIUS_M) ** 2 / 4.0)


@cache
def _laea(lon: float, lat: float) -> CRS:
    return ProjectedCRS(LambertAzimuthalEqualAreaConversion(lat, lon), geodetic_crs=WORLD)


@cache
def _there_and_back(lon: float, lat: float) -> tuple[Transformer, Transformer]:
    plane = _laea(lon, lat).to_wkt()
    return _transformer("EPSG:4490", plane), _transformer(plane, "EPSG:4490")


@cache
def _lacking(lon: float, lat: float) -> tuple[float, Floats]:
    """Give the first of the latitudes, in even steps, that PROJ's inverse gives, and what each of them lacks."""
    forth, back = _there_and_back(lon, lat)
    true = np.arange(max(lat - _REACH_DEGREES, -89.0), min(lat + _REACH_DEGREES, 89.0), _STEP_DEGREES)
    given = _moved(_moved(np.column_stack([np.full(len(true), lon + 1.0), true]), forth), back)[:, 1]
    first = float(given[0])
    return first, np.interp(first + _STEP_DEGREES * np.arange(len(given)), given, true - given)


def _looked_up(latitude: Floats, first: float, lacking: Floats) -> Floats:
    """Read a table of even steps, straight between them and level beyond its ends: faster than `np.interp`."""
    at = np.fmax(np.fmin((latitude - first) / _STEP_DEGREES, len(lacking) - 1.0), 0.0)  # a place, also for no number
    low = np.minimum(at.astype(np.int64), len(lacking) - 2)
    below = lacking[low]
    return np.asarray(below + (at - low) * (lacking[low + 1] - below))


@cache
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def unmoved(xy: Floats) -> Floats:
    """Leave coordinates where they are."""
    return xy


def transformed(geometries: Geometries, transformer: Transformer) -> Geometries:
    """Bring geometries through a transformer that takes and gives east or longitude first."""

    def move(xy: Floats) -> Floats:
        return _moved(xy, transformer)

    return np.asarray(shapely.transform(geometries, move), dtype=object)


def _moved(xy: Floats, transformer: Transformer) -> Floats:
    """Transform an (n, 2) array."""
    if len(xy) == 1:  # pyproj takes an array of one for a number, which numpy means to forbid
        return _moved(np.repeat(xy, 2, axis=0), transformer)[:1]
    return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))


def reproject(xy: Floats, source: str, target: str) -> Floats:
    """Bring an (n, 2) array, east or longitude first, from one CRS to another; what has no place there is infinite."""
    return _moved(xy, _transformer(source, target)) if len(xy) else xy


def read_crs(text: str, where: str) -> CRS:
    """Read a CRS from its name or WKT; a fault names `where` it was written."""
    from pyproj.exceptions import CRSError as ProjError  # noqa: PLC0415 - the name clashes with ours

    try:
        crs = CRS.from_user_input(text)
    except ProjError:
        raise CRSError([Fault("crs_unreadable", where, {"crs": text})]) from None
    if not (crs.is_geographic or crs.is_projected) and not crs.is_compound:
        raise CRSError([Fault("crs_unusable", where, {"crs": crs.name})])
    return crs


def densify(geometries: Geometries, crs: CRS) -> Geometries:
    """
    Split long edges into equal parts, in the CRS in which they are straight.

    Two neighbours share the new points of a common edge to the last bit, whichever way round they run, because
    points are always counted from the edge's smaller end.

    Parameters
    ----------
    geometries
        Shapely geometries, two-dimensional, none missing.
    crs
        Their CRS: edges above 100 m (geographic) or 300 m (projected) are split.

    Returns
    -------
    ndarray
        Geometries with more vertices and the same shape.
    """
    out = np.array(geometries, dtype=object)
    kinds, long = shapely.get_type_id(out), _may_be_long(out, crs)
    for types in ((1, 5), (3, 6)):  # lines; polygons. Points have no edges.
        rows = np.flatnonzero(np.isin(kinds, types) & long)
        if rows.size:
            out[rows] = _densify_kind(out[rows], crs)
    return out


def surely_short(crs: CRS) -> float:
    """Give the way east and north, added, up to which no edge is split, in the unit of a CRS."""
    return _EDGE_M[bool(crs.is_geographic)] / (_DEGREE_M if crs.is_geographic else _unit_m(crs))


def _may_be_long(geometries: Geometries, crs: CRS) -> NDArray[np.bool_]:
    """Find the few geometries that may have to be taken apart, by what is never less than an edge's length."""
    xy, owner = shapely.get_coordinates(geometries, return_index=True)
    out = np.zeros(len(geometries), dtype=bool)
    out[owner[:-1][(np.abs(np.diff(xy, axis=0)).sum(axis=1) > surely_short(crs)) & (np.diff(owner) == 0)]] = True
    return out


def _densify_kind(geometries: Geometries, crs: CRS) -> Geometries:
    kind, xy, offsets = shapely.to_ragged_array(geometries, include_z=False)
    ends = offsets[0]
    parts = _edge_parts(xy, crs)
    parts[ends[1:-1] - 1] = 1  # no edge leads from one ring to the next
    if np.all(parts == 1):
        return geometries
    counts = np.append(parts, 1)
    first = np.repeat(np.arange(len(xy)), counts)
    step = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = np.minimum(first + 1, len(xy) - 1)
    a, b = xy[first], xy[second]
    swapped = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
    low, high = np.where(swapped[:, None], b, a), np.where(swapped[:, None], a, b)
    number = counts[first]
    share = np.where(swapped, number - step, step) / number
    dense = low + (high - low) * share[:, None]
    dense[step == 0] = xy[first[step == 0]]
    positions = np.concatenate([[0], np.cumsum(counts)])
    return np.asarray(shapely.from_ragged_array(kind, dense, (positions[ends], *offsets[1:])), dtype=object)


def _edge_parts(xy: Floats, crs: CRS) -> NDArray[np.int64]:
    """Give for each vertex the number of parts of the edge that leaves it."""
    delta = np.diff(xy, axis=0)
    if crs.is_geographic:
        middle = np.radians((xy[1:, 1] + xy[:-1, 1]) / 2.0)
        delta = np.radians(delta) * _EARTH_RADIUS_M
        delta[:, 0] *= np.cos(middle)
    else:
        delta = delta * _unit_m(crs)
    length_m = np.hypot(delta[:, 0], delta[:, 1])
    length_m[~np.isfinite(length_m)] = 0.0
    return np.maximum(np.ceil(length_m / _EDGE_M[bool(crs.is_geographic)]).astype(np.int64), 1)


def _unit_m(crs: CRS) -> float:
    axes: list[Any] = crs.axis_info
    return float(axes[0].unit_conversion_factor) if axes else 1.0


def ellipsoidal_area_m2(geometry: shapely.Geometry) -> float:
    """
    Geodesic area of one polygon or multipolygon in CGCS2000 longitude and latitude, in m².

    Slow and independent of the analysis CRS; the tests check the engine against it.

    Examples
    --------
    >>> square = shapely.box(106.30, 29.50, 106.31, 29.51)
    >>> round(ellipsoidal_area_m2(square))
    1074762
    """
    area, _ = ELLIPSOID.geometry_area_perimeter(shapely.orient_polygons(shapely.force_2d(geometry)))
    return abs(float(area))


def planar_area_m2(geometries: Geometries, crs: CRS, planar: CRS) -> Floats:
    """Areas in a planar CRS such as Gauss-Krüger, in m², for comparison only; geometries are in `crs`."""
    moved = transformed(geometries, _transformer(crs.to_wkt(), planar.to_wkt()))
    return np.asarray(shapely.area(moved), dtype=float)
