"""The face of a printed map: layers with their rings, graticule, names, and a stamp across drafts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from geojw.figures import fonts
from geojw.figures.canvas import AREA, INK, QUIET, Canvas, Stroke, disc, level
from geojw.figures.cartography import Box, Frame, Places, around, beside, graticule, outline, true_rings
from geojw.maps.mapdata import MapLayer
from geojw.measure.geodesy import AnalysisCRS, Geometries

DIM, GROUND, STAMP = "#dfe3e7", "#fffdf5", "#b00020"
SMALLEST_MM, PLOT_MM = 0.7, 6.0
"""An area smaller than the first is drawn as a dot, in layers whose largest is below the second."""
STAMP_TURN = 24.0


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
        shapes, ids = flat[has], layer.frame.index[has]
        placed_ids = ids[~ids.isin([*layer.adrift])]
        rings = {}
        for metres in sorted({*layer.ring_m, *layer.ring_only}):
            meant = placed_ids
            if metres not in layer.ring_m:
                meant = meant[meant.isin([*layer.ring_only[metres]])]
            rings[metres] = true_rings(shapes[ids.isin(meant)], metres, analysis)
        out.append(Planar(layer, list(ids), analysis.project(shapes, layer.frame.crs), rings))
    return out


def placed(layers: Sequence[Planar], frame: Frame) -> list[Placed]:
    """Place layers on the sheet; a layer without anything in sight is left out."""
    out = []
    for one in layers:
        whole = frame.on_paper(one.shapes)
        seen = np.flatnonzero(frame.in_sight(whole))
        rings = {metres: frame.on_paper(lines) for metres, lines in one.rings.items()}
        rings = {metres: lines for metres, lines in rings.items() if frame.in_sight(lines).any()}
        ids, shapes = [one.ids[number] for number in seen.tolist()], whole[seen]
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
    canvas.shape(disc(x, y, size), order, face="#ffffff", edge=colour, weight=1.1)
    canvas.shape(disc(x, y, 0.4 * size), order, face=colour)


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
    size, out = canvas.size_pt * 0.85, rim_mm / 2.0
    for line in graticule(frame, analysis):
        canvas.line(shapely.get_coordinates(line.line), level("grid"), edge="#6f7c86", weight=0.3)
        half = fonts.width_mm(line.text, size) / 2.0
        for x, y in line.ends:
            if line.is_meridian and left + half <= x <= right - half:
                for edge, at in ((bottom, y - out), (top, y + out)):
                    if np.isclose(y, edge):
                        canvas.text(x, at, line.text, size, align="center")
            elif not line.is_meridian and bottom + half <= y <= top - half:
                for edge, at in ((left, x - out), (right, x + out)):
                    if np.isclose(x, edge):
                        canvas.text(at, y, line.text, size, align="center", turn=90.0)


def paint_names(canvas: Canvas, frame: Frame, layers: Sequence[Placed], places: Places) -> None:
    """Write the names of points, then those of the layers that ask for it, the largest features first."""
    named = [one for one in layers if one.layer.label is not None]
    half = 0.5 * canvas.em_mm
    for one in layers:
        dots = shapely.get_coordinates(one.shapes[shapely.get_dimensions(one.shapes) == 0])
        places.taken += [(x - half, y - half, x + half, y + half) for x, y in dots.tolist()]
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
    width, height = fonts.width_mm(text, size), size * fonts.MM_A_POINT * 1.25
    x0, y0, x1, y1 = shapely.bounds(shape)
    if shapely.get_dimensions(shape) > 0 and max(x1 - x0, y1 - y0) < 0.8 * width:
        return  # the name would be larger than what it names
    at = places.take(_spots(shape, frame, width, height, canvas.em_mm), width, height)
    if at is not None:
        order = level("names", 0.5)
        canvas.text(*at, text, size, colour=_darker(colour), align="center", halo="#ffffff", order=order)


def _spots(
    shape: shapely.Geometry, frame: Frame, width: float, height: float, em_mm: float
) -> list[tuple[float, float]]:
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

    red, green, blue = to_rgb(colour)
    return str(to_hex((0.5 * red, 0.5 * green, 0.5 * blue)))


def paint_bar(canvas: Canvas, box: Box, length_mm: float, length: str, scale: str) -> None:
    """Draw the scale bar, half of it black, and the scale as a number beneath; `length` is ``5 km``."""
    em, number = canvas.em_mm, length.split(" ", maxsplit=1)[0]
    canvas.box(box, level("rim"), face="#ffffff", opacity=0.85)
    x, y, half = box[0] + em, box[1] + 2.0 * em, length_mm / 2.0
    for start, face in ((x, INK), (x + half, "#ffffff")):
        canvas.box((start, y, start + half, y + 0.5 * em), level("text"), face=face, edge=INK, weight=0.5)
    for at, text in ((x, "0"), (x + half, f"{float(number) / 2.0:g}")):
        canvas.text(at, y + 1.25 * em, text, canvas.size_pt, align="center")
    to_middle = fonts.width_mm(number, canvas.size_pt) / 2.0
    canvas.text(x + length_mm - to_middle, y + 1.25 * em, length, canvas.size_pt)
    canvas.text(x, box[1] + 0.95 * em, scale, 0.85 * canvas.size_pt, colour=QUIET)


def paint_north(canvas: Canvas, box: Box, letter: str) -> None:
    """Draw the north arrow: in this plane true north is up in the map's middle."""
    left, _, right, top = box
    em, x = canvas.em_mm, (left + right) / 2.0
    canvas.text(x, top - 0.9 * em, letter, 1.1 * canvas.size_pt, align="center", halo="#ffffff")
    tip, foot = top - 1.8 * em, top - 5.1 * em
    for side, face in ((-1.0, INK), (1.0, "#ffffff")):
        half = shapely.Polygon([(x, tip), (x + side * 0.85 * em, foot), (x, foot + 0.7 * em)])
        canvas.shape(outline(np.array([half])), level("text"), face=face, edge=INK, weight=0.6)


def paint_stamp(canvas: Canvas, frame: Frame, text: str) -> None:
    """Print a text across the whole map, again and again, so that no part of it can be cut out without it."""
    line = " ".join(fonts.spelled(text).split())
    reach = np.hypot(frame.width_mm, frame.height_mm) / 2.0
    size = 2.0 * canvas.size_pt
    size *= min(1.0, 1.4 * reach / fonts.width_mm(line, size))  # a long one must be seen whole
    along, apart = fonts.width_mm(line, size) + 3.0 * canvas.em_mm, 8.0 * canvas.em_mm
    box = shapely.box(*frame.box_mm)
    x, y = box.centroid.x, box.centroid.y
    turn = np.radians(STAMP_TURN)
    step, rise = np.array([np.cos(turn), np.sin(turn)]) * along, np.array([-np.sin(turn), np.cos(turn)]) * apart
    rows, columns = int(reach / apart) + 1, int(reach / along) + 2
    for row in range(-rows, rows + 1):
        for column in range(-columns, columns + 1):
            at = np.array([x, y]) + (column + 0.5 * (row % 2)) * step + row * rise
            if shapely.dwithin(box, shapely.Point(at), along):
                canvas.text(
                    float(at[0]), float(at[1]), line, size, colour=STAMP, turn=STAMP_TURN, opacity=0.3, align="center",
                    order=level("stamp"), clip=frame.box_mm,
                )  # fmt: skip
