"""Coordinates with an offset or of another datum brought to CGCS2000, each with its uncertainty in metres."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.crs import BoundCRS
from pyproj.crs.coordinate_operation import ToWGS84Transformation
from pyproj.exceptions import ProjError

from geojw.errors import CRSError, Fault
from geojw.intake.datums import DEGREES, GEOGRAPHIC, Stated, datums, sizes
from geojw.measure.geodesy import Floats, Geometries, densify, transformed

Convention = Literal["position_vector", "coordinate_frame"]


@dataclass(frozen=True, eq=False)
class Moved:
    """
    Geometries brought into CGCS2000.

    Parameters
    ----------
    geometries
        (n,) in `crs`, the same shapes with more vertices where edges are long.
    crs
        What they are in now.
    accuracy_m
        (n,) what the move adds to each one's accuracy, a 95 % bound in m; NaN where nobody knows.
    remarks
        What every output must say of it.
    """

    geometries: Geometries
    crs: CRS
    accuracy_m: Floats
    remarks: tuple[Fault, ...]


# ---------------------------------------------------------------------------------------------- offsets of map services

_CONVERGED_DEG = 1e-11
_ROUNDS = 30


def shifted(lonlat: Floats, offset: str) -> Floats:
    """
    Give the map service's coordinates of true ones.

    Parameters
    ----------
    lonlat
        An (n, 2) array of longitude and latitude in degrees, WGS 84.
    offset
        ``gcj02`` or ``bd09``.

    Returns
    -------
    ndarray
        (n, 2). The formulas are those that the community found, in the library ``pybind11-coordtransform``.
    """
    import pybind11_coordtransform as library  # noqa: PLC0415 - few runs need it

    if not len(lonlat):
        return lonlat
    # The library looks only at the first row to see whether it is in China; `undo_offset` has looked at all.
    moved: Floats = library.wgs84_to_gcj02_Nx2(np.ascontiguousarray(lonlat, dtype=np.float64), check_out_of_china=False)
    if offset == "gcj02":
        return moved
    return np.array([library.gcj02tobd09(lon, lat) for lon, lat in moved]).reshape(-1, 2)


def unshifted(lonlat: Floats, offset: str) -> Floats:
    """
    Give the true coordinates of a map service's: the inverse of `shifted`, iterated to a micrometre.

    Raises
    ------
    CRSError
        The iteration does not settle (there is no offset at such a place).
    """
    true = lonlat.astype(float)
    for _ in range(_ROUNDS):
        step = lonlat - shifted(true, offset)
        true = true + step
        if not np.isfinite(step).all():
            break
        if not len(step) or np.abs(step).max() < _CONVERGED_DEG:
            return true
    raise CRSError([Fault("coords.offset_nowhere", offset)])


def undo_offset(geometries: Geometries, crs: CRS, offset: str, where: str) -> Moved:
    """
    Take the offset of a map service out of sites, for screening only.

    Parameters
    ----------
    geometries
        (n,) two-dimensional, none missing, as delivered.
    crs
        Longitude and latitude, or Web Mercator of them (EPSG:3857).
    offset
        ``gcj02`` or ``bd09``.
    where
        The file, for the faults.

    Returns
    -------
    Moved
        In CGCS2000 longitude and latitude, with the uncertainty of ``datums.toml``.

    Raises
    ------
    CRSError
        The CRS cannot carry the offset, or some place lies where the service makes none (outside China).
    """
    flat = densify(geometries, crs)
    if crs.to_epsg() == 3857:  # noqa: PLR2004 - the code of Web Mercator
        flat = transformed(flat, Transformer.from_crs(crs, 4326, always_xy=True))
    elif not crs.is_geographic:
        raise CRSError([Fault("coords.offset_crs", where, {"crs": crs.name})])
    row = datums().offset[offset]
    xy = shapely.get_coordinates(flat)
    if len(xy) and not _offset_applies(xy):
        raise CRSError([Fault("coords.offset_nowhere", where)])
    remark = Fault("coords.offset_undone", where, {"name": row.name, "m": f"{row.uncertainty_m:g}"})
    true = np.asarray(shapely.set_coordinates(flat.copy(), unshifted(xy, offset)), dtype=object)
    return Moved(true, CRS(GEOGRAPHIC), np.full(len(flat), row.uncertainty_m), (remark,))


def _offset_applies(lonlat: Floats) -> bool:
    """Whether the library finds all four corners of the extent in China: elsewhere it leaves them as they are."""
    import pybind11_coordtransform as library  # noqa: PLC0415 - few runs need it

    if not np.isfinite(lonlat).all():
        return False
    (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
    corners = [(lon, lat) for lon in (west, east) for lat in (south, north)]
    return all(tuple(np.ravel(library.wgs84togcj02(*corner))) != corner for corner in corners)


# ---------------------------------------------------------------------------------------------- given transformations


@dataclass(frozen=True)
class SevenParameters:
    """Bursa-Wolf parameters to CGCS2000: shifts in m, rotations in arc seconds, scale in parts per million."""

    shift_m: tuple[float, float, float]
    rotation_arcsec: tuple[float, float, float]
    scale_ppm: float
    convention: Convention


def read_transformation(text: str, where: str) -> SevenParameters | str:
    """
    Read a transformation as a user writes it.

    Parameters
    ----------
    text
        ``position_vector,dx,dy,dz,rx,ry,rz,ds`` or ``coordinate_frame,...`` (the two have opposite signs of rotation,
        so the convention must be said), or a PROJ pipeline.
    where
        For the faults.

    Returns
    -------
    SevenParameters or str
        The parameters, or the checked pipeline.

    Raises
    ------
    CRSError
        It is neither, or the pipeline names a file.
    """
    head, *rest = [part.strip() for part in re.split("[,，;；]", text)]
    if head in ("position_vector", "coordinate_frame"):
        try:
            dx, dy, dz, rx, ry, rz, scale = (float(part) for part in rest)
        except ValueError:
            raise CRSError([Fault("coords.seven", where, {"got": text[:80]})]) from None
        if not np.isfinite([dx, dy, dz, rx, ry, rz, scale]).all():
            raise CRSError([Fault("coords.seven", where, {"got": text[:80]})])
        convention: Convention = "position_vector" if head == "position_vector" else "coordinate_frame"
        return SevenParameters((dx, dy, dz), (rx, ry, rz), scale, convention)
    if "proj=" not in text:
        raise CRSError([Fault("coords.seven", where, {"got": text[:80]})])
    # A pipeline that names a file would have PROJ open it.
    if re.search(r"(grids|file|init|model|shapefile)\s*=|[/\\@]", text):
        raise CRSError([Fault("coords.pipeline_file", where)])
    return text


def transform(
    geometries: Geometries,
    stated: Stated | None,
    given: SevenParameters | str,
    target: CRS,
    accuracy_m: float | None,
    where: str,
) -> Moved:
    """
    Apply a transformation that the user gives.

    Parameters
    ----------
    geometries
        (n,) two-dimensional, none missing, x = east or longitude.
    stated
        What the coordinates are in now; seven parameters need it.
    given
        From `read_transformation`. Seven parameters lead to CGCS2000 longitude and latitude; a pipeline takes the
        coordinates as they are in the file, and gives those of `target`, east or longitude (in degrees) first.
    target
        What a pipeline leads to.
    accuracy_m
        How good the user says it is, a 95 % bound in m; None if nobody says.
    where
        The file, for the faults.

    Returns
    -------
    Moved
        In CGCS2000 longitude and latitude or in `target`.

    Raises
    ------
    CRSError
        The transformation cannot be made, or leads nowhere for some coordinate.
    """
    if isinstance(given, SevenParameters):
        if stated is None or stated.crs is None:
            raise CRSError([Fault("coords.seven_source", where)])
        step, target = _helmert(stated.crs, given), CRS(GEOGRAPHIC)
        flat = densify(geometries, stated.crs)
    else:
        try:
            step = Transformer.from_pipeline(given)
        except ProjError:
            raise CRSError([Fault("coords.pipeline", where, {"got": given[:80]})]) from None
        flat = densify(geometries, _metric(geometries))
    moved = transformed(flat, step)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise CRSError([Fault("coords.transformed_nowhere", where)])
    key = "coords.transformed" if accuracy_m is not None else "coords.transformed_unknown"
    remark = Fault(key, where, {} if accuracy_m is None else {"m": f"{accuracy_m:g}"})
    return Moved(moved, target, np.full(len(moved), np.nan if accuracy_m is None else accuracy_m), (remark,))


def _helmert(source: CRS, seven: SevenParameters) -> Transformer:
    """Make the transformer to longitude and latitude; PROJ's own rotations are of the position vector."""
    sign = 1.0 if seven.convention == "position_vector" else -1.0
    dx, dy, dz = seven.shift_m
    rx, ry, rz = (sign * angle for angle in seven.rotation_arcsec)
    shift = ToWGS84Transformation(source.geodetic_crs or source, dx, dy, dz, rx, ry, rz, seven.scale_ppm)
    bound = BoundCRS(source_crs=source, target_crs=CRS(4326), transformation=shift)
    return Transformer.from_crs(bound, 4326, always_xy=True)


def _metric(geometries: Geometries) -> CRS:
    """Give a CRS of the unit that coordinates seem to have, for the length of their edges."""
    labels = sizes(shapely.get_coordinates(geometries))
    return CRS(GEOGRAPHIC) if len(labels) and (labels == DEGREES).all() else CRS(3857)
