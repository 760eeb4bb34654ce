"""In which CRS a file's coordinates are read, with the evidence; nothing is taken that was not stated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geojw.errors import CRSError, Fault
from geojw.intake.datums import (
    GEOGRAPHIC,
    HALF_TURN,
    QUARTER_TURN,
    SHIFT_M,
    Stated,
    grids,
    mixed_fault,
    recognise,
    sizes,
)
from geojw.measure.geodesy import AnalysisCRS, Floats, reproject


@dataclass(frozen=True, eq=False)
class Extent:
    """
    Where coordinates are expected: the zone's outline.

    Parameters
    ----------
    analysis
        The zone's analysis CRS.
    outline
        The zone's boundary in it, in metres.
    """

    analysis: AnalysisCRS
    outline: shapely.Geometry

    @property
    def reach_m(self) -> float:
        """How far from the outline coordinates still count as near it: the outline's own diagonal."""
        x0, y0, x1, y1 = shapely.bounds(self.outline)
        return float(np.hypot(x1 - x0, y1 - y0))

    def distance_m(self, xy: Floats, crs: CRS) -> float:
        """Median distance in m of an (n, 2) array of positions in `crs` from the outline; infinite if they are none."""
        lonlat = reproject(xy, crs.to_wkt(), GEOGRAPHIC)
        plane = np.full(lonlat.shape, np.inf)
        on_earth = (np.abs(lonlat) <= (HALF_TURN, QUARTER_TURN)).all(axis=1)
        plane[on_earth] = reproject(lonlat[on_earth], GEOGRAPHIC, self.analysis.crs.to_wkt())
        there = np.isfinite(plane).all(axis=1)
        away = np.full(len(xy), np.inf)
        away[there] = shapely.distance(shapely.points(plane[there]), self.outline)
        return float(np.median(away)) if len(away) else float("inf")


@dataclass(frozen=True, eq=False)
class Candidate:
    """
    A CRS that would explain the size of the coordinates.

    Parameters
    ----------
    crs, code
        What it is.
    evidence
        Text key and fields of why it is offered.
    swapped
        Whether first and second coordinate would have to be exchanged.
    lies_in_zone
        Whether most of the coordinates would then lie in the zone.
    distance_to_zone_km
        Their median distance from the zone's outline.
    """

    crs: CRS
    code: str
    evidence: Fault
    swapped: bool
    lies_in_zone: bool
    distance_to_zone_km: float


@dataclass(frozen=True, eq=False)
class Settled:
    """The CRS that a file's coordinates are read in, and what the reader has to know of the choice."""

    crs: CRS
    code: str
    remarks: tuple[Fault, ...]


# ---------------------------------------------------------------------------------------------- what would fit

_MERCATOR_M = 20_037_508.342789244
"""Half the equator in the sphere of EPSG:3857."""


def candidates(xy: Floats, extent: Extent) -> tuple[Candidate, ...]:
    """
    List the CRS that would explain coordinates by their size, the likeliest first.

    Size tells neither the datum (Xi'an 1980, GCJ-02 and CGCS2000 look alike) nor, for six-digit eastings, the central
    meridian or Gauss-Krüger from UTM: one candidate left is an offer, never an answer.

    Parameters
    ----------
    xy
        An (n, 2) array as read, first coordinate first (east, or longitude).
    extent
        The zone, against which each is judged.

    Returns
    -------
    tuple of Candidate
        Those in or near the zone come first, by distance; swapped axes after given ones.
    """
    there = xy[np.isfinite(xy).all(axis=1)]
    if not len(there):
        return ()
    found = []
    for swapped in (False, True):
        points = there[:, ::-1] if swapped else there
        for code, key, fields in _explanations(points, extent.analysis.lon):
            crs = CRS(code)
            away_m = extent.distance_m(points, crs)
            told = {**fields, "crs": code, "km": f"{away_m / 1000.0:.1f}"}
            name = "coords.by_swapped" if swapped else key
            found.append(Candidate(crs, code, Fault(name, code, told), swapped, away_m == 0.0, away_m / 1000.0))
    reach_km = extent.reach_m / 1000.0
    return tuple(
        sorted(found, key=lambda one: (one.distance_to_zone_km > reach_km, one.distance_to_zone_km, one.swapped))
    )


def _explanations(xy: Floats, lon: float) -> Iterable[tuple[str, str, dict[str, object]]]:
    """Give code, text key and fields of every CRS whose coordinates have this size, around a longitude."""
    x, y = np.abs(xy).max(axis=0)
    if x <= HALF_TURN and y <= QUARTER_TURN:
        yield GEOGRAPHIC, "coords.by_degrees", {}
        return
    prefix = {int(p) for p in np.unique(np.floor(xy[:, 0] / SHIFT_M))}
    if len(prefix) == 1:
        number = prefix.pop()
        for code, grid in grids():
            near = abs(grid.meridian - lon) <= 2 * grid.degrees
            if (grid.prefixed and grid.number == number) or (not grid.prefixed and number == 0 and near):
                fields = {"degrees": grid.degrees, "zone": grid.number, "meridian": f"{grid.meridian:.0f}"}
                yield code, "coords.by_prefix" if grid.prefixed else "coords.by_meridian", fields
        if number == 0:
            yield f"EPSG:{32601 + int((lon + HALF_TURN) // 6.0)}", "coords.by_utm", {}
    if SHIFT_M < x <= _MERCATOR_M:
        yield "EPSG:3857", "coords.by_web_mercator", {}


# ---------------------------------------------------------------------------------------------- what is settled


def settle(stated: Stated | None, asked: str | None, xy: Floats, extent: Extent | None, where: str) -> Settled:
    """
    Decide in which CRS a file's coordinates are read.

    What the user asks for holds before what the file states; nothing is concluded from the size of the numbers alone.

    Parameters
    ----------
    stated
        What the file says, if anything.
    asked
        The user's ``--crs``, if any.
    xy
        An (n, 2) array of positions, one a feature, as read (east or longitude first).
    extent
        The zone against which exchanged axes and missing zone prefixes are found; without it they are not looked for.
    where
        The file, for the faults.

    Returns
    -------
    Settled
        The CRS with its remarks.

    Raises
    ------
    CRSError
        Nothing is stated (the candidates follow, with their evidence), the datum is refused, no kind of coordinates
        makes up most rows, or most contradict what is stated. Fewer rows of another kind are a remark: read in the CRS
        that is stated they lie far away, and are rejected one by one.
    """
    remarks: list[Fault] = []
    chosen = stated
    if asked is not None:
        chosen = recognise(asked, "--crs")
        if stated is not None and (stated.crs is not None or stated.faults) and not _same(stated, chosen):
            said = stated.code or (stated.crs.name if stated.crs else stated.datum)
            remarks.append(Fault("coords.overridden", where, {"file": said, "crs": asked}))
    if chosen is None:
        raise CRSError(_unstated(xy, extent, where))
    if chosen.crs is None or chosen.faults:
        raise CRSError(chosen.faults or _unstated(xy, extent, where))
    remarks += chosen.remarks
    rows = sizes(xy)
    usual, odd = _usual(rows) if _size_tells(chosen.crs) else (rows >= 0, 0)
    if odd and 2 * int(usual.sum()) <= int((rows >= 0).sum()):
        raise CRSError([mixed_fault(xy, where)])
    if odd:
        remarks.append(Fault("coords.mixed_rows", where, {"n": odd, **mixed_fault(xy, where).fields}))
    if extent is not None and usual.any():
        remarks += _check_place(chosen, xy[usual], extent, where)
    return Settled(chosen.crs, chosen.code, tuple(remarks))


def _usual(rows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], int]:
    """Tell the rows of the commonest size, and how many are of another."""
    known, counts = np.unique(rows[rows >= 0], return_counts=True)
    if not len(known):
        return np.zeros(len(rows), dtype=bool), 0
    return rows == known[np.argmax(counts)], int(counts.sum() - counts.max())


def _size_tells(crs: CRS) -> bool:
    """Whether numbers in a CRS have one size: not where its origin lies inside the area, as in an analysis CRS."""
    return bool(crs.is_geographic) or _easting_m(crs) != 0.0


def _same(one: Stated, other: Stated) -> bool:
    return one.crs is not None and other.crs is not None and (one.crs == other.crs or one.code == other.code != "")


def _unstated(xy: Floats, extent: Extent | None, where: str) -> list[Fault]:
    """Say that no CRS is stated, and which would fit."""
    labels = np.unique(sizes(xy))
    if len(labels[labels >= 0]) > 1:
        return [mixed_fault(xy, where)]
    near = _near(xy, extent) if extent is not None else []
    if not near:
        return [Fault("coords.unstated", where)]
    return [Fault("coords.unstated_near", where, {"n": len(near)}), *(one.evidence for one in near)]


def _near(xy: Floats, extent: Extent) -> list[Candidate]:
    return [one for one in candidates(xy, extent) if one.distance_to_zone_km * 1000.0 <= extent.reach_m]


def _check_place(chosen: Stated, xy: Floats, extent: Extent, where: str) -> list[Fault]:
    """Hold the coordinates against the zone: refuse exchanged axes and wrong prefixes, remark on other places."""
    crs = chosen.crs
    away_m = extent.distance_m(xy, crs) if crs is not None else 0.0
    if away_m <= extent.reach_m:
        return []
    fields = {"crs": chosen.code or (crs.name if crs else ""), "km": f"{away_m / 1000.0:.0f}"}
    near = _near(xy, extent)
    given = [one for one in near if not one.swapped]
    if near and not given:
        raise CRSError([Fault("coords.swapped", where, {**fields, "fits": near[0].code})])
    if given and not np.isfinite(away_m):
        raise CRSError([Fault("coords.contradicts", where, {**fields, "fits": given[0].code})])
    if given and _kind(given[0].crs) != _kind(crs):
        raise CRSError([Fault("coords.contradicts", where, {**fields, "fits": given[0].code})])
    if given:
        return [Fault("coords.elsewhere_but", where, {**fields, "fits": ", ".join(one.code for one in given)})]
    return [Fault("coords.elsewhere", where, fields)]


def _kind(crs: CRS | None) -> tuple[bool, int]:
    """Give what the size of coordinates depends on: degrees or metres, and the millions of the false easting."""
    if crs is None or not crs.is_projected:
        return True, 0
    return False, int(_easting_m(crs) // SHIFT_M)


def _easting_m(crs: CRS) -> float:
    """Give the false easting in m, 0 where there is none."""
    facts = crs.coordinate_operation.params if crs.coordinate_operation is not None else ()
    return next((float(p.value) * p.unit_conversion_factor for p in facts if p.name == "False easting"), 0.0)
