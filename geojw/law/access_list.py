"""The rows of ``access_list.toml`` and three-valued matching. Law is data: nothing of it is here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property, lru_cache
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from geojw.law.catalogue import ROW, Attribute, Basis, Day, Flag, Positive, Words, Words2
from geojw.law.effects import EFFECTS, Effect
from geojw.wording import Kinds, crossed

FEW = 32
"""So few cells are matched one by one: finding the equal ones first would take longer."""

FALSE, UNKNOWN, TRUE = 0, 1, 2
"""The three values, in this order so that `and` is the minimum and `or` the maximum."""

Values = Annotated[tuple[str | Flag, ...], Field(min_length=1)]
Three = NDArray[np.int8]

_MISSING = {"", "NULL", "null", "/", "nan", "None", "<NA>", "NaN"}
_TRUE = {"true", "是", "1", "t", "yes", "y"}
_FALSE = {"false", "否", "0", "f", "no", "n"}


@dataclass(frozen=True, config=ROW)
class Test:
    """The test of a rule: ``measure op value``."""

    __test__ = False  # not a test class of pytest

    measure: Literal["overlap_m2", "overlap_m", "overlap_point", "overlap_share", "distance_m", "cover_share"]
    op: Literal[">", ">=", "<", "<="]
    value: Positive

    @property
    def is_distance(self) -> bool:
        """Whether it is about nearness."""
        return self.measure == "distance_m"

    @property
    def is_share(self) -> bool:
        """Whether it is about a share of the site."""
        return self.measure.endswith("_share")

    @property
    def is_presence(self) -> bool:
        """Whether a hit means that something was found (else: that it was not)."""
        return (self.op in ("<", "<=")) == self.is_distance

    def holds(self, value: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value passes; NaN never does."""
        with np.errstate(invalid="ignore"):
            match self.op:
                case ">":
                    return value > self.value
                case ">=":
                    return value >= self.value
                case "<":
                    return value < self.value
                case _:
                    return value <= self.value


@dataclass(frozen=True, config=ROW)
class InForce:
    """From `start` (inclusive) to `until` (exclusive)."""

    start: Day
    until: Day | None = None

    def on(self, day: date) -> bool:
        """Whether it counts on the day."""
        return self.start <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, config=ROW)
class Proof:
    """What an applicant must show; a false one gives the effect `if_false`."""

    key: str
    says: Words2
    if_false: Effect


@dataclass(frozen=True, config=ROW)
class Rule:
    """One row of ``access_list.toml``."""

    id: str
    layer: str
    test: Test
    effect: Effect
    level: Literal["national", "municipal", "zone", "unit"]
    dimension: Literal["spatial", "emission", "risk", "resource"]
    says: Words2
    in_force: InForce
    basis: Basis
    where: Mapping[str, Words] = Field(default_factory=dict)
    applies: Mapping[str, Values] = Field(default_factory=dict)
    unless: Mapping[str, Values] = Field(default_factory=dict)
    proofs: tuple[Proof, ...] = ()
    enabled: Flag = True
    reason: str | Words2 | None = None

    @property
    def rank(self) -> int:
        """How strict the effect is."""
        return EFFECTS.index(self.effect)

    @cached_property
    def where_key(self) -> str:
        """Equal for rules that keep the same features."""
        return repr(sorted(self.where.items()))

    @cached_property
    def test_key(self) -> str:
        """Equal for rules that put the same test to the same features."""
        return repr((self.where_key, self.test))

    @property
    def attributes(self) -> set[str]:
        """Every attribute of sites that it asks for."""
        return {*self.applies, *self.unless, *(proof.key for proof in self.proofs)}


def text_of(value: object) -> str:
    """
    Give a cell as the text that rules compare: trimmed, whole numbers without a point, missing as ``""``.

    Examples
    --------
    >>> text_of(3011.0), text_of(" 26 "), text_of(None), text_of("/"), text_of(True)
    ('3011', '26', '', '', 'true')
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        value = int(value) if np.isfinite(value) and float(value).is_integer() else value
    text = str(value).strip()
    return "" if text in _MISSING else text


def texts(cells: pd.Series) -> NDArray[np.object_]:
    """Give a column as `text_of` gives each cell."""
    if len(cells) < FEW:
        return np.array(list(map(text_of, cells.to_numpy(dtype=object))), dtype=object)
    if isinstance(cells.dtype, pd.StringDtype):  # nothing but texts: trimmed as a whole
        trimmed = cells.fillna("").str.strip()
        return trimmed.where(~trimmed.isin(_MISSING), "").to_numpy(dtype=object)
    if pd.api.types.is_float_dtype(cells.dtype) or pd.api.types.is_integer_dtype(cells.dtype):
        codes, unique = pd.factorize(cells, use_na_sentinel=False)
        return np.array([text_of(cell) for cell in unique], dtype=object)[codes] if len(cells) else np.zeros(0, object)
    return np.array([text_of(cell) for cell in cells], dtype=object)


def listed(value: str, patterns: tuple[str, ...]) -> bool:
    """Whether a value is one of the listed, ``26*`` being a prefix."""
    whole, begun = _parted(patterns)
    return value in whole or value.startswith(begun)


@lru_cache(maxsize=4096)
def _parted(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Part what is a whole word from what is a prefix."""
    begun = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    return frozenset(pattern for pattern in patterns if not pattern.endswith("*")), begun


def _is_coarser(value: str, patterns: Iterable[str]) -> bool:
    stems = (pattern.removesuffix("*") for pattern in patterns)
    return any(stem.startswith(value) and stem != value for stem in stems)


def _lost_zeros(text: str, patterns: Iterable[str], spec: Attribute) -> bool:
    """Whether a number may be a code that lost its leading zeros."""
    if spec.digits is not None:
        return len(text) < spec.digits
    return any(pattern.startswith("0") for pattern in (*patterns, *spec.codes))


def match_member(value: str, wanted: tuple[str | bool, ...], spec: Attribute, *, numeric: bool) -> int:
    """
    Match one value, three-valued.

    Parameters
    ----------
    value
        As `text_of` gives it.
    wanted
        The values of the rule.
    spec
        How the attribute is read.
    numeric
        Whether the cell was a number, in which leading zeros do not survive.

    Returns
    -------
    int
        `FALSE`, `UNKNOWN` or `TRUE`.

    Examples
    --------
    >>> code = Attribute(type="code")
    >>> match_member("3011", ("30*",), code, numeric=False) == TRUE
    True
    >>> match_member("3", ("30*",), code, numeric=False) == UNKNOWN
    True
    """
    if not value:
        return UNKNOWN
    patterns, truths = _worded(wanted)
    if spec.type == "boolean" or any(isinstance(item, bool) for item in wanted):
        return _match_truth(value.casefold(), truths)
    if (numeric and _lost_zeros(value, patterns, spec)) or (spec.codes and not listed(value, spec.codes)):
        return UNKNOWN
    if listed(value, patterns):
        return TRUE
    is_code = spec.type == "code" or re.fullmatch(r"\d+", value) is not None
    return UNKNOWN if is_code and _is_coarser(value, patterns) else FALSE


@lru_cache(maxsize=4096)
def _worded(wanted: tuple[str | bool, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Give the values of a rule as they are compared with codes, and with yes and no."""
    return tuple(map(str, wanted)), frozenset(text_of(item).casefold() for item in wanted)


def _match_truth(word: str, wanted: frozenset[str]) -> int:
    """Match yes or no; any other word is unknown."""
    if word in _TRUE:
        return TRUE if wanted & _TRUE else FALSE
    return UNKNOWN if word not in _FALSE else TRUE if wanted & _FALSE else FALSE


Cells = pd.Series | NDArray[np.object_]


def cells_of(column: pd.Series) -> Cells:
    """Give a column as it is matched: few cells are looked at one by one, which is slow in a Series."""
    return column if len(column) >= FEW else column.to_numpy(dtype=object)


def _match_cell(cell: object, wanted: tuple[str | bool, ...], spec: Attribute) -> int:
    """Match a cell, three-valued; a ``;``-joined cell is a set of which any member may match."""
    numeric = isinstance(cell, (int, float, np.integer, np.floating)) and not isinstance(cell, bool)
    text = text_of(cell)
    if ";" not in text:
        return match_member(text, wanted, spec, numeric=numeric)
    members = [text_of(part) for part in text.split(";") if part.strip()]  # "a;" is the set of a alone
    return max((match_member(m, wanted, spec, numeric=numeric) for m in members), default=UNKNOWN)


def match_sites(
    sites: Mapping[str, Cells], n: int, wanted: Mapping[str, tuple[str | bool, ...]], specs: Mapping[str, Attribute]
) -> tuple[Three, Kinds]:
    """
    Ask the sites for every key of an `applies` or `unless`.

    Parameters
    ----------
    sites
        Columns of attributes of the sites, one cell a site, as `cells_of` gives them.
    n
        How many sites there are.
    wanted
        Attribute -> values; every key must match.
    specs
        How the attributes are read.

    Returns
    -------
    answer : ndarray
        `FALSE`, `UNKNOWN` or `TRUE` for each site.
    missing : Kinds
        The attributes that leave it unknown, sorted and joined by ``;`` (empty where it is known).
    """
    keys = sorted(wanted)
    if n < FEW:
        rows = [_match_row(sites, row, keys, wanted, specs) for row in range(n)]
        missing = Kinds.same(rows[0][1], 1) if n == 1 else Kinds.of(np.array([row[1] for row in rows], dtype=object))
        return np.array([row[0] for row in rows], dtype=np.int8), missing
    answer = np.full(n, TRUE, dtype=np.int8)
    unknown = []
    for key in keys:
        one = match_attribute(sites, n, key, wanted[key], specs.get(key, _PLAIN))
        unknown.append(one == UNKNOWN)
        answer = np.minimum(answer, one)
        if n and not answer.any():  # no other key can change it
            return answer, Kinds.same("", n)
    return answer, missing_of(keys, [rows & (answer == UNKNOWN) for rows in unknown], n)


def _match_row(
    sites: Mapping[str, Cells],
    row: int,
    keys: Sequence[str],
    wanted: Mapping[str, tuple[str | bool, ...]],
    specs: Mapping[str, Attribute],
) -> tuple[int, str]:
    """Ask one of few sites for every key: the answer, and what leaves it unknown."""
    answer, unknown = TRUE, []
    for key in keys:
        spec = specs.get(key, _PLAIN)
        cells, stated = _asked_of(sites, key, spec)
        one = UNKNOWN
        if cells is not None:
            one = _match_stated(cells[row], None if stated is None else stated[row], wanted[key], spec)
        if one == UNKNOWN:
            unknown.append(key)
        answer = min(answer, one)
    return answer, ";".join(unknown) if answer == UNKNOWN else ""


def _asked_of(sites: Mapping[str, Cells], key: str, spec: Attribute) -> tuple[Cells | None, Cells | None]:
    """Give the column of an attribute and, where a scheme is asked for, that of the stated ones; None is absent."""
    column = spec.column or key
    if column not in sites:
        return None, None
    return sites[column], None if spec.scheme is None else sites.get(spec.scheme_column or f"{column}_scheme")


def _match_stated(cell: object, stated: object, wanted: tuple[str | bool, ...], spec: Attribute) -> int:
    """Match a cell, three-valued; where a scheme is asked for, another or none is unknown."""
    if spec.scheme is not None and _match_cell(stated, (spec.scheme,), _PLAIN) != TRUE:
        return UNKNOWN
    return _match_cell(cell, wanted, spec)


def missing_of(keys: Sequence[str], rows: Sequence[NDArray[np.bool_]], n: int) -> Kinds:
    """
    Name for each of so many sites what is missing.

    Parameters
    ----------
    keys
        Sorted.
    rows
        For each key where it is missing.
    n
        How many sites there are.

    Returns
    -------
    Kinds
        The keys joined by ``;``.
    """
    out = Kinds.same("", n)
    for key, some in zip(keys, rows, strict=True):
        if some.any():
            also = Kinds(some.astype(np.int64), np.array(["", key], dtype=object))
            out = crossed(lambda old, new: ";".join(filter(None, (old, new))), out, also)
    return out


_PLAIN = Attribute()


def match_attribute(
    sites: Mapping[str, Cells], n: int, key: str, wanted: tuple[str | bool, ...], spec: Attribute
) -> Three:
    """
    Match one attribute of all sites, each of its different cells once; an absent column is unknown.

    Returns
    -------
    ndarray
        `FALSE`, `UNKNOWN` or `TRUE` for each site.
    """
    cells, stated = _asked_of(sites, key, spec)
    if cells is None:
        return np.full(n, UNKNOWN, dtype=np.int8)
    place, known = pd.factorize(cells, use_na_sentinel=False)
    met = [(cell, None) for cell in known]
    if stated is not None:
        said, schemes = pd.factorize(stated, use_na_sentinel=False)
        both, place = np.unique(place * len(schemes) + said, return_inverse=True)
        met = [(known[at // len(schemes)], schemes[at % len(schemes)]) for at in both]
    return np.array([_match_stated(cell, scheme, wanted, spec) for cell, scheme in met], dtype=np.int8)[place]


def match_features(
    features: pd.DataFrame, where: Mapping[str, tuple[str, ...]], codes: Mapping[str, tuple[str, ...]]
) -> tuple[Three, Kinds]:
    """
    Filter the features of a layer, three-valued.

    Parameters
    ----------
    features
        Attributes of the features; every column of `where` is there.
    where
        Column -> values.
    codes
        Column -> allowed values; a value outside is unknown.

    Returns
    -------
    kept : ndarray
        `FALSE` left out, `UNKNOWN` perhaps kept, `TRUE` certainly kept.
    missing : Kinds
        The columns that leave it unknown, joined by ``;``.
    """
    specs = {column: Attribute(codes=codes.get(column, ())) for column in where}
    return match_sites({column: cells_of(features[column]) for column in where}, len(features), where, specs)
