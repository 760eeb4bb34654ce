"""界址点坐标, the text of boundary points in which land acquisition files give plots: text in, tables out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geojw.errors import CRSError, Fault, OutputError, SitesError
from geojw.intake.boundary_rings import KINDS, Plot, build
from geojw.intake.datums import Stated, datums, grid_of, header_crs
from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries

HEADER_PART, PLOTS_PART = "属性描述", "地块坐标"

COLUMNS = ("plot", "name", "kind", "sheet", "use", "land_use_code", "stated_area_ha", "points")
"""Columns of `Plots.frame` that a header line gives, in the order of the table."""

_FIELDS = ("points", "stated_area_ha", "plot", "name", "kind", "sheet", "use", "land_use_code")
"""The columns of a header line, in its own order; ``@`` ends it."""

_KIND_AT = _FIELDS.index("kind")

_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{0,12})?")
_WHOLE = re.compile(r"\d{1,9}")
_SECTION = re.compile(r"[\[【［]\s*(.*?)\s*[\]】］]")
_POINT_FIELDS = 4
_SNIFFED = 1 << 16


@dataclass(frozen=True, eq=False)
class Plots:
    """
    The plots of one text, every one of them, built or not.

    Parameters
    ----------
    frame
        One row a plot in the order of the text: plot, name, kind (面, 线, 点, or ``""`` if not known), sheet, use,
        land_use_code, stated_area_ha (NaN if none), points (how many lines), stated_decimals (of that area), line (of
        its header).
    geometries
        (n,) shapely geometries, x = east and y = north as written (with the zone's number if it is there); None where
        a plot cannot be built.
    reasons
        (n,) a `Fault` for each of those, else None.
    remarks
        What was odd but kept.
    header
        The keys and values of ``[属性描述]``.
    stated
        The CRS that the header and the eastings give, or why they give none.
    where
        The file.
    """

    frame: pd.DataFrame
    geometries: Geometries
    reasons: NDArray[np.object_]
    remarks: tuple[Fault, ...]
    header: Mapping[str, str]
    stated: Stated
    where: str = ""

    @property
    def crs(self) -> CRS | None:
        """The CRS of the coordinates; None where the header does not settle it (`stated` has the faults)."""
        return self.stated.crs

    def areas(self, analysis: AnalysisCRS, crs: CRS | None = None) -> pd.DataFrame:
        """
        Compare the stated areas with the computed ones.

        Parameters
        ----------
        analysis
            The zone's analysis CRS.
        crs
            The CRS of the coordinates, where the header does not settle it.

        Returns
        -------
        DataFrame
            On the index of `frame`: stated_m2, planar_m2 (in the plane of the file), ellipsoidal_m2, tolerance_m2 (half
            a unit of the last stated decimal) and agrees: ``both``, ``planar``, ``ellipsoidal``, ``neither``,
            ``other_unit`` (the stated number fits as m² or 亩) or ``""`` where there is nothing to compare. Offices
            state planar areas; rules use the ellipsoidal one.

        Raises
        ------
        CRSError
            Neither the header nor `crs` says the CRS.
        """
        plane = crs or self.crs
        if plane is None:
            raise CRSError(self.stated.faults)
        built = np.flatnonzero((self.frame["kind"] == "面").to_numpy() & ~shapely.is_missing(self.geometries))
        planar, true = np.full(len(self.frame), np.nan), np.full(len(self.frame), np.nan)
        planar[built] = shapely.area(self.geometries[built])
        true[built] = shapely.area(analysis.project(self.geometries[built], plane))
        number = self.frame["stated_area_ha"].to_numpy(dtype=float)
        tolerance = 0.5 * 10.0 ** -self.frame["stated_decimals"].to_numpy(dtype=float)
        out = pd.DataFrame(
            {
                "stated_m2": number * M2_OF_HA,
                "planar_m2": planar,
                "ellipsoidal_m2": true,
                "tolerance_m2": tolerance * M2_OF_HA,
            },
            index=self.frame.index,
        )
        return out.assign(agrees=_agreement(number, tolerance, planar, true))

    def area_remarks(self, areas: pd.DataFrame) -> tuple[Fault, ...]:
        """Say which stated areas differ from both computed ones, and how many are planar; `areas` is from there."""
        out = []
        for row in np.flatnonzero(areas["agrees"].isin(["neither", "other_unit"])):
            line, told = areas.iloc[row], {"plot": self.frame["plot"].iloc[row]}
            told |= {key: f"{line[f'{key}_m2'] / M2_OF_HA:.4f}" for key in ("stated", "planar", "ellipsoidal")}
            key = "txt.area_differs" if line["agrees"] == "neither" else "txt.area_unit"
            out.append(Fault(key, f"{self.where}, {self.frame['line'].iloc[row]}", told))
        planar = int((areas["agrees"] == "planar").sum())
        return (*out, Fault("txt.area_planar", self.where, {"n": planar})) if planar else tuple(out)


M2_OF_HA, M2_OF_MU = 10_000.0, 10_000.0 / 15.0
_SLACK_M2 = 1e-6


def _agreement(number: Floats, tolerance: Floats, planar: Floats, true: Floats) -> NDArray[np.object_]:
    """Say which computed area a stated number agrees with."""

    def fits(area: Floats, unit_m2: float) -> NDArray[np.bool_]:
        return np.asarray(np.abs(number * unit_m2 - area) <= tolerance * unit_m2 + _SLACK_M2, dtype=bool)

    flat, round_ = fits(planar, M2_OF_HA), fits(true, M2_OF_HA)
    other = fits(planar, 1.0) | fits(true, 1.0) | fits(planar, M2_OF_MU) | fits(true, M2_OF_MU)
    said = np.isfinite(number) & np.isfinite(planar)
    words = np.select(
        [~said, flat & round_, flat, round_, other], ["", "both", "planar", "ellipsoidal", "other_unit"], "neither"
    )
    return np.asarray(words, dtype=object)


# ---------------------------------------------------------------------------------------------- reading


def sniff(data: bytes) -> bool:
    """
    Tell whether bytes look like 界址点坐标, in UTF-8, UTF-16 or GBK, with or without a byte order mark.

    Examples
    --------
    >>> sniff("[地块坐标]".encode("gbk"))
    True
    """
    start = data[:_SNIFFED]
    codes = ("utf-8", "gbk", "utf-16-le", "utf-16-be")
    return any(part.encode(code) in start for part in (HEADER_PART, PLOTS_PART) for code in codes)


def read_plots(text: str, where: str) -> Plots:
    """
    Read a text of 界址点坐标.

    Parameters
    ----------
    text
        Decoded; a byte order mark, any line ends, full-width commas and spaces do no harm.
    where
        The file, for faults and remarks.

    Returns
    -------
    Plots
        Every plot that the text opens, built or with the reason why not.

    Raises
    ------
    SitesError
        The text has no plot at all.
    """
    header: dict[str, str] = {}
    remarks: list[Fault] = []
    plots: list[Plot] = []
    section = ""
    for number, raw in enumerate(text.replace("\x00", "").splitlines(), 1):
        line = raw.replace("\ufeff", "").strip().strip("\u3000 \t")
        if not line:
            continue
        at = f"{where}, {number}"
        if opened := _SECTION.fullmatch(line):
            section = opened[1]
            if section not in (HEADER_PART, PLOTS_PART):
                remarks.append(Fault("txt.section", at, {"name": section[:40]}))
        elif section == HEADER_PART and "=" in unicodedata.normalize("NFKC", line):
            _read_key(line, header, at, remarks)
        elif section in ("", HEADER_PART, PLOTS_PART):
            _read_line(line, number, where, plots, remarks)
    if not plots:
        raise SitesError([Fault("txt.no_plots", where)])
    return _built(plots, header, remarks, where)


def _read_key(line: str, header: dict[str, str], at: str, remarks: list[Fault]) -> None:
    key, _, value = line.replace("＝", "=").partition("=")
    key, value = key.strip(), value.strip()
    if key in header and header[key] != value:
        remarks.append(Fault("txt.key_twice", at, {"key": key[:40], "value": header[key][:40]}))
        return
    header[key] = value


def _read_line(line: str, number: int, where: str, plots: list[Plot], remarks: list[Fault]) -> None:
    """Take a line as a point, else as the header of a plot; what is neither spoils the plot that it stands in."""
    cells = [cell.strip("\u3000 \t") for cell in re.split("[,，]", line)]
    ended = cells[-1] in ("@", "＠")
    at = f"{where}, {number}"
    point = None if ended else _point(cells)
    if point is not None:
        if not plots:
            plots.append(Plot(at, number))
            plots[-1].refuse("txt.no_header")
        plots[-1].add(cells[0], point, at, further=len(cells) - _POINT_FIELDS)
        return
    if ended or _looks_like_header(cells):
        plots.append(_header(cells[:-1] if ended else cells, at, number, ended=ended))
    elif plots:
        plots[-1].refuse("txt.bad_line", at, text=line[:60])
    else:
        remarks.append(Fault("txt.line_ignored", at, {"text": line[:60]}))


def _point(cells: Sequence[str]) -> tuple[int, float, float] | None:
    """Read ring, east and north of a point's line, or say that it is none."""
    if not _POINT_FIELDS <= len(cells) <= _POINT_FIELDS + 1:  # one more may be a height; commas inside numbers give two
        return None
    ring, north, east = (cell if cell.isascii() else unicodedata.normalize("NFKC", cell) for cell in cells[1:4])
    if not (_WHOLE.fullmatch(ring) and _NUMBER.fullmatch(north) and _NUMBER.fullmatch(east)):
        return None
    # 4 numbers and a kind are a header without its name and end, not a point with a height.
    return None if any(cell in KINDS for cell in cells) else (int(ring), float(east), float(north))


def _looks_like_header(cells: Sequence[str]) -> bool:
    return any(cell.casefold() in KINDS for cell in cells[3:]) and len(cells) > _POINT_FIELDS


def _header(cells: list[str], at: str, number: int, *, ended: bool) -> Plot:
    """Read a plot's header line by the place of its kind; other numbers of columns are said, or refused."""
    plot = Plot(at, number)
    if not ended:
        plot.remark("txt.no_end")
    kinds = [place for place, cell in enumerate(cells) if cell.casefold() in KINDS]
    if kinds and _KIND_AT not in kinds:
        plot.refuse("txt.columns", got=len(cells), wanted=len(_FIELDS))
    if len(cells) != len(_FIELDS):
        plot.remark("txt.columns_kept", got=len(cells), wanted=len(_FIELDS))
    padded = [*cells, *[""] * len(_FIELDS)]
    plot.cells = dict(zip(_FIELDS, padded, strict=False))
    return plot


# ---------------------------------------------------------------------------------------------- building


def _built(plots: list[Plot], header: Mapping[str, str], remarks: list[Fault], where: str) -> Plots:
    geometries = np.empty(len(plots), dtype=object)
    rows = []
    for number, plot in enumerate(plots):
        area, decimals = _area(plot)
        kind, geometries[number] = build(plot)
        texts = {key: plot.cells.get(key, "") for key in ("plot", "name", "sheet", "use", "land_use_code")}
        numbers = {"stated_area_ha": area, "stated_decimals": decimals, "points": len(plot.xy), "line": plot.line}
        rows.append({**texts, "kind": kind, **numbers})
    _check_ways(plots)
    frame = pd.DataFrame(rows)[[*COLUMNS, "stated_decimals", "line"]]
    xy = np.array([point for plot in plots for point in plot.xy], dtype=float).reshape(-1, 2)
    reasons = np.array([plot.reason for plot in plots], dtype=object)
    said = (*remarks, *(remark for plot in plots for remark in plot.remarks))
    return Plots(frame, geometries, reasons, said, header, header_crs(header, xy, where), where)


def _check_ways(plots: list[Plot]) -> None:
    """Name plots whose number of points is stated in another way than most: a point may be missing there."""
    ways = [plot.counted for plot in plots if plot.counted]
    usual = "with" if 2 * ways.count("with") >= len(ways) else "without"
    for plot in plots:
        if plot.counted not in ("", usual):
            plot.remark("txt.count_ways")


def _area(plot: Plot) -> tuple[float, float]:
    """Give the stated area in hectares and the number of its decimals."""
    text = unicodedata.normalize("NFKC", plot.cells.get("stated_area_ha", ""))
    if not text:
        return np.nan, np.nan
    if not _NUMBER.fullmatch(text) or text.startswith("-"):
        plot.remark("txt.area_unread", got=text[:40])
        return np.nan, np.nan
    return float(text), float(len(text.partition(".")[2]))


# ---------------------------------------------------------------------------------------------- writing

_DECIMALS = 3
_AREA_DECIMALS = 4
_COLLECTION = 7


def write_plots(frame: gpd.GeoDataFrame, crs: CRS, header: Mapping[str, str] | None = None) -> str:
    """
    Write plots as 界址点坐标.

    Parameters
    ----------
    frame
        One row a plot with the geometry in `crs`, and any of the columns of `Plots.frame`; an absent area is written as
        the planar one, as offices do.
    crs
        CGCS2000 Gauss-Krüger, 3 or 6 degrees, with or without the zone's number in the eastings.
    header
        Further keys of ``[属性描述]``; those that say the CRS are set from `crs`.

    Returns
    -------
    str
        The text, lines ended by CR LF; coordinates to 1 mm. Commas inside texts become ``；``: readers split at commas.

    Raises
    ------
    CRSError
        The format cannot say this CRS.
    OutputError
        A row has no geometry, or one of mixed kind; all of them are named.
    """
    grid = grid_of(crs)
    if grid is None:
        raise CRSError([Fault("txt.crs_unwritable", "write_plots", {"crs": crs.name})])
    settled = {
        "坐标系": datums().datum["cgcs2000"].title.zh,
        "几度分带": str(grid.degrees),
        "投影类型": "高斯克吕格",
        "计量单位": "米",
        "带号": str(grid.number),
        "精度": (header or {}).get("精度", "0.001"),
        "转换参数": ",,,,,,",
    }
    said = {**(header or {}), **settled}
    lines = [f"[{HEADER_PART}]", *(f"{key}={value}" for key, value in said.items()), f"[{PLOTS_PART}]"]
    return "\r\n".join([*lines, *_plot_lines(frame), ""])


def _plot_lines(frame: gpd.GeoDataFrame) -> Iterable[str]:
    """Write the plots, each its header line and its points, numbered through all rings."""
    geometry = np.asarray(frame.geometry.values, dtype=object)
    kinds = np.array(["点", "线", "面"])[np.maximum(shapely.get_dimensions(geometry), 0)]
    nothing = shapely.is_missing(geometry) | shapely.is_empty(geometry)
    mixed = shapely.get_type_id(geometry) == _COLLECTION
    if (nothing | mixed).any():
        faults = [Fault("txt.not_writable", str(frame.index[at])) for at in np.flatnonzero(nothing | mixed)]
        raise OutputError(faults)
    columns = {name: list(frame[name]) if name in frame else [""] * len(frame) for name in COLUMNS}
    decimals = list(frame["stated_decimals"]) if "stated_decimals" in frame else [np.nan] * len(frame)
    for row, shape in enumerate(geometry):
        points = list(_point_lines(shape, kinds[row]))
        area = _area_text(columns["stated_area_ha"][row], decimals[row], shape)
        plot = _cell(columns["plot"][row]) or str(row + 1)
        texts = [_cell(columns[name][row]) for name in ("name", "sheet", "use", "land_use_code")]
        yield ",".join([str(len(points)), area, plot, texts[0], kinds[row], *texts[1:], "@"])
        yield from points


def _cell(value: object) -> str:
    """Give a text that cannot be taken for several cells or lines."""
    text = "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN is not itself
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\ufeff]+", " ", re.sub("[,，]", "；", text)).strip(" @＠")


def _area_text(stated: object, decimals: float, shape: shapely.Geometry) -> str:
    if isinstance(stated, int | float) and np.isfinite(stated):
        return f"{stated:.{_AREA_DECIMALS if np.isnan(decimals) else int(decimals)}f}"
    area = shapely.area(shape)
    return f"{area / M2_OF_HA:.{_AREA_DECIMALS}f}" if area > 0.0 else ""


def _point_lines(shape: shapely.Geometry, kind: str) -> Iterable[str]:
    """Write points with their labels: a ring ends with the label that it began with."""
    parts = shapely.get_parts(shape)
    parts = shapely.get_rings(parts) if kind == "面" else parts
    label = 1
    for number, part in enumerate(parts, 1):
        xy = shapely.get_coordinates(part)
        names = list(range(label, label + len(xy)))
        label += len(xy)
        if kind == "面":
            names[-1] = names[0]
            label -= 1
        ring = 1 if kind == "点" else number
        yield from (
            f"J{name},{ring},{y:.{_DECIMALS}f},{x:.{_DECIMALS}f}" for name, (x, y) in zip(names, xy, strict=True)
        )
