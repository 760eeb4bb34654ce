"""The sheet around a printed map: title, legend, list of sites, sources, notices, scale bar, north arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import shapely

from geojw.figures import fonts, mapface, signs
from geojw.figures.canvas import INK, QUIET, Canvas, level
from geojw.figures.cartography import DETAIL_MM, Box, Frame, Places, fit, scale_bar
from geojw.figures.mapface import Placed, Planar
from geojw.maps.mapdata import VERDICTS, MapLayer
from geojw.measure.geodesy import AnalysisCRS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


class Sheet:
    """One attempt at a sheet, of letters of a size and so many columns: measured first, then drawn."""

    def __init__(
        self, content: Content, layers: Sequence[Planar], analysis: AnalysisCRS, paper: Paper, texts: Mapping[str, str],
        size_pt: float, columns: int,
    ) -> None:  # fmt: skip
        self.planar = layers
        self.content, self.analysis, self.paper, self.texts = content, analysis, paper, texts
        self.size_pt, self.em, self.count = size_pt, size_pt * fonts.MM_A_POINT, columns
        self.margin, self.rim, self.gap = 2.4 * self.em, 1.7 * self.em, 1.3 * self.em
        self.inner_mm = paper.width_mm - 2.0 * self.margin
        self.title = fonts.wrapped(content.title, self.inner_mm, 2.1 * size_pt, 2)
        self.notices = [
            (first, line)
            for notice in content.notices
            for first, line in _first(fonts.wrapped(notice, self.inner_mm - 3.2 * self.em, NOTICE * size_pt))
        ]
        self.body = self._body()
        self.column_mm, box = self._shares(columns)
        self.day = fonts.wrapped(content.day, 0.3 * self.inner_mm, size_pt, 1)[0]
        beside = self.inner_mm - fonts.width_mm(self.day, size_pt) - 2.0 * self.em
        self.review = fonts.wrapped(content.review, beside, 1.1 * size_pt)
        wide_enough = min(box[2] - box[0], box[3] - box[1]) >= MIN_MAP_EM * self.em
        self.has_room = wide_enough and len(self.review) == 1  # 审图号 stands whole on one line
        if self.has_room:
            self._set_frame(box)
            self.words = {verdict: texts[f"short.{verdict}"] for verdict in VERDICTS}

    def rank(self) -> tuple[float, float, int]:
        """Prefer a large map, then large letters, then few columns."""
        return self.frame.scale, -self.size_pt, self.count

    @cached_property
    def layers(self) -> list[Placed]:
        """The layers on the sheet."""
        return mapface.placed(self.planar, self.frame)

    @cached_property
    def spots(self) -> signs.SiteSpots | None:
        """The sites on the sheet."""
        return None if self.content.sites is None else signs.place_sites(self.content.sites, self.frame, self.analysis)

    def fitted(self, *, listed: bool) -> bool:
        """Write the legend, with or without a list of the sites, and tell whether it fits."""
        self.numbered = listed
        self.places = Places(self.frame.box_mm, [self.bar_box, self._north_box()])
        self.pins = signs.place_pins(self.spots, self.frame, self.places, self.em) if listed and self.spots else []
        self.legend = [*self._legend()]
        self.columns = self._columns()
        return bool(self.columns)

    def _body(self) -> Box:
        """Give what is left between the head and the foot."""
        head = (2.6 * len(self.title) + 1.6) * self.em
        foot = len(self.notices) * NOTICE_EM * self.em + (1.0 * self.em if self.notices else 0.0) + 2.4 * self.em
        margin, paper = self.margin, self.paper
        return margin, margin + foot, paper.width_mm - margin, paper.height_mm - margin - head

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
        texts, sources = self.texts, self._sources()
        yield Entry("heading", texts["legend"])
        yield from self._verdicts()
        for one in reversed(self.layers):
            yield from self._of_layer(one, sources[one.layer.status, one.layer.source])
        if self.numbered:
            yield Entry("heading", texts["sites"])
            yield from self._site_rows()
        yield Entry("heading", texts["sources"])
        for (status, source), number in sources.items():
            yield Entry("note", f"[{number}] {texts[f'status.{status}']} · {source}", most=6)
        lon, lat = f"{self.analysis.lon:g}°", f"{self.analysis.lat:g}°"
        yield Entry("note", texts["projection"].format(lon=lon, lat=lat))
        yield Entry(
            "note", texts["detail"].format(metres=f"{DETAIL_MM * self.frame.metres_a_mm:.2g}", mm=f"{DETAIL_MM:g}")
        )
        sheet = {"width": f"{self.paper.width_mm:g}", "height": f"{self.paper.height_mm:g}"}
        yield Entry("note", texts["sheet"].format(**sheet))
        yield from (Entry("note", line) for line in self.content.lines)

    def _verdicts(self) -> Iterator[Entry]:
        """List the verdicts on the map, and what is to be said of the sites' symbols."""
        sites, spots = self.content.sites, self.spots
        if sites is None or spots is None:
            return
        seen = sites["verdict"].to_numpy()[spots.seen]
        for verdict in VERDICTS:
            if number := int((seen == verdict).sum()):
                yield Entry("verdict", f"{self.texts[f'verdict.{verdict}']}  {number:,}", verdict)
        if not self.numbered and len(sites):
            yield Entry("note", self.texts["not_listed"].format(count=f"{len(sites):,}"))
        if any(pin.moved for pin in self.pins):
            yield Entry("note", self.texts["moved"])
        if outside := int((~spots.seen).sum()):
            yield Entry("note", self.texts["outside_frame"].format(count=f"{outside:,}"))

    def _of_layer(self, one: Placed, source: int) -> Iterator[Entry]:
        key, title = one.layer.id, one.layer.title
        if len(one.ids):
            yield Entry("layer", f"{title} [{source}]", key, most=3)
        if one.layer.zone:
            yield Entry("remark", self.texts["outside"], key)
        if (one.layer.precision_m or 0.0) > DETAIL_MM * self.frame.metres_a_mm:  # else no eye sees it on paper
            stated = f"{np.ceil((one.layer.precision_m or 0.0) * 10.0) / 10.0:g}"
            yield Entry("remark", self.texts["precision"].format(metres=stated), key)
        if {*one.ids} & {*one.layer.adrift}:
            yield Entry("remark", self.texts["adrift"], key)
        if one.smallest_m is not None:
            yield Entry("remark", self.texts["dots"].format(metres=f"{one.smallest_m:.0f}"), key)
        for metres in one.rings:
            yield Entry("ring", self.texts["ring"].format(metres=f"{metres:,g}", title=title), key, metres, most=3)

    def _sources(self) -> dict[tuple[str, str], int]:
        """Give the sources of what is drawn their numbers, in the legend's order."""
        used = dict.fromkeys((one.layer.status, one.layer.source) for one in reversed(self.layers))
        return {source: number for number, source in enumerate(used, 1)}

    def _site_rows(self) -> Iterator[Entry]:
        sites, spots = self.content.sites, self.spots
        if sites is None or spots is None:
            return
        names, verdicts = sites["name"].to_numpy(), sites["verdict"].to_numpy()
        for number, (key, name, verdict, seen) in enumerate(
            zip(sites.index, names, verdicts, spots.seen, strict=True), 1
        ):
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
        return fonts.wrapped(
            entry.text, self.column_mm - style.indent * self.em, style.share * self.size_pt, entry.most
        )

    def drawn(self, *, listed: bool) -> Figure:
        """Draw all blocks."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and loaded only where something is drawn

        self.fitted(listed=listed)
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
        return figure

    def _draw_head(self, canvas: Canvas) -> None:
        middle, y = self.paper.width_mm / 2.0, self.paper.height_mm - self.margin
        for line in self.title:
            canvas.text(middle, y - 1.2 * self.em, line, 2.1 * self.size_pt, align="center")
            y -= 2.6 * self.em
        right = self.paper.width_mm - self.margin
        badge = fonts.wrapped(self.content.badge, 0.4 * self.inner_mm, self.size_pt, 1)[0]
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
        mapface.paint_bar(canvas, self.bar_box, self.bar.length_mm, self._bar_text, self._scale_text)
        mapface.paint_north(canvas, self._north_box(), self.texts["north_letter"])
        if content.sites is not None and self.spots is not None:
            verdicts = [*map(str, content.sites["verdict"])]
            signs.paint_sites(canvas, frame, verdicts, self.spots)
            if self.numbered:
                signs.paint_pins(canvas, self.pins, verdicts, self.words)
            else:
                signs.paint_crowd(canvas, frame, verdicts, self.spots, self.places)
        mapface.paint_names(canvas, frame, self.layers, self.places)
        if content.stamp is not None:
            mapface.paint_stamp(canvas, frame, content.stamp)
        left, bottom, right, top = frame.box_mm
        canvas.box(frame.box_mm, level("rim"), edge=INK, weight=0.5)
        rim = (left - self.rim, bottom - self.rim, right + self.rim, top + self.rim)
        canvas.box(rim, level("rim"), edge=INK, weight=1.2)

    @property
    def _bar_text(self) -> str:
        """The scale bar's length in words."""
        unit, metres = ("km", 1_000.0) if self.bar.length_m >= 1_000.0 else ("m", 1.0)  # noqa: PLR2004 - a kilometre
        return f"{self.bar.length_m / metres:g} {self.texts[f'unit.{unit}']}"

    @property
    def _scale_text(self) -> str:
        return self.texts["scale"].format(scale=f"{self.frame.scale:,.0f}".replace(",", " "))

    def _set_frame(self, box: Box) -> None:
        """Fit the map; put the scale bar where it hides nothing of the zone, and lift the map for it if need be."""
        x0, y0, x1, y1 = box
        tall = 4.6 * self.em
        for lift in (0.0, tall):
            upper = fit(self.content.extent_m, (x0, y0 + lift, x1, y1))
            centre = upper.centre[0], upper.centre[1] - lift / 2.0 * upper.metres_a_mm
            self.frame = Frame(x0, y0, x1 - x0, y1 - y0, centre, upper.scale)
            self.bar = scale_bar(self.frame, self.analysis, min(0.38 * (x1 - x0), 18.0 * self.em))
            texts = (self._scale_text, 0.85 * self.size_pt, 0.0), (self._bar_text, self.size_pt, self.bar.length_mm)
            wide = max(fonts.width_mm(text, size) + beside for text, size, beside in texts) + 1.8 * self.em
            corners = (
                (x0, y0, x0 + wide, y0 + tall), (x1 - wide, y0, x1, y0 + tall), (x0, y1 - tall, x0 + wide, y1)
            )  # fmt: skip
            zone = [shape for one in self.planar if one.layer.zone for shape in self.frame.on_paper(one.shapes)]
            free = [corner for corner in corners if not shapely.intersects(zone, shapely.box(*corner)).any()]
            self.bar_box = [*free, corners[0]][0]
            if free:
                return

    def _north_box(self) -> Box:
        right, top = self.frame.box_mm[2:]
        return right - 3.6 * self.em, top - 5.9 * self.em, right - 0.4 * self.em, top - 0.4 * self.em

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
                signs.paint_symbol(canvas, x + 1.3 * em, y, entry.key, 1.5 * em, word, level("text"))
            case "site":
                canvas.text(x + 1.5 * em, y, str(entry.number), 0.9 * self.size_pt, align="right")
                word = self.texts[f"short.{entry.key}"]
                signs.paint_symbol(canvas, x + 2.4 * em, y, entry.key, 1.15 * em, word, level("text"))
            case "heading":
                canvas.line(
                    [(x, y - 0.85 * em), (x + self.column_mm, y - 0.85 * em)], level("rim"), edge=RULE, weight=0.5
                )

    def _draw_foot(self, canvas: Canvas) -> None:
        left, right, y = self.margin, self.paper.width_mm - self.margin, self.body[1] - 0.7 * self.em
        if self.notices:
            tall = len(self.notices) * NOTICE_EM * self.em + 0.6 * self.em
            canvas.box((left, y - tall, right, y), level("ground"), face=CREAM)
            canvas.box((left, y - tall, left + 0.35 * self.em, y), level("layers"), face="#8a5a00")
            at = y - 0.3 * self.em
            for first, row in self.notices:
                if first:
                    canvas.text(left + 1.3 * self.em, at - 0.62 * self.em, "·", NOTICE * self.size_pt, align="center")
                canvas.text(left + 1.8 * self.em, at - 0.62 * self.em, row, NOTICE * self.size_pt)
                at -= NOTICE_EM * self.em
        at = self.margin + 0.4 * self.em
        canvas.text(right, at, self.day, self.size_pt, align="right", colour=QUIET)
        canvas.text(left, at, self.review[0], 1.1 * self.size_pt)
