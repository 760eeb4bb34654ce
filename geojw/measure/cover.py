"""
Measure sites against a raster of classes. No opinions: what of each site has which value, and what has none.

Cells weigh the exact share of them that a site covers (`exactextract`) times their area on the ellipsoid. A raster is
read in blocks fixed to its own grid, so that one larger than memory works, and so that batches change no result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import shapely

from geojw.measure.coverage import Coverage
from geojw.measure.geodesy import Floats, Geometries, densify
from geojw.measure.index import AREA, POINT, Bools, Shapes, runs, size_of
from geojw.measure.pieces import Ints, subdivide
from geojw.measure.rasters import BLOCK, Codes, Raster, Window, blocks

NO_DATA, UNDECLARED = "no_data", "undeclared"
ARC_SEGMENTS = 16
"""Segments of a quarter circle where cells are grown or shrunk."""

SCATTERED = 0.5
"""Pieces whose own windows have less than this share of the cells of one around them all are read one by one."""

CELLS_AT_ONCE = 4 * BLOCK * BLOCK
"""Cells of several polygons that are held at once, about."""


def cover(shapes: Shapes, raster: Raster) -> pd.DataFrame:
    """
    Measure what of each site has which value.

    Parameters
    ----------
    shapes
        The sites, in the analysis CRS.
    raster
        The raster.

    Returns
    -------
    DataFrame
        A row a site. A column for each declared value, `NO_DATA` and `UNDECLARED`: m² on the ellipsoid, m of a line, or
        the number of points; ``cells``: how many cells the site has or passes, fractions counted.
    """
    names = [*raster.declared, NO_DATA, UNDECLARED]
    out = np.zeros((len(shapes), len(names)))
    cells = np.zeros(len(shapes))
    dense = densify(shapes.geometries, raster.analysis.crs)
    inside = raster.in_cells(dense)
    areas = np.flatnonzero(shapes.dimension == AREA)
    _cover_areas(raster, inside[areas], areas, out, cells)
    far = areas[cells[areas] == 0.0]  # nowhere near the raster
    out[far, len(raster.declared)] = shapes.size[far]
    cells[far] = shapes.size[far] / (2.0 * raster.half_cell_m) ** 2
    thin = np.flatnonzero(shapes.dimension != AREA)
    with raster.open() as dataset:
        for row in thin:
            codes, weights, number = _along(raster, dataset, dense[row], inside[row])
            out[row] = np.bincount(codes, weights, minlength=len(names))
            cells[row] = number
    return pd.DataFrame(out, columns=names).assign(cells=cells)


def held(geometries: Geometries, coverage: Coverage) -> Geometries:
    """Cut sites to where a layer is authoritative; what is left of a lower dimension is nothing."""
    out = np.array(geometries, dtype=object)
    if coverage.inside is not None:
        out = np.array(shapely.intersection(out, coverage.inside.union), dtype=object)
    if len(coverage.holes):
        out = np.array(shapely.difference(out, shapely.union_all(coverage.holes)), dtype=object)
    less = shapely.get_dimensions(out) != shapely.get_dimensions(geometries)
    out[less | shapely.is_empty(out)] = shapely.Polygon()
    return out


def edges_m(shapes: Shapes, raster: Raster, wanted: Sequence[int]) -> Floats:
    """
    Measure how long the edges between cells of some values and of other declared values are within each site.

    Parameters
    ----------
    shapes
        Polygons in the analysis CRS.
    raster
        The raster.
    wanted
        The cell values.

    Returns
    -------
    ndarray
        In m, along the sides of cells: longer than a smooth outline, never shorter.
    """
    out = np.zeros(len(shapes))
    codes = [raster.declared.index(value) for value in wanted]
    east_m, north_m = raster.sides_m
    inside = raster.in_cells(densify(shapes.geometries, raster.analysis.crs))
    with raster.open() as dataset:
        for part, site, piece, cell, share in _shares(raster, inside):
            found = raster.read(dataset, part.widened(1))
            mine = np.isin(found, codes)
            other = ~mine & (found < len(raster.declared))
            across = (mine[:-1] & other[1:]) | (other[:-1] & mine[1:])
            along = (mine[:, :-1] & other[:, 1:]) | (other[:, :-1] & mine[:, 1:])
            # Each edge counts half for the cell on either side.
            rows = across[:-1, 1:-1].astype(float) + across[1:, 1:-1]
            columns = along[1:-1, :-1].astype(float) + along[1:-1, 1:]
            sides = rows * east_m + columns * north_m
            np.add.at(out, site, np.bincount(piece, share * sides.ravel()[cell], minlength=len(site)) / 2.0)
    return out


def _cover_areas(raster: Raster, inside: Geometries, rows: Ints, out: Floats, cells: Floats) -> None:
    """Add up the cells of polygons, block by block."""
    if not len(inside):
        return
    with raster.open() as dataset:
        last: Window | None = None
        for part, site, piece, cell, share in _shares(raster, inside):
            if part != last:
                codes, area_m2, last = raster.read(dataset, part).ravel(), raster.areas_m2(part).ravel(), part
            place = piece * out.shape[1] + codes[cell]
            sums = np.bincount(place, share * area_m2[cell], minlength=len(site) * out.shape[1])
            np.add.at(out, rows[site], sums.reshape(len(site), -1))
            np.add.at(cells, rows[site], np.bincount(piece, share, minlength=len(site)))


def _shares(raster: Raster, inside: Geometries) -> Iterator[tuple[Window, Ints, Ints, Ints, Floats]]:
    """
    Find the share of each cell that each polygon covers.

    Parameters
    ----------
    raster
        The raster.
    inside
        Polygons in the grid (see `Raster.in_cells`).

    Yields
    ------
    window, site, piece, cell, share
        A window of one block; the polygons that the pieces in it belong to; and for each cell that a piece covers:
        which piece, position in the window, share. Polygons that do not meet the raster at all are left out; of the
        others, cells beyond the raster count.
    """
    sound = np.where(shapely.is_valid(inside), inside, shapely.make_valid(inside))
    pieces, owner = subdivide(sound)
    near = shapely.intersects(shapely.box(0.0, -raster.rows, raster.columns, 0.0), sound)
    rows = np.flatnonzero(near[owner] & (shapely.get_dimensions(pieces) == AREA))
    pieces, owner = pieces[rows], owner[rows]
    if not len(pieces):
        return
    tree = shapely.STRtree(pieces)
    for block in blocks(_window_of(shapely.total_bounds(pieces))):
        box = shapely.box(block.column, -block.row_end, block.column_end, -block.row)
        mine = np.sort(tree.query(box))
        if not mine.size:
            continue
        for some in _together(pieces, mine, block):
            part = _window_of(shapely.total_bounds(pieces[some])).within(block)
            if 0 not in part.shape:
                numbers, cell, share = _exact_shares(pieces[some], part)
                yield part, owner[some], numbers, cell, share


def _together(pieces: Geometries, rows: Ints, block: Window) -> Iterator[Ints]:
    """Group the pieces in a block: each by itself where they are scattered, else as many as fit into memory."""
    west, south, east, north = shapely.bounds(pieces[rows]).T
    width = np.minimum(east, block.column_end) - np.maximum(west, block.column) + 1.0
    height = np.minimum(north, -block.row) - np.maximum(south, -block.row_end) + 1.0
    each = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    around = _window_of(shapely.total_bounds(pieces[rows])).within(block)
    if each.sum() < around.shape[0] * around.shape[1] * SCATTERED:
        yield from np.split(rows, len(rows))
        return
    cuts = np.flatnonzero(np.diff(np.cumsum(each) // CELLS_AT_ONCE)) + 1
    yield from np.split(rows, cuts)


def _window_of(bounds: Floats) -> Window:
    west, south, east, north = bounds
    return Window(math.floor(-north), math.floor(west), math.ceil(-south), math.ceil(east))


def _exact_shares(pieces: Geometries, part: Window) -> tuple[Ints, Ints, Floats]:
    """Give for each cell that each piece covers: which piece, position in the window, share."""
    import exactextract  # noqa: PLC0415 - a cold start loads what it needs
    from exactextract.feature import JSONFeatureSource  # noqa: PLC0415
    from exactextract.raster import NumPyRasterSource  # noqa: PLC0415

    # exactextract wants cells to read; it is asked for their positions and shares only.
    blank = np.broadcast_to(np.zeros(1, dtype=np.uint8), part.shape)
    grid = NumPyRasterSource(blank, part.column, -part.row_end, part.column_end, -part.row)
    features = [{"type": "Feature", "properties": {}, "geometry": piece.__geo_interface__} for piece in pieces]
    found = exactextract.exact_extract(grid, JSONFeatureSource(features), ["cell_id", "coverage"])
    cells = [one["properties"]["cell_id"] for one in found]
    shares = [one["properties"]["coverage"] for one in found]
    numbers = np.repeat(np.arange(len(pieces)), [len(cell) for cell in cells])
    return numbers, np.concatenate(cells).astype(np.int64), np.concatenate(shares)


def _along(
    raster: Raster,
    dataset: Any,  # noqa: ANN401 - rasterio's dataset
    shape: shapely.Geometry,
    inside: shapely.Geometry,
) -> tuple[Ints, Floats, float]:
    """Give the codes of the cells under a line or points, with metres or ones, and the number of cells."""
    if shapely.get_dimensions(shape) == POINT:
        xy = shapely.get_coordinates(inside)
        weights = np.ones(len(xy))
    else:
        xy, weights = _stretches(shape, inside)
    cell = np.column_stack([np.floor(-xy[:, 1]), np.floor(xy[:, 0])]).astype(np.int64)
    unique, at = np.unique(cell, axis=0, return_inverse=True)
    blocks, block = np.unique(unique // BLOCK, axis=0, return_inverse=True)
    codes = np.zeros(len(unique), dtype=np.int64)
    for number in range(len(blocks)):
        mine = np.flatnonzero(block.ravel() == number)
        (row, column), (row_end, column_end) = unique[mine].min(axis=0), unique[mine].max(axis=0) + 1
        read = raster.read(dataset, Window(int(row), int(column), int(row_end), int(column_end)))
        codes[mine] = read[unique[mine, 0] - row, unique[mine, 1] - column]
    return codes[at.ravel()], weights, float(len(unique))


def _stretches(shape: shapely.Geometry, inside: shapely.Geometry) -> tuple[Floats, Floats]:
    """Cut a line where it crosses the grid: the middle of each stretch in the grid, and its length in m."""
    middles, lengths = [], []
    for metres, grid in zip(shapely.get_parts(shape), shapely.get_parts(inside), strict=True):
        a, b = shapely.get_coordinates(grid)[:-1], shapely.get_coordinates(grid)[1:]
        size = np.hypot(*np.diff(shapely.get_coordinates(metres), axis=0).T)
        for start, end, length in zip(a, b, size, strict=True):
            ts = [0.0, 1.0]
            for one, other in zip(start, end, strict=True):
                low, high = sorted((one, other))
                lines = np.arange(math.ceil(low), math.floor(high) + 1)
                ts += [] if one == other else list((lines - one) / (other - one))
            t = np.unique(np.clip(ts, 0.0, 1.0))
            middles.append(start + ((t[1:] + t[:-1]) / 2.0)[:, None] * (end - start))
            lengths.append(np.diff(t) * length)
    return np.concatenate(middles), np.concatenate(lengths)


# ---------------------------------------------------------------------------------------------- accuracy


def moved(shapes: Shapes, raster: Raster, wanted: Sequence[int], by_m: Floats, *, grown: bool) -> Floats:
    """
    Measure what each site shares with some values' cells, all their edges moved outwards or inwards.

    Parameters
    ----------
    shapes
        The sites, in the analysis CRS.
    raster
        The raster.
    wanted
        The cell values.
    by_m
        How far the edges move, for each site.
    grown
        Outwards, cells without data or with undeclared values added: the most that may be there. Else inwards: the
        least.

    Returns
    -------
    ndarray
        m², m, or 1 for each site.
    """
    out = np.zeros(len(shapes))
    codes = [raster.declared.index(value) for value in wanted]
    codes += [len(raster.declared), len(raster.declared) + 1] if grown else []
    with raster.open() as dataset:
        for row, piece, near, found in _surroundings(shapes, raster, dataset, by_m):
            mask = np.isin(found, codes)
            if mask.all():
                left = piece
            elif mask.any():
                area = shapely.buffer(
                    _outlined(mask, near, raster), by_m[row] if grown else -by_m[row], quad_segs=ARC_SEGMENTS
                )
                left = shapely.intersection(piece, area)
            else:
                continue
            out[row] += size_of(np.array([left], dtype=object), shapes.dimension[[row]])[0]
    return np.minimum(out, shapes.size)


def _surroundings(
    shapes: Shapes,
    raster: Raster,
    dataset: Any,  # noqa: ANN401 - rasterio's dataset
    by_m: Floats,
) -> Iterator[tuple[int, shapely.Geometry, Window, Codes]]:
    """Give each site with the cells that can matter to it; those that begin in one block are read together."""
    if not len(shapes):
        return
    reach = np.ceil(by_m / min(raster.sides_m)).astype(int) + 1
    windows = [_window_of(bounds) for bounds in shapely.bounds(raster.in_cells(shapes.geometries))]
    cells = np.array([window.shape[0] * window.shape[1] for window in windows])
    for row in np.flatnonzero(cells > BLOCK * BLOCK):
        for piece, near in _in_blocks(shapes.geometries[row], raster, windows[row], int(reach[row])):
            yield int(row), piece, near, raster.read(dataset, near)
    small = np.flatnonzero(cells <= BLOCK * BLOCK)
    if not small.size:
        return
    block = np.array([[windows[row].row // BLOCK, windows[row].column // BLOCK] for row in small]).reshape(-1, 2)
    order = np.lexsort((block[:, 1], block[:, 0]))
    for group in np.split(small[order], runs(block[order, 0], block[order, 1])[1:-1]):
        near_each = [windows[row].widened(int(reach[row])) for row in group]
        whole = Window.around(near_each)
        codes = raster.read(dataset, whole)
        for row, near in zip(group, near_each, strict=True):
            yield int(row), shapes.geometries[row], near, near.cut(codes, whole)


def _in_blocks(
    shape: shapely.Geometry, raster: Raster, window: Window, reach: int
) -> Iterator[tuple[shapely.Geometry, Window]]:
    """Cut a site along the blocks of the raster; give each part with the window that can matter to it."""
    for block in blocks(window):
        box = shapely.box(block.column, -block.row_end, block.column_end, -block.row)
        piece = shapely.intersection(shape, raster.of_cells(np.array([box], dtype=object))[0])
        if not shapely.is_empty(piece):
            yield piece, block.widened(reach)


def _outlined(mask: Bools, window: Window, raster: Raster) -> shapely.Geometry:
    """Give the union of the cells of a mask, in the analysis CRS."""
    from affine import Affine  # noqa: PLC0415 - a cold start loads what it needs
    from rasterio.features import shapes  # noqa: PLC0415

    at = Affine(1.0, 0.0, window.column, 0.0, -1.0, -window.row)
    found = [shapely.geometry.shape(shape) for shape, _ in shapes(mask.astype(np.uint8), mask=mask, transform=at)]
    return shapely.union_all(raster.of_cells(np.array(found, dtype=object)))
