"""What a stated CRS is: its datum, its zone of Gauss-Krüger, and whether its coordinates can be used."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as row
from pyproj import CRS
from pyproj.exceptions import CRSError as ProjError

from geojw.errors import Fault
from geojw.law.catalogue import ROW, Number, Positive, Words, Words2
from geojw.measure.geodesy import Floats

Degrees = Literal[3, 6]
"""Width of the zones of Gauss-Krüger."""

GEOGRAPHIC = "EPSG:4490"
"""CGCS2000 longitude and latitude."""

SHIFT_M = 1e6
"""What one zone number in front adds to an easting."""

_FALSE_EASTING_M = 500_000.0
_ZONES: Mapping[Degrees, tuple[int, int]] = {3: (25, 45), 6: (13, 23)}
_CODES: Mapping[tuple[Degrees, bool], int] = {(3, True): 4513, (3, False): 4534, (6, True): 4491, (6, False): 4502}
"""EPSG code of the first zone, by width and zone prefix (EPSG dataset v11.022); a test holds all 64 against PROJ."""


@row(frozen=True, config=ROW)
class Datum:
    """A row of ``datums.toml``: a datum, its names, and what may be done with coordinates in it."""

    title: Words2
    use: Literal["as_is", "as_cgcs2000", "refuse"]
    names: Words
    ellipsoid: tuple[Number, Number] | None = None


@row(frozen=True, config=ROW)
class Offset:
    """A row of ``datums.toml``: the offset of a map service, and how well its formula is known, in m."""

    name: str
    uncertainty_m: Positive


@row(frozen=True, config=ROW)
class Datums:
    """The whole of ``datums.toml``."""

    datum: Mapping[str, Datum]
    offset: Mapping[str, Offset]


@cache
def datums() -> Datums:
    """Read the datums and offsets that geojw knows."""
    text = resources.files("geojw.intake").joinpath("datums.toml").read_text("utf-8")
    return TypeAdapter(Datums).validate_python(tomllib.loads(text))


@dataclass(frozen=True, eq=False)
class Stated:
    """
    A CRS as a file, a header or a user states it.

    Parameters
    ----------
    crs
        What it is; None where it could not be resolved.
    code
        ``EPSG:4544`` and the like, or ``""``.
    datum
        Key of ``datums.toml``; ``other`` for one that is not there, ``unknown`` where none is stated.
    remarks
        What was concluded, and from what.
    faults
        Why coordinates in it cannot be used as they stand; empty if they can.
    """

    crs: CRS | None
    code: str
    datum: str
    remarks: tuple[Fault, ...] = ()
    faults: tuple[Fault, ...] = ()


# ---------------------------------------------------------------------------------------------- what is stated


def recognise(text: str, where: str) -> Stated:
    """
    Read a CRS from a code, a PROJ text or a WKT such as a ``.prj`` (also of ESRI).

    Parameters
    ----------
    text
        What the file or the user says.
    where
        For the faults.

    Returns
    -------
    Stated
        With a fault where the text cannot be read, has no position on the Earth, or has a datum other than CGCS2000
        and WGS 84: PROJ knows no transformation to CGCS2000 from any of those (it would make none, silently).
    """
    try:
        # A PROJ text that names a file would have PROJ open it.
        crs = None if re.search(r"init\s*=|grids\s*=\s*(?!@null)", text) else CRS.from_user_input(text)
    except ProjError:
        crs = None
    # PROJ looks for names that are like the given one; only the same name is taken.
    if crs is None or not (re.search(r"[\[{=:]", text) or fold(text) == fold(crs.name)):
        return Stated(None, "", "unknown", (), (Fault("crs_unreadable", where, {"crs": text[:80]}),))
    return judge(crs, where)


def judge(crs: CRS, where: str) -> Stated:
    """Say what a CRS is, and whether coordinates in it can be used; see `recognise`."""
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    flat = flat.source_crs or flat if flat.is_bound else flat
    if not (flat.is_geographic or flat.is_projected):
        return Stated(None, "", "local", (), (Fault("coords.local_grid", where, {"crs": crs.name}),))
    datum = datum_of(flat)
    code = _code_of(flat, datum)
    known = datums().datum.get(datum)
    if known is not None and known.use == "as_is":
        return Stated(CRS(code) if code else flat, code, datum)
    if known is not None and known.use == "as_cgcs2000":
        return Stated(flat, code, datum, (Fault("coords.as_cgcs2000", where, {"crs": code or flat.name}),))
    key = "coords.datum_unknown" if datum == "unknown" else "coords.datum_refused"
    return Stated(flat, code, datum, (), (Fault(key, where, {"crs": flat.name}),))


def datum_of(crs: CRS) -> str:
    """Give the key of a CRS's datum, by its names; its ellipsoid decides only between a known one and none."""
    said = [part.name for part in (crs, crs.geodetic_crs, crs.datum) if part is not None]
    named = {key for name in said if (key := datum_named(name))}
    if len(named) == 1:
        key = named.pop()
        return key if _same_ellipsoid(crs, datums().datum[key]) else "other"
    unnamed = not named and "unknown" in fold(crs.datum.name if crs.datum else "unknown")
    return "unknown" if unnamed else "other"


def datum_named(text: str) -> str:
    """Give the key of the datum that a text names, or ``""``."""
    folded = fold(text).replace("towgs84", "")  # a parameter in PROJ's own names, not a datum
    return next((key for key, datum in datums().datum.items() if any(fold(n) in folded for n in datum.names)), "")


def fold(text: str) -> str:
    """Keep letters and digits only, in lower case and half width, so that spellings compare."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def _same_ellipsoid(crs: CRS, datum: Datum) -> bool:
    if datum.ellipsoid is None or crs.ellipsoid is None:
        return True
    mine = (crs.ellipsoid.semi_major_metre, crs.ellipsoid.inverse_flattening)
    return bool(np.allclose(mine, datum.ellipsoid, rtol=0.0, atol=1e-6))


def _code_of(crs: CRS, datum: str) -> str:
    """Give the EPSG code, by PROJ or, for Gauss-Krüger on CGCS2000 whatever its name, by its parameters."""
    code = crs.to_epsg()
    if code is not None:
        """The EPSG code."""
        return f"EPSG:{code}"
    operation = crs.coordinate_operation
    if datum != "cgcs2000" or operation is None or not crs.is_projected:
        return ""
    if not operation.method_name.startswith("Transverse Mercator") or crs.axis_info[0].unit_conversion_factor != 1.0:
        return ""
    facts = {p.name: float(p.value) * p.unit_conversion_factor for p in operation.params}
    plain = {"Latitude of natural origin": 0.0, "Scale factor at natural origin": 1.0, "False northing": 0.0}
    if any(facts.get(name) != value for name, value in plain.items()):
        return ""
    meridian = round(float(np.degrees(facts.get("Longitude of natural origin", np.nan))), 9)
    easting_m = facts.get("False easting")
    return next((epsg for epsg, one in grids() if (one.meridian, one.false_easting_m) == (meridian, easting_m)), "")


@dataclass(frozen=True)
class Grid:
    """A zone of Gauss-Krüger: width in degrees, number, and whether eastings carry the number in front."""

    degrees: Degrees
    number: int
    prefixed: bool

    @property
    def code(self) -> str:
        """The EPSG code."""
        return f"EPSG:{_CODES[self.degrees, self.prefixed] + self.number - _ZONES[self.degrees][0]}"

    @property
    def meridian(self) -> float:
        """The central meridian in degrees."""
        return self.number * 3.0 if self.degrees == 3 else self.number * 6.0 - 3.0  # noqa: PLR2004 - the two widths

    @property
    def false_easting_m(self) -> float:
        """The easting of the central meridian in m."""
        return self.number * SHIFT_M * self.prefixed + _FALSE_EASTING_M


@cache
def grids() -> tuple[tuple[str, Grid], ...]:
    """Give all grids of the standard with their codes, 3-degree ones first."""
    grids = [
        Grid(degrees, number, prefixed)
        for degrees, (first, last) in _ZONES.items()
        for prefixed in (True, False)
        for number in range(first, last + 1)
    ]
    return tuple((grid.code, grid) for grid in grids)


# ---------------------------------------------------------------------------------------------- what size tells

HALF_TURN, QUARTER_TURN = 180.0, 90.0
"""Degrees: the largest longitude and latitude."""

_EIGHT_DIGITS = 10
"""Millions from which an easting carries a zone number in front."""


DEGREES, PLAIN = 0, 2
"""What `sizes` says of longitudes and latitudes, and of metres without a zone number."""


def sizes(xy: Floats) -> NDArray[np.int64]:
    """
    Sort coordinates by what their size tells, row by row.

    Returns
    -------
    ndarray
        (n,) whole numbers; rows of different numbers cannot share a CRS: 0 degrees, 2 plain metres, twice the zone's
        number where eastings begin with one; 1 more where the axes are exchanged. A row that is no position has -1.
    """
    x, y = np.abs(np.nan_to_num(xy, nan=0.0, posinf=0.0, neginf=0.0)).T
    degrees = (x <= HALF_TURN) & (y <= HALF_TURN)
    millions = np.floor(np.maximum(x, y) / SHIFT_M)
    prefix = np.where(millions >= _EIGHT_DIGITS, millions, 1.0)
    swapped = np.where(millions >= _EIGHT_DIGITS, y > x, (x >= SHIFT_M) & (y < SHIFT_M))
    swapped = np.where(degrees, y > QUARTER_TURN, swapped)
    label = 2 * np.where(degrees, 0.0, np.minimum(prefix, 1e9)) + swapped
    return np.where(np.isfinite(xy).all(axis=1), label, -1).astype(np.int64)


def mixed_fault(xy: Floats, where: str) -> Fault:
    """Name the kinds of coordinates, with the first row of each."""
    labels, first, counts = np.unique(sizes(xy), return_index=True, return_counts=True)
    kinds = [
        f"{count} x ({xy[at][0]:.9g}, {xy[at][1]:.9g})"
        for label, at, count in zip(labels, first, counts, strict=True)
        if label >= 0
    ]
    return Fault("coords.mixed", where, {"sizes": "; ".join(kinds[:5])})


# ---------------------------------------------------------------------------------------------- a header of 界址点坐标

METRES = frozenset({"米", "m", "meter", "metre", "meters", "metres", "公尺"})
_WIDTHS: Mapping[str, Degrees] = {"3": 3, "三": 3, "6": 6, "六": 6}


def header_crs(header: Mapping[str, str], xy: Floats, where: str) -> Stated:
    """
    Resolve the CRS of a file of 界址点坐标 from its ``[属性描述]``.

    Parameters
    ----------
    header
        Its keys and values: 坐标系, 几度分带, 投影类型, 计量单位, 带号, 转换参数.
    xy
        An (n, 2) array of the file's points, east first, with or without the zone's number in front.
    where
        The file, for the faults.

    Returns
    -------
    Stated
        With every reason why the coordinates cannot be used as they stand: another datum, another unit, transformation
        parameters, a zone that is missing, contradicts the coordinates, or does not exist.
    """
    where = f"{where}, [属性描述]"
    datum = datum_named(header.get("坐标系", ""))
    faults = [*_header_datum(header.get("坐标系", ""), datum, where), *_header_units(header, where)]
    remarks = [
        Fault("coords.header_assumed", where, {"key": key, "value": value})
        for key, value in (("计量单位", "米"), ("投影类型", "高斯克吕格"))
        if not header.get(key, "").strip()
    ]
    if datum == "wgs84":
        remarks.append(Fault("coords.as_cgcs2000", where, {"crs": header["坐标系"]}))
    grid = _header_grid(header, xy, where, faults, remarks)
    code = grid.code if grid is not None else ""
    return Stated(CRS(code) if code and not faults else None, code, datum or "unknown", tuple(remarks), tuple(faults))


def _header_datum(stated: str, datum: str, where: str) -> Iterable[Fault]:
    if not stated.strip():
        yield Fault("coords.header_missing", where, {"key": "坐标系"})
    elif not datum:
        yield Fault("coords.datum_unknown", where, {"crs": stated})
    elif datums().datum[datum].use == "refuse":
        yield Fault("coords.datum_refused", where, {"crs": stated})


def _header_units(header: Mapping[str, str], where: str) -> Iterable[Fault]:
    unit, projection = header.get("计量单位", "").strip(), header.get("投影类型", "").strip()
    if unit and fold(unit) not in METRES:
        yield Fault("coords.header_unit", where, {"got": unit})
    if projection and not any(name in fold(projection) for name in ("高斯", "gauss")):
        yield Fault("coords.header_projection", where, {"got": projection})
    parameters = unicodedata.normalize("NFKC", header.get("转换参数", "")).replace("、", ",").split(",")
    if any(part.strip() and _number(part) != 0.0 for part in parameters):
        yield Fault("coords.header_parameters", where, {"got": header["转换参数"][:80]})


def _header_grid(
    header: Mapping[str, str], xy: Floats, where: str, faults: list[Fault], remarks: list[Fault]
) -> Grid | None:
    """Find the zone from the header and the coordinates; what contradicts goes to `faults`."""
    before = len(faults)
    width, stated = header.get("几度分带", "").strip(), header.get("带号", "").strip()
    degrees = next((_WIDTHS[char] for char in fold(width) if char in _WIDTHS), None)
    number = _number(stated)
    labels = np.unique(sizes(xy))
    labels = labels[labels >= 0]  # a plot without points says nothing of the others
    if width and degrees is None:
        faults.append(Fault("coords.header_value", where, {"key": "几度分带", "got": width}))
    if stated and not number.is_integer():
        faults.append(Fault("coords.header_value", where, {"key": "带号", "got": stated}))
    if not len(labels):
        faults.append(Fault("txt.no_points", where))
    elif len(labels) > 1:
        faults.append(mixed_fault(xy, where))
    elif labels[0] % 2:
        faults.append(Fault("coords.header_swapped", where))
    elif labels[0] == DEGREES:
        faults.append(Fault("coords.header_unit", where, {"got": "°"}))
    if len(faults) > before:
        return None
    prefix = int(labels[0]) // 2 if labels[0] > PLAIN else 0
    if stated and prefix and prefix != number:
        faults.append(Fault("coords.header_zone_differs", where, {"header": stated, "found": prefix}))
    elif not stated and not prefix:
        faults.append(Fault("coords.header_missing", where, {"key": "带号"}))
    else:
        return _grid_of(degrees, int(number) if stated else prefix, prefix, faults, remarks, where=where, stated=stated)
    return None


def _grid_of(
    degrees: Degrees | None,
    zone: int,
    prefix: int,
    faults: list[Fault],
    remarks: list[Fault],
    *,
    where: str,
    stated: str,
) -> Grid | None:
    """Find the width by the zone's number (the two ranges share none) and hold it against the stated one."""
    width: Degrees | None = next((d for d, (first, last) in _ZONES.items() if first <= zone <= last), None)
    if width is None or degrees not in (None, width):
        faults.append(Fault("coords.header_zone_range", where, {"zone": zone, "degrees": degrees or "3 / 6"}))
        return None
    if degrees is None:
        remarks.append(Fault("coords.header_assumed", where, {"key": "几度分带", "value": width}))
    if not prefix:
        remarks.append(Fault("coords.header_prefix_absent", where, {"zone": zone}))
    elif not stated:
        remarks.append(Fault("coords.header_assumed", where, {"key": "带号", "value": zone}))
    return Grid(width, zone, bool(prefix))


def grid_of(crs: CRS) -> Grid | None:
    """Give the zone of Gauss-Krüger on CGCS2000 that a CRS is, if it is one."""
    return dict(grids()).get(judge(crs, "").code)


def _number(text: str) -> float:
    """Read a plain number; anything else is none."""
    try:
        return float(unicodedata.normalize("NFKC", text).strip())
    except ValueError:
        return float("nan")
