"""Floor 4: decide. Rules and measures make findings, findings make verdicts. No files, no colours, no clauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import groupby
from typing import Any, Protocol

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw import access_list, overlay
from geojw.access_list import EFFECTS, FALSE, TRUE, UNKNOWN, Rule
from geojw.catalogue import Layer
from geojw.errors import CRSError, Fault, LayerError
from geojw.geodesy import AnalysisCRS, Floats, planar_area_m2, read_crs
from geojw.overlay import Bools, Coverage, Ints, LayerIndex, Nearest, Pairs, Selection, Shapes
from geojw.pack import Pack
from geojw.texts import say

OUTCOMES = ("hit", "clear", "lifted", "no_coverage", "source_failed", "not_evaluable")
UNKNOWN_OUTCOMES = ("no_coverage", "source_failed", "not_evaluable")
SLIVER_SHARE = 0.01
NATURAL = {2: "overlap_m2", 1: "overlap_m", 0: "overlap_point"}
UNIT = {"overlap_m2": "m2", "overlap_m": "m", "overlap_point": "", "overlap_share": "share", "distance_m": "m"}
NEAR_LIMIT_M2, NEAR_LIMIT_SHARE = 1e-3, 1e-9
WRITTEN_M2, WRITTEN_M = 1e-4, 1e-3
"""Last digits that the tables show."""

BATCH = 20_000

FINDINGS = (
    "site_id", "rule_id", "layer", "outcome", "effect", "measure", "value", "op", "limit", "margin", "certainty",
    "feature_ids", "basis", "says", "margin_unit", "sliver", "remedy", "reason", "claimed", "data",
)  # fmt: skip
VERDICTS = (
    "site_id", "name", "verdict", "certainty", "decided_by", "area_m2", "hits", "unknown", "at_least", "at_most",
    "could_become", "lifted", "area_ha", "area_mu", "length_m", "area_planar_m2", "verdict_text", "data",
)  # fmt: skip
OVERLAPS = (
    "site_id", "layer", "feature_id", "overlap_m2", "overlap_share", "distance_m", "rules", "overlap_m", "data",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LayerData:
    """
    One layer as delivered, ready to be measured.

    Parameters
    ----------
    index
        Its features in the analysis CRS.
    coverage
        Where it is authoritative.
    accuracy_m
        Of each feature; NaN is unknown.
    status
        Of each feature: official, open or synthetic.
    adrift
        Features whose true position is somewhere in their geometry.
    unplaced
        Features without a usable geometry: nobody knows where they are.
    reach_m
        How far from `near` it is complete; None is everywhere.
    near
        Where it was read, in the analysis CRS; None with `reach_m` None.
    """

    index: LayerIndex
    coverage: Coverage
    accuracy_m: Floats
    status: np.ndarray[Any, Any]
    adrift: Bools
    unplaced: Bools
    reach_m: float | None = None
    near: shapely.Geometry | None = None


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


@dataclass(frozen=True, eq=False)
class Screening:
    """
    The answer for some sites.

    Parameters
    ----------
    verdicts, findings, overlaps
        The tables of DESIGN, "Interface", sorted.
    rejected
        Rows of the input that could not be screened, with the reason.
    failed
        Layer -> why its rules are ``source_failed``.
    notes
        Pairs of geometries that needed a fallback: site, layer, feature, what.
    day
        The day whose rules count.
    sites
        The sites as screened, in the analysis CRS.
    """

    verdicts: pd.DataFrame
    findings: pd.DataFrame
    overlaps: pd.DataFrame
    rejected: pd.DataFrame
    failed: Mapping[str, LayerError]
    notes: tuple[tuple[str, str, str, str], ...]
    day: date
    sites: gpd.GeoDataFrame


class _Beyond(Exception):  # noqa: N818 - not an error: the caller reads more of the layer
    """A nearest feature may lie outside what was read."""


def screen(
    sites: gpd.GeoDataFrame,
    source: Source,
    *,
    on: date,
    lang: str = "zh",
    workers: int | None = None,
    batch: int = BATCH,
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
        ``zh`` or ``en``, for `says`, `remedy` and `reason`.
    workers
        Threads; by default the cores. Changes no result.
    batch
        Sites measured at a time; bounds memory, changes no result.
    rejected
        Rows that intake refused, to be handed on.

    Returns
    -------
    Screening
        Tables sorted by site, then rule or layer and feature.

    Raises
    ------
    CRSError
        The sites are not in the zone's analysis CRS.
    """
    if sites.crs is None or not sites.crs.equals(source.analysis.crs):
        raise CRSError([Fault("sites_crs", "sites", {"crs": sites.crs, "wanted": source.analysis.crs.name})])
    if not sites.index.is_unique:
        raise CRSError([Fault("sites_index", "sites")])
    sites = sites.sort_index()
    workers = workers or overlay.default_workers()
    parts = [
        _Batch(sites.iloc[start : start + batch], source, on, lang, workers).run()
        for start in range(0, max(len(sites), 1), max(batch, 1))
    ]
    failed = {name: error for part in parts for name, error in part.failed.items()}
    return Screening(
        *(_stack([getattr(part, table) for part in parts]) for table in ("verdicts", "findings", "overlaps")),
        rejected=pd.DataFrame(columns=["source", "row", "site_id", "reason"]) if rejected is None else rejected,
        failed=dict(sorted(failed.items())),
        notes=tuple(note for part in parts for note in part.notes),
        day=on,
        sites=sites,
    )


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    full = [frame for frame in frames if len(frame)] or list(frames[:1])
    return pd.concat(full, ignore_index=True) if len(full) > 1 else full[0].reset_index(drop=True)


# ---------------------------------------------------------------------------------------------- one batch


@dataclass(eq=False)
class _Batch:
    """Some sites against all rules in force."""

    sites: gpd.GeoDataFrame
    source: Source
    day: date
    lang: str
    workers: int
    failed: dict[str, LayerError] = field(default_factory=dict)
    notes: list[tuple[str, str, str, str]] = field(default_factory=list)
    findings: pd.DataFrame = field(init=False)
    overlaps: pd.DataFrame = field(init=False)
    verdicts: pd.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        self.shapes = Shapes.of(np.asarray(self.sites.geometry.values, dtype=object))
        self.ids = np.asarray(self.sites.index, dtype=object)
        self.attributes = pd.DataFrame(self.sites.drop(columns=self.sites.geometry.name))
        default = self.source.pack.zone.site_accuracy_m
        self.accuracy_m = np.full(len(self.sites), np.nan if default is None else default)
        if "accuracy_m" in self.attributes:
            own = pd.to_numeric(self.attributes["accuracy_m"], errors="coerce").to_numpy(float, na_value=np.nan)
            given = np.array([access_list.text_of(v) != "" for v in self.attributes["accuracy_m"]], dtype=bool)
            # What was stated and cannot be read is unknown, not the default.
            self.accuracy_m = np.where(given, np.where(own >= 0.0, own, np.nan), self.accuracy_m)

    def run(self) -> _Batch:
        rules = sorted(self.source.pack.in_force(self.day), key=lambda rule: (rule.layer, rule.id))
        findings: list[pd.DataFrame] = []
        overlaps: list[pd.DataFrame] = []
        for name, group in groupby(rules, key=lambda rule: rule.layer):
            one = self._layer(name, list(group))
            findings += one.findings
            overlaps += one.overlaps
            self.notes += one.notes
        self.findings = _table(findings, FINDINGS, ["site_id", "rule_id"])
        self.overlaps = _merged_overlaps(_table(overlaps, OVERLAPS, ["site_id", "layer", "feature_id"]))
        self.verdicts = self._verdicts()
        return self

    def _layer(self, name: str, rules: list[Rule]) -> _OnLayer:
        row = self.source.pack.layers[name]
        near = shapely.box(*self.sites.total_bounds) if len(self.sites) else None
        reach_m = max([0.0, *(rule.test.value for rule in rules if rule.test.is_distance)]) * 2.0 + 1000.0
        try:
            while True:
                data = self.source.layer(name, near, reach_m)
                faults = list(where_faults(row, rules, data))
                if any(fault.key == "where_column" for fault in faults):
                    raise LayerError(faults)
                if faults:
                    self.failed[name] = LayerError(faults)
                one = _OnLayer(self, row, name, data)
                try:
                    return one.run(rules, {str(fault.fields["rule"]) for fault in faults})
                except _Beyond:
                    reach_m *= 8.0
        except LayerError as error:
            self.failed[name] = error
            return _OnLayer(self, row, name, None).run(rules, {rule.id for rule in rules})

    def _verdicts(self) -> pd.DataFrame:
        out = decide(self.findings, self.ids)
        dimension, size = self.shapes.dimension, self.shapes.size
        area = np.where(dimension == 2, size, np.nan)
        out["name"] = _names(self.attributes)
        out["area_m2"], out["area_ha"], out["area_mu"] = area, area / 1e4, area * 0.0015
        out["length_m"] = np.where(dimension == 1, size, np.nan)
        out["area_planar_m2"] = np.nan
        planar = self.source.pack.zone.planar_crs
        if planar is not None and len(self.sites):
            moved = planar_area_m2(self.shapes.geometries, self.source.analysis.crs, read_crs(planar, "zone.toml"))
            out["area_planar_m2"] = np.where(dimension == 2, moved, np.nan)
        words = {word: say(f"verdict.{word}", self.lang) for word in (*EFFECTS, "undetermined")}
        out["verdict_text"] = out["verdict"].map(words)
        for column, digits in (("area_m2", 4), ("area_ha", 8), ("area_mu", 7), ("length_m", 3), ("area_planar_m2", 4)):
            out[column] = out[column].round(digits)
        return out.reindex(columns=list(VERDICTS))


def _names(attributes: pd.DataFrame) -> list[str]:
    if "name" not in attributes:
        return [""] * len(attributes)
    return [access_list.text_of(value) for value in attributes["name"]]


def where_faults(row: Layer, rules: Iterable[Rule], data: LayerData) -> Iterable[Fault]:
    """Find columns and values of `where` that the delivered layer does not know."""
    features = data.index.features
    for rule in rules:
        for column, values in rule.where.items():
            at = f"{row.path}, rule {rule.id}"
            if column not in features.columns:
                yield Fault("where_column", at, {"column": column, "rule": rule.id})
            elif column not in row.codes and len(features) and data.reach_m is None:
                there = {access_list.text_of(value) for value in features[column].unique()}
                for value in values:
                    if not any(access_list.listed(text, (value,)) for text in there):
                        yield Fault("where_value", at, {"column": column, "value": value, "rule": rule.id})


def _table(frames: list[pd.DataFrame], columns: Sequence[str], order: list[str]) -> pd.DataFrame:
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return pd.DataFrame(columns=list(columns))
    out = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return out.sort_values(order, kind="stable", ignore_index=True).reindex(columns=list(columns))


def _merged_overlaps(table: pd.DataFrame) -> pd.DataFrame:
    """Make one row of a feature that both overlaps a site and is the nearest of a distance rule."""
    key = ["site_id", "layer", "feature_id"]
    if not table.duplicated(key).any():
        return table
    join = {column: "first" for column in table.columns if column not in (*key, "rules")}
    many = table.duplicated(key, keep=False)
    merged = table[many].groupby(key, sort=False, observed=True).agg({**join, "rules": _union_of_lists}).reset_index()
    out = pd.concat([table[~many], merged[table.columns]], ignore_index=True)
    return out.sort_values(key, kind="stable", ignore_index=True)


def _union_of_lists(cells: pd.Series) -> str:
    return ";".join(sorted({item for cell in cells for item in cell.split(";") if item}))


# ---------------------------------------------------------------------------------------------- one layer


@dataclass(eq=False)
class _Kept:
    """What a `where` keeps of a layer: surely, perhaps, and why perhaps."""

    certain: Bools
    possible: Bools
    missing: np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class _Answer:
    """What a rule's test says of each site, before coverage and attributes."""

    test: access_list.Three
    value: Floats
    margin: Floats
    unit: np.ndarray[Any, Any]
    firm: Bools
    sliver: Bools
    measure: np.ndarray[Any, Any]
    features: np.ndarray[Any, Any]
    remedy: Callable[[Ints], np.ndarray[Any, Any]]
    why: np.ndarray[Any, Any]


@dataclass(eq=False)
class _OnLayer:
    """The sites of a batch against one layer; `data` is None where the layer failed."""

    batch: _Batch
    row: Layer
    name: str
    data: LayerData | None
    findings: list[pd.DataFrame] = field(default_factory=list)
    overlaps: list[pd.DataFrame] = field(default_factory=list)
    notes: list[tuple[str, str, str, str]] = field(default_factory=list)

    def run(self, rules: Sequence[Rule], failed: set[str]) -> _OnLayer:
        for rule in rules:
            answer = None if rule.id in failed or self.data is None else self._answer(rule)
            self.findings.append(self._finding(rule, answer))
        if self.data is not None:
            self._collect_overlaps([rule for rule in rules if rule.id not in failed])
        return self

    # -- what was measured ------------------------------------------------------------------------

    @property
    def shapes(self) -> Shapes:
        return self.batch.shapes

    @property
    def layer(self) -> LayerData:
        assert self.data is not None  # noqa: S101 - run() asks only layers that were read
        return self.data

    @cached_property
    def pairs(self) -> Pairs:
        """Overlaps with single features; none where the layer has no areas."""
        if self.row.geometry != "polygon" or not len(self.shapes):
            none = np.zeros(0, dtype=np.int64)
            return Pairs(none, none, np.zeros(0), np.zeros(0, dtype=bool))
        return overlay.overlap_pairs(self.shapes, self.layer.index, self.batch.workers)

    @cached_property
    def outside(self) -> Bools:
        """Whether the coverage does not hold the site."""
        return self._more_than_sliver(self.layer.coverage.outside(self.shapes, self.batch.workers), self.shapes)

    def outside_widened(self, limit_m: float) -> Bools:
        """Whether the coverage does not hold the site widened by the limit."""
        out, size = self.layer.coverage.outside_widened(self.shapes, limit_m, self.batch.workers)
        sliver_m2 = self.batch.source.pack.zone.sliver_m2
        return np.asarray(~((out <= sliver_m2) & (out <= SLIVER_SHARE * size)), dtype=bool)

    def _sliver_limit(self, shapes: Shapes) -> Floats:
        zone = self.batch.source.pack.zone
        absolute = np.select([shapes.dimension == 2, shapes.dimension == 1], [zone.sliver_m2, zone.sliver_m], 0.0)
        return np.minimum(absolute, np.where(shapes.dimension > 0, SLIVER_SHARE * shapes.size, 0.0))

    def _more_than_sliver(self, part: Floats, shapes: Shapes) -> Bools:
        return np.asarray(~(part <= self._sliver_limit(shapes)), dtype=bool)

    def _kept(self, rule: Rule) -> _Kept:
        answer, missing = access_list.match_features(self.layer.index.features, rule.where, self.row.codes)
        missing = missing.copy()
        missing[self.layer.adrift] = ["position" if not old else f"{old};position" for old in missing[self.layer.adrift]]
        return _Kept(answer == TRUE, answer >= UNKNOWN, missing)

    # -- the test ---------------------------------------------------------------------------------

    def _answer(self, rule: Rule) -> _Answer:
        kept = self._kept(rule)
        return self._distance(rule, kept) if rule.test.is_distance else self._overlap(rule, kept)

    def _select(self, kept: Bools) -> Selection:
        return self.layer.index.select(kept)

    def _overlap(self, rule: Rule, kept: _Kept) -> _Answer:
        test, shapes = rule.test, self.shapes
        measure = self._measures(rule)
        sure = self._select(kept.certain & ~self.layer.adrift)
        perhaps = self._select(kept.possible)
        low, high = self._between(sure, test), self._between(perhaps, test)
        verdict = _both(test.holds(self._tested(low, test)), test.holds(self._tested(high, test)))
        verdict[np.isnan(low) | np.isnan(high)] = UNKNOWN
        lost = bool((kept.possible & self.layer.unplaced).any())
        if lost:
            verdict[verdict == (FALSE if test.is_presence else TRUE)] = UNKNOWN
        why = self._why_perhaps(kept, verdict == UNKNOWN)
        natural = np.array([NATURAL[int(d)] for d in shapes.dimension], dtype=object)
        wrong = (measure != natural) & (test.measure != "overlap_share")
        verdict[wrong], why[wrong] = UNKNOWN, "dimension"
        if self.row.geometry != "polygon":
            verdict[:], why[:] = UNKNOWN, "layer_kind"
            return self._unmeasured(verdict, why, measure)
        decided = np.flatnonzero(verdict != UNKNOWN)
        sliver = (self._is_sliver(low, test) | self._is_sliver(high, test)) & ~wrong
        firm = np.zeros(len(shapes), dtype=bool)
        firm[decided] = self._firm_overlap(test, sure, perhaps, low, high, decided, verdict)
        margin, unit = self._overlap_margin(test, verdict, low, high, perhaps, measure)
        value = np.minimum(low / shapes.size, 1.0) if test.measure == "overlap_share" else low
        return _Answer(
            verdict, np.where(wrong, np.nan, value), margin, unit,
            firm & ~sliver, sliver, measure, self._features_of(sure), self._remove(low), why,
        )  # fmt: skip

    def _measures(self, rule: Rule) -> np.ndarray[Any, Any]:
        """Give what would be taken: the measure follows the site's dimension."""
        test = rule.test
        natural = np.array([NATURAL[int(d)] for d in self.shapes.dimension], dtype=object)
        fits = test.value == 0.0 and test.measure in NATURAL.values() and self.row.geometry == "polygon"
        return natural if fits else np.full(len(natural), test.measure, dtype=object)

    def _unmeasured(
        self, verdict: access_list.Three, why: np.ndarray[Any, Any], measure: np.ndarray[Any, Any]
    ) -> _Answer:
        """Give the answer of an area test against a layer that has no areas."""
        n = len(self.shapes)
        nothing, no = np.full(n, np.nan), np.zeros(n, dtype=bool)
        blank = np.full(n, "", dtype=object)
        return _Answer(verdict, nothing, nothing, blank, no, no, measure, blank, lambda rows: blank[rows], why)

    def _between(self, selection: Selection, test: access_list.Test) -> Floats:
        """Overlap with the union of a selection; measured without shortcuts where it lies at a limit."""
        shapes = self.shapes
        out = overlay.union_overlap(shapes, self.pairs, selection)
        limits = [self._sliver_limit(shapes), shapes.size - self._sliver_limit(shapes)]
        limits.append(test.value * (shapes.size if test.measure == "overlap_share" else np.ones(len(shapes))))
        band = np.maximum(NEAR_LIMIT_M2, NEAR_LIMIT_SHARE * shapes.size)
        near = np.any([np.abs(out - limit) <= band for limit in limits], axis=0) & (out > 0.0)
        near &= ~((out == shapes.size) & (test.value == 0.0))
        for row in np.flatnonzero(near):
            out[row] = overlay.exact_overlap(shapes.geometries[row], selection)
        return np.minimum(out, shapes.size)

    def _is_sliver(self, part: Floats, test: access_list.Test) -> Bools:
        found = part if test.is_presence else self.shapes.size - part
        written = np.where(self.shapes.dimension == 2, WRITTEN_M2, WRITTEN_M) / 2.0
        return np.asarray((found > written) & ~self._more_than_sliver(found, self.shapes), dtype=bool)

    def _tested(self, part: Floats, test: access_list.Test) -> Floats:
        """Give the figure that the test sees: slivers count as nothing, shares are shares."""
        nothing = 0.0 if test.is_presence else self.shapes.size
        found = part if test.is_presence else self.shapes.size - part
        part = np.where(self._more_than_sliver(found, self.shapes), part, nothing)
        return part / self.shapes.size if test.measure == "overlap_share" else part

    def _firm_overlap(
        self,
        test: access_list.Test,
        sure: Selection,
        perhaps: Selection,
        low: Floats,
        high: Floats,
        rows: Ints,
        verdict: access_list.Three,
    ) -> Bools:
        """Whether the test has the same answer for the union grown and shrunk by the accuracy."""
        accuracy, site = self.layer.accuracy_m, self.batch.accuracy_m[rows]
        hit = verdict[rows] == TRUE
        rests_on = np.where(hit == test.is_presence, np.isnan(accuracy[sure.kept]).any(), np.isnan(accuracy[perhaps.kept]).any())
        known = ~np.isnan(site) & ~rests_on
        accuracy = np.nan_to_num(accuracy)
        shapes, reach = self.shapes.take(rows), np.where(known, site, 0.0)
        grown, shrunk = high.copy(), low.copy()
        grown[rows], tight = overlay.grown_and_shrunk(shapes, high[rows], perhaps, accuracy, reach)
        if sure is not perhaps:
            tight = overlay.grown_and_shrunk(shapes, low[rows], sure, accuracy, reach)[1]
        shrunk[rows] = tight
        most, least = test.holds(self._tested(grown, test))[rows], test.holds(self._tested(shrunk, test))[rows]
        return np.asarray(known & (most == hit) & (least == hit), dtype=bool)

    def _overlap_margin(
        self,
        test: access_list.Test,
        verdict: access_list.Three,
        low: Floats,
        high: Floats,
        perhaps: Selection,
        measure: np.ndarray[Any, Any],
    ) -> tuple[Floats, np.ndarray[Any, Any]]:
        """Signed distance to where the outcome flips; `low` decides a find, `high` its absence."""
        shapes, share = self.shapes, test.measure == "overlap_share"
        found = (verdict == TRUE) if test.is_presence else (verdict == FALSE)
        value = np.where(found, low, high) / (shapes.size if share else 1.0)
        margin = (test.value - value) if test.is_presence else (value - test.value)
        unit = np.array([UNIT[m] for m in measure], dtype=object)
        if test.value == 0.0:
            far = np.flatnonzero((verdict != UNKNOWN) & ~found)
            away = self._nearest(perhaps, far).distance_m
            margin[far] = np.where(np.isfinite(away), away, np.nan) * (1.0 if test.is_presence else -1.0)
            unit[far] = "m"
            inside = np.flatnonzero(found & (shapes.dimension == 0))
            chunks, _, tree = perhaps.edges
            if inside.size and len(chunks):
                (_, _), depth = tree.query_nearest(
                    shapes.geometries[inside], return_distance=True, all_matches=False
                )
                margin[inside], unit[inside] = -depth if test.is_presence else depth, "m"
        margin[verdict == UNKNOWN] = np.nan
        return margin, unit

    def _nearest(self, selection: Selection, rows: Ints, *, exact: bool = False) -> Nearest:
        """Find the nearest features, and ask for more of the layer where they may lie beyond what was read."""
        found = overlay.nearest(
            self.shapes.take(rows), selection, self.batch.source.analysis, exact=exact, workers=self.batch.workers
        )
        if self.layer.reach_m is not None and np.any(found.distance_m > self.layer.reach_m * 0.999):
            raise _Beyond
        return found

    def _features_of(self, selection: Selection) -> np.ndarray[Any, Any]:
        """Give the ids of the kept features that each site overlaps, joined by `;`."""
        out = np.full(len(self.shapes), "", dtype=object)
        rows = selection.kept[self.pairs.feature] & (self.pairs.overlap > 0.0)
        site, feature = self.pairs.site[rows], self.pairs.feature[rows]
        ids = np.asarray(self.layer.index.features.index, dtype=object)
        starts = overlay.runs(site)
        for a, b in zip(starts[:-1], starts[1:], strict=True):
            out[site[a]] = ";".join(ids[feature[a:b]])
        return out

    def _why_perhaps(self, kept: _Kept, rows: Bools) -> np.ndarray[Any, Any]:
        """Name layer, features and columns that leave a test unknown."""
        out = np.full(len(self.shapes), "", dtype=object)
        if not rows.any():
            return out
        ids = np.asarray(self.layer.index.features.index, dtype=object)
        doubtful = kept.possible & (~kept.certain | self.layer.adrift)
        touched: dict[int, list[str]] = {}
        for site, feature in zip(self.pairs.site, self.pairs.feature, strict=True):
            if rows[site] and doubtful[feature]:
                touched.setdefault(int(site), []).append(f"{ids[feature]}.{kept.missing[feature]}")
        lost = [f"{name}.geometry" for name in ids[kept.possible & self.layer.unplaced]]
        for site in np.flatnonzero(rows):
            named = [*touched.get(int(site), []), *lost] or [f"{ids[f]}.{kept.missing[f]}" for f in np.flatnonzero(doubtful)]
            out[site] = ";".join(named[:5]) + (";…" if len(named) > 5 else "")
        return out

    def _remove(self, part: Floats) -> Callable[[Ints], np.ndarray[Any, Any]]:
        keys = {2: "remedy.remove_m2", 1: "remedy.remove_m", 0: "remedy.move_out"}

        def text(rows: Ints) -> np.ndarray[Any, Any]:
            dimension = self.shapes.dimension[rows]
            return np.array(
                [say(keys[int(d)], self.batch.lang, value=_figure(v)) for d, v in zip(dimension, part[rows], strict=True)],
                dtype=object,
            )

        return text

    # -- distance ---------------------------------------------------------------------------------

    def _distance(self, rule: Rule, kept: _Kept) -> _Answer:
        test, n = rule.test, len(self.shapes)
        rows = np.arange(n)
        placed = ~self.layer.adrift
        sure = self._nearest(self._select(kept.certain & placed), rows, exact=True)
        near = self._nearest(self._select(kept.possible), rows, exact=True)
        low = sure.distance_m.copy()
        low_feature = sure.feature.copy()
        for feature in np.flatnonzero(kept.certain & self.layer.adrift):
            area, limit_m = self.layer.index.geometries[feature], np.full(n, test.value)
            far = overlay.farthest_m(self.shapes, area, limit_m, self.batch.source.analysis)
            low_feature = np.where(far < low, feature, low_feature)
            low = np.minimum(low, far)
        high = near.distance_m
        verdict = _both(test.holds(low), test.holds(high))
        if bool((kept.possible & self.layer.unplaced).any()):
            verdict[verdict == (FALSE if test.is_presence else TRUE)] = UNKNOWN
        found = (verdict == TRUE) if test.is_presence else (verdict == FALSE)
        value = np.where(found, low, high)
        feature = np.where(found, low_feature, near.feature)
        margin = (value - test.value) if test.is_presence else (test.value - value)
        ids = np.append(np.asarray(self.layer.index.features.index, dtype=object), "")
        away = np.where(found[:, None], sure.away, near.away)
        return _Answer(
            verdict, np.where(np.isfinite(value), value, np.nan), np.where(np.isfinite(margin), margin, np.nan),
            np.full(n, "m", dtype=object), self._firm_distance(test, kept, found), np.zeros(n, dtype=bool),
            np.full(n, "distance_m", dtype=object), ids[feature], self._move(margin, away, ids[feature]),
            self._why_perhaps(kept, verdict == UNKNOWN),
        )  # fmt: skip

    def _firm_distance(self, test: access_list.Test, kept: _Kept, found: Bools) -> Bools:
        """Whether the find or its absence survives the accuracy of every feature and of the site."""
        rows = np.arange(len(self.shapes))
        most, least = np.full(len(rows), np.inf), np.full(len(rows), np.inf)
        accuracy, site = self.layer.accuracy_m, self.batch.accuracy_m
        for u in np.unique(accuracy[kept.possible & ~np.isnan(accuracy)]):
            same = accuracy == u
            surely, maybe = kept.certain & ~self.layer.adrift & same, kept.possible & same
            most = np.minimum(most, self._nearest(self._select(surely), rows).distance_m + u)
            least = np.minimum(least, self._nearest(self._select(maybe), rows).distance_m - u)
            for feature in np.flatnonzero(kept.certain & self.layer.adrift & same):
                area = self.layer.index.geometries[feature]
                within_m = test.value - u - np.nan_to_num(site)
                most = np.minimum(most, overlay.farthest_m(self.shapes, area, within_m, self.batch.source.analysis) + u)
        near = test if test.is_presence else None
        holds = (lambda d: near.holds(d)) if near is not None else (lambda d: ~test.holds(d))
        all_known = not bool(np.isnan(accuracy[kept.possible]).any())
        firm = np.where(found, holds(most + site), ~holds(least - site) & all_known)
        return np.asarray(firm & ~np.isnan(site), dtype=bool)

    def _move(self, margin: Floats, away: Floats, ids: np.ndarray[Any, Any]) -> Callable[[Ints], np.ndarray[Any, Any]]:
        def text(rows: Ints) -> np.ndarray[Any, Any]:
            return np.array(
                [
                    say("remedy.move", self.batch.lang, distance=_figure(abs(margin[r])), feature=ids[r],
                        towards=say(f"compass.{_compass(*away[r])}", self.batch.lang))
                    for r in rows
                ],
                dtype=object,
            )  # fmt: skip

        return text

    # -- the finding ------------------------------------------------------------------------------

    def _finding(self, rule: Rule, answer: _Answer | None) -> pd.DataFrame:
        batch = self.batch
        specs = batch.source.pack.zone.attributes
        applies, asked = access_list.match_sites(batch.attributes, rule.applies, specs)
        rows = np.flatnonzero(applies != FALSE)
        lifted, unshown = (
            access_list.match_sites(batch.attributes, rule.unless, specs)
            if rule.unless
            else (np.zeros(len(applies), dtype=np.int8), np.full(len(applies), "", dtype=object))
        )
        outcome = self._outcome(rule, answer, applies, lifted)
        effect, unproved = self._effect(rule)
        n = len(applies)
        blank, nothing = np.full(n, "", dtype=object), np.full(n, np.nan)
        hit, decided = outcome == "hit", np.isin(outcome, ("hit", "clear"))
        frame = {
            "site_id": batch.ids, "rule_id": rule.id, "layer": self.name, "outcome": outcome, "effect": effect,
            "measure": self._measures(rule) if answer is None else answer.measure,
            "value": nothing if answer is None else answer.value,
            "op": rule.test.op, "limit": rule.test.value,
            "margin": nothing if answer is None else np.where(np.isin(outcome, ("hit", "clear", "lifted")), answer.margin, np.nan),
            "certainty": blank if answer is None else np.where(decided, np.where(answer.firm, "firm", "marginal"), ""),
            "feature_ids": blank if answer is None else answer.features,
            "basis": self._basis(rule), "says": rule.says.in_(batch.lang),
            "margin_unit": blank if answer is None else np.where(np.isnan(answer.margin), "", answer.unit),
            "sliver": np.zeros(n, dtype=bool) if answer is None else answer.sliver,
            "remedy": self._remedies(rule, answer, outcome, asked, unshown, unproved),
            "reason": self._reasons(answer, outcome, applies, asked),
            "claimed": self._claims(rule, outcome), "data": self._data_words(rule),
        }  # fmt: skip
        del hit
        return _rounded(pd.DataFrame(frame).iloc[rows])

    def _outcome(
        self, rule: Rule, answer: _Answer | None, applies: access_list.Three, lifted: access_list.Three
    ) -> np.ndarray[Any, Any]:
        """Follow DESIGN's order of decision."""
        if answer is None:
            outcome = np.full(len(applies), "source_failed", dtype=object)
        else:
            passes, fails = answer.test == TRUE, answer.test == FALSE
            uncovered = self._uncovered(rule, passes, fails)
            outcome = np.full(len(applies), "not_evaluable", dtype=object)
            outcome[fails] = "clear"
            outcome[passes & (applies == TRUE)] = "hit"
            outcome[uncovered & (fails | (applies == TRUE))] = "no_coverage"
        outcome[(lifted == TRUE) & (outcome != "clear")] = "lifted"
        return outcome

    def _uncovered(self, rule: Rule, passes: Bools, fails: Bools) -> Bools:
        """Where nothing was found but the layer does not speak for the whole site."""
        silent = fails if rule.test.is_presence else passes
        if not silent.any():
            return silent
        outside = self.outside_widened(rule.test.value) if rule.test.is_distance else self.outside
        return silent & outside

    def _effect(self, rule: Rule) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Give each site's effect after the proofs, and the proofs that are missing."""
        sites, specs = self.batch.attributes, self.batch.source.pack.zone.attributes
        rank = np.full(len(sites), rule.rank)
        missing = np.full(len(sites), "", dtype=object)
        stricter = np.zeros(len(sites), dtype=np.int64)
        for proof in rule.proofs:
            shown, _ = access_list.match_sites(sites, {proof.key: (True,)}, specs)
            stricter = np.where(shown == FALSE, np.maximum(stricter, EFFECTS.index(proof.if_false)), stricter)
            missing[shown == UNKNOWN] = [f"{old};{proof.key}" if old else proof.key for old in missing[shown == UNKNOWN]]
        rank = np.where(stricter > 0, stricter, rank)
        return np.array(EFFECTS, dtype=object)[rank], missing

    def _basis(self, rule: Rule) -> str:
        checked = rule.basis.in_force_checked
        force = (
            say("basis.unchecked", self.batch.lang)
            if checked is None
            else say("basis.checked", self.batch.lang, day=checked.isoformat())
        )
        return " ".join(part for part in (rule.basis.title, rule.basis.article, force) if part)

    def _remedies(
        self,
        rule: Rule,
        answer: _Answer | None,
        outcome: np.ndarray[Any, Any],
        asked: np.ndarray[Any, Any],
        unshown: np.ndarray[Any, Any],
        unproved: np.ndarray[Any, Any],
    ) -> np.ndarray[Any, Any]:
        """Say what would change the finding."""
        lang = self.batch.lang
        out = np.full(len(outcome), "", dtype=object)
        title = self.row.title.in_(lang)
        out[outcome == "source_failed"] = say("remedy.deliver", lang, layer=title)
        out[outcome == "no_coverage"] = say("remedy.cover", lang, layer=title)
        hits = np.flatnonzero(outcome == "hit")
        if answer is not None and hits.size:
            if rule.test.is_presence:
                out[hits] = answer.remedy(hits)
            for row in hits:
                extra = [out[row]] if out[row] else []
                extra += [say("remedy.exception", lang, key=key) for key in unshown[row].split(";") if key]
                extra += [say("remedy.prove", lang, key=key) for key in unproved[row].split(";") if key]
                out[row] = "; ".join(extra)
        for row in np.flatnonzero(outcome == "not_evaluable"):
            keys = [key for key in asked[row].split(";") if key]
            why = "" if answer is None else answer.why[row]
            parts = [say("remedy.supply", lang, key=key) for key in keys]
            if why in ("dimension", "layer_kind"):
                parts.append(say(f"remedy.{why}", lang))
            elif why:
                parts.append(say("remedy.complete", lang, layer=title, what=why))
            out[row] = "; ".join(parts)
        return out

    def _reasons(
        self,
        answer: _Answer | None,
        outcome: np.ndarray[Any, Any],
        applies: access_list.Three,
        asked: np.ndarray[Any, Any],
    ) -> np.ndarray[Any, Any]:
        """Say why an outcome is unknown, as words for machines: attribute, layer:feature.column, coverage."""
        out = np.full(len(outcome), "", dtype=object)
        out[outcome == "source_failed"] = f"layer:{self.name}"
        out[outcome == "no_coverage"] = f"coverage:{self.row.coverage}"
        rows = outcome == "not_evaluable"
        for row in np.flatnonzero(rows):
            parts = [f"attribute:{key}" for key in asked[row].split(";") if key and applies[row] == UNKNOWN]
            if answer is not None and answer.why[row]:
                parts.append(f"{self.name}:{answer.why[row]}")
            out[row] = ";".join(parts)
        return out

    def _claims(self, rule: Rule, outcome: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the attributes on which an exception rests, which nobody checked."""
        out = np.full(len(outcome), "", dtype=object)
        for row in np.flatnonzero(outcome == "lifted"):
            said = {
                key: access_list.text_of(self.batch.attributes[spec.column or key].iloc[row])
                for key in sorted(rule.unless)
                for spec in [self.batch.source.pack.attribute(key)]
            }
            pairs = ", ".join(f"{key}={value}" for key, value in said.items())
            out[row] = say("claimed", self.batch.lang, pairs=pairs)
        return out

    def _data_words(self, rule: Rule | None) -> str:
        """Give what every table must say of the data behind a row."""
        words = set()
        statuses = {self.row.status} if self.data is None else {*self.data.status, self.row.status}
        if "synthetic" in statuses:
            words.add("synthetic")
        if self.row.source.date > self.batch.day:
            words.add("newer_than_day")
        if rule is not None and rule.basis.in_force_checked is None:
            words.add("force_unchecked")
        return ";".join(sorted(words))

    # -- the overlaps -----------------------------------------------------------------------------

    def _collect_overlaps(self, rules: Sequence[Rule]) -> None:
        """Collect what the sites share with every feature, and the nearest features of distance rules."""
        ids = np.asarray(self.layer.index.features.index, dtype=object)
        keeps = {rule.id: self._kept(rule).possible for rule in rules}
        by = np.array(
            [";".join(sorted(r for r, kept in keeps.items() if kept[f])) for f in range(len(ids))], dtype=object
        )
        pairs, shapes = self.pairs, self.shapes
        there = np.flatnonzero(pairs.overlap > 0.0)
        self.notes += [(str(self.batch.ids[s]), self.name, str(ids[f]), what) for s, f, what in pairs.notes]
        if self.name != self.batch.source.pack.zone.boundary:
            site, feature, overlap = pairs.site[there], pairs.feature[there], pairs.overlap[there]
            dimension = shapes.dimension[site]
            self.overlaps.append(
                self._overlap_rows(
                    site, ids[feature], by[feature],
                    overlap_m2=np.where(dimension == 2, overlap, np.nan),
                    overlap_m=np.where(dimension == 1, overlap, np.nan),
                    overlap_share=np.minimum(overlap / shapes.size[site], 1.0),
                )  # fmt: skip
            )
        for rule, frame in zip(rules, self.findings, strict=False):
            if rule.test.is_distance:
                near = frame[(frame["rule_id"] == rule.id) & (frame["feature_ids"] != "")]
                site = np.searchsorted(self.batch.ids.astype(str), near["site_id"].to_numpy(str))
                ruled = np.full(len(near), rule.id, dtype=object)
                self.overlaps.append(
                    self._overlap_rows(site, near["feature_ids"].to_numpy(object), ruled, distance_m=near["value"].to_numpy())
                )

    def _overlap_rows(
        self, site: Ints, feature: np.ndarray[Any, Any], rules: np.ndarray[Any, Any], **figures: Floats
    ) -> pd.DataFrame:
        frame = pd.DataFrame(
            {"site_id": self.batch.ids[site], "layer": self.name, "feature_id": feature, "rules": rules,
             "data": self._data_words(None)}
        )  # fmt: skip
        for column, digits in (("overlap_m2", 4), ("overlap_m", 3), ("overlap_share", 9), ("distance_m", 3)):
            frame[column] = np.round(figures[column], digits) if column in figures else np.nan
        return frame


def _both(low: Bools, high: Bools) -> access_list.Three:
    """Give TRUE where both answers are yes, FALSE where both are no, else UNKNOWN."""
    return np.where(low & high, TRUE, np.where(~low & ~high, FALSE, UNKNOWN)).astype(np.int8)


def _figure(value: float) -> str:
    """Write a figure for a sentence: three significant digits at least, never rounded to nothing."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _compass(dx: float, dy: float) -> str:
    """Name a direction by eight winds; north is up in the analysis CRS."""
    if dx == 0.0 and dy == 0.0:
        return "any"
    return ("n", "ne", "e", "se", "s", "sw", "w", "nw")[round(np.degrees(np.arctan2(dx, dy)) / 45.0) % 8]


def _rounded(findings: pd.DataFrame) -> pd.DataFrame:
    out = findings.copy()
    share = out["measure"] == "overlap_share"
    area = out["measure"] == "overlap_m2"
    out["value"] = np.select([share, area], [out["value"].round(9), out["value"].round(4)], out["value"].round(3))
    unit = out["margin_unit"]
    out["margin"] = np.select(
        [unit == "share", unit == "m2"], [out["margin"].round(9), out["margin"].round(4)], out["margin"].round(3)
    )
    return out


# ---------------------------------------------------------------------------------------------- verdicts


def decide(findings: pd.DataFrame, ids: np.ndarray[Any, Any]) -> pd.DataFrame:
    """
    Decide each site from its findings.

    Parameters
    ----------
    findings
        With site_id, rule_id, outcome, effect, certainty.
    ids
        Every site, also those that no rule governs.

    Returns
    -------
    DataFrame
        One row a site in the order of `ids`: site_id, verdict, certainty, decided_by, hits, unknown, at_least, at_most,
        could_become, lifted, data.
    """
    site = pd.Index(ids).get_indexer(findings["site_id"])
    rank = np.array([EFFECTS.index(e) for e in findings["effect"]], dtype=np.int64)
    rule = findings["rule_id"].to_numpy(object)
    outcome, marginal = findings["outcome"].to_numpy(object), (findings["certainty"] == "marginal").to_numpy(bool)
    hit, unknown = outcome == "hit", np.isin(outcome, UNKNOWN_OUTCOMES)
    n = len(ids)
    at_least, doubt = _most(site, rank, hit, n), _most(site, rank, unknown, n)
    at_most = np.maximum(at_least, doubt)
    decided = at_least == at_most
    words = np.array(EFFECTS, dtype=object)
    carries = (hit & decided[site] & (rank == at_least[site])) | (unknown & (rank > at_least[site]))
    could, changed = _could_become(site, rank, hit, unknown, marginal, outcome == "clear", at_least, at_most)
    return pd.DataFrame(
        {
            "site_id": ids,
            "verdict": np.where(decided, words[at_least], "undetermined"),
            "certainty": np.where(decided, np.where(changed, "marginal", "firm"), ""),
            "decided_by": _joined(site, rule, carries, n),
            "hits": _joined(site, rule, hit, n),
            "unknown": _joined(site, rule, unknown, n),
            "at_least": words[at_least],
            "at_most": words[at_most],
            "could_become": could,
            "lifted": _joined(site, rule, outcome == "lifted", n),
            "data": _joined_words(site, findings["data"].to_numpy(object), n),
        }
    )


def _most(site: Ints, rank: Ints, rows: Bools, n: int) -> Ints:
    out = np.zeros(n, dtype=np.int64)
    np.maximum.at(out, site[rows], rank[rows])
    return out


def _joined(site: Ints, word: np.ndarray[Any, Any], rows: Bools, n: int) -> np.ndarray[Any, Any]:
    """Join the words of each site, sorted, without repeats."""
    out = np.full(n, "", dtype=object)
    lists: dict[int, set[str]] = {}
    for i, text in zip(site[rows], word[rows], strict=True):
        lists.setdefault(int(i), set()).add(str(text))
    for i, texts in lists.items():
        out[i] = ";".join(sorted(texts))
    return out


def _joined_words(site: Ints, cells: np.ndarray[Any, Any], n: int) -> np.ndarray[Any, Any]:
    """Join cells that are lists themselves; they repeat, so each distinct set is joined once."""
    codes, unique = pd.factorize(cells)
    sets = [frozenset(word for word in str(cell).split(";") if word) for cell in unique]
    out = np.full(n, "", dtype=object)
    for code, words in enumerate(sets):
        for i in np.unique(site[codes == code]):
            out[i] = ";".join(sorted(words | {w for w in out[i].split(";") if w}))
    return out


def _could_become(
    site: Ints,
    rank: Ints,
    hit: Bools,
    unknown: Bools,
    marginal: Bools,
    clear: Bools,
    at_least: Ints,
    at_most: Ints,
) -> tuple[np.ndarray[Any, Any], Bools]:
    """Find the verdicts that a flip of marginal findings would give."""
    n = len(at_least)
    decided = at_least == at_most
    out = np.full(n, "", dtype=object)
    worse = clear & marginal & decided[site] & (rank > at_least[site])
    carried = _most(site, rank, hit & ~marginal, n)
    loses = decided & (at_least > 0) & (carried < at_least)
    lists: dict[int, set[str]] = {}
    for i, r in zip(site[worse], rank[worse], strict=True):
        lists.setdefault(int(i), set()).add(EFFECTS[r])
    below = hit & (rank < at_least[site])
    next_hit, next_doubt = _most(site, rank, below, n), _most(site, rank, unknown, n)
    for i in np.flatnonzero(loses):
        word = EFFECTS[next_hit[i]] if next_doubt[i] <= next_hit[i] else "undetermined"
        lists.setdefault(int(i), set()).add(word)
    for i, words in lists.items():
        out[i] = ";".join(sorted(words))
    return out, np.array([text != "" for text in out], dtype=bool)
