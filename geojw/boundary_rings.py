"""Floor 3: the points of one plot of 界址点坐标, sorted into rings and built into one geometry or refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geojw.errors import Fault
from geojw.geodesy import Floats, Geometries

KINDS: Mapping[str, str] = {"面": "面", "线": "线", "点": "点", "polygon": "面", "line": "线", "point": "点"}
"""How the kind of a plot may be written."""

_LEAST = {"面": 3, "线": 2, "点": 1}


@dataclass
class Plot:
    """One plot on its way: its header line, its points in the order of the text, and what is wrong with it."""

    where: str
    line: int
    cells: dict[str, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    rings: list[int] = field(default_factory=list)
    xy: list[tuple[float, float]] = field(default_factory=list)
    reason: Fault | None = None
    remarks: list[Fault] = field(default_factory=list)

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
    numbers = np.array(plot.rings, dtype=np.int64)
    xy = np.array(plot.xy, dtype=float).reshape(-1, 2)
    labels = np.array(plot.labels, dtype=object)
    runs = 1 + int(np.count_nonzero(np.diff(numbers))) if len(numbers) else 0
    distinct = list(dict.fromkeys(plot.rings))
    if runs > len(distinct):
        plot.remark("txt.rings_interleaved")
    parts = []
    for ring in distinct:
        mine = np.flatnonzero(numbers == ring)
        start = 0
        for stop in _ends(xy[mine]):
            rows = mine[start:stop]
            parts.append(Part(ring, xy[rows], labels[rows]))
            start = stop
        if start and start < len(mine):
            plot.remark("txt.ring_again", ring=ring)
        if start < len(mine):
            parts.append(Part(ring, xy[mine[start:]], labels[mine[start:]]))
    return parts


def _ends(xy: Floats) -> Iterable[int]:
    """Give where a run of points has come back to its start (points that only repeat it belong to the ring)."""
    start = 0
    while start < len(xy):
        back = np.flatnonzero((xy[start + _LEAST["面"] :] == xy[start]).all(axis=1))
        if not len(back):
            return
        stop = start + _LEAST["面"] + int(back[0]) + 1
        while stop < len(xy) and (xy[stop] == xy[start]).all():
            stop += 1
        yield stop
        start = stop


@dataclass(frozen=True, eq=False)
class Part:
    """The points of one ring, line or set of points."""

    ring: int
    xy: Floats
    labels: NDArray[np.object_]

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
    if int(text) in (len(plot.xy), len(plot.xy) - closed, whole):
        return
    if kind == "面" and int(text) > whole and closed < len(parts):
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
    if len(np.unique(part.xy, axis=0)) < _LEAST[kind]:
        plot.refuse("txt.ring_short", at, least=_LEAST[kind])
        return
    repeated = int((np.diff(part.xy, axis=0) == 0.0).all(axis=1).sum())
    if repeated:
        plot.remark("txt.repeated", at, n=repeated)
    labels = part.labels[:-1] if part.closed else part.labels
    if kind == "面" and not part.closed:
        gap_m = float(np.hypot(*(part.xy[0] - part.xy[-1])))
        plot.remark("txt.ring_open", at, gap=f"{gap_m:.3f}")
    twice = pd.Index(labels).duplicated()
    if twice.any():
        plot.remark("txt.label_twice", at, label=str(labels[twice][0])[:20])


def _area_of(plot: Plot, rings: Geometries) -> shapely.Geometry | None:
    """Make one area of rings: those at even depth are outlines, those at odd depth holes of the ring around them."""
    size = shapely.area(rings)
    inner, outer = shapely.STRtree(rings).query(shapely.point_on_surface(rings), predicate="within")
    real = size[outer] > size[inner]
    inner, outer = inner[real], outer[real]
    depth = np.bincount(inner, minlength=len(rings))
    holes: dict[int, list[int]] = {int(at): [] for at in np.flatnonzero(depth % 2 == 0)}
    for at in np.flatnonzero(depth % 2 == 1):
        around = outer[inner == at]
        closest = around[depth[around] == depth[at] - 1]
        if len(closest) != 1:  # rings that cross have no order
            plot.refuse("txt.rings_cross", why="")
            return None
        holes[int(closest[0])].append(int(at))
    areas = [shapely.Polygon(rings[shell].exterior, [rings[at].exterior for at in own]) for shell, own in holes.items()]
    area = areas[0] if len(areas) == 1 else shapely.MultiPolygon(areas)
    if len(rings) > 1 and shapely.is_valid(rings).all() and not shapely.is_valid(area):
        plot.refuse("txt.rings_cross", why=shapely.is_valid_reason(area))
        return None
    if len(areas) > 1:
        plot.remark("txt.outlines", n=len(areas))
    return area
