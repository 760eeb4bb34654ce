"""Rasters of classes: opened and checked, read window by window, the area of each cell on the ellipsoid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geojw.errors import CRSError, Fault, LayerError
from geojw.measure.coverage import Coverage
from geojw.measure.geodesy import AnalysisCRS, Floats, Geometries, read_crs
from geojw.measure.pieces import Ints

BLOCK = 1024
"""Cells a side of what is read at a time: the memory it takes, and a multiple of the usual tiles."""

LATTICE = 64
"""Cells between two places where a cell's area is computed: between them it is a plane to 1e-8."""

Codes = NDArray[np.int16]


@dataclass(frozen=True)
class Window:
    """Rows and columns of a raster's grid, from (inclusive) to (exclusive); they may lie beyond the raster."""

    row: int
    column: int
    row_end: int
    column_end: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.row_end - self.row, self.column_end - self.column

    def within(self, other: Window) -> Window:
        """Give what it shares with another; nothing is a window without rows or columns."""
        row, column = max(self.row, other.row), max(self.column, other.column)
        return Window(
            row, column, max(row, min(self.row_end, other.row_end)), max(column, min(self.column_end, other.column_end))
        )

    @staticmethod
    def around(windows: Sequence[Window]) -> Window:
        """Give the smallest window that holds several."""
        return Window(
            min(one.row for one in windows), min(one.column for one in windows), max(one.row_end for one in windows),
            max(one.column_end for one in windows),
        )  # fmt: skip

    def cut(self, cells: Codes, whole: Window) -> Codes:
        """Take its cells out of those of a window that holds it."""
        row, column = self.row - whole.row, self.column - whole.column
        return cells[row : row + self.shape[0], column : column + self.shape[1]]

    def widened(self, by: int) -> Window:
        """Give it with so many cells more on every side."""
        return Window(self.row - by, self.column - by, self.row_end + by, self.column_end + by)


@dataclass(frozen=True, eq=False)
class Raster:
    """
    A raster layer of classes: checked, not read.

    Parameters
    ----------
    path
        The file.
    crs
        Its CRS.
    left, top
        The outer corner of its first cell, in its CRS.
    dx, dy
        Sides of a cell in its CRS, both positive: the first row is the northern one.
    rows, columns
        Its size.
    classes
        Name of a class -> the cell values that are of it.
    analysis
        The CRS in which sites come and areas are told.
    """

    path: Path
    crs: CRS
    left: float
    top: float
    dx: float
    dy: float
    rows: int
    columns: int
    classes: Mapping[str, tuple[int, ...]]
    analysis: AnalysisCRS

    @cached_property
    def declared(self) -> tuple[int, ...]:
        """Every declared value, sorted."""
        return tuple(sorted({value for values in self.classes.values() for value in values}))

    @cached_property
    def _by_value(self) -> Codes:
        """The code of each value of a byte."""
        out = np.full(256, len(self.declared) + 1, dtype=np.int16)
        for code, value in enumerate(self.declared):
            out[value : value + 1] = code
        return out

    @property
    def window(self) -> Window:
        """All of it."""
        return Window(0, 0, self.rows, self.columns)

    def wanted(self, names: Sequence[str]) -> list[int]:
        """Give the cell values of some classes."""
        return sorted({value for name in names for value in self.classes[name]})

    @cached_property
    def sides_m(self) -> tuple[float, float]:
        """The sides of a cell in the raster's middle, in m."""
        x, y = self.left + self.columns / 2.0 * self.dx, self.top - self.rows / 2.0 * self.dy
        moved = self.analysis.of_crs(np.array([[x, y], [x + self.dx, y], [x, y + self.dy]]), self.crs)
        return float(np.hypot(*(moved[1] - moved[0]))), float(np.hypot(*(moved[2] - moved[0])))

    @property
    def half_cell_m(self) -> float:
        """Half the longer side of a cell, in m."""
        return max(self.sides_m) / 2.0

    def in_cells(self, geometries: Geometries) -> Geometries:
        """Bring geometries of the analysis CRS into the grid: columns to the east, minus rows to the north."""
        moved = self.analysis.deproject(geometries, self.crs)
        shift, scale = np.array([self.left, self.top]), np.array([self.dx, self.dy])
        return np.asarray(shapely.transform(moved, lambda xy: (xy - shift) / scale), dtype=object)

    def of_cells(self, geometries: Geometries) -> Geometries:
        """Bring geometries of the grid into the analysis CRS."""
        shift, scale = np.array([self.left, self.top]), np.array([self.dx, self.dy])
        moved = np.asarray(shapely.transform(geometries, lambda xy: xy * scale + shift), dtype=object)
        return self.analysis.project(moved, self.crs)

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open the file."""
        import rasterio  # noqa: PLC0415 - a cold start loads what it needs

        try:
            with rasterio.open(self.path) as dataset:
                yield dataset
        except rasterio.errors.RasterioError as problem:
            raise _unreadable(self.path, problem) from None

    def read(self, dataset: Any, window: Window) -> Codes:  # noqa: ANN401 - rasterio's dataset
        """
        Read a window as codes: the position in `declared`, one more for cells without data, two more for other values.

        Cells beyond the raster have no data.
        """
        from rasterio.windows import Window as Part  # noqa: PLC0415

        none = len(self.declared)
        out = np.full(window.shape, none, dtype=np.int16)
        there = window.within(self.window)
        rows, columns = there.shape
        if not rows or not columns:
            return out
        cells = dataset.read(1, window=Part(there.column, there.row, columns, rows), masked=True)
        if cells.dtype == np.uint8:
            codes = self._by_value[cells.data]
        else:
            codes = np.full(cells.shape, len(self.declared) + 1, dtype=np.int16)
            for code, value in enumerate(self.declared):
                codes[cells.data == value] = code
        codes[np.ma.getmaskarray(cells)] = none
        if cells.dtype.kind == "f":
            codes[np.isnan(cells.data)] = none
        row, column = there.row - window.row, there.column - window.column
        out[row : row + rows, column : column + columns] = codes
        return out

    def areas_m2(self, window: Window) -> Floats:
        """Give the area of every cell on the ellipsoid; it depends on the cell alone, not on the window."""
        rows = np.arange(window.row, window.row_end)
        columns = np.arange(window.column, window.column_end)
        i, p = np.divmod(rows, LATTICE)
        j, q = np.divmod(columns, LATTICE)
        p, q = (p / LATTICE)[:, None], (q / LATTICE)[None, :]
        nodes = self._node_areas(np.arange(i[0], i[-1] + 2) * LATTICE, np.arange(j[0], j[-1] + 2) * LATTICE)
        i, j = i - i[0], j - j[0]
        along = nodes[:, j] * (1.0 - q) + nodes[:, j + 1] * q
        return np.asarray(along[i] * (1.0 - p) + along[i + 1] * p)

    def _node_areas(self, rows: Ints, columns: Ints) -> Floats:
        """Measure single cells in the analysis CRS, which keeps areas."""
        steps = ((0, 0), (1, 0), (1, 1), (0, 1))
        corners = [
            np.stack(np.meshgrid(self.left + (columns + x) * self.dx, self.top - (rows + y) * self.dy), axis=-1)
            for x, y in steps
        ]
        shape = corners[0].shape[:2]
        moved = self.analysis.of_crs(np.concatenate([c.reshape(-1, 2) for c in corners]), self.crs)
        nw, ne, se, sw = moved.reshape(4, *shape, 2)
        a, b = se - nw, sw - ne
        return np.asarray(np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) / 2.0)


@dataclass(frozen=True, eq=False)
class RasterData:
    """
    One raster layer as delivered, ready to be measured.

    Parameters
    ----------
    raster
        The raster.
    coverage
        Where it is authoritative; cells without data are not covered whatever this says.
    accuracy_m
        Of its position; NaN is unknown.
    statuses
        ``official``, ``open`` or ``synthetic``.
    """

    raster: Raster
    coverage: Coverage
    accuracy_m: float
    statuses: frozenset[str]


def open_raster(
    path: Path, name: str, wanted: CRS, classes: Mapping[str, tuple[int, ...]], analysis: AnalysisCRS
) -> Raster:
    """
    Open a raster of classes and check that it can be measured.

    Parameters
    ----------
    path
        The file, anything that GDAL reads.
    name
        What faults call it.
    wanted
        The CRS that the catalogue states.
    classes
        Name -> cell values.
    analysis
        The CRS of the sites.

    Returns
    -------
    Raster
        Its cells are read when they are needed.

    Raises
    ------
    LayerError
        With everything that makes it unusable: no CRS or another one, a turned grid, no place, several bands.
    """
    import rasterio  # noqa: PLC0415 - a cold start loads what it needs

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                faults = list(_raster_faults(dataset, name, wanted))
                at, size = dataset.transform, dataset.shape
    except rasterio.errors.RasterioError as problem:
        raise _unreadable(Path(name), problem) from None
    if faults:
        raise LayerError(faults)
    return Raster(path, wanted, at.c, at.f, at.a, -at.e, size[0], size[1], classes, analysis)


def _raster_faults(dataset: Any, name: str, wanted: CRS) -> Iterator[Fault]:  # noqa: ANN401 - rasterio's dataset
    if dataset.crs is None:
        yield Fault("crs_absent", name, {"wanted": wanted.name})
    else:
        try:
            crs = read_crs(dataset.crs.to_wkt(), name)
        except CRSError as error:
            yield from error.faults
        else:
            if not crs.equals(wanted, ignore_axis_order=True):
                yield Fault("crs_differs", name, {"file": crs.name, "wanted": wanted.name})
    at = dataset.transform
    if at.is_identity:
        yield Fault("raster_unplaced", name)
    elif at.b != 0.0 or at.d != 0.0 or at.a <= 0.0 or at.e >= 0.0:
        yield Fault("raster_turned", name)
    if dataset.count != 1:
        yield Fault("raster_bands", name, {"count": dataset.count})
    elif np.dtype(dataset.dtypes[0]).kind not in "iuf":
        yield Fault("raster_type", name, {"type": dataset.dtypes[0]})


def _unreadable(path: Path, problem: Exception) -> LayerError:
    return LayerError([Fault("unreadable", path.name, {"error": str(problem).replace(str(path), path.name)})])


def undeclared_values(raster: Raster, most: int = 5) -> tuple[list[str], int]:
    """
    Look through a whole raster for values that no class declares.

    Parameters
    ----------
    raster
        The raster.
    most
        How many of them are named.

    Returns
    -------
    values : list of str
        The smallest of them.
    cells : int
        How many cells have one.
    """
    found: set[float] = set()
    cells = 0
    with raster.open() as dataset:
        for block in blocks(raster.window):
            codes = raster.read(dataset, block)
            rows, columns = np.nonzero(codes == len(raster.declared) + 1)
            if rows.size:
                cells += rows.size
                part = dataset.read(1, window=((block.row, block.row_end), (block.column, block.column_end)))
                found |= {float(value) for value in np.unique(part[rows, columns])}
    return [f"{value:g}" for value in sorted(found)[:most]], cells


def blocks(window: Window) -> Iterator[Window]:
    """Cut a window along the blocks of the grid."""
    for row in range(window.row // BLOCK, -(-window.row_end // BLOCK)):
        for column in range(window.column // BLOCK, -(-window.column_end // BLOCK)):
            block = Window(row * BLOCK, column * BLOCK, (row + 1) * BLOCK, (column + 1) * BLOCK)
            yield block.within(window)
