"""Decide. Findings make verdicts, batch by batch. No files, no colours, no clauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby
from typing import Any, Protocol, TypeVar

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pandas.api.types import union_categoricals

from geojw.decide.answers import BeyondError, OnLayer
from geojw.decide.batch import CODED_ROWS, Batch, LayerData, site_accuracy_m
from geojw.decide.findings import FINDINGS, OVERLAPS, WORDS, Cells, Columns, LayerFindings, Put, findings_of
from geojw.decide.verdicts import verdicts_of
from geojw.errors import CRSError, Fault, LayerError
from geojw.law.access_list import Rule, listed
from geojw.law.catalogue import Layer
from geojw.law.pack import Pack
from geojw.measure.geodesy import AnalysisCRS
from geojw.measure.index import Shapes, default_workers
from geojw.measure.pieces import Ints
from geojw.measure.rasters import RasterData
from geojw.wording import Kinds, crossed, framed

BATCH = 20_000
REJECTED = ("source", "row", "site_id", "reason")
_NONE_REJECTED = pd.DataFrame(columns=list(REJECTED), dtype=object)
NEAR_M = 1_000.0
"""How much farther than the largest limit a large layer is read at first."""

MANY = 2_000
"""From so many sites in a run on, loading compiled code pays."""

FEW_SITES = 1_000
"""Up to so many sites, a large layer is read only around them."""


T = TypeVar("T")


class Source(Protocol):
    """What screening needs of a zone: its pack, and its layers when asked."""

    @property
    def pack(self) -> Pack:
        """The zone pack."""

    @property
    def analysis(self) -> AnalysisCRS:
        """The analysis CRS."""

    def layer(self, name: str, near: shapely.Geometry | None = None, reach_m: float = 0.0) -> LayerData:
        """Read a layer, all of it or what lies within `reach_m` of `near`; raise `LayerError` if it fails."""

    def raster(self, name: str) -> RasterData:
        """Open a raster layer; raise `LayerError` if it fails."""


@dataclass(frozen=True, eq=False)
class Screening:
    """
    The answer for some sites.

    Parameters
    ----------
    coded_verdicts, coded_findings, coded_overlaps
        The tables of DESIGN, "Interface", sorted, with words that repeat as categories: fast to make and to write.
    rejected
        Rows of the input that could not be screened, with the reason in words.
    failed
        Layer -> why its rules are ``source_failed``.
    notes
        Pairs of geometries that needed a fallback: site, layer, feature, what.
    day
        The day whose rules count.
    sites, shapes
        The sites as screened, in the analysis CRS, sorted, and as they were measured.
    overlap_sites
        The position of the site of each overlap.
    """

    coded_verdicts: pd.DataFrame
    coded_findings: pd.DataFrame
    coded_overlaps: pd.DataFrame
    rejected: pd.DataFrame
    failed: Mapping[str, LayerError]
    notes: tuple[tuple[str, str, str, str], ...]
    day: date
    sites: gpd.GeoDataFrame
    shapes: Shapes
    overlap_sites: Ints

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """A row for each site."""
        return _plain(self.coded_verdicts)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """A row for each site and rule in force that governs it."""
        return _plain(self.coded_findings)

    @cached_property
    def overlaps(self) -> pd.DataFrame:
        """A row for each site and feature that it shares something with or that is the nearest of a distance rule."""
        return _plain(self.coded_overlaps)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Give categories as the texts that they are."""
    words = [name for name in table.columns if isinstance(table[name].dtype, pd.CategoricalDtype)]
    return table.astype(dict.fromkeys(words, "str"))


def screen(
    sites: gpd.GeoDataFrame,
    source: Source,
    *,
    on: date,
    lang: str = "zh",
    workers: int | None = None,
    batch: int = BATCH,
    many: bool | None = None,
    rejected: pd.DataFrame | None = None,
) -> Screening:
    """
    Screen sites against the rules in force.

    Parameters
    ----------
    sites
        In the analysis CRS, valid, index = unique site id; the columns are the attributes that rules ask for.
    source
        The zone.
    on
        The day whose rules count.
    lang
        ``zh`` or ``en``, for `says`, `remedy` and the words of verdicts.
    workers
        Threads; by default the cores. Changes no result.
    batch
        Sites measured at a time; bounds memory, changes no result.
    many
        Whether these sites are part of so many that compiled code pays for its loading; by default from `MANY` on.
        Figures are the same to 1e-6 m².
    rejected
        Rows that intake refused, each with the `Fault` that is its reason, to be told and handed on.

    Returns
    -------
    Screening
        Tables sorted by site, then rule or layer and feature.

    Raises
    ------
    CRSError
        The sites are not in the zone's analysis CRS, or their ids are not unique.
    """
    return measured(
        sites, source, on=on, lang=lang, workers=workers, batch=batch, many=many, rejected=rejected
    ).tabled()  # fmt: skip


def measured(
    sites: gpd.GeoDataFrame,
    source: Source,
    *,
    on: date,
    lang: str = "zh",
    workers: int | None = None,
    batch: int = BATCH,
    many: bool | None = None,
    rejected: pd.DataFrame | None = None,
) -> Measured:
    """Do of `screen` what needs the zone, and leave the tables to be made, perhaps by another thread."""
    if sites.crs is None or not sites.crs.equals(source.analysis.crs):
        raise CRSError([Fault("sites_crs", "sites", {"crs": sites.crs, "wanted": source.analysis.crs.name})])
    if not sites.index.is_unique:
        raise CRSError([Fault("sites_index", "sites")])
    sites = sites if sites.index.is_monotonic_increasing else sites.sort_index()
    many = len(sites) >= MANY if many is None else many
    size = max(batch, 1)
    cut = [sites.iloc[start : start + size] for start in range(0, len(sites), size)] if len(sites) > size else [sites]
    parts = tuple(_screen_batch(some, source, on, lang, workers or default_workers(), many=many) for some in cut)
    return Measured(parts, rejected, on, lang, sites, many)


@dataclass(frozen=True, eq=False)
class Measured:
    """
    What the rules say of some sites, not yet in tables.

    Parameters
    ----------
    parts
        Batch by batch.
    rejected, day, lang, sites, many
        As in `screen` and `Screening`.
    """

    parts: tuple[_Part, ...]
    rejected: pd.DataFrame | None
    day: date
    lang: str
    sites: gpd.GeoDataFrame
    many: bool

    def tabled(self) -> Screening:
        """Make the tables."""
        *tables, sites = zip(*map(_tables, self.parts), strict=True)
        verdicts, findings, overlaps = map(_stacked, tables)
        begins = np.cumsum([0, *(len(part.batch) for part in self.parts)])
        shapes = self.parts[0].batch.shapes
        if len(self.parts) > 1:
            shapes = Shapes.of(np.asarray(self.sites.geometry.values, dtype=object), many=self.many)
        return Screening(
            coded_verdicts=verdicts,
            coded_findings=findings,
            coded_overlaps=overlaps,
            rejected=_told(self.rejected, self.lang),
            failed=dict(sorted({name: error for part in self.parts for name, error in part.failed.items()}.items())),
            notes=tuple(note for part in self.parts for note in part.notes),
            day=self.day,
            sites=self.sites,
            shapes=shapes,
            overlap_sites=np.concatenate([some + begin for some, begin in zip(sites, begins, strict=False)]),
        )


def none_rejected() -> pd.DataFrame:
    """Give a table of rejected rows without any."""
    return _NONE_REJECTED.copy()  # an eighth of the time of making one, which would be felt with a single site


def _told(rejected: pd.DataFrame | None, lang: str) -> pd.DataFrame:
    """Say in words why rows were refused."""
    if rejected is None:
        return none_rejected()
    return rejected.assign(reason=[fault.text(lang) for fault in rejected["reason"]])


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    full = [frame for frame in frames if len(frame)] or list(frames[:1])
    if len(full) == 1:
        return full[0]
    coded = [
        name for name in full[0].columns if all(isinstance(frame[name].dtype, pd.CategoricalDtype) for frame in full)
    ]
    words = {name: union_categoricals([frame[name] for frame in full], sort_categories=True) for name in coded}
    plain = pd.concat([_plain(frame.drop(columns=coded)) for frame in full], ignore_index=True)
    return plain.assign(**words)[list(full[0].columns)]


# ---------------------------------------------------------------------------------------------- one batch


def _screen_batch(sites: gpd.GeoDataFrame, source: Source, day: date, lang: str, workers: int, *, many: bool) -> _Part:
    """Put some sites to all rules in force."""
    batch = Batch(
        ids=np.asarray(sites.index, dtype=object),
        shapes=Shapes.of(np.asarray(sites.geometry.values, dtype=object), many=many),
        attributes=sites,
        accuracy_m=site_accuracy_m(sites, source.pack.zone.site_accuracy_m),
        pack=source.pack,
        analysis=source.analysis,
        lang=lang,
        workers=workers,
    )
    near = shapely.box(*shapely.total_bounds(batch.shapes.geometries)) if 0 < len(sites) <= FEW_SITES else None
    findings: list[Columns] = []
    overlaps: list[Columns] = []
    notes: list[tuple[str, str, str, str]] = []
    failed: dict[str, LayerError] = {}
    rules = sorted(source.pack.in_force(day), key=lambda rule: (rule.layer, rule.id))
    layers = (
        _OneLayer(batch, name, list(group), source, near, day)
        for name, group in groupby(rules, key=lambda rule: rule.layer)
    )
    # Few sites are put to all layers together, which is faster; many to one after another, which takes less memory.
    for together in [list(layers)] if near is not None else ([one] for one in layers):
        findings.append(_together(batch, together))
        for one in together:
            overlaps += one.overlaps()
            notes += one.notes()
            if one.error is not None:
                failed[one.name] = one.error
    return _Part(batch, findings, overlaps, tuple(notes), failed)


def _together(batch: Batch, layers: Sequence[_OneLayer]) -> Columns:
    """Say what the rules on some layers find; distances to all of them are measured in one go."""
    for one in layers:
        one.ask()
    return findings_of(batch, [put for one in layers for put in one.puts()])


@dataclass(frozen=True, eq=False)
class _Part:
    """What the rules say of a batch."""

    batch: Batch
    findings: list[Columns]
    overlaps: list[Columns]
    notes: tuple[tuple[str, str, str, str], ...]
    failed: Mapping[str, LayerError]


def _tables(part: _Part) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Ints]:
    """Make the tables of a batch: verdicts, findings, overlaps, and where the sites of the last stand."""
    found = _table(part.findings, FINDINGS, ["rule_id"])
    shared = _table(part.overlaps, OVERLAPS, ["layer", "feature_id"])
    verdicts, site = verdicts_of(found, part.batch), np.asarray(shared["row"], dtype=np.int64)
    return verdicts, _framed(found, part.batch), _framed(shared, part.batch), site


class _OneLayer:
    """The rules on one layer, put to a batch; more of it is read while something nearer may lie beyond."""

    def __init__(
        self, batch: Batch, name: str, rules: list[Rule], source: Source, near: shapely.Geometry | None, day: date
    ) -> None:
        self.name, self._puts = name, list[Put]()
        self._batch, self._rules, self._source, self._near, self._day = batch, rules, source, near, day
        self._reach_m = max([0.0, *(rule.test.value for rule in rules if rule.test.is_distance)]) * 2.0 + NEAR_M
        self._read()

    def _read(self) -> None:
        row = self._source.pack.layers[self.name]
        self._data, self.error, self._lost = _layer_for(
            self._source, self.name, row, self._rules, self._near, self._reach_m
        )
        self._on_layer = LayerFindings(self._batch, self.name, row, self._data, self._day)

    def _while_beyond(self, ask: Callable[[Rule], T]) -> list[T]:
        """Do something with every rule, again with more of the layer where that turns out to be needed."""
        while True:
            try:
                return [ask(rule) for rule in self._rules]
            except BeyondError:
                self._reach_m *= 8.0
                self._read()

    def ask(self) -> None:
        """Put the rules to the sites, but leave open what is farther away."""
        self._while_beyond(lambda rule: None if rule.id in self._lost else self._on_layer.ask(rule))

    def puts(self) -> list[Put]:
        """Give the rules that govern a site, with their answers."""
        puts = self._while_beyond(lambda rule: self._on_layer.put(rule, failed=rule.id in self._lost))
        self._puts = [put for put in puts if put is not None]
        return self._puts

    def overlaps(self) -> list[Columns]:
        """Say what the sites share with the features, once the rules were put to them."""
        return self._on_layer.overlaps([rule for rule in self._rules if rule.id not in self._lost], self._puts)

    def notes(self) -> list[tuple[str, str, str, str]]:
        """Say which pairs of geometries needed a fallback."""
        if not (isinstance(self._data, LayerData) and isinstance(self._on_layer.on_layer, OnLayer)):
            return []
        ids, hard = self._data.ids, self._on_layer.on_layer.pairs.notes
        return [(str(self._batch.ids[site]), self.name, str(ids[feature]), what) for site, feature, what in hard]


def _layer_for(
    source: Source, name: str, row: Layer, rules: list[Rule], near: shapely.Geometry | None, reach_m: float
) -> tuple[LayerData | RasterData | None, LayerError | None, set[str]]:
    """Read a layer; give it, why it failed, and the rules that it cannot serve."""
    every = {rule.id for rule in rules}
    try:
        if row.kind == "raster":
            return source.raster(name), None, set()
        data = source.layer(name, near, reach_m)
    except LayerError as error:
        return None, error, every
    faults = list(where_faults(row, rules, data))
    if any(fault.key == "where_column" for fault in faults):
        return None, LayerError(faults), every
    lost = {str(fault.fields["rule"]) for fault in faults}
    return data, LayerError(faults) if faults else None, lost


def where_faults(row: Layer, rules: Iterable[Rule], data: LayerData) -> Iterable[Fault]:
    """Find columns and values of `where` that the delivered layer does not know."""
    features = data.index.features
    for rule in rules:
        for column, values in rule.where.items():
            at = f"{row.path}, rule {rule.id}"
            if column not in features.columns:
                yield Fault("where_column", at, {"column": column, "rule": rule.id})
            elif column not in row.codes and (there := data.values_of(column)):
                for value in values:
                    if not any(listed(text, (value,)) for text in there):
                        yield Fault("where_value", at, {"column": column, "value": value, "rule": rule.id})


def _table(parts: list[Columns], columns: Sequence[str], keys: Sequence[str]) -> dict[str, Column]:
    """
    Put the columns of a batch together.

    Parameters
    ----------
    parts
        With ``row``, the site's position.
    columns
        The table's columns, the first of them ``site_id``.
    keys
        By what rows of one site are sorted; what then is equal becomes one row.

    Returns
    -------
    dict
        The columns, sorted, and ``row`` in place of the first.
    """
    parts = [part for part in parts if len(part["row"])]
    if not parts:
        return {"row": np.zeros(0, dtype=np.int64)} | dict.fromkeys(columns[1:], Kinds.of(np.zeros(0, dtype=object)))
    row = np.concatenate([part["row"] for part in parts])
    counts = [len(part["row"]) for part in parts]
    cells = {name: _stood([part[name] for part in parts], counts) for name in columns[1:]}
    codes = [_codes(cells[key]) for key in keys]
    order = np.lexsort((*reversed(codes), row))
    row, codes, cells = (
        row[order],
        [code[order] for code in codes],
        {k: _taken(cell, order) for k, cell in cells.items()},
    )
    again = np.all([np.diff(key) == 0 for key in (row, *codes)], axis=0)
    if again.any():
        begin = np.flatnonzero(np.insert(~again, 0, True))
        row, cells = row[begin], _merged(cells, begin)
    return {"row": row, **cells}


Column = np.ndarray[Any, Any] | Kinds


def _framed(cells: dict[str, Column], batch: Batch) -> pd.DataFrame:
    """Make a table of its columns; where there are many rows, words that repeat are categories."""
    row = np.asarray(cells["row"])
    out: dict[str, Any] = {"site_id": batch.words.take(row)}
    many = len(row) >= CODED_ROWS
    for name, column in cells.items():
        if name != "row":
            out[name] = column.column(coded=many and name in WORDS) if isinstance(column, Kinds) else column
    return framed(out)


def _codes(column: Column) -> Ints:
    assert isinstance(column, Kinds)  # noqa: S101 - what tables are sorted by are words
    return column.code


def _taken(column: Column, rows: Ints) -> Column:
    return column.take(rows) if isinstance(column, Kinds) else column[rows]


def _stood(pieces: Sequence[Cells], counts: Sequence[int]) -> Column:
    """Put the pieces of a column together; words are compared piece by piece, never row by row, and come out sorted."""
    words = [_words_of(one) for one in pieces if not isinstance(one, np.ndarray)]
    if not words:
        return np.concatenate(pieces)
    known = sorted({word for some in words for word in some})
    place = {word: at for at, word in enumerate(known)}
    codes = []
    for one, its, n in zip(pieces, words, counts, strict=True):
        if isinstance(one, Kinds):
            mine = np.array([place.get(word, -1) for word in one.texts], dtype=np.int64)  # no row has the others
            codes.append(mine[one.code])
        else:
            codes.append(np.full(n, place[its[0]], dtype=np.int64))
    return Kinds(np.concatenate(codes), np.array(known, dtype=object))


def _words_of(cells: Cells) -> list[str]:
    """Give the texts of a column of words that some row has."""
    if isinstance(cells, Kinds):
        return [str(text) for text in cells.texts[np.bincount(cells.code, minlength=len(cells.texts)) > 0]]
    return [str(cells)]


def _merged(cells: dict[str, Column], begin: Ints) -> dict[str, Column]:
    """Make one row of a feature that both overlaps a site and is the nearest of a distance rule, or of several."""
    out = {name: _taken(column, begin) for name, column in cells.items()}
    rules, joined = cells["rules"], out["rules"]
    assert isinstance(rules, Kinds) and isinstance(joined, Kinds)  # noqa: S101, PT018 - so `_stood` makes it
    count = np.diff(np.append(begin, len(rules.code)))
    step, more = 1, np.flatnonzero(count > 1)
    while more.size:
        both = crossed(_both_lists, joined.take(more), rules.take(begin[more] + step))
        code = joined.code.copy()
        code[more] = both.code + len(joined.texts)
        joined = Kinds(code, np.concatenate([joined.texts, both.texts]))
        for name, column in cells.items():
            if isinstance(column, np.ndarray) and column.dtype.kind == "f":
                old, new = np.asarray(out[name])[more], column[begin[more] + step]
                np.asarray(out[name])[more] = np.where(np.isnan(old), new, old)
        step += 1
        more = more[count[more] > step]
    return out | {"rules": _stood([joined], [len(begin)])}


def _both_lists(one: str, other: str) -> str:
    return ";".join(sorted({item for item in (*one.split(";"), *other.split(";")) if item}))
