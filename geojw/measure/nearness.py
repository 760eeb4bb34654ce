"""Distances on the ellipsoid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries
from geojw.measure.index import Selection, Shapes, even_cuts, in_threads, runs
from geojw.measure.pieces import Ints

WORTH_SITES = 64
"""For so many sites another thread pays."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """
    The nearest kept feature of each site.

    Parameters
    ----------
    distance_m
        Geodesic distance in metres, 0 where they meet, infinite where nothing is kept.
    feature
        Its position; of equally near ones the lowest id; -1 where nothing is kept.
    away
        Unit vector from the feature to the site in the analysis CRS, (n, 2); 0 where they meet.
    """

    distance_m: Floats
    feature: Ints
    away: Floats


def nearest(shapes: Shapes, selection: Selection, analysis: AnalysisCRS, workers: int = 1) -> Nearest:
    """
    Find the nearest kept feature of each site.

    Parameters
    ----------
    shapes
        The sites.
    selection
        The features that count.
    analysis
        The CRS of both.
    workers
        Threads.

    Returns
    -------
    Nearest
        A row a site.
    """
    return Together(analysis, workers).ask(shapes, selection).nearest


class Together:
    """
    What is nearest to some sites on several layers, measured in one go when the first of it is read.

    Parameters
    ----------
    analysis
        The CRS of sites and layers.
    workers
        Threads.
    """

    def __init__(self, analysis: AnalysisCRS, workers: int = 1) -> None:
        self._analysis, self._workers = analysis, workers
        self._open: list[Asked] = []

    def ask(self, shapes: Shapes, selection: Selection) -> Asked:
        """Ask for the nearest kept feature of each site."""
        self._open.append(Asked(self, shapes, selection))
        return self._open[-1]

    def measure(self) -> None:
        """Answer all that was asked."""
        asked, self._open = self._open, []
        few = []
        for one in asked:
            one.found = _nothing(len(one.shapes))
            if len(one.shapes) and not one.selection.is_empty:
                if one.shapes.many:
                    _compiled_nearest(one.found, one.shapes, one.selection, self._analysis, self._workers)
                else:
                    few.append(one)
        if few:
            _few_nearest(few, self._analysis, self._workers)


@dataclass(eq=False)
class Asked:
    """What is nearest to some sites of what a selection keeps, now or later."""

    together: Together
    shapes: Shapes
    selection: Selection
    found: Nearest | None = None

    @property
    def nearest(self) -> Nearest:
        """A row a site."""
        if self.found is None:
            self.together.measure()
        assert self.found is not None  # noqa: S101 - it was asked
        return self.found


def _nothing(n: int) -> Nearest:
    return Nearest(np.full(n, np.inf), np.full(n, -1, dtype=np.int64), np.zeros((n, 2)))


class _Candidates(NamedTuple):
    """What may be nearest: row of the site, position of the feature, ends of the shortest line between them."""

    row: Ints
    feature: Ints
    start: Floats
    end: Floats


def _few_nearest(asked: Sequence[Asked], analysis: AnalysisCRS, workers: int) -> None:
    """Find candidates by GEOS, and measure those of all on the ellipsoid together."""
    sites = np.concatenate([one.shapes.geometries for one in asked])
    begins = np.cumsum([0, *(len(one.shapes) for one in asked)])
    distortion = analysis.distortion(sites)
    found: list[list[_Candidates]] = [[] for _ in sites]

    def find(part: slice) -> None:
        for one, begin, end in zip(asked, begins[:-1], begins[1:], strict=True):
            rows = np.arange(max(begin, part.start), min(end, part.stop))
            if rows.size:
                found[part.start] += _candidates(sites, rows, one.selection, distortion)

    for one in asked:
        one.selection.facets  # noqa: B018 - made here, not by two threads at once
    in_threads(find, even_cuts(len(sites), min(8 * workers, 1 + len(sites) // WORTH_SITES)), workers)
    all_ = _nothing(len(sites))
    some = [part for parts in found for part in parts]
    if some:
        _keep_first(all_, _Candidates(*map(np.concatenate, zip(*some, strict=True))), analysis)
    for one, begin, end in zip(asked, begins[:-1], begins[1:], strict=True):
        one.found = Nearest(all_.distance_m[begin:end], all_.feature[begin:end], all_.away[begin:end])


def _candidates(sites: Geometries, rows: Ints, selection: Selection, distortion: Floats) -> Iterator[_Candidates]:
    """Find what may be nearest to some of the sites."""
    meets = np.zeros(len(rows), dtype=bool)
    if selection.layer.kind == "polygon":
        meets[selection.tree.query(sites[rows], predicate="intersects")[0]] = True
    pieces = (selection.pieces, selection.owner, selection.tree)
    for some, (parts, owner, tree) in ((rows[meets], pieces), (rows[~meets], selection.facets)):
        if not (some.size and len(parts)):
            continue
        geometries = sites[some]
        (site, part), planar = tree.query_nearest(geometries, return_distance=True, all_matches=True)
        # What is farther in the plane by less than its distortion competes on the ellipsoid too.
        reach = np.zeros(len(some))
        reach[site] = planar
        reach *= 1.0 + 2.0 * distortion[some]
        site, part = tree.query(geometries, predicate="dwithin", distance=reach + 1e-6)
        ends = shapely.get_coordinates(shapely.shortest_line(geometries[site], parts[part])).reshape(-1, 2, 2)
        yield _Candidates(some[site], owner[part], ends[:, 0], ends[:, 1])


def _compiled_nearest(out: Nearest, shapes: Shapes, selection: Selection, analysis: AnalysisCRS, workers: int) -> None:
    """Find candidates by compiled code, and write the nearest."""
    from geojw.measure.near import nearest_candidates  # noqa: PLC0415 - numba is loaded only where many sites are measured

    with selection.layer.lock:
        grid = selection.layer.grid
    distortion = analysis.distortion(shapes.geometries)
    for part in shapes.parts():
        site, feature, start, end = nearest_candidates(part, grid, selection.kept, distortion[part.rows], workers)
        begins = np.append(np.flatnonzero(np.diff(site, prepend=-1)), len(site))

        def keep(some: slice) -> None:
            mine = slice(begins[some.start], begins[some.stop])  # noqa: B023 - run before the loop goes on
            _keep_first(out, _Candidates(site[mine], feature[mine], start[mine], end[mine]), analysis)  # noqa: B023

        in_threads(keep, even_cuts(len(begins) - 1, 2 * workers), workers)


def _keep_first(out: Nearest, candidates: _Candidates, analysis: AnalysisCRS) -> None:
    """Measure candidates on the ellipsoid; write the nearest of each site, of equally near ones the first feature."""
    row, feature, start, end = candidates
    distance = np.zeros(len(row))
    apart = np.any(start != end, axis=1)
    distance[apart] = analysis.distance_m(start[apart], end[apart])
    first = _first_of(row, feature, distance) if len(row) > 1 else np.zeros(len(row), dtype=np.int64)
    rows = row[first]
    out.distance_m[rows], out.feature[rows] = distance[first], feature[first]
    away = start[first] - end[first]
    length = np.hypot(away[:, 0], away[:, 1])
    out.away[rows] = away / np.where(length == 0.0, 1.0, length)[:, None]


def _first_of(row: Ints, feature: Ints, distance: Floats) -> Ints:
    """Find the nearest of each site's candidates, of equally near ones the first feature."""
    step = np.diff(row, prepend=-1, append=np.iinfo(np.int64).max)
    several = (step[:-1] == 0) | (step[1:] == 0) | bool((step < 0).any())  # most sites have but one, in their order
    alone, some = np.flatnonzero(~several), np.flatnonzero(several)
    order = some[np.lexsort((distance[some], feature[some], np.round(distance[some], 6), row[some]))]
    return np.concatenate([alone, order[runs(row[order])[:-1]]])


def farthest_m(shapes: Shapes, area: shapely.Geometry, within_m: Floats, analysis: AnalysisCRS) -> Floats:
    """
    Find how far the farthest point of an area is from each site, in m.

    Parameters
    ----------
    shapes
        The sites.
    area
        Where a thing of unknown position may be.
    within_m
        The distance that matters to each site.
    analysis
        The CRS of both.

    Returns
    -------
    ndarray
        Exact where a corner of the area is the farthest point, as for every convex site. Else it is at most `within_m`
        where all of the area is that near, and infinite where that is not sure.
    """
    corners = np.asarray(shapely.points(shapely.get_coordinates(shapely.convex_hull(area))), dtype=object)
    corner_m = _farthest_corner_m(shapes.geometries, corners, analysis)
    out, rows = corner_m.copy(), np.flatnonzero(~(corner_m > within_m))
    rows = rows[~shapely.equals(shapely.convex_hull(shapes.geometries[rows]), shapes.geometries[rows])]
    if rows.size:  # the buffer lies within the true distance
        out[rows] = np.inf
        wide = shapely.buffer(shapes.geometries[rows], np.maximum(within_m[rows], 0.0), quad_segs=256)
        held = rows[np.asarray(shapely.covers(wide, area), dtype=bool)]
        out[held] = corner_m[held]
    return np.asarray(out, dtype=float)


def _farthest_corner_m(sites: Geometries, corners: Geometries, analysis: AnalysisCRS) -> Floats:
    """Give the geodesic distance to the corner that is farthest from each site."""
    planar = np.stack([shapely.distance(sites, corner) for corner in corners], axis=1)
    # What is nearer in the plane by less than its distortion competes on the ellipsoid too.
    reach = planar.max(axis=1) * (1.0 - 2.0 * analysis.distortion(sites, float(planar.max(initial=0.0)))) - 1e-6
    site, corner = np.nonzero(planar >= reach[:, None])
    lines = shapely.get_coordinates(shapely.shortest_line(sites[site], corners[corner])).reshape(-1, 2, 2)
    out = np.zeros(len(sites))
    np.maximum.at(out, site, analysis.distance_m(lines[:, 0], lines[:, 1]))
    return out
