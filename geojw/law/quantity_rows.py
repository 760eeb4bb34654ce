"""What a row of ``targets.toml`` must say so that it can be measured, held against the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from geojw.errors import Fault
from geojw.law.access_list import listed
from geojw.law.catalogue import Filters, Layer, Target

MU_M2 = 10_000.0 / 15.0
"""亩: fifteen to the hectare."""

AREA_UNITS: Mapping[str, float] = {"km2": 1e6, "ha": 1e4, "mu": MU_M2, "m2": 1.0}
SHARE_UNITS: Mapping[str, float] = {"%": 0.01, "share": 1.0}
"""Unit -> how much of m², or of a whole, it is."""

_PLACE = ("layer", "within")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "layer_area": _PLACE, "layer_share": _PLACE, "layer_count": _PLACE,
    "area_rate": (*_PLACE, "counts", "of", "formula", "formula_verified"),
    "count_rate": (*_PLACE, "counts", "of", "formula", "formula_verified"),
    "cover_share": (*_PLACE, "classes", "min_data_share"), "reported": (), "scope": (),
}  # fmt: skip
"""Kind of quantity -> the keys that it must have."""

MAY_HAVE: Mapping[str, tuple[str, ...]] = {
    "layer_area": ("counts",), "layer_share": ("counts",), "layer_count": ("counts",),
}  # fmt: skip
KEYS = ("layer", "within", "counts", "of", "classes", "min_data_share", "formula", "formula_verified")


def units_of(kind: str) -> Mapping[str, float] | None:
    """Give the units in which a kind of quantity can be told; None is any."""
    if kind == "layer_area":
        return AREA_UNITS
    return SHARE_UNITS if kind.endswith(("_share", "_rate")) else None


def target_faults(target: Target, layers: Mapping[str, Layer], known: set[str]) -> Iterable[Fault]:
    """
    Find what is wrong with a target.

    Parameters
    ----------
    target
        The row.
    layers
        The rows of the catalogue that could be read.
    known
        The names of all its rows.

    Yields
    ------
    Fault
        Each with its place.
    """
    at, quantity = f"targets.toml, target {target.id}", target.quantity
    needed, also = NEEDS[quantity.kind], MAY_HAVE.get(quantity.kind, ())
    for key in KEYS:
        given = getattr(quantity, key) not in (None, ())
        if key in needed and not given:
            yield Fault("missing_key", f"{at}, quantity.{key}")
        elif given and key not in (*needed, *also):
            yield Fault("key_unused", f"{at}, quantity.{key}", {"kind": quantity.kind})
    if target.tolerance is not None and target.op != "about":
        yield Fault("tolerance_of_op", f"{at}, tolerance", {"op": target.op})
    units = units_of(quantity.kind)
    if units is not None and target.unit not in units:
        yield Fault("not_one_of", f"{at}, unit", {"got": repr(target.unit), "known": ", ".join(units)})
    for key in _PLACE:
        name = getattr(quantity, key)
        if name is not None and key in needed and name not in known:
            yield Fault("unknown_layer", f"{at}, quantity.{key}", {"layer": name})
    yield from _layer_faults(target, layers, at)


def _layer_faults(target: Target, layers: Mapping[str, Layer], at: str) -> Iterable[Fault]:
    """Find what does not fit the layers that a target is measured on."""
    quantity = target.quantity
    within, layer = layers.get(quantity.within or ""), layers.get(quantity.layer or "")
    if within is not None and within.geometry != "polygon":
        yield Fault("boundary_not_polygon", f"{at}, quantity.within", {"layer": quantity.within})
    if layer is None:
        return
    raster, areas = quantity.kind == "cover_share", quantity.kind not in ("layer_count", "count_rate")
    kind = "raster" if layer.kind == "raster" else layer.geometry  # without a geometry, that is the fault
    if kind and ((kind == "raster") != raster or (areas and not raster and kind != "polygon")):
        yield Fault("measure_of_kind", f"{at}, quantity.layer", {"measure": quantity.kind, "kind": kind})
    for name in quantity.classes:
        if raster and kind == "raster" and name not in layer.classes:
            known = ", ".join(sorted(layer.classes))
            yield Fault("class_unknown", f"{at}, quantity.classes", {"got": name, "known": known})
    yield from _value_faults({"counts": quantity.counts, "of": quantity.of}, layer, at)


def _value_faults(filters: Mapping[str, Filters], layer: Layer, at: str) -> Iterable[Fault]:
    """Find values that a column's declared codes do not know."""
    for key, rows in filters.items():
        for where in rows:
            for column, values in where.items():
                codes = layer.codes.get(column, ())
                for value in values:
                    stem = value.removesuffix("*")
                    known = any(listed(code, (value,)) or listed(stem, (code,)) for code in codes)
                    if codes and not known:
                        yield Fault("value_not_in_codes", f"{at}, quantity.{key}.{column}", {"got": value})
