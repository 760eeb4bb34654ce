"""The points of one plot of 界址点坐标, sorted into rings and built into one geometry or refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import hypot
from typing import Literal

import numpy as np
import shapely

from geojw.errors import Fault
from geojw.measure.geodesy import Floats, Geometries

KINDS: Mapping[str, str] = {"面": "面", "线": "线", "点": "点", "polygon": "面", "line": "线", "point": "点"}
"""How the kind of a plot may be written."""

_LEAST = {"面": 3, "线": 2, "点": 1}
_MOST_RINGS = 2000


@dataclass
class Plot:
    """
    One plot on its way: its header line, its points in the order of the text, and what is wrong with it.

    ``counted`` is whether its number of points was stated with the closing ones or without, where that can be told.
    """

    where: str
    line: int
    cells: dict[str, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    rings: list[int] = field(default_factory=list)
    xy: list[tuple[float, float]] = field(default_factory=list)
    counted: Literal["", "with", "without"] = ""
    reason: Fault | None = None
    remarks: list[Fault] = field(default_factory=list)

    def add(self, label: str, point: tuple[int, float, float], at: str, *, further: int) -> None:
        """Take a point: its ring, east and north; further columns are not used."""
        self.labels.append(label)
        self.rings.append(point[0])
        self.xy.append(point[1:])
        if further:
            self.remark("txt.point_extra", at)

    def refuse(self, key: str, where: str | None = None, **fields: object) -> None:
        """Keep the first reason why the plot cannot be built."""
        self.reason = self.reason or Fault(key, where or self.where, fields)

    def remark(self, key: str, where: str | None = None, **fields: object) -> None:
        """Note what is odd but kept."""
        self.remarks.append(Fault(key, where or self.where, fields))


def build(plot: Plot) -> tuple[str, shapely.Geometry | None]:
    """
    Build the geometry of a plot; its remarks and, where it cannot be built, its reason are set.

    Returns
    -------
    str
        面, 线, 点, or ``""`` where the kind is not known.
    Geometry or None
        x = east, y = north; an area may cross itself, which only intake may mend.
    """
    parts = _parts(plot)
    kind = _kind(plot, parts)
    _check_count(plot, parts, kind)
    return kind, _geometry(plot, parts, kind) if plot.reason is None else None


def _parts(plot: Plot) -> list[Part]:
    """Sort the points into rings: by ring number, and anew where a ring has closed."""
    rows: dict[int, list[int]] = {}
    runs = 0
    for at, ring in enumerate(plot.rings):
        runs += at == 0 or ring != plot.rings[at - 1]
        rows.setdefault(ring, []).append(at)
    if runs > len(rows):
        plot.remark("txt.rings_interleaved")
    parts = []
    for ring, mine in rows.items():
        stops = list(_stops([plot.xy[at] for at in mine]))
        if len(stops) > 1:
            plot.remark("txt.ring_again", ring=ring)
        for start, stop in pairwise([0, *stops]):
            points = [plot.xy[at] for at in mine[start:stop]]
            parts.append(Part(ring, np.array(points), [plot.labels[at] for at in mine[start:stop]]))
    return parts


def _stops(xy: Sequence[tuple[float, float]]) -> Iterable[int]:
    """Give where a run of points has come back to its start, with points that only repeat it, and its end."""
    start, at = 0, 0
    while at < len(xy):
        at += 1
        if at - start > _LEAST["面"] and xy[at - 1] == xy[start]:
            while at < len(xy) and xy[at] == xy[start]:
                at += 1
            yield at
            start = at
    if start < len(xy):
        yield len(xy)


@dataclass(frozen=True, eq=False)
class Part:
    """The points of one ring, line or set of points."""

    ring: int
    xy: Floats
    labels: list[str]

    @property
    def closed(self) -> bool:
        """Whether it ends where it began."""
        return len(self.xy) > _LEAST["面"] and bool((self.xy[0] == self.xy[-1]).all())


def _kind(plot: Plot, parts: Sequence[Part]) -> str:
    """Give the kind of geometry: as stated, or area where nothing is stated and every ring closes."""
    stated = plot.cells.get("kind", "")
    kind = KINDS.get(stated.casefold(), "")
    if not kind and plot.reason is None:
        if not stated and parts and all(part.closed for part in parts):
            plot.remark("txt.kind_missing")
            return "面"
        plot.refuse("txt.kind", got=stated[:20])
    return kind


def _check_count(plot: Plot, parts: Sequence[Part], kind: str) -> None:
    """Hold the stated number of points against those read, counted with or without the closing ones."""
    text = unicodedata.normalize("NFKC", plot.cells.get("points", ""))
    if not plot.cells:
        return
    if not (text.isascii() and text.isdecimal()):
        plot.remark("txt.count_unread", got=text[:20])
        return
    closed = sum(part.closed for part in parts)
    whole = len(plot.xy) + (len(parts) - closed if kind == "面" else 0)
    if closed and int(text) in (whole, len(plot.xy) - closed):
        plot.counted = "with" if int(text) == whole else "without"
    elif int(text) in (len(plot.xy), whole):
        return
    elif kind == "面" and int(text) > whole and closed < len(parts):
        plot.refuse("txt.truncated", stated=text, found=len(plot.xy))
    else:
        plot.remark("txt.count", stated=text, found=len(plot.xy))


def _geometry(plot: Plot, parts: Sequence[Part], kind: str) -> shapely.Geometry | None:
    """Build a plot; None, with the plot's reason set, where that cannot be."""
    if not parts:
        plot.refuse("txt.no_points")
    for part in parts if kind != "点" else ():
        _check_part(plot, part, kind)
    if plot.reason is not None:
        return None
    if kind == "点":
        points = np.concatenate([part.xy for part in parts])
        return shapely.Point(points[0]) if len(points) == 1 else shapely.MultiPoint(points)
    if kind == "线":
        lines = [shapely.LineString(part.xy) for part in parts]
        return lines[0] if len(lines) == 1 else shapely.MultiLineString(lines)
    return _area_of(plot, np.array([shapely.Polygon(part.xy) for part in parts], dtype=object))


def _check_part(plot: Plot, part: Part, kind: str) -> None:
    """Say what is odd about a ring or line; refuse one that has too few places."""
    at = f"{plot.where}, {part.ring}"
    places = list(map(tuple, part.xy.tolist()))
    if len(set(places)) < _LEAST[kind]:
        plot.refuse("txt.ring_short", at, least=_LEAST[kind])
        return
    repeated = sum(a == b for a, b in pairwise(places))
    if repeated:
        plot.remark("txt.repeated", at, n=repeated)
    if kind == "面" and not part.closed:
        (x0, y0), (x1, y1) = places[0], places[-1]
        plot.remark("txt.ring_open", at, gap=f"{hypot(x1 - x0, y1 - y0):.3f}")
    first: dict[str, tuple[float, ...]] = {}
    twice = [label for label, place in zip(part.labels, places, strict=True) if first.setdefault(label, place) != place]
    if twice:
        plot.remark("txt.label_twice", at, label=twice[0][:20])


def _area_of(plot: Plot, rings: Geometries) -> shapely.Geometry | None:
    """Make one area of rings: those at even depth are outlines, those at odd depth holes of the ring around them."""
    if len(rings) == 1:
        alone: shapely.Geometry = rings[0]
        return alone
    if len(rings) > _MOST_RINGS:
        plot.refuse("txt.rings_many", n=len(rings), most=_MOST_RINGS)
        return None
    size = shapely.area(rings)
    inner, outer = shapely.STRtree(rings).query(shapely.point_on_surface(rings), predicate="within")
    real = size[outer] > size[inner]
    inner, outer = inner[real], outer[real]
    depth = np.bincount(inner, minlength=len(rings))
    hole = depth % 2 == 1
    parent = hole[inner] & (depth[outer] == depth[inner] - 1)
    inner, outer = inner[parent], outer[parent]
    if (np.bincount(inner, minlength=len(rings))[hole] != 1).any():  # rings that cross have no order
        plot.refuse("txt.rings_cross", why="")
        return None
    holes: dict[int, list[int]] = {int(at): [] for at in np.flatnonzero(~hole)}
    for at, around in zip(inner.tolist(), outer.tolist(), strict=True):
        holes[around].append(at)
    areas = [shapely.Polygon(rings[shell].exterior, [rings[at].exterior for at in own]) for shell, own in holes.items()]
    area = areas[0] if len(areas) == 1 else shapely.MultiPolygon(areas)
    if shapely.is_valid(rings).all() and not shapely.is_valid(area):
        plot.refuse("txt.rings_cross", why=shapely.is_valid_reason(area))
        return None
    if len(areas) > 1:
        plot.remark("txt.outlines", n=len(areas))
    return area
