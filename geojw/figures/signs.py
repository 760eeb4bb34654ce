"""The sites on a printed map: a symbol for each verdict, as on the page, and where each symbol stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import geopandas as gpd
import numpy as np
import shapely

from geojw.figures import fonts
from geojw.figures.canvas import AREA, EDGE, Canvas, disc, level
from geojw.figures.cartography import Frame, Places, around, outline
from geojw.maps.mapdata import VERDICTS
from geojw.measure.geodesy import AnalysisCRS, Geometries

LISTED = 60
"""So many sites are numbered; more are drawn as small symbols only."""
CROWD = 2_000
"""Above so many, sites are pixels in SVG and PDF too: a word processor stalls on as many outlines."""
PIN_EM, TAG = 1.5, 0.82
"""Width of a numbered symbol, and size of its number, in plain letters."""


@dataclass(frozen=True)
class VerdictPaint:
    """Colour of a verdict's symbol, and of the short word in it."""

    colour: str
    ink: str


@cache
def verdict_paints() -> Mapping[str, VerdictPaint]:
    """Read the verdicts' colours where the page has them (``static/map.css``), so that paper and page agree."""
    css = resources.files("geojw.maps").joinpath("static", "map.css").read_text("utf-8")
    found = re.findall(r"--v-(\w+): (#\w+); --v-\w+-ink: (#\w+);", css)
    return {word: VerdictPaint(colour, ink) for word, colour, ink in found}


@cache
def _symbol_shape(verdict: str) -> shapely.Geometry:
    """Give a verdict's shape as on the page, one unit wide: square, arch or disc."""
    square = shapely.buffer(shapely.box(-0.38, -0.38, 0.38, 0.38), 0.12)
    if verdict in {"prohibit", "undetermined"}:
        return square
    if verdict == "approval":
        arch = shapely.buffer(shapely.box(-0.12, -0.12, 0.12, 0.12), 0.38)
        return shapely.union_all([arch, shapely.intersection(square, shapely.box(-1, -1, 1, 0))])
    return shapely.buffer(shapely.Point(0, 0), 0.5, quad_segs=16)


def paint_symbol(canvas: Canvas, x: float, y: float, verdict: str, size: float, word: str, order: float) -> None:
    """Draw a verdict's symbol of a size in mm: colour, shape and short word, as on the page."""
    paint = verdict_paints()[verdict]
    shape = shapely.transform(_symbol_shape(verdict), lambda xy: xy * size + (x, y))
    rims = ((0.0, EDGE), (0.06 * size, "#ffffff"), (0.12 * size, paint.colour))
    for inset, colour in rims:
        canvas.shape(outline(np.array([shapely.buffer(shape, -inset)])), order, face=colour)
    if verdict == "undetermined":
        rim = outline(np.array([shapely.buffer(shape, -0.09 * size)]))
        canvas.shape(rim, order, edge=EDGE, weight=0.12 * size / fonts.MM_A_POINT / 2, dash=(0.9, 0.9))
    letters = 0.6 * size / fonts.MM_A_POINT
    canvas.text(x, y, word, letters, colour=paint.ink, align="center", order=order + 1e-6)


@dataclass(frozen=True)
class SiteSpots:
    """Where the sites lie on the sheet: their shapes, and which are in sight."""

    shapes: Geometries
    seen: np.ndarray[tuple[int], np.dtype[np.bool_]]


def place_sites(sites: gpd.GeoDataFrame, frame: Frame, analysis: AnalysisCRS) -> SiteSpots:
    """Place sites on the sheet; a site without a shape is out of sight."""
    flat = np.asarray(shapely.force_2d(sites.geometry.to_numpy()), dtype=object)
    has = ~(shapely.is_missing(flat) | shapely.is_empty(flat))
    shapes = np.full(len(flat), shapely.Point(), dtype=object)
    shapes[has] = frame.on_paper(analysis.project(flat[has], sites.crs))
    return SiteSpots(shapes, frame.in_sight(shapes))


@dataclass(frozen=True)
class Pin:
    """
    A numbered symbol.

    Parameters
    ----------
    number
        Of the site, from 0.
    at
        A point on the site, in mm.
    centre
        The symbol's.
    moved
        Whether it stands beside the site, with a line that leads there.
    """

    number: int
    at: tuple[float, float]
    centre: tuple[float, float]
    moved: bool


def place_pins(spots: SiteSpots, frame: Frame, places: Places, em_mm: float) -> list[Pin]:
    """Give each site in sight a symbol and number of its own, beside its place where that is taken."""
    size, out = PIN_EM * em_mm, []
    for number in np.flatnonzero(spots.seen):
        seen = shapely.intersection(spots.shapes[number], shapely.box(*frame.box_mm))
        x, y = map(float, shapely.get_coordinates(shapely.point_on_surface(seen))[0])
        more = _tag_mm(int(number), em_mm)
        candidates = [(cx + more / 2.0, cy) for cx, cy in around(x, y, 0.5 * size, 9)]
        cx, cy = places.take(candidates, size + more, 1.08 * size) or candidates[0]
        centre = (cx - more / 2.0, cy)
        out.append(Pin(int(number), (x, y), centre, np.hypot(centre[0] - x, centre[1] - y) > 0.45 * size))
    return out


def _tag_mm(number: int, em_mm: float) -> float:
    """Give the width of a site's number beside its symbol."""
    return fonts.width_mm(str(number + 1), TAG * em_mm / fonts.MM_A_POINT) + 0.3 * em_mm


def paint_sites(canvas: Canvas, frame: Frame, verdicts: Sequence[str], spots: SiteSpots) -> None:
    """Draw the shapes of sites, the strictest on top."""
    box, words, crowd = frame.box_mm, np.asarray(verdicts), len(verdicts) > CROWD
    for verdict in VERDICTS:
        mine = spots.shapes[(words == verdict) & spots.seen]
        colour, order = verdict_paints()[verdict].colour, level("sites", 0.1 * (8 - VERDICTS.index(verdict)))
        areas = outline(mine[shapely.get_dimensions(mine) == AREA])
        canvas.shape(areas, order, face=colour, opacity=0.75, edge=EDGE, weight=0.35, clip=box, pixels=crowd)
        lines = outline(mine[shapely.get_dimensions(mine) == 1])
        canvas.shape(lines, order, edge=EDGE, weight=2.2, clip=box, pixels=crowd)
        canvas.shape(lines, order + 0.01, edge=colour, weight=1.5, clip=box, pixels=crowd)


def paint_pins(canvas: Canvas, pins: Sequence[Pin], verdicts: Sequence[str], words: Mapping[str, str]) -> None:
    """Draw numbered symbols, the first on top; `words` are the verdicts' short ones."""
    size, letters = PIN_EM * canvas.em_mm, TAG * canvas.size_pt
    for pin in reversed(pins):
        order = level("symbols", 0.9 - 0.8 * pin.number / len(verdicts))
        (x, y), verdict = pin.centre, verdicts[pin.number]
        if pin.moved:
            canvas.line([pin.at, pin.centre], level("symbols"), edge=EDGE, weight=0.7)
            canvas.shape(disc(*pin.at, 0.1 * size), level("symbols"), face=EDGE)
        wide = _tag_mm(pin.number, canvas.em_mm)
        tag = (x + 0.3 * size, y - 0.5 * canvas.em_mm, x + 0.5 * size + wide, y + 0.5 * canvas.em_mm)
        canvas.box(tag, order - 1e-3, face="#ffffff", edge=EDGE, weight=0.35)
        canvas.text(
            x + 0.5 * size + wide / 2.0 - 0.04 * size, y, str(pin.number + 1), letters, align="center", order=order
        )
        paint_symbol(canvas, x, y, verdict, size, words[verdict], order)


def paint_crowd(canvas: Canvas, frame: Frame, verdicts: Sequence[str], spots: SiteSpots, places: Places) -> None:
    """Draw many sites as small symbols without numbers, the strictest on top."""
    words, crowd = np.asarray(verdicts), len(verdicts) > CROWD
    for verdict in VERDICTS:
        seen = shapely.intersection(spots.shapes[(words == verdict) & spots.seen], shapely.box(*frame.box_mm))
        at = shapely.get_coordinates(shapely.point_on_surface(seen))
        size = (0.4 if crowd else 0.62) * canvas.em_mm
        order = level("symbols", 0.1 * (8 - VERDICTS.index(verdict)))
        if not crowd:
            places.taken += [(x - size, y - size, x + size, y + size) for x, y in at.tolist()]
        for colour, share in ((EDGE, 1.0), (verdict_paints()[verdict].colour, 0.76)):
            shape = shapely.get_coordinates(shapely.simplify(_symbol_shape(verdict), 0.02)) * size * share
            copies = shapely.polygons(at[:, None, :] + shape[None, :, :]) if len(at) else np.array([], dtype=object)
            canvas.shape(
                outline(np.asarray(copies)), order + (share < 1.0) * 0.01, face=colour, pixels=crowd, clip=frame.box_mm
            )
