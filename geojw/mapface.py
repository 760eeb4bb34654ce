"""Floor 6: paint the face of a printed map: layers, rings, graticule, names and sites, in millimetres of a sheet."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely

from geojw import fonts
from geojw.cartography import Box, Frame, Places, around, beside, graticule, outline
from geojw.geodesy import AnalysisCRS, Floats, Geometries
from geojw.maps import VERDICTS, MapLayer, _rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch
    from matplotlib.path import Path

LISTED = 60
"""So many sites are numbered; more are drawn as small symbols only."""
CROWD = 2_000
"""Above so many, sites are pixels in SVG and PDF too: a word processor stalls on as many outlines."""
INK, QUIET, EDGE, DIM, GROUND, STAMP = "#1a1a1a", "#4a4a4a", "#222222", "#dfe3e7", "#fffdf5", "#b00020"
LEVELS = ("ground", "layers", "dim", "grid", "zone", "rings", "sites", "names", "symbols", "stamp", "rim", "text")
"""What lies over what, from below."""

SMALLEST_MM, PLOT_MM = 0.7, 6.0
"""An area smaller than the first is drawn as a dot, in layers whose largest is below the second."""
AREA = 2
PIN_EM, TAG = 1.5, 0.82
"""Width of a numbered symbol, and size of its number, in plain letters."""

STAMP_TURN = 24.0

_PLAIN_PT = 7.5
"""Size of letters for which the weights of lines are meant; on other sheets they are in proportion."""
_PT_A_PX = 0.55
"""Points of a printed line for each pixel of the page's."""
_MIDDLE_EM = 0.38
"""A line's middle above its baseline, for Chinese letters and capitals alike."""
_HALO = 1.6


def level(name: str, step: float = 0.0) -> float:
    """Give the drawing order of a kind of thing; steps of 0 to 1 order things of a kind."""
    return LEVELS.index(name) + step


@dataclass(frozen=True)
class Canvas:
    """
    A sheet to draw on, in millimetres from its lower left corner.

    Parameters
    ----------
    axes
        Covers the whole sheet.
    size_pt
        Size of the plain letters; all else is in proportion.
    """

    axes: Axes
    size_pt: float

    @property
    def em_mm(self) -> float:
        """The plain letters' size in millimetres."""
        return self.size_pt * fonts.MM_A_POINT

    def text(
        self, x: float, y: float, text: str, size_pt: float, *, colour: str = INK, align: str = "left",
        halo: str | None = None, turn: float = 0.0, opacity: float = 1.0, order: float | None = None,
        clip: Box | None = None,
    ) -> None:  # fmt: skip
        """
        Write one line whose middle is at `y`; a halo is a second text beneath, so that PDF text stays text.

        All that is written passes here: it is spelled out, and no sign in it is taken for a formula.
        """
        from matplotlib.patheffects import Stroke  # noqa: PLC0415 - heavy

        drop = _MIDDLE_EM * size_pt * fonts.MM_A_POINT
        x, y = (x + drop, y) if turn == 90.0 else (x, y - drop)  # noqa: PLR2004 - a quarter turn
        style: dict[str, Any] = {
            "size": size_pt, "ha": align, "va": "baseline", "rotation": turn, "rotation_mode": "anchor",
            "alpha": opacity,
        }  # fmt: skip
        at = level("text") if order is None else order
        made = [self.axes.text(x, y, fonts.spelled(text), color=colour, zorder=at, **style)]
        if halo is not None:
            effect = [Stroke(linewidth=_HALO * size_pt / 7.0, foreground=halo)]
            under = self.axes.text(x, y, fonts.spelled(text), color=halo, zorder=at - 0.001, **style)
            under.set_path_effects(effect)
            made.append(under)
        for one in made:
            one.set_clip_on(clip is not None)
            if clip is not None:
                one.set_clip_path(self._rectangle(clip))

    def shape(
        self, path: Path, order: float, *, face: str | None = None, opacity: float = 1.0, edge: str | None = None,
        weight: float = 0.0, dash: Sequence[float] = (), hatch: str | None = None, clip: Box | None = None,
        pixels: bool = False,
    ) -> None:  # fmt: skip
        """Draw a path: `weight` and `dash` in points beside plain letters; a hatch is in the colour of the edge."""
        from matplotlib.colors import to_rgba  # noqa: PLC0415 - heavy
        from matplotlib.patches import PathPatch  # noqa: PLC0415

        if not len(path.vertices):
            return
        thick = weight * self.size_pt / _PLAIN_PT
        patch = PathPatch(
            path, facecolor="none" if face is None else to_rgba(face, opacity), zorder=order, fill=face is not None,
            edgecolor="none" if edge is None or weight == 0 else edge, linewidth=thick, hatch=hatch,
            linestyle=(0.0, [part / weight for part in dash]) if dash and weight else "-", joinstyle="round", capstyle="butt",
        )  # fmt: skip
        if hatch is not None:
            patch.set_hatchcolor(edge)
            patch.set_hatch_linewidth(0.55 * self.size_pt / _PLAIN_PT)
        patch.set_rasterized(pixels)
        self.axes.add_patch(patch)
        if clip is not None:
            patch.set_clip_path(self._rectangle(clip))

    def box(self, box: Box, order: float, **paint: Any) -> None:  # noqa: ANN401 - the paint of `shape`
        """Draw a rectangle."""
        self.shape(outline(np.array([shapely.box(*box)], dtype=object)), order, **paint)

    def line(self, xy: Floats | Sequence[Sequence[float]], order: float, **paint: Any) -> None:  # noqa: ANN401
        """Draw a line."""
        self.shape(outline(np.array([shapely.LineString(xy)], dtype=object)), order, **paint)

    def _rectangle(self, box: Box) -> Patch:
        from matplotlib.patches import Rectangle  # noqa: PLC0415 - heavy

        return Rectangle((box[0], box[1]), box[2] - box[0], box[3] - box[1], transform=self.axes.transData)


@dataclass(frozen=True)
class Stroke:
    """How a layer's lines are printed: the page's pixels as points."""

    colour: str
    opacity: float
    weight: float
    dash: tuple[float, ...]
    hatch: str | None

    @classmethod
    def of(cls, paint: Mapping[str, object]) -> Stroke:
        """Read a layer's paint."""
        dash = [float(part) * _PT_A_PX for part in re.split(r"[ ,]+", str(paint.get("dash") or "")) if part]
        return cls(
            str(paint["colour"]), float(str(paint.get("opacity", 0.25))), float(str(paint.get("weight", 1.0))) * _PT_A_PX,
            tuple(dash * (1 + len(dash) % 2)), "////" if paint.get("hatch") else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Planar:
    """
    A layer in the plane of the map.

    Parameters
    ----------
    layer
        As prepared, in EPSG:4490.
    ids, shapes
        Its features that have a shape, in metres of the analysis CRS.
    rings
        The limits of its rules in metres, and their lines.
    """

    layer: MapLayer
    ids: Sequence[Hashable]
    shapes: Geometries
    rings: Mapping[float, Geometries]


@dataclass(frozen=True)
class Placed(Planar):
    """A layer on the sheet: shapes and rings in millimetres, cut to the frame, only what is in sight."""

    dots: Geometries
    """Of features too small to be seen: their middles."""
    smallest_m: float | None
    """Size below which a feature of this layer became a dot; None where none did."""


def planar(layers: Sequence[MapLayer], analysis: AnalysisCRS) -> list[Planar]:
    """Project layers into the plane of the map, the lowest first."""
    out = []
    for layer in sorted(layers, key=lambda layer: layer.rank):
        flat = np.asarray(shapely.force_2d(layer.frame.geometry.to_numpy()), dtype=object)
        has = ~(shapely.is_missing(flat) | shapely.is_empty(flat))
        lines: dict[float, list[shapely.Geometry]] = {}
        for ring in _rings(layer, flat):
            lines.setdefault(float(ring["m"]), []).append(shapely.LineString(np.array(ring["at"])[:, ::-1]))
        crs = layer.frame.crs
        rings = {metres: analysis.project(np.array(each, dtype=object), crs) for metres, each in sorted(lines.items())}
        out.append(Planar(layer, list(layer.frame.index[has]), analysis.project(flat[has], crs), rings))
    return out


def placed(layers: Sequence[Planar], frame: Frame) -> list[Placed]:
    """Place layers on the sheet; a layer without anything in sight is left out."""
    out = []
    for one in layers:
        whole = frame.on_paper(one.shapes)
        seen = np.flatnonzero(frame.in_sight(whole))
        rings = {metres: frame.on_paper(lines) for metres, lines in one.rings.items()}
        rings = {metres: lines for metres, lines in rings.items() if frame.in_sight(lines).any()}
        ids, shapes = [one.ids[number] for number in seen], whole[seen]
        dots, smallest_m = _dots(one.shapes[seen], frame)
        if len(seen) or rings:
            out.append(Placed(one.layer, ids, shapes, rings, dots, smallest_m))
    return out


def _dots(shapes: Geometries, frame: Frame) -> tuple[Geometries, float | None]:
    """
    Find the areas that would vanish on paper, in layers of plots: where even the largest is small.

    In a layer of large areas (a forest) they are only its crumbs, and dots would make more of them than there is.
    """
    bounds = shapely.bounds(shapes[shapely.get_dimensions(shapes) == AREA])
    sizes = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]) / frame.metres_a_mm
    tiny = sizes < SMALLEST_MM
    if not tiny.any() or sizes.max() > PLOT_MM:
        return np.array([], dtype=object), None
    middles = np.column_stack([bounds[tiny][:, [0, 2]].mean(axis=1), bounds[tiny][:, [1, 3]].mean(axis=1)])
    return np.asarray(shapely.points(frame.to_mm(middles)), dtype=object), SMALLEST_MM * frame.metres_a_mm


def paint_layers(canvas: Canvas, frame: Frame, layers: Sequence[Placed]) -> None:
    """Paint ground, layers and rings, and dim what lies outside the zone."""
    box = frame.box_mm
    canvas.box(box, level("ground"), face=GROUND)
    for number, one in enumerate(layers):
        stroke = Stroke.of(one.layer.paint)
        order = level("layers", number / len(layers))
        dimensions = shapely.get_dimensions(one.shapes)
        areas, lines = outline(one.shapes[dimensions == AREA]), outline(one.shapes[dimensions == 1])
        if one.layer.zone:
            outside = shapely.difference(shapely.box(*box), shapely.union_all(one.shapes))
            canvas.shape(outline(np.array([outside])), level("dim"), face=DIM, opacity=0.72, clip=box)
            canvas.shape(areas, level("zone"), edge=stroke.colour, weight=stroke.weight, clip=box)
        else:
            canvas.shape(
                areas, order, face=stroke.colour, opacity=stroke.opacity, edge=stroke.colour, weight=stroke.weight,
                dash=stroke.dash, hatch=stroke.hatch, clip=box,
            )  # fmt: skip
            dots = outline(shapely.buffer(one.dots, SMALLEST_MM / 2.0, cap_style="square"))
            canvas.shape(dots, order, face=stroke.colour, opacity=max(stroke.opacity, 0.8), clip=box)
        canvas.shape(lines, order, edge=stroke.colour, weight=stroke.weight, dash=stroke.dash, clip=box)
        for x, y in shapely.get_coordinates(one.shapes[dimensions == 0]):
            paint_point(canvas, x, y, stroke.colour, level("names"))
        for dash, each in zip(ring_dashes(len(one.rings)), one.rings.values(), strict=True):
            canvas.shape(outline(each), level("rings"), edge=stroke.colour, weight=0.7, dash=dash, clip=box)


def ring_dashes(count: int) -> list[tuple[float, ...]]:
    """Give a dash for each limit of a layer, the longer the farther, so that they can be told apart."""
    return [(1.2 + 2.2 * number, 1.4) for number in range(count)]


def paint_point(canvas: Canvas, x: float, y: float, colour: str, order: float) -> None:
    """Draw a point of a layer."""
    size = 0.42 * canvas.em_mm
    canvas.shape(_disc(x, y, size), order, face="#ffffff", edge=colour, weight=1.1)
    canvas.shape(_disc(x, y, 0.4 * size), order, face=colour)


def _disc(x: float, y: float, radius: float) -> Path:
    return outline(np.array([shapely.Point(x, y).buffer(radius)], dtype=object))


def paint_swatch(canvas: Canvas, one: Placed, box: Box) -> None:
    """Draw a layer's sample: an area, a line and a point, of these what is on the map, painted as there."""
    stroke, order = Stroke.of(one.layer.paint), level("text")
    x0, y0, x1, y1 = box
    middle, kinds = (y0 + y1) / 2.0, {*shapely.get_dimensions(one.shapes)}
    if AREA in kinds:
        face = None if one.layer.zone else stroke.colour
        dash = () if one.layer.zone else stroke.dash
        canvas.box(
            box, order, face=face, opacity=stroke.opacity, edge=stroke.colour, weight=stroke.weight, dash=dash,
            hatch=stroke.hatch,
        )  # fmt: skip
    if 1 in kinds:
        canvas.line([(x0, middle), (x1, middle)], order, edge=stroke.colour, weight=stroke.weight, dash=stroke.dash)
    if 0 in kinds:
        paint_point(canvas, (x0 + x1) / 2.0, middle, stroke.colour, order)


def paint_ring_swatch(canvas: Canvas, one: Placed, metres: float, box: Box) -> None:
    """Draw the sample of a ring."""
    x0, y0, x1, y1 = box
    dash = dict(zip(one.rings, ring_dashes(len(one.rings)), strict=True))[metres]
    middle = (y0 + y1) / 2.0
    canvas.line([(x0, middle), (x1, middle)], level("text"), edge=str(one.layer.paint["colour"]), weight=0.7, dash=dash)


def paint_graticule(canvas: Canvas, frame: Frame, analysis: AnalysisCRS, rim_mm: float) -> None:
    """Draw meridians and parallels, each with its degrees in the rim at both ends."""
    left, bottom, right, top = frame.box_mm
    size, free = canvas.size_pt * 0.85, rim_mm / 2.0
    for line in graticule(frame, analysis):
        canvas.line(shapely.get_coordinates(line.line), level("grid"), edge="#6f7c86", weight=0.3)
        half = fonts.width_mm(line.text, size) / 2.0
        for x, y in line.ends:
            on_rim = min(abs(y - bottom), abs(y - top)) < 1e-6 if line.is_meridian else min(abs(x - left), abs(x - right)) < 1e-6
            low, high, at = (left, right, x) if line.is_meridian else (bottom, top, y)
            if not on_rim or not low + half <= at <= high - half:
                continue
            if line.is_meridian:
                canvas.text(x, y + free if abs(y - top) < 1e-6 else y - free, line.text, size, align="center")
            else:
                canvas.text(x + free if abs(x - right) < 1e-6 else x - free, y, line.text, size, align="center", turn=90.0)


def paint_names(canvas: Canvas, frame: Frame, layers: Sequence[Placed], places: Places) -> None:
    """Write the names of points, then those of the layers that ask for it, the largest features first."""
    named = [one for one in layers if one.layer.label is not None]
    for areas in (False, True):
        for one in named:
            if areas and not one.layer.paint.get("names"):
                continue
            wanted = np.flatnonzero((shapely.get_dimensions(one.shapes) > 0) == areas)
            largest = np.lexsort((wanted, -shapely.area(one.shapes[wanted])))
            for number in wanted[largest]:
                name = one.layer.frame[one.layer.label].loc[one.ids[number]]
                if isinstance(name, str) and name.strip():
                    _paint_name(canvas, frame, name, one.shapes[number], str(one.layer.paint["colour"]), places)


def _paint_name(
    canvas: Canvas, frame: Frame, name: str, shape: shapely.Geometry, colour: str, places: Places
) -> None:  # fmt: skip
    size = 0.92 * canvas.size_pt
    text = fonts.wrapped(name, 16.0 * canvas.em_mm, size, 1)[0]
    width, height = fonts.width_mm(text, size), size * fonts.MM_A_POINT * 1.15
    x0, y0, x1, y1 = shapely.bounds(shape)
    if shapely.get_dimensions(shape) > 0 and max(x1 - x0, y1 - y0) < 0.8 * width:
        return  # the name would be larger than what it names
    at = places.take(_spots(shape, frame, width, height, canvas.em_mm), width, height)
    if at is not None:
        order = level("names", 0.5)
        canvas.text(*at, text, size, colour=_darker(colour), align="center", halo="#ffffff", order=order)


def _spots(shape: shapely.Geometry, frame: Frame, width: float, height: float, em_mm: float) -> list[tuple[float, float]]:
    """Give where a name may stand: beside a point; in an area at its widest place, or near it."""
    if shapely.get_dimensions(shape) == 0:
        x, y = shapely.get_coordinates(shape)[0]
        return list(beside(float(x), float(y), 0.7 * em_mm, width, height))
    parts = shapely.get_parts(shapely.intersection(shape, shapely.box(*frame.box_mm)))
    areas = parts[shapely.get_dimensions(parts) == AREA]
    if len(areas):
        best = areas[int(np.argmax(shapely.area(areas)))]
        spot = shapely.get_coordinates(shapely.maximum_inscribed_circle(best, 0.2))[0]
    elif len(parts):
        best = parts[int(np.argmax(shapely.length(parts)))]
        spot = shapely.get_coordinates(shapely.line_interpolate_point(best, 0.5, normalized=True))[0]
    else:
        return []
    near = around(float(spot[0]), float(spot[1]), height, 5)
    return [point for point in near if shapely.dwithin(best, shapely.Point(point), height)]


def _darker(colour: str) -> str:
    """Give a colour dark enough for small letters on white."""
    from matplotlib.colors import to_hex, to_rgb  # noqa: PLC0415 - heavy

    return str(to_hex([0.5 * part for part in to_rgb(colour)]))


@dataclass(frozen=True)
class VerdictPaint:
    """Colour of a verdict's symbol, and of the short word in it."""

    colour: str
    ink: str


@cache
def verdict_paints() -> Mapping[str, VerdictPaint]:
    """Read the verdicts' colours where the page has them (``static/map.css``), so that paper and page agree."""
    css = resources.files("geojw").joinpath("static", "map.css").read_text("utf-8")
    found = re.findall(r"--v-(\w+): (#\w+); --v-\w+-ink: (#\w+);", css)
    return {word: VerdictPaint(colour, ink) for word, colour, ink in found}


@cache
def _symbol_shape(verdict: str) -> shapely.Polygon:
    """Give a verdict's shape as on the page, one unit wide: square, arch or disc."""
    square = shapely.box(-0.38, -0.38, 0.38, 0.38).buffer(0.12)
    if verdict in ("prohibit", "undetermined"):
        return square
    if verdict == "approval":
        arch = shapely.box(-0.12, -0.12, 0.12, 0.12).buffer(0.38)
        return shapely.union_all([arch, shapely.intersection(square, shapely.box(-1, -1, 1, 0))])
    return shapely.Point(0, 0).buffer(0.5, quad_segs=16)


def paint_symbol(canvas: Canvas, x: float, y: float, verdict: str, size: float, word: str, order: float) -> None:
    """Draw a verdict's symbol of a size in mm: colour, shape and short word, as on the page."""
    paint = verdict_paints()[verdict]
    shape = shapely.transform(_symbol_shape(verdict), lambda xy: xy * size + (x, y))
    rims = ((0.0, EDGE), (0.06 * size, "#ffffff"), (0.12 * size, paint.colour))
    for inset, colour in rims:
        canvas.shape(outline(np.array([shape.buffer(-inset)])), order, face=colour)
    if verdict == "undetermined":
        rim = outline(np.array([shape.buffer(-0.09 * size).exterior]))
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
            canvas.shape(_disc(*pin.at, 0.1 * size), level("symbols"), face=EDGE)
        wide = _tag_mm(pin.number, canvas.em_mm)
        tag = (x + 0.3 * size, y - 0.5 * canvas.em_mm, x + 0.5 * size + wide, y + 0.5 * canvas.em_mm)
        canvas.box(tag, order - 1e-3, face="#ffffff", edge=EDGE, weight=0.35)
        canvas.text(x + 0.5 * size + wide / 2.0 - 0.04 * size, y, str(pin.number + 1), letters, align="center", order=order)
        paint_symbol(canvas, x, y, verdict, size, words[verdict], order)


def paint_crowd(canvas: Canvas, frame: Frame, verdicts: Sequence[str], spots: SiteSpots) -> None:
    """Draw many sites as small symbols without numbers, the strictest on top."""
    words, crowd = np.asarray(verdicts), len(verdicts) > CROWD
    for verdict in VERDICTS:
        seen = shapely.intersection(spots.shapes[(words == verdict) & spots.seen], shapely.box(*frame.box_mm))
        at = shapely.get_coordinates(shapely.point_on_surface(seen))
        size = (0.4 if crowd else 0.62) * canvas.em_mm
        order = level("symbols", 0.1 * (8 - VERDICTS.index(verdict)))
        for colour, share in ((EDGE, 1.0), (verdict_paints()[verdict].colour, 0.76)):
            shape = shapely.get_coordinates(_symbol_shape(verdict).simplify(0.02)) * size * share
            copies = shapely.polygons(at[:, None, :] + shape[None, :, :]) if len(at) else np.array([], dtype=object)
            one_way = outline(copies)
            canvas.shape(one_way, order + (share < 1.0) * 0.01, face=colour, pixels=crowd, clip=frame.box_mm)


def paint_stamp(canvas: Canvas, frame: Frame, text: str) -> None:
    """Print a text across the whole map, again and again, so that no part of it can be cut out without it."""
    size = 2.0 * canvas.size_pt
    line = fonts.wrapped(text, 60.0 * canvas.em_mm, size, 1)[0]
    along, apart = fonts.width_mm(line, size) + 3.0 * canvas.em_mm, 8.0 * canvas.em_mm
    box = shapely.box(*frame.box_mm)
    x, y = box.centroid.x, box.centroid.y
    turn = np.radians(STAMP_TURN)
    step, rise = np.array([np.cos(turn), np.sin(turn)]) * along, np.array([-np.sin(turn), np.cos(turn)]) * apart
    reach = np.hypot(frame.width_mm, frame.height_mm) / 2.0
    rows, columns = int(reach / apart) + 1, int(reach / along) + 2
    for row in range(-rows, rows + 1):
        for column in range(-columns, columns + 1):
            at = np.array([x, y]) + (column + 0.5 * (row % 2)) * step + row * rise
            if shapely.dwithin(box, shapely.Point(at), along):
                canvas.text(
                    *at, line, size, colour=STAMP, turn=STAMP_TURN, opacity=0.3, align="center", order=level("stamp"),
                    clip=frame.box_mm,
                )  # fmt: skip
