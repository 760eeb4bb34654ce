"""The rows of ``zone.toml``, ``catalogue.toml``, ``targets.toml`` and ``reported.toml``, typed and frozen."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from geojw.errors import Fault
from geojw.texts import catalogue, say

ROW = ConfigDict(extra="forbid")
"""How every row is read: unknown keys are faults; the types below are not guessed from text."""

Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True, ge=0)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Number, Field(ge=0.0)]
Share = Annotated[Positive, Field(le=1.0)]
Day = Annotated[date, Field(strict=True)]
Words = tuple[str, ...]
Filters = tuple[Mapping[str, Annotated[Words, Field(min_length=1)]], ...]
"""Filters on features of which any suffices; in each, every column must match."""

Lonlat = tuple[Number, Number]
Audience = Literal["internal", "department", "public"]
Status = Literal["official", "open", "synthetic"]
UNLIMITED = "unlimited"

RowT = TypeVar("RowT")


@dataclass(frozen=True, config=ROW)
class Words2:
    """A text in the two languages of every output."""

    zh: str
    en: str

    def in_(self, lang: str) -> str:
        """Give the text in one language."""
        return self.zh if lang == "zh" else self.en


@dataclass(frozen=True, config=ROW)
class Basis:
    """The legal basis of a rule or target, down to the article."""

    title: str
    article: str
    url: str
    verified: Flag
    in_force_checked: Day | None = None

    def text(self, lang: str) -> str:
        """Name the clause, and whether anybody checked that it is in force."""
        checked = self.in_force_checked
        force = say("basis.unchecked", lang) if checked is None else say("basis.checked", lang, day=checked.isoformat())
        return " ".join(part for part in (self.title, self.article, force) if part)


@dataclass(frozen=True, config=ROW)
class Attribute:
    """How one attribute of sites is read; see ``docs/zone-pack.md``."""

    title: Words2 | None = None
    type: Literal["code", "boolean", "text"] = "text"
    scheme: str | None = None
    scheme_column: str | None = None
    codes: Words = ()
    digits: Whole | None = None
    column: str | None = None


@dataclass(frozen=True, config=ROW)
class Zone:
    """The row of ``zone.toml``."""

    id: str
    title: Words2
    centre: Lonlat
    boundary: str
    sliver_m2: Positive
    site_accuracy_m: Positive | None = None
    sliver_m: Positive = 0.1
    planar_crs: str | None = None
    validity_days: Whole | None = None
    notice: Words2 | None = None
    contact: Words2 | None = None
    sample_sites: str | None = None
    divisions: Words = ()
    attributes: Mapping[str, Attribute] = Field(default_factory=dict)
    columns: Mapping[str, Words] = Field(default_factory=dict)


@dataclass(frozen=True, config=ROW)
class Source:
    """Where a layer comes from."""

    publisher: str
    date: Day
    licence: str
    version: str | None = None
    url: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    note: Words2 | None = None


@dataclass(frozen=True, config=ROW)
class Release:
    """Who let an audience see a layer, and when."""

    audience: Audience
    approver: str
    date: Day
    document: str | None = None
    review: str | None = None


@dataclass(frozen=True, config=ROW)
class Paint:
    """How a layer is drawn."""

    colour: Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
    opacity: Share = 0.25
    weight: Positive = 1.0
    dash: str | None = None
    hatch: Flag = False
    names: Flag = False
    shown: Flag = True


@dataclass(frozen=True, config=ROW)
class Layer:
    """One row of ``catalogue.toml``; its id is the table's name."""

    title: Words2
    kind: Literal["vector", "raster"]
    path: str
    crs: str
    coverage: str
    status: Status
    audience: Audience
    source: Source
    paint: Paint
    geometry: Literal["polygon", "line", "point"] | None = None
    id: str | None = None
    table: str | None = None
    encoding: str | None = None
    accuracy_m: Positive | None = None
    audience_columns: Mapping[Audience, Words] = Field(default_factory=dict)
    codes: Mapping[str, Words] = Field(default_factory=dict)
    may_be_empty: Flag = False
    min_features: Whole | None = None
    classes: Mapping[str, tuple[Whole, ...]] = Field(default_factory=dict)
    label: str | None = None
    names_en: Mapping[str, str] = Field(default_factory=dict)
    group: Words2 | None = None
    release: tuple[Release, ...] = ()


@dataclass(frozen=True, config=ROW)
class Quantity:
    """What a target measures; see ``docs/zone-pack.md`` for which kind takes which key."""

    kind: Literal[
        "layer_area", "layer_share", "layer_count", "area_rate", "count_rate", "cover_share", "reported", "scope"
    ]
    layer: str | None = None
    within: str | None = None
    counts: Filters = ()
    of: Filters = ()
    classes: Words = ()
    min_data_share: Share | None = None
    formula: Words2 | None = None
    formula_verified: Flag | None = None


@dataclass(frozen=True, config=ROW)
class Target:
    """One row of ``targets.toml``."""

    id: str
    title: Words2
    quantity: Quantity
    op: Literal[">=", "<=", "=", "about"]
    value: Number
    unit: str
    basis: Basis
    by: Whole | None = None
    departments: Words = ()
    tolerance: Positive | None = None
    note: Words2 | None = None


@dataclass(frozen=True, config=ROW)
class Reported:
    """One row of ``reported.toml``: what a department says of a target on a day."""

    target: str
    value: Number
    unit: str
    source: str
    status: Status
    as_of: Day | None = None
    of: Positive | None = None


def read_toml(path: Path, faults: list[Fault]) -> dict[str, Any] | None:
    """Read one TOML file; what is wrong goes to `faults` and None comes back."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        faults.append(Fault("file_missing", path.name))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(Fault("not_toml", path.name, {"error": error}))
    except OSError as error:
        faults.append(Fault("file_unreadable", path.name, {"error": error.strerror or error}))
    return None


def read_row(kind: type[RowT], value: object, where: str, faults: list[Fault]) -> RowT | None:
    """
    Read one row.

    Parameters
    ----------
    kind
        The row's dataclass.
    value
        What the TOML says.
    where
        File and row, for the faults.
    faults
        Gets every fault of the row.

    Returns
    -------
    object or None
        The row, or None if anything is wrong with it.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        items = error.errors()
        # A list of which every item is wrong is called too short as well.
        inner = {item["loc"][:cut] for item in items for cut in range(len(item["loc"]))}
        kept = [item for item in items if item["type"] != "too_short" or item["loc"] not in inner]
        told = {(fault.key, fault.where): fault for fault in (_fault(item, kind, where, value) for item in kept)}
        faults.extend(told.values())
        return None


def _fault(item: Any, kind: type[object], where: str, value: object) -> Fault:  # noqa: ANN401 - pydantic's own dict
    loc = _in_the_file(item["loc"], value)
    path = ".".join(str(part) for part in loc)
    where = f"{where}, {path}" if path else where
    got = repr(item["input"])[:80]
    match item["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            known = _keys_at(kind, loc[:-1])
            near = difflib.get_close_matches(str(loc[-1]), known, 1)
            key, fields = (
                ("unknown_key_near", {"near": near[0]})
                if near
                else ("unknown_key", {"known": ", ".join(sorted(known))})
            )
        case "missing" | "missing_argument":
            key, fields = "missing_key", {}
        case "literal_error":
            key, fields = "not_one_of", {"got": got, "known": item["ctx"]["expected"].replace(" or ", ", ")}
        case _ if len(loc) < len(item["loc"]):
            key, fields = "value_of_neither", {"got": got}
        case one:
            key = f"value_{one}" if f"fault.value_{one}" in catalogue() else "wrong_value"
            fields = {"got": got, **item.get("ctx", {})}
    return Fault(key, where, fields)


def _in_the_file(loc: tuple[str | int, ...], value: Any) -> tuple[str | int, ...]:  # noqa: ANN401 - walks TOML
    """Cut a place down to what the file has: a missing key is its last part, arms of a union are none."""
    for number, part in enumerate(loc):
        if isinstance(value, dict):
            if part not in value:
                return loc[: number + 1]
        elif not (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            return loc[:number]
        value = value[part]
    return loc


def _keys_at(kind: Any, loc: tuple[str | int, ...]) -> list[str]:  # noqa: ANN401 - walks annotations
    """Give the keys that the row at this place may have."""
    for part in loc:
        fields = getattr(kind, "__pydantic_fields__", None)
        kind = fields[part].annotation if fields and part in fields else kind
        kind = next((arm for arm in getattr(kind, "__args__", ()) if hasattr(arm, "__pydantic_fields__")), kind)
    return list(getattr(kind, "__pydantic_fields__", ()))
