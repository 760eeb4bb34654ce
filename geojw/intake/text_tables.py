"""Tables of text (CSV, XLSX) whose cells hold the geometry: WKT, positions, or lists of vertices."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import shapely

from geojw.errors import Fault, SitesError
from geojw.measure.geodesy import Geometries

DELIMITERS = ",\t;|"
MOST_CHARACTERS = 500_000_000
"""Of one cell: a shape of many vertices is long. The limit of the file holds before."""

DBF_NAME = 10
"""Bytes that a Shapefile keeps of the name of a column."""

FEWEST = 3
"""Vertices of a ring, not counting the first when it is repeated at the end."""

_EWKT = re.compile(r"\s*SRID\s*=\s*(\d{1,6})\s*;", re.IGNORECASE)

Cell = str | float | bool | None


@dataclass(frozen=True, eq=False)
class Rows:
    """
    What a table of text says.

    Parameters
    ----------
    columns
        Name -> cells, without those that hold the geometry.
    geometry
        Shapes, x = east or longitude; None where there is none.
    reasons
        Key of the fault that makes a row useless, or ``""``.
    way
        ``wkt``, ``points`` or ``vertices``; ``none`` where no column holds a geometry.
    crs
        What the WKT states by ``SRID=``.
    remarks
        What was decided.
    """

    columns: Mapping[str, Sequence[Cell]]
    geometry: Geometries
    reasons: Sequence[str]
    way: str
    crs: str | None = None
    remarks: tuple[Fault, ...] = field(default=())


@cache
def aliases() -> Mapping[str, Sequence[str]]:
    """Read by which names columns are known."""
    return tomllib.loads(resources.files("geojw.intake").joinpath("columns.toml").read_text("utf-8"))


def find_column(fields: Sequence[str], key: str, more: Sequence[str] = ()) -> str | None:
    """Find the column that is known by a key's aliases; the earlier alias wins, letter case does not matter."""
    there = {str(column).strip().casefold(): str(column) for column in reversed(fields)}
    names = [*aliases().get(key, ()), *more]
    cut = [short for alias in names for short in cut_names(alias)]
    return next((there[alias.casefold()] for alias in (*names, *cut) if alias.casefold() in there), None)


def cut_names(name: str) -> set[str]:
    """
    Give what a Shapefile leaves of a long name, which it keeps to ten bytes in whatever encoding.

    Examples
    --------
    >>> cut_names("项目编号"), cut_names("id"), sorted(cut_names("redline_opinion"))
    ({'项目编'}, set(), ['redline_op'])
    """
    raw = ((name.encode(code), code) for code in ("utf-8", "gb18030"))
    return {text[:DBF_NAME].decode(code, "ignore") for text, code in raw if len(text) > DBF_NAME}


def read_csv(text: str, where: str) -> tuple[list[str], list[list[Cell]], list[str]]:
    """
    Split a delimited text.

    Returns
    -------
    header : list of str
    rows : list of list
        As long as the header.
    reasons : list of str
        ``row_long`` for a row with more cells than the header.
    """
    head = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(DELIMITERS, key=head.count)
    csv.field_size_limit(MOST_CHARACTERS)
    try:
        lines = [
            row for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True) if any(row)
        ]
    except csv.Error as problem:
        raise SitesError([Fault("unreadable", where, {"error": problem})]) from None
    if not lines:
        raise SitesError([Fault("table_empty", where)])
    return squared([list(line) for line in lines])


def read_workbook(path: Path, asked: str | None, where: str) -> tuple[str, list[str], list[list[Cell]], list[str]]:
    """Read one sheet of an XLSX; give its name, too. Values only: formulas are not run, nothing is fetched."""
    from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415 - loaded only for XLSX

    try:
        with CalamineWorkbook.from_path(str(path)) as book:
            sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=True) for name in book.sheet_names}
    except (CalamineError, OSError, ValueError) as problem:
        raise SitesError([Fault("unreadable", where, {"error": type(problem).__name__})]) from None
    filled = [name for name, rows in sheets.items() if rows]
    name = choose(filled, asked, where)
    rows = [[_cell(value) for value in row] for row in sheets[name]]
    return (name, *squared([row for row in rows if any(cell not in (None, "") for cell in row)]))


def choose(names: Sequence[str], asked: str | None, where: str) -> str:
    """Choose a table by name; without one there must be no choice."""
    known = ", ".join(names[:20])
    if not names:
        raise SitesError([Fault("no_geometry", where)])
    if asked is None and len(names) > 1:
        raise SitesError([Fault("several_tables", where, {"known": known})])
    if asked is not None and asked not in names:
        raise SitesError([Fault("table_unknown", where, {"table": asked, "known": known})])
    return names[0] if asked is None else asked


def _cell(value: object) -> Cell:
    return value if isinstance(value, str | float | bool) else (float(value) if isinstance(value, int) else str(value))


def squared(lines: list[list[Cell]]) -> tuple[list[str], list[list[Cell]], list[str]]:
    """Take the first line for the header and bring all others to its length."""
    header = [str(cell or "").strip() for cell in lines[0]]
    while header and not header[-1]:
        header.pop()
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        name = cell or f"column_{number}"
        names.append(name if name not in names else f"{name}_{number}")
    rows, reasons = [], []
    for line in lines[1:]:
        extra = any(cell not in (None, "") for cell in line[len(names) :])
        rows.append([*line, *[None] * len(names)][: len(names)])
        reasons.append("row_long" if extra else "")
    return names, rows, reasons


# ---------------------------------------------------------------------------------------------- geometry


def shape_rows(header: Sequence[str], rows: Sequence[Sequence[Cell]], reasons: Sequence[str], where: str) -> Rows:
    """
    Find the columns that hold the geometry and draw it.

    Parameters
    ----------
    header, rows, reasons
        As `read_csv` gives them.
    where
        For the faults.

    Returns
    -------
    Rows
        A site a row or, for lists of vertices, a site an id.
    """
    columns: dict[str, list[Cell]] = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    wkt = find_column(header, "wkt")
    east, north = find_column(header, "east"), find_column(header, "north")
    vertex, group = find_column(header, "vertex"), find_column(header, "site_id")
    if wkt is not None:
        return _from_wkt(columns, wkt, reasons, where)
    if east is None or north is None:
        return Rows(columns, np.full(len(rows), None), reasons, "none")
    xy = np.column_stack([_numbers(columns.pop(east)), _numbers(columns.pop(north))]).reshape(-1, 2)
    if vertex is None:
        bad = np.asarray(~np.isfinite(xy).all(axis=1), dtype=bool)
        geometry = np.full(len(xy), None, dtype=object)
        geometry[~bad] = shapely.points(xy[~bad])
        told = [reason or ("cell_number" if wrong else "") for reason, wrong in zip(reasons, bad.tolist(), strict=True)]
        return Rows(columns, geometry, told, "points")
    if group is None:
        raise SitesError([Fault("vertices_ungrouped", where, {"known": ", ".join(aliases()["site_id"])})])
    columns.pop(vertex)
    return _from_vertices(columns, group, xy, reasons, where)


def _from_wkt(columns: dict[str, list[Cell]], wkt: str, reasons: Sequence[str], where: str) -> Rows:
    cells = [str(cell or "") for cell in columns.pop(wkt)]
    found = [_EWKT.match(cell) for cell in cells]
    codes = {match[1] for match in found if match}
    if len(codes) > 1 or (codes and not all(found)):
        raise SitesError([Fault("wkt_several_crs", where, {"crs": ", ".join(sorted(codes))})])
    texts = np.array([cell[match.end() :] if match else cell for cell, match in zip(cells, found, strict=True)], object)
    blank = np.array([not text.strip() for text in texts], dtype=bool)
    geometry = np.full(len(texts), None, dtype=object)
    with np.errstate(invalid="ignore"):
        geometry[~blank] = shapely.from_wkt(texts[~blank], on_invalid="ignore")
    broken = np.asarray(~blank & shapely.is_missing(geometry), dtype=bool)
    told = [reason or ("wkt_broken" if wrong else "") for reason, wrong in zip(reasons, broken.tolist(), strict=True)]
    return Rows(columns, geometry, told, "wkt", f"EPSG:{codes.pop()}" if codes else None)


def _from_vertices(
    columns: dict[str, list[Cell]], group: str, xy: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    reasons: Sequence[str], where: str,
) -> Rows:  # fmt: skip
    """Join vertices in the order of the file into a polygon for each id; a further ring is a hole or a part."""
    ring = find_column(list(columns), "ring")
    rings = columns.pop(ring) if ring else [None] * len(xy)
    rows: dict[str, list[int]] = {}
    for at, cell in enumerate(columns[group]):
        rows.setdefault(str(cell or "").strip(), []).append(at)
    shapes, told, odd = [], [], []
    for name, own in rows.items():
        parts: dict[str, list[int]] = {}
        for at in own:
            parts.setdefault(str(rings[at]), []).append(at)
        bad = next((reasons[at] for at in own if reasons[at]), "")
        if not name:
            bad = "vertices_nameless"
        elif not np.isfinite(xy[own]).all():
            bad = bad or "cell_number"
        elif any(len(np.unique(xy[part], axis=0)) < FEWEST for part in parts.values()):
            bad = bad or "vertices_few"
        shapes.append(None if bad else drawn([xy[part] for part in parts.values()]))
        told.append(bad)
        if any(len({str(cells[at]) for at in own}) > 1 for cells in columns.values()):
            odd.append(name)
    kept = {name: [cells[own[0]] for own in rows.values()] for name, cells in columns.items()}
    remarks = (Fault("vertices_differ", where, {"ids": ", ".join(odd[:5]), "count": len(odd)}),) if odd else ()
    return Rows(kept, np.array(shapes, dtype=object), told, "vertices", None, remarks)


def drawn(rings: Sequence[np.ndarray[tuple[int, int], np.dtype[np.float64]]]) -> shapely.Geometry:
    """
    Draw a polygon of rings; one inside the first is a hole, one outside a part of its own.

    Examples
    --------
    >>> square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    >>> drawn([square, square / 4 + 1]).area
    15.0
    """
    parts = [shapely.Polygon(ring) for ring in rings]
    owners: list[list[int]] = []
    for at, part in enumerate(parts):
        home = next((own for own in owners if _holds(parts[own[0]], part)), None)
        if home is None:
            owners.append([at])
        else:
            home.append(at)
    shapes = [shapely.Polygon(rings[own[0]], [rings[at] for at in own[1:]]) for own in owners]
    return shapes[0] if len(shapes) == 1 else shapely.MultiPolygon(shapes)


def _holds(shell: shapely.Polygon, ring: shapely.Polygon) -> bool:
    return bool(shapely.is_valid(shell) and shapely.is_valid(ring) and shapely.covers(shell, ring))


def _numbers(cells: Sequence[Cell]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([_number(cell) for cell in cells], dtype=float)


def _number(cell: Cell) -> float:
    """
    Read one coordinate; what is none is not a number.

    Examples
    --------
    >>> [_number(cell) for cell in ("106.5 ", 3, "３", "E106", None, True)]
    [106.5, 3.0, 3.0, nan, nan, nan]
    """
    if isinstance(cell, bool) or cell is None or "_" in str(cell):
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return float("nan")
