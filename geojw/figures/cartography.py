"""The parts of a printed map in millimetres: scale, shapes, graticule, scale bar, places of labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS

from geojw.measure.geodesy import ELLIPSOID, AnalysisCRS, Floats, Geometries

if TYPE_CHECKING:
    from matplotlib.path import Path

Box = tuple[float, float, float, float]
"""West, south, east, north."""

PADDING = 0.03
"""Free share of the map's width and height on each side of what it shows."""
DETAIL_MM = 0.05
"""Detail of an outline that no eye sees on paper: less than half of the thinnest line."""
BLEED_MM = 2.0
"""Shapes are cut so far outside the map, so that the cut is not drawn as an edge."""
LARGEST_SCALE = 500
"""No map is drawn larger than 1:500: a single point has no extent."""
GRID_MM = 26.0
"""Graticule lines are at least so far apart."""
RING_POINTS = 360
"""Corners of a ring: of 3 km, its chords are then 0.1 m inside."""
MIN_LINES = 2
"""Graticule lines wanted in each direction."""

_STEPS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0, 10.0)
_GRID_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 18_000, 36_000)
"""Steps of a graticule in seconds of arc."""
_BARS = (1.0, 2.0, 5.0)
_DEGREE_S = 3_600
_MINUTE_S = 60
_TURN_S = 360 * _DEGREE_S
_GEOGRAPHIC = CRS(4490)


@dataclass(frozen=True)
class Frame:
    """
    The rectangle of a sheet that holds the map, and how the plane of the zone lies in it.

    Parameters
    ----------
    left_mm, bottom_mm, width_mm, height_mm
        On the sheet, from its lower left corner.
    centre
        The point of the analysis CRS at the rectangle's centre, in m.
    scale
        The denominator: 1:`scale`.
    """

    left_mm: float
    bottom_mm: float
    width_mm: float
    height_mm: float
    centre: tuple[float, float]
    scale: float

    @property
    def box_mm(self) -> Box:
        """The rectangle on the sheet."""
        return self.left_mm, self.bottom_mm, self.left_mm + self.width_mm, self.bottom_mm + self.height_mm

    @property
    def extent_m(self) -> Box:
        """The rectangle in the plane."""
        half_x, half_y = self.width_mm * self.scale / 2000.0, self.height_mm * self.scale / 2000.0
        x, y = self.centre
        return x - half_x, y - half_y, x + half_x, y + half_y

    @property
    def metres_a_mm(self) -> float:
        """Metres of the plane in a millimetre of paper."""
        return self.scale / 1000.0

    def to_mm(self, xy: Floats) -> Floats:
        """Place an (n, 2) array of the analysis CRS on the sheet."""
        middle = (self.left_mm + self.width_mm / 2.0, self.bottom_mm + self.height_mm / 2.0)
        return np.asarray((xy - np.asarray(self.centre)) / self.metres_a_mm + np.asarray(middle), dtype=float)

    def on_paper(self, geometries: Geometries) -> Geometries:
        """
        Cut shapes of the analysis CRS to the frame and place them on the sheet, without detail too fine to see.

        Parameters
        ----------
        geometries
            In metres; none missing.

        Returns
        -------
        ndarray
            In millimetres; empty where nothing is in sight.
        """
        pad = BLEED_MM * self.metres_a_mm
        x0, y0, x1, y1 = self.extent_m
        cut = shapely.clip_by_rect(geometries, x0 - pad, y0 - pad, x1 + pad, y1 + pad)
        placed = shapely.transform(cut, self.to_mm)
        return np.asarray(shapely.simplify(placed, DETAIL_MM), dtype=object)

    def in_sight(self, placed: Geometries) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell which shapes on the sheet reach into the frame itself."""
        return np.asarray(shapely.intersects(placed, shapely.box(*self.box_mm)), dtype=bool)


def fit(extent_m: Box, box_mm: Box) -> Frame:
    """
    Fit an extent of the plane into a rectangle of the sheet, at the largest round scale.

    Parameters
    ----------
    extent_m
        What must be in sight.
    box_mm
        Where.

    Returns
    -------
    Frame
        With the extent in its middle.
    """
    x0, y0, x1, y1 = extent_m
    left, bottom, right, top = box_mm
    free = 1.0 - 2.0 * PADDING
    needed = 1000.0 * max((x1 - x0) / ((right - left) * free), (y1 - y0) / ((top - bottom) * free))
    scale = round_scale(max(needed, LARGEST_SCALE))
    return Frame(left, bottom, right - left, top - bottom, ((x0 + x1) / 2.0, (y0 + y1) / 2.0), scale)


def round_scale(needed: float) -> int:
    """
    Give the next round denominator.

    Examples
    --------
    >>> [round_scale(value) for value in (500, 26_001, 130_000)]
    [500, 30000, 150000]
    """
    power = 10.0 ** math.floor(math.log10(needed))
    return round(next(step for step in _STEPS if step * power >= needed * (1 - 1e-12)) * power)


def outline(geometries: Geometries) -> Path:
    """
    Make one path of polygons, lines and rings, filled once where they overlap.

    Shells run one way round and holes the other, so that a fill by winding number leaves the holes alone and paints
    overlapping polygons as their union.
    """
    from matplotlib.path import Path  # noqa: PLC0415 - heavy, and loaded only where something is drawn

    parts = shapely.get_parts(geometries)
    flat = shapely.get_parts(parts[shapely.get_num_geometries(parts) > 0])
    areas = shapely.orient_polygons(flat[shapely.get_dimensions(flat) == 2])  # noqa: PLR2004 - polygons
    lines = [*shapely.get_rings(areas), *flat[shapely.get_dimensions(flat) == 1]]
    if not lines:
        return Path(np.zeros((0, 2)))
    xy, of = shapely.get_coordinates(np.array(lines, dtype=object), return_index=True)
    codes = np.full(len(xy), Path.LINETO, dtype=np.uint8)
    first = np.flatnonzero(np.diff(of, prepend=-1))
    last = np.append(first[1:], len(xy)) - 1
    codes[first] = Path.MOVETO
    codes[last[(xy[first] == xy[last]).all(axis=1)]] = Path.CLOSEPOLY
    return Path(xy, codes)


@dataclass(frozen=True)
class GridLine:
    """
    A meridian or parallel on the sheet.

    Parameters
    ----------
    text
        ``106°20′E``.
    is_meridian
        Or a parallel.
    line
        As it runs on paper, in mm.
    ends
        Where it leaves the frame: the lower or left end, the upper or right one.
    """

    text: str
    is_meridian: bool
    line: shapely.LineString
    ends: tuple[tuple[float, float], tuple[float, float]]


def graticule(frame: Frame, analysis: AnalysisCRS) -> list[GridLine]:
    """
    Draw the graticule of a map: every line runs through its true points of the plane.

    Parameters
    ----------
    frame
        The map.
    analysis
        Its plane.

    Returns
    -------
    list of GridLine
        Meridians from the west, then parallels from the south.
    """
    x0, y0, x1, y1 = frame.extent_m
    rim = shapely.get_coordinates(shapely.segmentize(shapely.box(x0, y0, x1, y1), (x1 - x0) / 50.0))
    lonlat = analysis.lonlat(rim)
    lonlat[:, 0] = analysis.lon + (lonlat[:, 0] - analysis.lon + 180.0) % 360.0 - 180.0  # across the date line
    lonlat *= _DEGREE_S
    low, high = lonlat.min(axis=0), lonlat.max(axis=0)
    step = _grid_step_s(high - low, np.array([frame.width_mm, frame.height_mm]))
    out: list[GridLine] = []
    for axis in (0, 1):
        first, last = math.ceil(low[axis] / step), math.floor(high[axis] / step)
        for number in range(first, last + 1):
            ends = np.array([low, high]) / _DEGREE_S
            ends[:, axis] = number * step / _DEGREE_S
            out += _grid_line(frame, analysis, ends, _degrees(number * step, "EW" if axis == 0 else "NS"), axis)
    return out


def _grid_line(frame: Frame, analysis: AnalysisCRS, ends: Floats, text: str, axis: int) -> list[GridLine]:
    """Run a line from edge to edge of a frame; one that only cuts a corner has no place for its label."""
    whole = np.array([shapely.LineString(ends)], dtype=object)
    curve = shapely.transform(analysis.project(whole, _GEOGRAPHIC)[0], frame.to_mm)
    inside = shapely.intersection(curve, shapely.box(*frame.box_mm))
    if not isinstance(inside, shapely.LineString) or inside.is_empty:
        return []
    xy = shapely.get_coordinates(shapely.simplify(inside, DETAIL_MM / 10.0))
    start, stop = sorted(map(tuple, (xy[0], xy[-1])), key=lambda point: point[1 - axis])
    return [GridLine(text, axis == 0, shapely.LineString(xy), (start, stop))]


def _grid_step_s(span_s: Floats, span_mm: Floats) -> int:
    """Choose the finest step whose lines are far enough apart; a finer one where a side had too few lines."""
    apart = [step for step in _GRID_S if (step / span_s * span_mm).min() >= GRID_MM]
    step = apart[0] if apart else _GRID_S[-1]
    enough = [other for other in _GRID_S if (span_s / other).min() >= MIN_LINES]
    return min(step, enough[-1]) if enough else step


def _degrees(seconds: int, halves: str) -> str:
    """
    Write an angle.

    Examples
    --------
    >>> _degrees(382_800, "EW"), _degrees(-45, "NS"), _degrees(3_600, "NS")
    ('106°20′E', '0°00′45″S', '1°N')
    """
    seconds = (seconds + _TURN_S // 2) % _TURN_S - _TURN_S // 2
    half, rest = halves[seconds < 0], abs(seconds)
    degrees, minutes, left = rest // _DEGREE_S, rest % _DEGREE_S // _MINUTE_S, rest % _MINUTE_S
    fine = f"{minutes:02d}′{left:02d}″" if left else f"{minutes:02d}′" if minutes else ""
    return f"{degrees}°{fine}{half}"


@dataclass(frozen=True)
class ScaleBar:
    """
    A scale bar.

    Parameters
    ----------
    length_m
        A round number of metres on the ground.
    length_mm
        The same on paper, true in the map's middle, from west to east.
    """

    length_m: float
    length_mm: float


def scale_bar(frame: Frame, analysis: AnalysisCRS, most_mm: float) -> ScaleBar:
    """
    Choose a scale bar and measure it on the ellipsoid.

    Parameters
    ----------
    frame
        The map.
    analysis
        Its plane.
    most_mm
        The bar is no longer.

    Returns
    -------
    ScaleBar
        1, 2 or 5 times a power of ten.
    """
    reach = most_mm * frame.metres_a_mm / 2.0
    ends = np.asarray(frame.centre) + np.array([[-reach, 0.0], [reach, 0.0]])
    ground_m = float(analysis.distance_m(ends[:1], ends[1:])[0])
    power = 10.0 ** math.floor(math.log10(ground_m))
    length_m = max(step * power for step in _BARS if step * power <= ground_m)
    return ScaleBar(length_m, most_mm * length_m / ground_m)


def true_rings(shapes: Geometries, radius_m: float, analysis: AnalysisCRS) -> Geometries:
    """
    Give the lines at a true distance of shapes: a geodesic circle round each point, one outline round all else.

    Parameters
    ----------
    shapes
        EPSG:4490, none missing or empty.
    radius_m
        The distance in metres, on the ellipsoid.
    analysis
        The plane of the map.

    Returns
    -------
    ndarray
        Lines in the analysis CRS.
    """
    azimuths = np.linspace(0.0, 360.0, RING_POINTS + 1)
    lines = []
    is_point = shapely.get_dimensions(shapes) == 0
    for lon, lat in shapely.get_coordinates(shapes[is_point]):
        start = np.full((3, len(azimuths)), [[lon], [lat], [radius_m]])
        lines.append(shapely.LineString(np.column_stack(ELLIPSOID.fwd(start[0], start[1], azimuths, start[2])[:2])))
    if len(areas := shapes[~is_point]):
        west, south, east, north = shapely.total_bounds(areas)
        local = AnalysisCRS(float(west + east) / 2.0, float(south + north) / 2.0)
        reach = shapely.union_all(
            shapely.buffer(local.project(areas, _GEOGRAPHIC), radius_m, quad_segs=RING_POINTS // 4)
        )
        lines += shapely.get_parts(local.to_geographic(np.array([reach.boundary], dtype=object))).tolist()
    return analysis.project(np.array(lines, dtype=object), _GEOGRAPHIC)


@dataclass
class Places:
    """
    What is taken on the sheet, so that no label covers another.

    Parameters
    ----------
    box_mm
        Labels stay within.
    """

    box_mm: Box
    taken: list[Box] = field(default_factory=list)

    def free(self, box: Box) -> bool:
        """Whether a rectangle lies within and touches nothing placed so far."""
        x0, y0, x1, y1 = box
        left, bottom, right, top = self.box_mm
        if x0 < left or y0 < bottom or x1 > right or y1 > top:
            return False
        return not any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in self.taken)

    def take(
        self, candidates: Iterable[tuple[float, float]], width: float, height: float
    ) -> tuple[float, float] | None:
        """
        Place a rectangle at the first centre that is free.

        Parameters
        ----------
        candidates
            Centres, the best first.
        width, height
            In mm.

        Returns
        -------
        tuple or None
            The centre; None where all are taken.
        """
        for x, y in candidates:
            box = (x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0)
            if self.free(box):
                self.taken.append(box)
                return x, y
        return None


def around(x: float, y: float, step: float, turns: int) -> Iterator[tuple[float, float]]:
    """Give a point, then points around it on wider and wider circles."""
    yield x, y
    for turn in range(1, turns + 1):
        for part in range(8 * turn):
            angle = 2.0 * math.pi * part / (8 * turn)
            yield x + turn * step * math.cos(angle), y + turn * step * math.sin(angle)


def beside(x: float, y: float, gap: float, width: float, height: float) -> Sequence[tuple[float, float]]:
    """Give the centres of a label beside a point: right, left, above, below, then the corners."""
    out, up = gap + width / 2.0, gap + height / 2.0
    return (
        *((x + out, y), (x - out, y), (x, y + up), (x, y - up)),
        *((x + out, y + up), (x - out, y + up), (x + out, y - up), (x - out, y - up)),
    )
