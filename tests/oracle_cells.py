"""The oracle's rasters: every cell is a polygon of its own, and has what it shares with a site.

As ``oracle.py`` it imports nothing of the package. A cell's share of a site is the area of an intersection of two
polygons, in the zone's plane, which keeps the areas of the ellipsoid.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
import shapely
from shapely.geometry.base import BaseGeometry

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Around:
    """The cells round a site: their polygons in the plane and their values; -1 is no data, or beyond the raster."""

    cells: Array
    values: Array

    def of(self, wanted: Collection[int]) -> Array:
        """Say of each cell whether it has one of some values."""
        return np.isin(self.values, [*wanted])


class Cells:
    """A raster of classes; the value of a cell that is no whole number of a class means nothing."""

    def __init__(self, path: Path, classes: Mapping[str, list[int]], plane: pyproj.CRS) -> None:
        with rasterio.open(path) as file:
            self.at, self.crs = file.transform, pyproj.CRS(file.crs.to_wkt())
            read = file.read(1, masked=True)
        self.whole = np.where(np.ma.getmaskarray(read), -1, read.filled(0)).astype(int)
        self.classes = classes
        self.declared = {value for values in classes.values() for value in values}
        self.into = pyproj.Transformer.from_crs(self.crs, plane, always_xy=True)
        self.back = pyproj.Transformer.from_crs(plane, self.crs, always_xy=True)
        self._around = lru_cache(64)(self._read)

    def values_of(self, names: Collection[str]) -> set[int]:
        """Give the cell values of some classes."""
        return {value for name in names for value in self.classes[name]}

    @property
    def longest_side_m(self) -> float:
        """The longer side of a cell in the middle of the raster, in the plane."""
        rows, columns = self.whole.shape
        column, row = np.array([0, 1, 0]) + columns / 2, np.array([0, 0, 1]) + rows / 2
        x, y = self.at.c + column * self.at.a, self.at.f + row * self.at.e
        (x0, x1, x2), (y0, y1, y2) = self.into.transform(x, y)
        return max(math.hypot(x1 - x0, y1 - y0), math.hypot(x2 - x0, y2 - y0))

    def around(self, shape: BaseGeometry, margin_m: float = 0.0) -> Around:
        """Give the cells within some metres of a shape in the plane, and some more."""
        west, south, east, north = shape.bounds
        x = np.array([west, east, east, west]) + np.array([-1, 1, 1, -1]) * margin_m
        y = np.array([south, south, north, north]) + np.array([-1, -1, 1, 1]) * margin_m
        xs, ys = self.back.transform(x, y)
        columns, rows = (np.array(xs) - self.at.c) / self.at.a, (np.array(ys) - self.at.f) / self.at.e
        return self._around(
            math.floor(min(rows)) - 2,
            math.floor(min(columns)) - 2,
            math.ceil(max(rows)) + 2,
            math.ceil(max(columns)) + 2,
        )

    def _read(self, top: int, left: int, bottom: int, right: int) -> Around:
        """Take a window, which may reach beyond the raster, and draw its cells."""
        values = np.full((bottom - top, right - left), -1)
        rows, columns = self.whole.shape
        there = np.s_[max(top, 0) : max(min(bottom, rows), 0), max(left, 0) : max(min(right, columns), 0)]
        mine = self.whole[there]
        row, column = there[0].start - top, there[1].start - left
        values[row : row + mine.shape[0], column : column + mine.shape[1]] = mine
        column, row = np.meshgrid(np.arange(left, right + 1), np.arange(top, bottom + 1))
        x, y = self.into.transform(self.at.c + column * self.at.a, self.at.f + row * self.at.e)
        corner = np.dstack([x, y])
        rings = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], axis=2)
        return Around(shapely.polygons(rings.reshape(-1, 4, 2)), values.ravel())

    def sizes(self, shape: BaseGeometry, dimension: int) -> tuple[Around, Array]:
        """Give what each cell has of a shape: m² of areas, m of lines, 1 for each point."""
        around = self.around(shape)
        if dimension == 0:
            points = list(getattr(shape, "geoms", [shape]))
            return around, np.array([sum(cell.intersects(point) for point in points) for cell in around.cells])
        parts = shapely.intersection(around.cells, shape)
        return around, shapely.area(parts) if dimension == 2 else shapely.length(parts)
