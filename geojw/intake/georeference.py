"""The way from a file's coordinates to a CRS that can be used, settled once a file and gone shape by shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from geojw.errors import CRSError, Fault
from geojw.intake import encoding
from geojw.intake.control_points import fit_control, read_control
from geojw.intake.coordinates import Extent, settle
from geojw.intake.datums import GEOGRAPHIC, Stated, recognise, sizes
from geojw.intake.transformations import Moved, read_transformation, transform, undo_offset
from geojw.measure.geodesy import Floats, Geometries
from geojw.measure.repair import FARTHEST, is_wild

HALF_TURN = 180.0
"""Degrees: no coordinate in degrees is larger."""

PROBED = 2_000
"""Positions of a file that are held against the zone."""


@dataclass(frozen=True)
class Way:
    """
    How the user says that coordinates are to be read.

    Parameters
    ----------
    crs
        The CRS of the coordinates, or the one that control points and transformations lead to.
    datum
        ``gcj02`` or ``bd09``: the coordinates are a map service's.
    control_points
        A CSV of points in both systems.
    transformation
        As `transformations.read_transformation` reads it.
    transformation_accuracy_m
        How good it is, a 95 % bound.
    extent
        Where the sites should be.
    """

    crs: str | None = None
    datum: str | None = None
    control_points: Path | None = None
    transformation: str | None = None
    transformation_accuracy_m: float | None = None
    extent: Extent | None = None


@dataclass(frozen=True, eq=False)
class Georeference:
    """
    The CRS of a file once its coordinates have gone their way.

    Parameters
    ----------
    crs
        That CRS.
    code
        Its code, or ``""``.
    remarks
        What was concluded.
    move
        Brings shapes into it, with what that adds to their accuracy; None where nothing moves.
    degrees
        Whether what is moved is in degrees.
    """

    crs: CRS
    code: str
    remarks: tuple[Fault, ...]
    move: Callable[[Geometries], Moved] | None = None
    degrees: bool = False

    def apply(self, geometries: Geometries) -> tuple[Geometries, Floats]:
        """
        Give shapes in `crs`, and what that adds to the accuracy of each, in m.

        Shapes that are missing or whose coordinates are no numbers stay as they are.
        """
        added = np.zeros(len(geometries))
        if self.move is None:
            return geometries, added
        gone = shapely.is_missing(geometries) | shapely.is_empty(geometries)
        there = np.flatnonzero(~gone & ~is_wild(geometries, degrees=self.degrees))
        out = geometries.copy()
        if there.size:
            moved = self.move(np.asarray(shapely.force_2d(geometries[there]), dtype=object))
            out[there], added[there] = moved.geometries, moved.accuracy_m
        return out, added


def settled(stated: Stated | None, way: Way, xy: Floats, where: str) -> Georeference:
    """
    Settle the CRS of a file.

    Parameters
    ----------
    stated
        What the file says.
    way
        What the user says.
    xy
        An (n, 2) array of positions, one a feature.
    where
        The file, for the faults.

    Returns
    -------
    Georeference
        With what was concluded.

    Raises
    ------
    CRSError
        With everything that stands in the way, and the candidates where nothing is stated.
    """
    ways = [name for name in ("datum", "control_points", "transformation") if getattr(way, name) is not None]
    if len(ways) > 1:
        raise CRSError([Fault("coords_ways", where, {"ways": ", ".join("--" + w.replace("_", "-") for w in ways)})])
    if not ways:
        used = recognise(way.crs, "--crs") if way.crs else stated
        probe = _probe(xy, None if used is None else used.crs)
        if used is not None and used.crs is not None and not used.faults:
            _check_usable(used.crs, where)
        found = settle(stated, way.crs, probe, way.extent, where)
        return Georeference(found.crs, found.code, found.remarks)
    if way.datum is not None:
        crs, move = _offset(stated, way, where)
    elif way.control_points is not None:
        crs, move = _control(way, where)
    else:
        crs, move = _transformation(stated, way, where)
    probe = _probe(xy, crs)
    probe = probe[np.isfinite(probe).all(axis=1) & (np.abs(probe) < FARTHEST).all(axis=1)]
    moved = move(np.array(shapely.points(probe), dtype=object))
    reached = shapely.get_coordinates(moved.geometries)
    found = settle(recognise(moved.crs.to_wkt(), where), None, reached, way.extent, where)
    degrees = bool(len(probe)) and bool((np.abs(probe) <= HALF_TURN).all())
    return Georeference(found.crs, found.code, (*moved.remarks, *found.remarks), move, degrees)


def _check_usable(crs: CRS, where: str) -> None:
    """Refuse a CRS that can be read but leads nowhere: PROJ finds that out only when it is to be used."""
    try:
        Transformer.from_crs(crs, GEOGRAPHIC, always_xy=True)
    except ProjError:
        raise CRSError([Fault("crs_unusable", where, {"crs": crs.name})]) from None


def _offset(stated: Stated | None, way: Way, where: str) -> tuple[CRS, Callable[[Geometries], Moved]]:
    """Take an offset out of degrees; such coordinates need no CRS of their own beside the service's name."""
    used = recognise(way.crs, "--crs") if way.crs else stated
    if used is not None and used.crs is None:
        raise CRSError(used.faults)
    crs = CRS(GEOGRAPHIC) if used is None or used.crs is None else used.crs
    datum = way.datum or ""
    return crs, lambda shapes: undo_offset(shapes, crs, datum, where)


def _control(way: Way, where: str) -> tuple[CRS, Callable[[Geometries], Moved]]:
    target, path = _target(way, where), Path(way.control_points or "")
    if not path.is_file():
        raise CRSError([Fault("file_missing", path.name)])
    text, _ = encoding.decode(path.read_bytes(), None, path.name)
    fit = fit_control(read_control(text, path.name), path.name)
    return target, lambda shapes: fit.apply(shapes, target, where)


def _transformation(stated: Stated | None, way: Way, where: str) -> tuple[CRS, Callable[[Geometries], Moved]]:
    given = read_transformation(way.transformation or "", "--transformation")
    if isinstance(given, str):
        target, source = _target(way, where), stated
    else:
        source, target = (recognise(way.crs, "--crs") if way.crs else stated), CRS(GEOGRAPHIC)
    good = way.transformation_accuracy_m
    return target, lambda shapes: transform(shapes, source, given, target, good, where)


def _target(way: Way, where: str) -> CRS:
    """Give the CRS that control points or a pipeline lead to, which only the user knows."""
    if way.crs is None:
        raise CRSError([Fault("coords_target", where)])
    chosen = recognise(way.crs, "--crs")
    if chosen.crs is None or chosen.faults:
        raise CRSError(chosen.faults)
    return chosen.crs


def _probe(xy: Floats, crs: CRS | None) -> Floats:
    """Give positions of a file: all if their sizes tell that they are of several kinds, else some from all over it."""
    labels = sizes(xy) if len(xy) else np.zeros(0, np.int64)
    mixed = len(np.unique(labels[labels >= 0])) > 1 and not _has_origin_inside(crs)
    return xy if mixed or len(xy) <= PROBED else xy[np.linspace(0, len(xy) - 1, PROBED).astype(np.int64)]


def _has_origin_inside(crs: CRS | None) -> bool:
    """Whether metres may be as small as degrees, so that size tells nothing."""
    if crs is None or not crs.is_projected or crs.coordinate_operation is None:
        return False
    return all(not p.value for p in crs.coordinate_operation.params if p.name == "False easting")
