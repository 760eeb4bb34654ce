"""Floor 7: a figure for documents, PNG, SVG or PDF, of layers prepared for an audience: the sheet around the map."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import geopandas as gpd
import numpy as np
import shapely

from geojw import fonts, mapface
from geojw.cartography import DETAIL_MM, Box, Frame, Places, fit, outline, scale_bar
from geojw.errors import Fault, OutputError
from geojw.geodesy import AnalysisCRS
from geojw.mapface import INK, QUIET, Canvas, Placed, Planar, level
from geojw.maps import VERDICTS, MapLayer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = ("png", "svg", "pdf")
SIZES_MM = {"A5": (148.0, 210.0), "A4": (210.0, 297.0), "A3": (297.0, 420.0), "A2": (420.0, 594.0)}
"""Width and height of the sheets of ISO 216, upright."""
MIN_MM, MAX_MM = 60.0, 1_200.0
MAX_PIXELS = 250_000_000
"""More take over a gigabyte of memory."""
SMALLEST_PT, LARGEST_PT = 5.5, 14.0
"""Least and greatest size of the plain letters: notes are smaller by a sixth, and below 4.5 points nobody reads."""
SHRINKS = ((1.0, 0.94, 0.88, 0.82), (0.76, 0.7))
"""Sizes of letters that are tried, as shares of what suits the sheet: the second ones only if the first do not do."""
NOTICE, NOTICE_EM = 0.9, 1.25
"""Size of the notices' letters and height of their lines, by the plain letters."""
MIN_MAP_EM, COLUMN_EM = 16.0, (20.0, 27.0)
"""Least width and height of the map, and least and greatest width of a column of the legend, in letters."""
RULE, CREAM = "#8c949b", "#fff3cd"


@dataclass(frozen=True)
class Paper:
    """
    The sheet.

    Parameters
    ----------
    width_mm, height_mm
        Its size.
    dpi
        Pixels an inch of a PNG, and of what SVG and PDF hold as pixels.
    """

    width_mm: float
    height_mm: float
    dpi: int = 300


@dataclass(frozen=True)
class Content:
    """
    What a figure shows, prepared for its audience: all of it is drawn, nothing else is known here.

    Parameters
    ----------
    title, subtitle
        Plain text.
    layers
        As prepared for the page.
    extent_m
        What must be in sight, in the analysis CRS.
    notices
        What every output must say; never cut.
    badge
        Who may see it.
    review
        The line with the 审图号, or that there is none.
    day
        The day of the map.
    stamp
        Printed across the map where it must not be published.
    sites
        EPSG:4490, index = site id; columns ``name, verdict``; as prepared for the page.
    lines
        Further lines below the map.
    """

    title: str
    subtitle: str
    layers: Sequence[MapLayer]
    extent_m: Box
    notices: Sequence[str]
    badge: str
    review: str
    day: str
    stamp: str | None = None
    sites: gpd.GeoDataFrame | None = None
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Entry:
    """
    One line of the legend.

    Parameters
    ----------
    kind
        ``heading``, ``layer``, ``remark``, ``ring``, ``verdict``, ``site`` or ``note``.
    text
        What it says.
    key
        The layer or verdict whose paint it shows.
    number
        Of a site; metres of a ring.
    most
        Lines that the text may take; by default all that it needs.
    """

    kind: str
    text: str
    key: str = ""
    number: float = 0
    most: int | None = None


@dataclass(eq=False)
class Drawing:
    """
    A figure that was drawn.

    Parameters
    ----------
    figure
        matplotlib's.
    frame
        Where the map lies on the sheet, and its scale.
    legend
        What the legend says.
    paper
        The sheet.
    """

    figure: Figure
    frame: Frame
    legend: list[Entry]
    paper: Paper

    def write(self, form: Format) -> bytes:
        """Write it as a file of a format; the same content gives the same bytes."""
        metadata: dict[Format, dict[str, str | None]] = {
            "png": {"Software": "geojw"},
            "svg": {"Date": None, "Creator": "geojw"},
            "pdf": {"CreationDate": None, "Creator": "geojw", "Producer": None},
        }
        out = io.BytesIO()
        with fonts.typesetting():
            self.figure.savefig(out, format=form, dpi=self.paper.dpi, metadata=metadata[form])
        return out.getvalue()


def paper_of(size: str, extent_m: Box, *, turn: str = "auto", dpi: int = 300) -> Paper:
    """
    Read the size of a sheet.

    Parameters
    ----------
    size
        ``A5`` to ``A2``, or ``160x120`` (millimetres).
    extent_m
        What it is to show; by default the sheet is turned as suits this best.
    turn
        ``portrait``, ``landscape`` or ``auto``.
    dpi
        Pixels an inch.

    Returns
    -------
    Paper

    Raises
    ------
    OutputError
        No such size, or too many pixels.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*[xX×*]\s*(\d+(?:\.\d+)?)\s*(?:mm)?", size.strip())
    sides = (float(found[1]), float(found[2])) if found else SIZES_MM.get(size.strip().upper())
    if sides is None or not MIN_MM <= min(sides) <= max(sides) <= MAX_MM:
        known = ", ".join(SIZES_MM)
        raise OutputError([Fault("figure_size", "--size", {"got": size, "known": known, "least": MIN_MM, "most": MAX_MM})])
    width, height = sides
    wide = extent_m[2] - extent_m[0] > extent_m[3] - extent_m[1]
    if turn == "landscape" or (turn == "auto" and not found and wide):
        width, height = max(sides), min(sides)
    elif turn == "portrait":
        width, height = min(sides), max(sides)
    if width * height / 25.4**2 * dpi**2 > MAX_PIXELS:
        raise OutputError([Fault("figure_pixels", "--dpi", {"dpi": dpi, "size": size})])
    return Paper(width, height, dpi)


def draw(content: Content, analysis: AnalysisCRS, paper: Paper, texts: Mapping[str, str]) -> Drawing:
    """
    Draw a figure: the map in the zone's own equal-area plane, and around it all that a reader needs.

    Parameters
    ----------
    content
        What it shows.
    analysis
        The plane.
    paper
        The sheet.
    texts
        In one language: the table ``figure`` of ``texts.toml``, and of others ``verdict.*``, ``status.*``,
        ``short.*``, ``unit.*`` and ``north_letter``.

    Returns
    -------
    Drawing
        To be written.

    Raises
    ------
    OutputError
        The sheet is too small for what must stand on it.
    FontError
        There is no font with Chinese letters.
    """
    with fonts.typesetting():
        size_pt = min(max(0.03 * (paper.width_mm * paper.height_mm) ** 0.5, SMALLEST_PT), LARGEST_PT)
        layers = mapface.planar(content.layers, analysis)
        for listed, shrinks in product((True, False), SHRINKS):
            sizes = [size_pt * shrink for shrink in shrinks if size_pt * shrink >= SMALLEST_PT]
            tried = [_Sheet(content, analysis, paper, texts, *each) for each in product(sizes, (1, 2, 3))]
            for sheet in sorted((one for one in tried if one.has_room), key=_Sheet.rank):
                if sheet.complete(layers, listed=listed):
                    return sheet.drawing()
        raise OutputError(
            [Fault("figure_small", "--size", {"width": f"{paper.width_mm:g}", "height": f"{paper.height_mm:g}"})]
        )


class _Sheet:
    """One attempt at a sheet, of letters of a size and so many columns: measured first, then drawn."""

    def __init__(
        self, content: Content, analysis: AnalysisCRS, paper: Paper, texts: Mapping[str, str], size_pt: float, columns: int
    ) -> None:  # fmt: skip
        self.content, self.analysis, self.paper, self.texts = content, analysis, paper, texts
        self.size_pt, self.em, self.count = size_pt, size_pt * fonts.MM_A_POINT, columns
        self.margin, self.rim, self.gap = 2.4 * self.em, 1.7 * self.em, 1.3 * self.em
        self.inner_mm = paper.width_mm - 2.0 * self.margin
        self.title = fonts.wrapped(content.title, self.inner_mm, 2.1 * size_pt, 2)
        self.notices = [
            ("· " if first else "  ") + line
            for notice in content.notices
            for first, line in _first(fonts.wrapped(notice, self.inner_mm - 3.0 * self.em, NOTICE * size_pt))
        ]
        self.body = self._body()
        self.column_mm, box = self._shares(columns)
        self.has_room = min(box[2] - box[0], box[3] - box[1]) >= MIN_MAP_EM * self.em
        if self.has_room:
            self.frame = fit(content.extent_m, box)
            self.bar = scale_bar(self.frame, analysis, min(0.38 * self.frame.width_mm, 18.0 * self.em))
            self.words = {verdict: texts[f"short.{verdict}"] for verdict in VERDICTS}

    def rank(self) -> tuple[float, float, int]:
        """Prefer a large map, then large letters, then few columns."""
        return self.frame.scale, -self.size_pt, self.count

    def complete(self, layers: Sequence[Planar], *, listed: bool) -> bool:
        """Place layers, sites and legend; tell whether the legend fits."""
        sites = self.content.sites
        self.layers = mapface.placed(layers, self.frame)
        self.spots = None if sites is None else mapface.place_sites(sites, self.frame, self.analysis)
        self.numbered = listed and sites is not None and 0 < len(sites) <= mapface.LISTED
        self.places = Places(self.frame.box_mm, [self._bar_box(), self._north_box()])
        self.pins = mapface.place_pins(self.spots, self.frame, self.places, self.em) if self.numbered and self.spots else []
        self.legend = [*self._legend()]
        self.columns = self._columns()
        return bool(self.columns)

    def _body(self) -> Box:
        """Give what is left between the head and the foot."""
        head = (2.6 * len(self.title) + 1.6) * self.em
        foot = len(self.notices) * NOTICE_EM * self.em + (1.0 * self.em if self.notices else 0.0) + 2.4 * self.em
        return (
            self.margin, self.margin + foot, self.paper.width_mm - self.margin, self.paper.height_mm - self.margin - head,
        )  # fmt: skip

    def _shares(self, columns: int) -> tuple[float, Box]:
        """Give the legend's columns the width that the map cannot use, and no less or more than reads well."""
        left, bottom, right, top = self.body
        x0, y0, x1, y1 = self.content.extent_m
        usable = (top - bottom) * (x1 - x0) / max(y1 - y0, 1e-9) * 1.04 + 2.0 * self.rim
        low, high = COLUMN_EM
        column = min(max((right - left - usable) / columns - self.gap, low * self.em), high * self.em)
        end = right - columns * (column + self.gap)
        return column, (left + self.rim, bottom + self.rim, end - self.rim, top - self.rim)

    def _legend(self) -> Iterator[Entry]:
        """List what is drawn, the uppermost first, then the sites, then the sources."""
        texts, sites = self.texts, self.content.sites
        yield Entry("heading", texts["legend"])
        if sites is not None and self.spots is not None:
            counts = sites["verdict"].to_numpy()[self.spots.seen]
            for verdict in VERDICTS:
                if number := int((counts == verdict).sum()):
                    yield Entry("verdict", f"{texts[f'verdict.{verdict}']}  {number}", verdict)
            yield from self._site_notes(int((~self.spots.seen).sum()), len(sites))
        sources = self._sources()
        for one in reversed(self.layers):
            if len(one.ids):
                yield Entry("layer", f"{one.layer.title} [{sources[one.layer.status, one.layer.source]}]", one.layer.id)
            if one.layer.zone:
                yield Entry("remark", texts["outside"], one.layer.id)
            if one.smallest_m is not None:
                yield Entry("remark", texts["dots"].format(metres=f"{one.smallest_m:.0f}"), one.layer.id)
            for metres in one.rings:
                text = texts["ring"].format(metres=f"{metres:,g}", title=one.layer.title)
                yield Entry("ring", text, one.layer.id, metres)
        if self.numbered and sites is not None and self.spots is not None:
            yield Entry("heading", texts["sites"])
            yield from self._site_rows(sites, self.spots)
        yield Entry("heading", texts["sources"])
        for (status, source), number in sources.items():
            yield Entry("note", f"[{number}] {texts[f'status.{status}']} · {source}")
        lon, lat = (f"{abs(value):.4g}°{half}" for value, half in self._centre())
        yield Entry("note", texts["projection"].format(lon=lon, lat=lat))
        yield Entry("note", texts["detail"].format(metres=f"{DETAIL_MM * self.frame.metres_a_mm:.2g}", mm=f"{DETAIL_MM:g}"))
        yield from (Entry("note", line) for line in self.content.lines)

    def _centre(self) -> tuple[tuple[float, str], tuple[float, str]]:
        lon, lat = self.analysis.lon, self.analysis.lat
        return (lon, "E" if lon >= 0 else "W"), (lat, "N" if lat >= 0 else "S")

    def _sources(self) -> dict[tuple[str, str], int]:
        """Number the sources of what is drawn, in the legend's order."""
        used = dict.fromkeys((one.layer.status, one.layer.source) for one in reversed(self.layers))
        return {source: number for number, source in enumerate(used, 1)}

    def _site_notes(self, outside: int, total: int) -> Iterator[Entry]:
        if not self.numbered and total:
            yield Entry("note", self.texts["not_listed"].format(count=f"{total:,}"))
        if any(pin.moved for pin in self.pins):
            yield Entry("note", self.texts["moved"])
        if outside:
            yield Entry("note", self.texts["outside_frame"].format(count=f"{outside:,}"))

    def _site_rows(self, sites: gpd.GeoDataFrame, spots: mapface.SiteSpots) -> Iterator[Entry]:
        names, verdicts = sites["name"].to_numpy(), sites["verdict"].to_numpy()
        for number, (key, name, verdict, seen) in enumerate(zip(sites.index, names, verdicts, spots.seen, strict=True), 1):
            named = str(name) if isinstance(name, str) and name.strip() else str(key)
            where = "" if seen else self.texts["off_map"]
            yield Entry("site", where + named, str(verdict), number, most=1)

    def _columns(self) -> list[list[tuple[Entry, list[str]]]]:
        """Break the legend into columns, a heading with what it heads; none where they do not hold it."""
        room = (self.body[3] - self.body[1]) / self.em
        columns: list[list[tuple[Entry, list[str]]]] = [[]]
        used = 0.0
        for number, entry in enumerate(self.legend):
            lines = self._lines(entry)
            tall = _tall_em(entry, lines)
            headed = self.legend[number + 1 : number + 2] if entry.kind == "heading" else []
            if columns[-1] and used + tall + sum(_tall_em(other, self._lines(other)) for other in headed) > room:
                columns.append([])
                used = 0.0
            columns[-1].append((entry, lines))
            used += tall
            if used > room or len(columns) > self.count:
                return []
        return columns

    def _lines(self, entry: Entry) -> list[str]:
        style = STYLES[entry.kind]
        return fonts.wrapped(entry.text, self.column_mm - style.indent * self.em, style.share * self.size_pt, entry.most)

    def drawing(self) -> Drawing:
        """Draw all blocks."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and loaded only where something is drawn

        wide, high = self.paper.width_mm, self.paper.height_mm
        figure = Figure((wide / 25.4, high / 25.4), dpi=self.paper.dpi)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0.0, wide)
        axes.set_ylim(0.0, high)
        canvas = Canvas(axes, self.size_pt)
        self._draw_head(canvas)
        self._draw_map(canvas)
        self._draw_columns(canvas)
        self._draw_foot(canvas)
        return Drawing(figure, self.frame, self.legend, self.paper)

    def _draw_head(self, canvas: Canvas) -> None:
        middle, y = self.paper.width_mm / 2.0, self.paper.height_mm - self.margin
        for line in self.title:
            canvas.text(middle, y - 1.2 * self.em, line, 2.1 * self.size_pt, align="center")
            y -= 2.6 * self.em
        right, badge = self.paper.width_mm - self.margin, self.content.badge
        wide = fonts.width_mm(badge, self.size_pt) + self.em
        canvas.box((right - wide, y - 1.35 * self.em, right, y + 0.15 * self.em), level("rim"), edge=INK, weight=0.8)
        canvas.text(right - wide / 2.0, y - 0.6 * self.em, badge, self.size_pt, align="center")
        room = self.inner_mm - wide - self.em
        line = fonts.wrapped(self.content.subtitle, room, self.size_pt, 1)[0]
        canvas.text(self.margin, y - 0.6 * self.em, line, self.size_pt, colour=QUIET)

    def _draw_map(self, canvas: Canvas) -> None:
        frame, content = self.frame, self.content
        mapface.paint_layers(canvas, frame, self.layers)
        mapface.paint_graticule(canvas, frame, self.analysis, self.rim)
        self._draw_bar(canvas)
        self._draw_north(canvas)
        if content.sites is not None and self.spots is not None:
            verdicts = [*map(str, content.sites["verdict"])]
            mapface.paint_sites(canvas, frame, verdicts, self.spots)
            if self.numbered:
                mapface.paint_pins(canvas, self.pins, verdicts, self.words)
            else:
                mapface.paint_crowd(canvas, frame, verdicts, self.spots)
        mapface.paint_names(canvas, frame, self.layers, self.places)
        if content.stamp is not None:
            mapface.paint_stamp(canvas, frame, content.stamp)
        left, bottom, right, top = frame.box_mm
        canvas.box(frame.box_mm, level("rim"), edge=INK, weight=0.5)
        rim = (left - self.rim, bottom - self.rim, right + self.rim, top + self.rim)
        canvas.box(rim, level("rim"), edge=INK, weight=1.2)

    def _bar_texts(self) -> tuple[str, str]:
        """Give the scale bar's length and the scale in words."""
        unit, metres = ("km", 1_000.0) if self.bar.length_m >= 1_000.0 else ("m", 1.0)  # noqa: PLR2004 - a kilometre
        scale = self.texts["scale"].format(scale=f"{self.frame.scale:,.0f}".replace(",", " "))
        sheet = self.texts["sheet"].format(width=f"{self.paper.width_mm:g}", height=f"{self.paper.height_mm:g}")
        return f"{self.bar.length_m / metres:g} {self.texts[f'unit.{unit}']}", scale + sheet

    def _bar_box(self) -> Box:
        whole, scale = self._bar_texts()
        wide = max(
            self.bar.length_mm + fonts.width_mm(whole, self.size_pt), fonts.width_mm(scale, 0.85 * self.size_pt)
        )  # fmt: skip
        left, bottom = self.frame.left_mm, self.frame.bottom_mm
        return left, bottom, left + wide + 2.0 * self.em, bottom + 4.6 * self.em

    def _draw_bar(self, canvas: Canvas) -> None:
        """Draw the scale bar, half of it black, and the scale as a number, in the lower left of the map."""
        whole, scale = self._bar_texts()
        number, box = whole.split(" ", maxsplit=1)[0], self._bar_box()
        canvas.box(box, level("rim"), face="#ffffff", opacity=0.85)
        x, y, half = box[0] + self.em, box[1] + 2.0 * self.em, self.bar.length_mm / 2.0
        for start, face in ((x, INK), (x + half, "#ffffff")):
            canvas.box((start, y, start + half, y + 0.5 * self.em), level("text"), face=face, edge=INK, weight=0.5)
        for at, text in ((x, "0"), (x + half, f"{float(number) / 2.0:g}")):
            canvas.text(at, y + 1.25 * self.em, text, self.size_pt, align="center")
        to_middle = fonts.width_mm(number, self.size_pt) / 2.0
        canvas.text(x + 2.0 * half - to_middle, y + 1.25 * self.em, whole, self.size_pt)
        canvas.text(x, box[1] + 0.95 * self.em, scale, 0.85 * self.size_pt, colour=QUIET)

    def _north_box(self) -> Box:
        right, top = self.frame.box_mm[2:]
        return right - 3.6 * self.em, top - 5.9 * self.em, right - 0.4 * self.em, top - 0.4 * self.em

    def _draw_north(self, canvas: Canvas) -> None:
        """Draw the arrow: in this plane true north is up in the map's middle."""
        left, _, right, top = self._north_box()
        x, tip, foot = (left + right) / 2.0, top - 1.8 * self.em, top - 5.1 * self.em
        canvas.text(
            x, top - 0.9 * self.em, self.texts["north_letter"], 1.1 * self.size_pt, align="center", halo="#ffffff"
        )  # fmt: skip
        for side, face in ((-1.0, INK), (1.0, "#ffffff")):
            half = shapely.Polygon([(x, tip), (x + side * 0.85 * self.em, foot), (x, foot + 0.7 * self.em)])
            canvas.shape(outline(np.array([half])), level("text"), face=face, edge=INK, weight=0.6)

    def _draw_columns(self, canvas: Canvas) -> None:
        top = self.body[3]
        by_id = {one.layer.id: one for one in self.layers}
        for number, column in enumerate(self.columns):
            x = self.frame.box_mm[2] + self.rim + self.gap + number * (self.column_mm + self.gap)
            y = top
            for entry, lines in column:
                style = STYLES[entry.kind]
                at = y - style.above * self.em - 0.6 * self.em
                self._draw_swatch(canvas, entry, x, at, by_id)
                for line in lines:
                    canvas.text(x + style.indent * self.em, at, line, style.share * self.size_pt, colour=style.colour)
                    at -= 1.3 * style.share * self.em
                y -= _tall_em(entry, lines) * self.em

    def _draw_swatch(self, canvas: Canvas, entry: Entry, x: float, y: float, layers: Mapping[str, Placed]) -> None:
        em = self.em
        match entry.kind:
            case "layer":
                mapface.paint_swatch(canvas, layers[entry.key], (x, y - 0.55 * em, x + 2.6 * em, y + 0.55 * em))
            case "ring":
                box = (x, y - 0.5 * em, x + 2.6 * em, y + 0.5 * em)
                mapface.paint_ring_swatch(canvas, layers[entry.key], entry.number, box)
            case "verdict":
                word = self.texts[f"short.{entry.key}"]
                mapface.paint_symbol(canvas, x + 1.3 * em, y, entry.key, 1.5 * em, word, level("text"))
            case "site":
                canvas.text(x + 1.5 * em, y, str(entry.number), 0.9 * self.size_pt, align="right")
                word = self.texts[f"short.{entry.key}"]
                mapface.paint_symbol(canvas, x + 2.4 * em, y, entry.key, 1.15 * em, word, level("text"))
            case "heading":
                canvas.line([(x, y - 0.85 * em), (x + self.column_mm, y - 0.85 * em)], level("rim"), edge=RULE, weight=0.5)

    def _draw_foot(self, canvas: Canvas) -> None:
        left, right, y = self.margin, self.paper.width_mm - self.margin, self.body[1] - 0.7 * self.em
        if self.notices:
            tall = len(self.notices) * NOTICE_EM * self.em + 0.6 * self.em
            canvas.box((left, y - tall, right, y), level("ground"), face=CREAM)
            canvas.box((left, y - tall, left + 0.35 * self.em, y), level("layers"), face="#8a5a00")
            at = y - 0.3 * self.em
            for row in self.notices:
                canvas.text(left + self.em, at - 0.62 * self.em, row, NOTICE * self.size_pt)
                at -= NOTICE_EM * self.em
        day = self.content.day
        wide = fonts.width_mm(day, self.size_pt)
        canvas.text(right, self.margin + 0.4 * self.em, day, self.size_pt, align="right", colour=QUIET)
        review = fonts.wrapped(self.content.review, self.inner_mm - wide - 2.0 * self.em, 1.1 * self.size_pt, 1)[0]
        canvas.text(left, self.margin + 0.4 * self.em, review, 1.1 * self.size_pt)


@dataclass(frozen=True)
class _Style:
    """How a kind of entry stands in the legend: size and room as shares of the plain letters' size."""

    share: float
    indent: float
    above: float
    colour: str = INK


STYLES: Mapping[str, _Style] = {
    "heading": _Style(1.15, 0.0, 0.5),
    "layer": _Style(1.0, 3.3, 0.35),
    "remark": _Style(0.85, 3.3, 0.0, QUIET),
    "ring": _Style(0.9, 3.3, 0.2, QUIET),
    "verdict": _Style(1.0, 3.3, 0.45),
    "site": _Style(0.92, 3.3, 0.12),
    "note": _Style(0.85, 0.0, 0.2, QUIET),
}


def _tall_em(entry: Entry, lines: Sequence[str]) -> float:
    """Give the room that an entry takes."""
    style = STYLES[entry.kind]
    return style.above + 1.3 * style.share * len(lines) + (0.5 if entry.kind == "heading" else 0.0)


def _first(lines: Sequence[str]) -> Iterator[tuple[bool, str]]:
    return ((number == 0, line) for number, line in enumerate(lines))
