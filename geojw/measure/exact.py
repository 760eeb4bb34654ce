"""
On which side of a line a point lies, decided exactly. Compiled; loaded only where many sites are measured.

The sign of a 2 x 2 determinant of differences is taken from floating point where its rounding error cannot change
it, and else from the exact value, a sum of twelve floats (J. R. Shewchuk, "Adaptive Precision Floating-Point
Arithmetic and Fast Robust Geometric Predicates", 1997). A point on the line is decided too, always in the same way,
as if all sites were moved by an infinitely small step east and a still smaller one north (H. Edelsbrunner and
E. P. Mücke, "Simulation of Simplicity", 1990): no vertex then lies on an edge, no two edges run along each other, and
since areas change with such a step by nothing, they are exact for neighbours that share edges too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import config as _config
from numba import njit

from geojw.measure.cache import code_folder

SIDE_ERROR = 3.3306690738754716e-16
"""Rounding of the determinant, as a share of the sum of its two products: (3 + 16 u) u with u = 2^-53."""

_SPLITTER = 2.0**27 + 1.0

_Function = TypeVar("_Function", bound=Callable[..., Any])

_KEPT = code_folder()

_numba: Any = _config
"""numba's settings, made when they are read: no type checker knows them."""


def _kernel(**more: bool) -> Callable[[_Function], _Function]:
    """
    Give what compiles a function and keeps it in the folder that belongs to the source as it is.

    Where there is no such folder, each process compiles anew.
    """
    options: dict[str, Any] = {"cache": _KEPT is not None, "nogil": True, "error_model": "numpy", **more}
    compile_it = njit(**options)

    def compiling(function: _Function) -> _Function:
        others, _numba.CACHE_DIR = _numba.CACHE_DIR, str(_KEPT)  # read where a function is decorated
        try:
            return cast("_Function", compile_it(function))
        finally:
            _numba.CACHE_DIR = others

    return compiling


compiled = _kernel()
"""How functions that make arrays are compiled."""

uncounted = _kernel(_nrt=False)
"""
How all others are compiled that are called for each site or edge: they neither make an array nor give one back.

numba counts who holds an array, each time that one is taken from a tuple or passed on, by additions that two threads
may not do at the same time; where all arrays outlive the call this is for nothing, and took half of the time.
"""

counted = _kernel(_nrt=True)
"""How a function is compiled that makes an array of its own and is called from an uncounted one."""


@uncounted
def _two_product(a, b):
    """Give a product and its rounding error."""
    product = a * b
    scaled = _SPLITTER * a
    a_high = scaled - (scaled - a)
    a_low = a - a_high
    scaled = _SPLITTER * b
    b_high = scaled - (scaled - b)
    b_low = b - b_high
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, error


@counted
def _exact_sign(ax, ay, bx, by, cx, cy):
    """Give the sign of (b - a) x (c - a) from the exact sum of its six products."""
    total = np.zeros(12)
    length = 0
    for number in range(6):
        if number == 0:
            high, low = _two_product(ax, by)
        elif number == 1:
            high, low = _two_product(-ay, bx)
        elif number == 2:
            high, low = _two_product(bx, cy)
        elif number == 3:
            high, low = _two_product(-by, cx)
        elif number == 4:
            high, low = _two_product(cx, ay)
        else:
            high, low = _two_product(-cy, ax)
        for part in (low, high):
            carried = part
            for i in range(length):
                whole = carried + total[i]
                virtual = whole - carried
                total[i] = (carried - (whole - virtual)) + (total[i] - virtual)
                carried = whole
            total[length] = carried
            length += 1
    for i in range(length - 1, -1, -1):  # parts do not overlap: the largest that is not 0 has the sign of the sum
        if total[i] != 0.0:
            return 1.0 if total[i] > 0.0 else -1.0
    return 0.0


@uncounted
def side(ax, ay, bx, by, cx, cy):
    """Give 1 where c lies left of the line from a to b, -1 right of it, 0 on it: exact for all finite coordinates."""
    left = (bx - ax) * (cy - ay)
    right = (by - ay) * (cx - ax)
    value = left - right
    bound = SIDE_ERROR * (abs(left) + abs(right))
    if value > bound:
        return 1.0
    if value < -bound:
        return -1.0
    return _exact_sign(ax, ay, bx, by, cx, cy)


@uncounted
def side_of_site_edge(px, py, qx, qy, ux, uy):
    """Give the side of a site's edge on which a vertex of the layer lies: 1 or -1, the site moved by nothing."""
    sign = side(px, py, qx, qy, ux, uy)
    if sign != 0.0:
        return sign
    if qy != py:
        return 1.0 if qy > py else -1.0
    return -1.0 if qx > px else 1.0


@uncounted
def side_of_layer_edge(ux, uy, vx, vy, px, py):
    """Give the side of a layer's edge on which a vertex of a site lies: 1 or -1, the site moved by nothing."""
    sign = side(ux, uy, vx, vy, px, py)
    if sign != 0.0:
        return sign
    if vy != uy:
        return -1.0 if vy > uy else 1.0
    return 1.0 if vx > ux else -1.0
