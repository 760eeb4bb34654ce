"""A local grid brought to CGCS2000 by control points: a plane similarity, residuals and uncertainty."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geojw.errors import CRSError, Fault
from geojw.intake.datums import DEGREES, sizes
from geojw.intake.transformations import Moved
from geojw.measure.geodesy import Floats, Geometries

CONTROL_COLUMNS = ("x", "y", "X", "Y")
"""East and north in the local grid, then east and north in the CRS that the grid is brought to."""

_LEAST = 3
_FLATTEST = 0.01
"""Width of the points across their line, as a share of their length, below which they count as one line."""

_SCALE_RANGE = 0.01
"""Grids in metres differ by less: 0.02 % for a height of 1 km, 0.04 % for the edge of a 3-degree zone."""

_GROSS = 0.01
_BOUND = 0.05
_RESOLUTION_M = 1e-3


@dataclass(frozen=True, eq=False)
class Similarity:
    """
    A plane similarity (four parameters) fitted to control points by least squares.

    Parameters
    ----------
    points
        The control points with dx_m, dy_m (given minus computed) and residual_m.
    scale
        Of the local grid to the target.
    rotation_deg
        Counter-clockwise.
    rms_m
        Root mean square of the residuals' lengths.
    """

    points: pd.DataFrame
    scale: float
    rotation_deg: float
    rms_m: float
    _centre: complex
    _target: complex
    _turn: complex
    _spread: float

    def apply(self, geometries: Geometries, target: CRS, where: str) -> Moved:
        """
        Bring geometries of the local grid into the CRS of the control points' X and Y.

        The uncertainty is the 95 % bound of a new point's prediction, from the residuals and how far it lies from the
        points: sqrt(2 F(2, 2n - 4) s² (1 + h)); with three points F is 19. An error common to all points is not seen.
        """
        moved = np.asarray(shapely.transform(geometries, self._move), dtype=object)
        n = len(self.points)
        west, south, east, north = shapely.bounds(geometries).T
        corners = np.stack([west + 1j * south, west + 1j * north, east + 1j * south, east + 1j * north])
        leverage = 1.0 / n + (np.abs(corners - self._centre) ** 2).max(axis=0) / self._spread
        variance = self.rms_m**2 * n / (2 * n - 4)
        bound = np.sqrt(2.0 * _f_quantile(_BOUND, 2 * n - 4) * variance * (1.0 + leverage))
        told = {"n": n, "rms": f"{self.rms_m:.3f}", "worst": f"{self.points['residual_m'].max():.3f}"}
        told |= {"name": str(self.points.index[int(np.argmax(self.points["residual_m"]))])}
        remarks = [Fault("coords.control_used", where, {**told, "m": f"{np.nanmax(bound, initial=0.0):.3f}"})]
        if (leverage > 2.0).any():  # noqa: PLR2004 - farther out than the points reach from their centre
            remarks.append(Fault("coords.control_far", where))
        return Moved(moved, target, bound, tuple(remarks))

    def _move(self, xy: Floats) -> Floats:
        moved = self._target + self._turn * (xy[:, 0] + 1j * xy[:, 1] - self._centre)
        return np.column_stack([moved.real, moved.imag])


def read_control(text: str, where: str) -> pd.DataFrame:
    """
    Read control points from the text of a CSV.

    Parameters
    ----------
    text
        With columns x, y (local), X, Y (target), east before north; a further column names the points.
    where
        The file, for the faults.

    Returns
    -------
    DataFrame
        Columns x, y, X, Y; index = name or row.

    Raises
    ------
    CRSError
        With every missing column and every row that is no number.
    """
    rows = list(csv.DictReader(io.StringIO(text.replace("\ufeff", "").replace("\x00", ""))))
    fields = list(rows[0]) if rows else []
    missing = [name for name in CONTROL_COLUMNS if name not in fields]
    if missing:
        raise CRSError([Fault("coords.control_columns", where, {"missing": ", ".join(missing)})])
    naming = next((name for name in fields if name not in CONTROL_COLUMNS and name is not None), None)
    faults: list[Fault] = []
    values = [
        [_coordinate(row, name, f"{where}, {at}", faults) for name in CONTROL_COLUMNS] for at, row in enumerate(rows, 2)
    ]
    if faults:
        raise CRSError(faults)
    names = [str(row.get(naming) or at) if naming else str(at) for at, row in enumerate(rows, 1)]
    return pd.DataFrame(values, columns=list(CONTROL_COLUMNS), index=pd.Index(names, dtype=object), dtype=float)


def _coordinate(row: Mapping[str, str | None], name: str, at: str, faults: list[Fault]) -> float:
    try:
        value = float(row[name] or "")
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        faults.append(Fault("coords.control_number", at, {"column": name, "got": str(row[name])[:30]}))
    return value


def fit_control(points: pd.DataFrame, where: str) -> Similarity:
    """
    Fit a plane similarity to control points.

    Parameters
    ----------
    points
        From `read_control`.
    where
        The file, for the faults.

    Returns
    -------
    Similarity
        With the residual of each point.

    Raises
    ------
    CRSError
        Fewer than three points, points in a line or in one place, exchanged axes, a scale that no grid in metres has,
        or a point that disagrees with all others (an F test of each point against the fit without it, at 1 % over
        all points; it needs four).
    """
    xy, target = points[["x", "y"]].to_numpy(dtype=float), points[["X", "Y"]].to_numpy(dtype=float)
    _check_control(xy, target, where)
    z, goal = xy[:, 0] + 1j * xy[:, 1], target[:, 0] + 1j * target[:, 1]
    turn, residual = _least_squares(z, goal)
    _, mirrored = _least_squares(z.conj(), goal)
    if _sum2(mirrored) < _sum2(residual) / 100.0:
        raise CRSError([Fault("coords.control_mirrored", where)])
    if abs(abs(turn) - 1.0) > _SCALE_RANGE:
        raise CRSError([Fault("coords.control_scale", where, {"scale": f"{abs(turn):.5f}"})])
    _check_gross(z, residual, points.index, where)
    told = points.assign(dx_m=residual.real, dy_m=residual.imag, residual_m=np.abs(residual))
    return Similarity(
        told,
        float(abs(turn)),
        float(np.degrees(np.angle(turn))),
        float(np.sqrt(_sum2(residual) / len(z))),
        complex(z.mean()),
        complex(goal.mean()),
        complex(turn),
        _sum2(z - z.mean()),
    )


def _check_control(xy: Floats, target: Floats, where: str) -> None:
    if len(np.unique(xy, axis=0)) < _LEAST:
        raise CRSError([Fault("coords.control_few", where, {"n": len(np.unique(xy, axis=0))})])
    for plane in (xy, target):
        longest, shortest = np.linalg.svd(plane - plane.mean(axis=0), compute_uv=False)
        if shortest <= _FLATTEST * longest:
            raise CRSError([Fault("coords.control_line", where)])
    labels = np.unique(sizes(target))
    if len(labels) > 1 or labels[0] % 2 or labels[0] == DEGREES:
        raise CRSError([Fault("coords.control_target", where)])


def _least_squares(z: NDArray[np.complex128], goal: NDArray[np.complex128]) -> tuple[complex, NDArray[np.complex128]]:
    """Give the turn (scale and rotation in one number) and the residuals of goal = a + turn z."""
    around, wanted = z - z.mean(), goal - goal.mean()
    turn = complex(np.vdot(around, wanted) / _sum2(around))
    return turn, wanted - turn * around


def _check_gross(z: NDArray[np.complex128], residual: NDArray[np.complex128], names: pd.Index[Any], where: str) -> None:
    """Name the point whose distance from the fit of the others is beyond chance."""
    n = len(z)
    freedom = 2 * n - 6
    if freedom <= 0:
        return
    share = 1.0 - 1.0 / n - np.abs(z - z.mean()) ** 2 / _sum2(z - z.mean())
    without = np.maximum(_sum2(residual) - np.abs(residual) ** 2 / share, 0.0) / freedom
    without = np.maximum(without, _RESOLUTION_M**2)
    beyond = np.abs(residual) ** 2 / share / 2.0 / without / _f_quantile(_GROSS / n, freedom)
    worst = int(np.argmax(beyond))
    if beyond[worst] > 1.0:
        off_m = abs(residual[worst]) / share[worst]
        raise CRSError([Fault("coords.control_gross", where, {"name": names[worst], "m": f"{off_m:.3f}"})])


def _f_quantile(beyond: float, freedom: int) -> float:
    """Give what an F-distributed number with 2 and `freedom` degrees of freedom exceeds with this probability."""
    return float(freedom / 2.0 * (beyond ** (-2.0 / freedom) - 1.0))


def _sum2(z: NDArray[np.complex128]) -> float:
    return float(np.real(np.vdot(z, z)))
