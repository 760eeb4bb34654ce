"""A zone pack as one thing, its TOML files read and held against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from geojw.errors import CRSError, Fault, PackError
from geojw.law.access_list import Rule, Test, listed
from geojw.law.catalogue import (
    UNLIMITED,
    Attribute,
    Layer,
    Reported,
    Target,
    Words,
    Zone,
    read_row,
    read_toml,
)
from geojw.law.quantity_rows import target_faults
from geojw.measure.geodesy import read_crs

RowT = TypeVar("RowT", Rule, Target)

HALF_TURN = 180.0
"""Degrees: the largest longitude; the largest latitude is half of it."""

OWN_COLUMNS = ("site_id", "name", "accuracy_m")
"""Columns of sites that geojw reads whatever the rules."""

CLASS = "class"
"""What a rule's `where` on a raster names: classes of the catalogue."""

FILES = ("zone.toml", "catalogue.toml", "access_list.toml", "targets.toml")
REPORTED = "reported.toml"


@dataclass(frozen=True)
class Pack:
    """
    A zone pack without its data.

    Parameters
    ----------
    folder
        Where its files are.
    zone
        Name, centre, tolerances, attributes.
    layers
        Layer id -> row.
    rules
        Every rule, in force or not, sorted by id.
    targets
        Every target, sorted by id.
    reported
        What departments reported of targets.
    hashes
        TOML file -> sha256.
    """

    folder: Path
    zone: Zone
    layers: Mapping[str, Layer]
    rules: tuple[Rule, ...]
    targets: tuple[Target, ...]
    reported: tuple[Reported, ...]
    hashes: Mapping[str, str]

    def in_force(self, day: date) -> tuple[Rule, ...]:
        """Give the rules that count on a day."""
        return tuple(rule for rule in self.rules if rule.enabled and rule.in_force.on(day))

    def layers_in_force(self, day: date) -> list[str]:
        """Give the layers of the rules that count on a day, sorted."""
        return sorted({rule.layer for rule in self.in_force(day)})

    @property
    def site_columns(self) -> Mapping[str, Words]:
        """The columns of sites that the rules ask for, each with the other names by which it is known."""
        keys = {key for rule in self.rules for key in rule.attributes}
        schemes = {spec.scheme_column for spec in self.zone.attributes.values() if spec.scheme_column}
        names = {self.attribute(key).column or key for key in keys} | schemes | {"accuracy_m"}
        return {name: self.zone.columns.get(name, ()) for name in sorted(names)}

    def attribute(self, key: str) -> Attribute:
        """Give how an attribute of sites is read, declared or not."""
        return self.zone.attributes.get(key) or Attribute()


def load_pack(folder: Path) -> Pack:
    """
    Read a zone pack's TOML files.

    Parameters
    ----------
    folder
        With ``zone.toml``, ``catalogue.toml``, ``access_list.toml`` and ``targets.toml``; perhaps ``reported.toml``.

    Returns
    -------
    Pack
        The pack; its data files are not read yet.

    Raises
    ------
    PackError
        With every fault of all files.
    """
    if not folder.is_dir():
        raise PackError([Fault("pack_missing", str(folder))])
    faults: list[Fault] = []
    names = [*FILES, *([REPORTED] if (folder / REPORTED).exists() else [])]
    tables = {name: read_toml(folder / name, faults) for name in names}
    layer_rows = _layer_rows(tables["catalogue.toml"], faults)
    layers = _layers(layer_rows or {}, faults)
    zone_table = tables["zone.toml"]
    zone = None if zone_table is None else read_row(Zone, zone_table, "zone.toml", faults)
    rules = _rows(Rule, tables["access_list.toml"], "rule", "access_list.toml", faults)
    targets = _rows(Target, tables["targets.toml"], "target", "targets.toml", faults)
    reported = _reported(tables.get(REPORTED), targets, faults)
    if layer_rows is not None:  # else every layer would seem unknown
        known = set(layer_rows)
        faults += _layer_faults(layers, known)
        faults += [fault for rule in rules for fault in _rule_faults(rule, layers, known)]
        faults += [fault for target in targets for fault in target_faults(target, layers, known)]
        faults += [] if zone is None else _boundary_faults(zone, layers, known)
    faults += [] if zone is None else _zone_faults(zone)
    faults += [] if zone is None else _column_faults(zone, rules)
    attributes = {} if zone is None else zone.attributes
    faults += [fault for rule in rules for fault in _value_faults(rule, layers.get(rule.layer), attributes)]
    faults += _ungoverned(rules)
    if faults or zone is None:
        raise PackError(faults)
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    return Pack(folder, zone, layers, tuple(rules), tuple(targets), tuple(reported), hashes)


def _layer_rows(table: dict[str, Any] | None, faults: list[Fault]) -> dict[str, Any] | None:
    """Give the rows of the catalogue, or None where there is no telling what they are."""
    if table is None:
        return None
    faults += [Fault("unknown_key", f"catalogue.toml, {key}", {"known": "layers"}) for key in table if key != "layers"]
    rows = table.get("layers")
    if isinstance(rows, dict):
        return rows
    faults.append(Fault("not_tables", "catalogue.toml, layers"))
    return None


def _layers(rows: dict[str, Any], faults: list[Fault]) -> dict[str, Layer]:
    read = {name: read_row(Layer, row, f"catalogue.toml, layers.{name}", faults) for name, row in sorted(rows.items())}
    return {name: row for name, row in read.items() if row is not None}


def _rows(kind: type[RowT], table: dict[str, Any] | None, key: str, file: str, faults: list[Fault]) -> list[RowT]:
    """Read the rows of a table that have an id, sorted by it."""
    rows: list[RowT] = []
    seen: dict[str, int] = {}
    for number, value in enumerate(_raw_rows(table, key, file, faults), 1):
        name = value.get("id") if isinstance(value, dict) else None
        at = f"{file}, {key} {number}" + (f" ({name})" if isinstance(name, str) else "")
        row = read_row(kind, value, at, faults)
        if isinstance(name, str):
            if name in seen:
                faults.append(Fault("duplicate_id", at, {"first": seen[name]}))
            seen.setdefault(name, number)
        if row is not None:
            rows.append(row)
    return sorted(rows, key=lambda row: row.id)


def _raw_rows(table: dict[str, Any] | None, key: str, file: str, faults: list[Fault]) -> list[Any]:
    if table is None:
        return []
    faults += [Fault("unknown_key", f"{file}, {k}", {"known": key}) for k in table if k != key]
    raw = table.get(key, [])
    if isinstance(raw, list):
        return raw
    faults.append(Fault("not_rows", f"{file}, {key}", {"key": key}))
    return []


def _reported(table: dict[str, Any] | None, targets: Iterable[Target], faults: list[Fault]) -> list[Reported]:
    """Read what was reported, and hold it against the targets."""
    known = {target.id: target for target in targets}
    rows: list[Reported] = []
    seen: dict[tuple[str, date | None], int] = {}
    for number, value in enumerate(_raw_rows(table, "reported", REPORTED, faults), 1):
        at = f"{REPORTED}, reported {number}"
        row = read_row(Reported, value, at, faults)
        if row is None:
            continue
        rows.append(row)
        if row.target not in known:
            faults.append(Fault("target_unknown", f"{at}, target", {"got": row.target}))
        elif known[row.target].quantity.kind != "reported":
            faults.append(Fault("target_measured", f"{at}, target", {"got": row.target}))
        elif row.unit != known[row.target].unit:
            faults.append(Fault("unit_differs", f"{at}, unit", {"got": row.unit, "wanted": known[row.target].unit}))
        if (row.target, row.as_of) in seen:
            faults.append(Fault("reported_twice", at, {"first": seen[row.target, row.as_of]}))
        seen.setdefault((row.target, row.as_of), number)
    return sorted(rows, key=lambda row: (row.target, row.as_of or date.min))


def _layer_faults(layers: Mapping[str, Layer], known: set[str]) -> Iterable[Fault]:
    for name, layer in layers.items():
        at = f"catalogue.toml, layers.{name}"
        path = PurePosixPath(layer.path)
        if path.is_absolute() or ".." in path.parts or "\\" in layer.path or ":" in layer.path:
            yield Fault("path_outside", f"{at}, path", {"path": layer.path})
        yield from _crs_faults(layer.crs, f"{at}, crs")
        if layer.kind == "vector":
            for key in ("geometry", "id"):
                if getattr(layer, key) is None:
                    yield Fault("missing_key", f"{at}, {key}")
        elif not layer.classes:
            yield Fault("missing_key", f"{at}, classes")
        if layer.coverage == UNLIMITED:
            continue
        if layer.coverage not in known:
            yield Fault("unknown_layer", f"{at}, coverage", {"layer": layer.coverage})
        elif (cover := layers.get(layer.coverage)) and (cover.geometry != "polygon" or cover.coverage != UNLIMITED):
            yield Fault("bad_coverage", f"{at}, coverage", {"layer": layer.coverage})


def _boundary_faults(zone: Zone, layers: Mapping[str, Layer], known: set[str]) -> Iterable[Fault]:
    if zone.boundary not in known:
        yield Fault("unknown_layer", "zone.toml, boundary", {"layer": zone.boundary})
    elif (row := layers.get(zone.boundary)) and row.geometry != "polygon":
        yield Fault("boundary_not_polygon", "zone.toml, boundary", {"layer": zone.boundary})
    for name in zone.divisions:
        if name not in known:
            yield Fault("unknown_layer", "zone.toml, divisions", {"layer": name})
        elif (row := layers.get(name)) and row.geometry != "polygon":
            yield Fault("boundary_not_polygon", "zone.toml, divisions", {"layer": name})


def _zone_faults(zone: Zone) -> Iterable[Fault]:
    lon, lat = zone.centre
    if abs(lon) > HALF_TURN or abs(lat) > HALF_TURN / 2:
        yield Fault("centre_range", "zone.toml, centre", {"lon": lon, "lat": lat})
    if zone.planar_crs is not None:
        yield from _crs_faults(zone.planar_crs, "zone.toml, planar_crs", planar=True)
    for key, spec in zone.attributes.items():
        if (spec.scheme is None) != (spec.scheme_column is None):
            yield Fault("scheme_pair", f"zone.toml, attributes.{key}")


def _column_faults(zone: Zone, rules: Iterable[Rule]) -> Iterable[Fault]:
    """Find other names of columns that nobody reads, or that would stand for two."""
    keys = {key for rule in rules for key in rule.attributes} | set(zone.attributes)
    read = {(zone.attributes[key].column if key in zone.attributes else None) or key for key in keys}
    read |= {spec.scheme_column for spec in zone.attributes.values() if spec.scheme_column} | set(OWN_COLUMNS)
    owner = {name.casefold(): name for name in read}
    for key, names in zone.columns.items():
        if key not in read:
            yield Fault("unknown_key", f"zone.toml, columns.{key}", {"known": ", ".join(sorted(read))})
        for name in names:
            if owner.setdefault(name.strip().casefold(), key) != key:
                other = owner[name.strip().casefold()]
                yield Fault("column_twice", f"zone.toml, columns.{key}", {"name": name, "other": other})


def _crs_faults(text: str, at: str, *, planar: bool = False) -> Iterable[Fault]:
    try:
        crs = read_crs(text, at)
    except CRSError as error:
        yield from error.faults
        return
    if planar and not crs.is_projected:
        yield Fault("crs_not_planar", at, {"crs": crs.name})


def _rule_faults(rule: Rule, layers: Mapping[str, Layer], known: set[str]) -> Iterable[Fault]:
    at = f"access_list.toml, rule {rule.id}"
    if rule.layer not in known:
        yield Fault("unknown_layer", f"{at}, layer", {"layer": rule.layer})
    if rule.in_force.until is not None and rule.in_force.until <= rule.in_force.start:
        yield Fault("until_before_start", f"{at}, in_force")
    if not rule.enabled and not rule.reason:
        yield Fault("disabled_without_reason", at)
    if rule.enabled and not rule.basis.verified:
        yield Fault("unverified_enabled", at)
    layer = layers.get(rule.layer)
    if layer and (layer.kind == "raster") != (rule.test.measure == "cover_share"):
        yield Fault("measure_of_kind", f"{at}, test", {"measure": rule.test.measure, "kind": layer.kind})
    elif layer and layer.kind == "raster" and layer.classes:
        yield from _class_faults(rule, layer, f"{at}, where")


def _class_faults(rule: Rule, layer: Layer, at: str) -> Iterable[Fault]:
    """Find classes of a rule on a raster that the catalogue does not declare."""
    known = ", ".join(sorted(layer.classes))
    if set(rule.where) != {CLASS}:
        yield Fault("class_wanted", at, {"known": known})
    for name in rule.where.get(CLASS, ()):
        if name not in layer.classes:
            yield Fault("class_unknown", f"{at}.{CLASS}", {"got": name, "known": known})


def _value_faults(rule: Rule, layer: Layer | None, attributes: Mapping[str, Attribute]) -> Iterable[Fault]:
    """Find values of a rule that its declared codes do not know."""
    asked: list[tuple[str, Iterable[str | bool], Iterable[str]]] = []
    if layer is not None:
        asked += [(f"where.{column}", values, layer.codes.get(column, ())) for column, values in rule.where.items()]
    for part, wanted in (("applies", rule.applies), ("unless", rule.unless)):
        asked += [
            (f"{part}.{key}", values, attributes[key].codes if key in attributes else ())
            for key, values in wanted.items()
        ]
    for place, values, codes in asked:
        for value in values:
            if codes and isinstance(value, str) and not _within(value, codes):
                at = f"access_list.toml, rule {rule.id}, {place}"
                yield Fault("value_not_in_codes", at, {"got": value})


def _within(value: str, codes: Iterable[str]) -> bool:
    """Whether a listed value or prefix can match an allowed one."""
    stem = value.removesuffix("*")
    return any(
        listed(stem, (code,)) or (value.endswith("*") and code.removesuffix("*").startswith(stem)) for code in codes
    )


def _ungoverned(rules: Iterable[Rule]) -> Iterable[Fault]:
    """Find prohibitions whose exception would leave the lifted case without any rule."""
    rules = [rule for rule in rules if rule.enabled]
    for rule in rules:
        if rule.effect == "prohibit" and rule.unless and not any(_governs(other, rule) for other in rules):
            yield Fault("unless_on_prohibit", f"access_list.toml, rule {rule.id}, unless", {"layer": rule.layer})


def _governs(other: Rule, rule: Rule) -> bool:
    """Whether another rule surely catches every case that the exception of `rule` lifts."""
    if other is rule or other.layer != rule.layer or other.effect == "inform" or other.unless:
        return False
    lifted = {**rule.applies, **rule.unless}
    return (
        _lasts(other, rule)
        and _catches(other.test, rule.test)
        and all(set(rule.where.get(column, ())) <= set(values) for column, values in other.where.items())
        and all(column in rule.where for column in other.where)
        and all(key in lifted and set(lifted[key]) <= set(values) for key, values in other.applies.items())
    )


def _lasts(other: Rule, rule: Rule) -> bool:
    """Whether another rule is in force whenever `rule` is."""
    mine, its = rule.in_force, other.in_force
    ends_later = its.until is None or (mine.until is not None and its.until >= mine.until)
    return its.start <= mine.start and ends_later


def _catches(other: Test, test: Test) -> bool:
    """Whether one test holds wherever another does."""

    def family(one: Test) -> str:
        return "overlap" if one.measure.startswith("overlap") and one.value == 0.0 else one.measure

    upward = test.op in (">", ">=")
    if family(other) != family(test) or (other.op in (">", ">=")) != upward:
        return False
    if other.value == test.value:
        return other.op == test.op or other.op in (">=", "<=")
    return (other.value < test.value) == upward
