"""Coordinates as short texts: steps of a grid, each vertex from the one before, six bits a character."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Five bits of a number, the lowest first; those of the second half say that more follow."""

_DIGITS = np.frombuffer(DIGITS.encode(), dtype=np.uint8)
_BITS = 5
_RING, _PART = ",", ";"
_AREA = 2
"""Dimension of a polygon."""


@dataclass(frozen=True)
class Packing:
    """
    How coordinates are written: whole steps of 10^-decimals degrees from an origin, each vertex from the one before.

    Parameters
    ----------
    decimals
        Of a degree.
    west, south
        The origin in steps.
    """

    decimals: int
    west: int
    south: int

    @property
    def step(self) -> float:
        """The step in degrees."""
        return float(10.0**-self.decimals)

    @property
    def origin(self) -> NDArray[np.int64]:
        """The origin in steps: x and y."""
        return np.array([self.west, self.south], dtype=np.int64)

    def steps(self, xy: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give coordinates in steps from the origin."""
        return np.asarray(np.rint(xy / self.step).astype(np.int64) - self.origin)

    def packed(self, geometries: NDArray[np.object_], origins: NDArray[np.int64] | None = None) -> list[str | None]:
        """
        Give each shape as a text: its dimension, then its lines; None where there is nothing.

        Parameters
        ----------
        geometries
            In degrees.
        origins
            Steps from the origin to count a shape's own vertices from, a row for each; by default none.

        Returns
        -------
        list of str or None
            Parts are separated by ``;``, the rings of a polygon's part by ``,``. Rings are open; shells run
            anticlockwise, holes clockwise, so that shapes may be filled together without darkening where they overlap.
        """
        shapes = self.snapped(geometries)
        parts, shape_of = shapely.get_parts(shapes, return_index=True)
        fit = shapely.get_dimensions(parts) == shapely.get_dimensions(shapes)[shape_of]
        parts, shape_of = shapely.orient_polygons(parts[fit]), shape_of[fit]
        dimension = shapely.get_dimensions(parts)
        rings, of_ring = shapely.get_rings(parts, return_index=True)
        others = np.flatnonzero(dimension < _AREA)
        part_of = np.concatenate([of_ring, others])
        order = np.argsort(part_of, kind="stable")
        lines, part_of = np.concatenate([rings, parts[others]])[order], part_of[order]
        drop = (dimension == _AREA).astype(np.int64)[part_of]
        start = np.zeros((len(geometries), 2), dtype=np.int64) if origins is None else origins
        texts = self._lines(lines, drop, start[shape_of[part_of]])
        out: list[str | None] = [None] * len(geometries)
        last = -1
        for part, text in zip(part_of.tolist(), texts, strict=True):
            at = int(shape_of[part])
            before = out[at]
            out[at] = (
                f"{dimension[part]}{text}" if before is None else before + (_RING if part == last else _PART) + text
            )
            last = part
        return out

    def snapped(self, geometries: NDArray[np.object_]) -> NDArray[np.object_]:
        """Round without breaking a polygon; None where there is nothing to draw."""
        shapes = np.array(geometries, dtype=object)
        sound = shapely.is_valid(shapes) & ~shapely.is_empty(shapes)
        shapes[sound] = shapely.set_precision(shapes[sound], self.step)
        lost = sound & shapely.is_empty(shapes)  # too small for the grid: only rounded
        shapes[lost] = geometries[lost]
        shapes[shapely.is_missing(shapes) | shapely.is_empty(shapes)] = None
        return shapes

    def line(self, xy: NDArray[np.float64]) -> str:
        """Give one line as a text, without its dimension."""
        return self._lines(np.array([shapely.linestrings(xy)]), np.zeros(1, np.int64), np.zeros((1, 2), np.int64))[0]

    def _lines(self, lines: NDArray[np.object_], drop: NDArray[np.int64], start: NDArray[np.int64]) -> list[str]:
        """Give lines as texts, without the vertices at their ends that are dropped; see `packed`."""
        xy, of = shapely.get_coordinates(lines, return_index=True)
        counts = np.bincount(of, minlength=len(lines))
        place = np.arange(len(xy)) - (np.cumsum(counts) - counts)[of]
        keep = place < (counts - drop)[of]
        of, first = of[keep], place[keep] == 0
        steps = self.steps(xy[keep])
        moves = np.diff(steps, axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
        moves[first] = steps[first] - start[of[first]]
        return texts_of_numbers(moves.ravel(), 2 * (counts - drop))


def texts_of_numbers(numbers: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[str]:
    """
    Write lists of whole numbers, each as a text.

    Parameters
    ----------
    numbers
        All lists, one after the other.
    lengths
        How many numbers each list has.

    Returns
    -------
    list of str
        A number's sign is its lowest bit; see `DIGITS`.
    """
    bits = (numbers << 1) ^ (numbers >> 63)
    count = np.ones(len(bits), dtype=np.int64)
    rest = bits >> _BITS
    while rest.any():
        count += rest > 0
        rest >>= _BITS
    ends = np.cumsum(count)
    written = np.empty(int(count.sum()), dtype=np.uint8)
    for place in range(int(count.max(initial=0))):
        has = count > place
        digit = (bits[has] >> (_BITS * place)) & 31
        written[(ends - count)[has] + place] = _DIGITS[digit + 32 * (count[has] > place + 1)]
    text = written.tobytes().decode("ascii")
    stops = np.concatenate([[0], np.concatenate([[0], ends])[np.cumsum(lengths)]]).tolist()
    return [text[a:b] for a, b in pairwise(stops)]
