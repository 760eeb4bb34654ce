"""Does a file of sites look as if a map service's offset were in it? A warning, never a correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from geojw.errors import CRSError, Fault
from geojw.intake.datums import datums
from geojw.intake.transformations import unshifted
from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries, reproject

_MOST_SITES = 60
_SPOTS = 16
"""Points taken along the outline of a site, equally far apart."""

_DECOYS = (300, 10_000)
_TRIES = 300_000
"""Decoys are moves of like length in all directions, which mean nothing: the fewer the points, the more are tried."""

_AT_ONCE = 50_000

_CELLS = 250.0
"""Cells across, into which the places of the points are put."""

_ANNULUS = (0.4, 1.6)
_ALIKE = 0.2
"""As shares of the meant move's length: how long decoys are, and how close to a meant one they would nearly be it."""

_LEAST_FIT = 0.6
_LEAST_LEAD = 0.25
"""Shares of outline: what must lie on edges with the offset undone, and how much more than as given or by any decoy."""

_LARGEST_TOLERANCE = 0.1
"""As a share of the move: beyond that, nothing can be told apart."""


@dataclass(frozen=True, eq=False)
class Reference:
    """
    A layer whose edges sites may follow.

    Parameters
    ----------
    geometries
        Polygons or lines in the analysis CRS; points are passed over.
    accuracy_m
        Of the layer; None counts as 0, which makes the test quieter.
    """

    geometries: Geometries
    accuracy_m: float | None = None


def suspect(
    sites: Geometries, references: Mapping[str, Reference], analysis: AnalysisCRS, where: str
) -> tuple[Fault, ...]:
    """
    Warn where sites would follow the edges of a layer much better with a map service's offset undone.

    For each layer and offset, the share of the sites' outlines that lies on an edge of the layer (within the
    uncertainty of the offset and the layer's accuracy) is taken as given, with the offset undone, and after decoy moves
    of like length: 300 for many sites, 10,000 for one. The warning is given only if at least 0.6 of the outlines lie
    on edges with the offset undone, and that is at least 0.25 more than as given and than after every decoy. If sites
    have nothing to do with the layer, undoing the offset is one more such move, and the chance that it beats them all
    is one in so many, before the 0.6 and the 0.25 are asked for.

    It stays silent where it cannot tell: sites that are points or follow no layer, layers so dense that every move
    fits, layers that repeat themselves at that distance, and places without an offset.

    Parameters
    ----------
    sites
        (n,) in the analysis CRS; up to 60 of them are looked at, the same ones in whatever order they come.
    references
        Layers by title.
    analysis
        The analysis CRS.
    where
        The file, for the warning.

    Returns
    -------
    tuple of Fault
        At most one warning, of the best fit; empty if there is none.
    """
    spots = _spots(sites)
    if not len(spots):
        return ()
    moves = _moves(spots, analysis)
    found = []
    for title, reference in references.items():
        edges = _edges(reference.geometries)
        for offset, move in moves.items():
            tolerance_m = datums().offset[offset].uncertainty_m + (reference.accuracy_m or 0.0)
            length_m = float(np.hypot(*move.mean(axis=0)))
            if not tolerance_m <= _LARGEST_TOLERANCE * length_m:
                continue
            lead = _lead(spots, move, edges, tolerance_m, list(moves.values()))
            if lead is not None:
                found.append((lead, title, offset))
    if not found:
        return ()
    (undone, given), title, offset = max(found)
    told = {"layer": title, "name": datums().offset[offset].name}
    return (Fault("coords.suspicion", where, {**told, "undone": f"{undone:.0%}", "given": f"{given:.0%}"}),)


def _spots(sites: Geometries) -> Floats:
    """Take points along the outlines of some sites, an (n, 2) array; sites without an outline give none."""
    lines = sites[(shapely.get_dimensions(sites) > 0) & (shapely.length(sites) > 0.0)]
    if not len(lines):
        return np.empty((0, 2))
    bounds = shapely.bounds(lines)
    order = np.lexsort(bounds.T)  # whichever way the file is sorted
    lines = lines[order[np.unique(np.linspace(0, len(lines) - 1, _MOST_SITES).astype(np.int64))]]
    areas = shapely.get_dimensions(lines) > 1
    lines[areas] = shapely.boundary(lines[areas])
    shares = (np.arange(_SPOTS) + 0.5) / _SPOTS
    points = shapely.line_interpolate_point(lines[:, None], shares[None, :], normalized=True)
    return np.asarray(shapely.get_coordinates(points))


def _moves(spots: Floats, analysis: AnalysisCRS) -> dict[str, Floats]:
    """Give, for each offset, how undoing it would move the points, in m; nothing where there is no offset."""
    lonlat = analysis.lonlat(spots)
    moves = {}
    for offset in datums().offset:
        try:
            true = unshifted(lonlat, offset)
        except CRSError:
            continue
        moves[offset] = reproject(true, "EPSG:4490", analysis.crs.to_wkt()) - spots
    return moves


class _Edges(NamedTuple):
    """The ends of edges, an (n, 2, 2) array, and the corners of their boxes."""

    ends: Floats
    low: Floats
    high: Floats


def _edges(geometries: Geometries) -> _Edges:
    """Give all edges of outlines and lines."""
    lines = geometries[~shapely.is_missing(geometries)]
    lines = lines[shapely.get_dimensions(lines) > 0]
    areas = shapely.get_dimensions(lines) > 1
    rings = shapely.get_rings(shapely.get_parts(lines[areas]))
    parts = np.concatenate([rings, shapely.get_parts(lines[~areas])])
    xy, part = shapely.get_coordinates(parts, return_index=True)
    joined = part[1:] == part[:-1]
    one, other = xy[:-1][joined], xy[1:][joined]
    return _Edges(np.stack([one, other], axis=1), np.minimum(one, other), np.maximum(one, other))


def _beside(edges: _Edges, points: Floats, reach_m: float) -> Floats:
    """Give the ends of the edges that may lie within reach of a point: those whose boxes meet a cell near one."""
    low, high = points.min(axis=0) - reach_m, points.max(axis=0) + reach_m
    cell_m = max(reach_m, float((high - low).max()) / _CELLS, 1e-3)
    mask = np.zeros(np.floor((high - low) / cell_m).astype(np.int64) + 3, dtype=np.int32)
    at = np.floor((points - low) / cell_m).astype(np.int64) + 1
    for east in (-1, 0, 1):  # nothing within reach is farther than a cell
        for north in (-1, 0, 1):
            mask[at[:, 0] + east, at[:, 1] + north] = 1
    count = np.zeros(np.array(mask.shape) + 1, dtype=np.int64)
    count[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    first = np.clip(np.floor((edges.low - low) / cell_m).astype(np.int64) + 1, 0, mask.shape)
    last = np.clip(np.floor((edges.high - low) / cell_m).astype(np.int64) + 2, 0, mask.shape)
    (x0, y0), (x1, y1) = first.T, last.T
    met = count[x1, y1] - count[x0, y1] - count[x1, y0] + count[x0, y0]
    return np.asarray(edges.ends[met > 0])


def _lead(
    spots: Floats, move: Floats, edges: _Edges, tolerance_m: float, meant: list[Floats]
) -> tuple[float, float] | None:
    """Give the fit with the offset undone and as given, if the first leads clearly over everything else."""
    tree = _tree(_beside(edges, np.concatenate([spots, spots + move]), tolerance_m))
    undone, given = _fit(spots + move, tree, tolerance_m), _fit(spots, tree, tolerance_m)
    if undone < _LEAST_FIT or undone - given < _LEAST_LEAD:
        return None
    decoys = _decoys(move.mean(axis=0), len(spots), [one.mean(axis=0) for one in meant])
    tree = _tree(_beside(edges, spots, float(np.hypot(*decoys.T).max()) + tolerance_m))
    for some in np.array_split(decoys, 1 + len(decoys) * len(spots) // _AT_ONCE):
        places = (spots[None, :, :] + some[:, None, :]).reshape(-1, 2)
        if undone - _near(places, tree, tolerance_m).reshape(len(some), -1).mean(axis=1).max(initial=0.0) < _LEAST_LEAD:
            return None
    return undone, given


def _tree(edges: Floats) -> shapely.STRtree:
    return shapely.STRtree(np.atleast_1d(np.asarray(shapely.linestrings(edges), dtype=object)))


def _decoys(move: Floats, spots: int, meant: list[Floats]) -> Floats:
    """Spread moves evenly over a ring around nothing (a sunflower's spiral), none nearly a meant one."""
    count = int(np.clip(_TRIES // spots, *_DECOYS))
    low, high = np.square(_ANNULUS)
    radius_m = np.hypot(*move) * np.sqrt(low + (high - low) * (np.arange(count) + 0.5) / count)
    angle = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
    decoys = np.column_stack([radius_m * np.cos(angle), radius_m * np.sin(angle)])
    away = np.min([np.hypot(*(decoys - one).T) / np.hypot(*one) for one in meant], axis=0)
    return np.asarray(decoys[away > _ALIKE])


def _fit(points: Floats, tree: shapely.STRtree, tolerance_m: float) -> float:
    """Give the share of points within the tolerance of an edge."""
    return float(_near(points, tree, tolerance_m).mean())


def _near(points: Floats, tree: shapely.STRtree, tolerance_m: float) -> NDArray[np.bool_]:
    near = np.zeros(len(points), dtype=bool)
    near[tree.query(shapely.points(points), predicate="dwithin", distance=tolerance_m)[0]] = True
    return near
