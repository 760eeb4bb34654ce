"""
How much an area can change where a layer's edges are uncertain, from the edges near a site alone. Compiled.

What a polygon gains when it is grown by r lies within r of its boundary, outside. The nearest point of the boundary to
such a place is on an edge, which then lies square to it, or on a vertex where the boundary turns left, in the wedge
between its two edges. So it gains at most r times the length of its edges and r^2 / 2 times the angle of those turns;
what it loses when it is shrunk is bounded by its turns to the right in the same way. Of a site only edges and vertices
within r matter: those of its box, made wider by r. A union gains or loses no more than its polygons do together, and
what is drawn with arcs of a few segments changes by less, not by more.
"""

from __future__ import annotations

import numpy as np

from geojw.measure.exact import compiled, uncounted
from geojw.measure.geodesy import Floats
from geojw.measure.grid import Grid, candidates_in, runs_for
from geojw.measure.index import Bools, Part, even_cuts, in_threads
from geojw.measure.shares import box_of

SLACK_M = 1e-3
"""Added to every reach, against rounding of what is compared with the bound."""


def tube_areas(
    part: Part, grid: Grid, kept: Bools, accuracy_m: Floats, site_accuracy_m: Floats, *, grown: bool, workers: int = 1
) -> Floats:
    """
    Bound what polygon sites gain or lose where features are grown or shrunk.

    Parameters
    ----------
    part
        Polygon sites.
    grid
        A polygon layer.
    kept, accuracy_m
        Of each feature, whether it counts, and its accuracy in m.
    site_accuracy_m
        Of each site, in m; it is added to the features'.
    grown
        Whether they are grown or shrunk.
    workers
        Threads.

    Returns
    -------
    ndarray
        m² for each site; 0 where no kept edge is within reach.
    """
    out = np.zeros(len(part.rows))
    most_m = float(accuracy_m[kept].max(initial=0.0))

    def work(some: slice) -> None:
        _tubes(
            part.edges, part.place, grid, kept, accuracy_m, site_accuracy_m, most_m, grown, out, some.start, some.stop
        )

    in_threads(work, even_cuts(len(part.rows), 2 * workers), workers)
    return out


@uncounted
def _length_within(px, py, qx, qy, west, south, east, north):
    """Give the length of an edge in a box."""
    dx, dy = qx - px, qy - py
    begin, end = 0.0, 1.0
    for along, low, high in ((dx, west - px, east - px), (dy, south - py, north - py)):
        if along > 0.0:
            begin, end = max(begin, low / along), min(end, high / along)
        elif along < 0.0:
            begin, end = max(begin, high / along), min(end, low / along)
        elif low > 0.0 or high < 0.0:
            return 0.0
    return max(end - begin, 0.0) * np.sqrt(dx * dx + dy * dy)


@uncounted
def _turn(ax, ay, bx, by, grown):
    """Give the angle by which a boundary turns from one edge to the next, where the layer's way of moving minds it."""
    cross, dot = ax * by - ay * bx, ax * bx + ay * by
    if not grown:
        cross = -cross
    if cross > 0.0:
        return np.arctan2(cross, dot)
    return np.pi if cross == 0.0 and dot < 0.0 else 0.0


@uncounted
def _tube(grid, kept, accuracy_m, own_m, most_m, grown, west, south, east, north, found, runs):
    """Bound what a site of this box gains or loses."""
    px, py, qx, qy, owner, before = (
        grid.edges.px, grid.edges.py, grid.edges.qx, grid.edges.qy, grid.edges.owner, grid.edges.before,
    )  # fmt: skip
    reach = most_m + own_m + SLACK_M
    west, south, east, north = west - reach, south - reach, east + reach, north + reach
    area = 0.0
    for k in range(candidates_in(grid, west, south, east, north, found, runs)):
        j = found[k]
        if not kept[owner[j]]:
            continue
        r = accuracy_m[owner[j]] + own_m
        if not r > 0.0:
            continue
        r += SLACK_M
        area += r * _length_within(px[j], py[j], qx[j], qy[j], west, south, east, north)
        if west <= px[j] <= east and south <= py[j] <= north:
            i = before[j]
            turn = _turn(qx[i] - px[i], qy[i] - py[i], qx[j] - px[j], qy[j] - py[j], grown)
            area += 0.5 * r * r * turn
    return area


@compiled
def _tubes(sites, place, grid, kept, accuracy_m, site_accuracy_m, most_m, grown, out, start, stop):
    begins, found, runs = sites.start, np.empty(len(grid.edges.px), dtype=np.int32), runs_for(grid)
    for s in range(start, stop):
        west, south, east, north = box_of(sites, begins[place[s]], begins[place[s] + 1])
        out[s] = _tube(grid, kept, accuracy_m, site_accuracy_m[s], most_m, grown, west, south, east, north, found, runs)
