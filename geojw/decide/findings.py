"""Rules and answers make findings: outcome, effect, margin, what it rests on and what would change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from geojw.decide.answers import NO_UNIT, UNITS, Answer, OnLayer, natural_measures
from geojw.decide.batch import Batch, LayerData
from geojw.decide.raster_answers import OnRaster
from geojw.law.access_list import FALSE, TRUE, UNKNOWN, Rule, Three, missing_of, texts
from geojw.law.catalogue import Layer
from geojw.law.effects import EFFECTS
from geojw.measure.geodesy import Floats
from geojw.measure.index import AREA, LINE, Bools
from geojw.measure.pieces import Ints
from geojw.measure.rasters import RasterData
from geojw.texts import say, template
from geojw.wording import Kinds, Texts, crossed, figures, filled

FINDINGS = (
    "site_id", "rule_id", "layer", "outcome", "effect", "measure", "value", "op", "limit", "margin", "certainty",
    "feature_ids", "basis", "says", "margin_unit", "sliver", "remedy", "reason", "claimed", "data",
)  # fmt: skip
OVERLAPS = (
    "site_id", "layer", "feature_id", "overlap_m2", "overlap_share", "distance_m", "rules", "overlap_m", "data",
)  # fmt: skip

WORDS = frozenset({
    "rule_id", "layer", "outcome", "effect", "measure", "op", "certainty", "basis", "says", "margin_unit", "reason",
    "claimed", "data", "rules",
})  # fmt: skip
"""Columns of few words that repeat: categories in the tables, dictionary-coded in Parquet."""

DECIMALS = {"overlap_m2": 4, "m2": 4, "overlap_share": 9, "cover_share": 9, "share": 9}
"""Written digits by measure or unit; 3 for all others."""

OUTCOMES: Texts = np.array(
    ["clear", "hit", "lifted", "no_coverage", "not_evaluable", "source_failed"], dtype=object
)  # fmt: skip
CLEAR, HIT, LIFTED, NO_COVERAGE, NOT_EVALUABLE, SOURCE_FAILED = range(6)
"""Positions in `OUTCOMES`."""

CERTAINTIES: Texts = np.array(["", "firm", "marginal"], dtype=object)
_BLANK: Texts = np.array([""], dtype=object)
_EFFECTS: Texts = np.array(EFFECTS, dtype=object)

WINDS = ("n", "ne", "e", "se", "s", "sw", "w", "nw", "any")
"""Directions from the north by eighths, and none."""

Cells = np.ndarray[Any, Any] | Kinds | str
"""A column, or the text that all its rows have in common."""

Columns = Mapping[str, Any]
"""The `Cells` of a table to be: one frame is made of a whole batch, for small frames cost more than their figures."""


@dataclass(frozen=True, eq=False)
class Put:
    """
    A rule as it was put to the sites of a batch.

    Parameters
    ----------
    rule, layer, row
        The rule, its layer and that layer's row of the catalogue.
    some
        Which sites of the batch it governs, perhaps: positions, or all.
    rows
        Their positions.
    applies, asked
        Whether it governs each of these, and what would have to be known to say so.
    answer
        What its test says of every site of the batch; None where the layer failed.
    on_layer
        The sites on the layer; None likewise.
    margin
        Of the answer: signed way to where it flips.
    data
        What every table must say of the data behind it.
    """

    rule: Rule
    layer: str
    row: Layer
    some: Ints | slice
    rows: Ints
    applies: Three
    asked: Kinds
    answer: Answer | None
    on_layer: OnLayer | OnRaster | None
    margin: Floats
    data: str


class LayerFindings:
    """
    The rules on one layer, and the sites of a batch to which they are put.

    Parameters
    ----------
    batch
        The sites.
    name, row
        The layer and its row of the catalogue.
    data
        The layer, or None where it failed.
    day
        The day whose rules count.
    """

    def __init__(self, batch: Batch, name: str, row: Layer, data: LayerData | RasterData | None, day: date) -> None:
        self.batch, self.name, self.row, self.data, self.day = batch, name, row, data, day
        self.on_layer: OnLayer | OnRaster | None = None
        if data is not None:
            self.on_layer = OnRaster(batch, row, data) if isinstance(data, RasterData) else OnLayer(batch, row, data)

    def ask(self, rule: Rule) -> None:
        """Put a rule to the sites, but leave open how far away is what is not there."""
        if self.on_layer is not None and (self.batch.matched(rule.applies)[0] != FALSE).any():
            self.on_layer.answer(rule)

    def put(self, rule: Rule, *, failed: bool) -> Put | None:
        """
        Put a rule to the sites.

        Parameters
        ----------
        rule
            In force.
        failed
            Whether the layer cannot serve this rule.

        Returns
        -------
        Put or None
            None where it governs no site: nothing is measured then.
        """
        applies, asked = self.batch.matched(rule.applies)
        rows = np.flatnonzero(applies != FALSE)
        if not rows.size:
            return None
        on_layer = None if failed else self.on_layer
        answer = None if on_layer is None else on_layer.answer(rule)
        margin = np.full(len(applies), np.nan) if answer is None else answer.margin()
        some = rows if len(rows) < len(applies) else slice(None)
        return Put(
            rule, self.name, self.row, some, rows, applies[some], asked.take(some), answer, on_layer, margin[some],
            self._data_words(rule),
        )  # fmt: skip

    def _data_words(self, rule: Rule | None) -> str:
        """Give what every table must say of the data behind a row."""
        statuses = {self.row.status} if self.data is None else {*self.data.statuses, self.row.status}
        words = {"synthetic"} & statuses
        if self.row.source.date > self.day:
            words.add("newer_than_day")
        if rule is not None and rule.basis.in_force_checked is None:
            words.add("force_unchecked")
        return ";".join(sorted(words))

    # -- overlaps ---------------------------------------------------------------------------------

    def overlaps(self, rules: Sequence[Rule], puts: Sequence[Put]) -> list[Columns]:
        """
        Collect what the sites share with every feature, and the nearest features of distance rules.

        Parameters
        ----------
        rules
            Those that the layer serves, whether they govern a site or not.
        puts
            As they were put to the sites.

        Returns
        -------
        list of Columns
            `OVERLAPS` and ``row``, the site's position in the batch; a feature that overlaps and is nearest has two
            rows still.
        """
        if not isinstance(self.on_layer, OnLayer):
            return []
        out = []
        if self.name != self.batch.pack.zone.boundary and len(self.on_layer.pairs.site):
            out.append(self._shared(self.on_layer, rules))
        for put in puts:
            if put.rule.test.is_distance and put.answer is not None:
                features = put.answer.features[put.some]
                near = np.flatnonzero(features != "")
                near_m = {"distance_m": put.answer.value[put.some][near]}
                out.append(self._overlap_rows(put.rows[near], Kinds.of(features[near]), put.rule.id, near_m))
        return out

    def _shared(self, on_layer: OnLayer, rules: Sequence[Rule]) -> Columns:
        pairs, shapes, ids = on_layer.pairs, self.batch.shapes, on_layer.data.ids
        keeps = {rule.id: on_layer.kept(rule).possible for rule in rules}
        rows = pairs.overlap > 0.0
        site, feature, overlap = pairs.site[rows], pairs.feature[rows], pairs.overlap[rows]
        met, which = np.unique(feature, return_inverse=True)
        by = np.array([";".join(sorted(r for r, k in keeps.items() if k[f])) for f in met], dtype=object)
        dimension = shapes.dimension[site]
        figures = {
            "overlap_m2": np.where(dimension == AREA, overlap, np.nan),
            "overlap_m": np.where(dimension == LINE, overlap, np.nan),
            "overlap_share": np.minimum(overlap / shapes.size[site], 1.0),
        }
        return self._overlap_rows(site, Kinds(which, ids[met]), Kinds(which, by), figures)

    def _overlap_rows(self, site: Ints, feature: Kinds, rules: Kinds | str, figures: dict[str, Floats]) -> Columns:
        out: dict[str, Any] = {
            "row": site, "layer": self.name, "feature_id": feature, "rules": rules, "data": self._data_words(None),
        }  # fmt: skip
        for column in ("overlap_m2", "overlap_share", "distance_m", "overlap_m"):
            figure = figures.get(column, np.full(len(site), np.nan))
            out[column] = np.round(figure, DECIMALS.get(column, 3))
        return out


# ---------------------------------------------------------------------------------------------- findings


def findings_of(batch: Batch, puts: Sequence[Put]) -> Columns:
    """
    Say what the rules find.

    Parameters
    ----------
    batch
        The sites.
    puts
        The rules as they were put to them; all are told together.

    Returns
    -------
    Columns
        `FINDINGS` but the first, a row for each rule and site that it governs, and ``row``, the site's position in the
        batch; that alone, empty, where no rule governs any.
    """
    if not puts:
        return {"row": np.zeros(0, dtype=np.int64)}
    rows = _Rows(batch, puts)
    lang, outcome = batch.lang, rows.outcome
    tested = (outcome == HIT) | (outcome == CLEAR)
    unit, firm = rows.of(lambda answer: answer.unit, NO_UNIT), rows.of(lambda answer: answer.firm, no=False)
    margin = np.where(tested | (outcome == LIFTED), rows.margin, np.nan)
    return {
        "row": rows.site,
        "rule_id": rows.each(lambda put: put.rule.id), "layer": rows.each(lambda put: put.layer),
        "outcome": Kinds(outcome, OUTCOMES), "effect": Kinds(rows.effect, _EFFECTS),
        "measure": rows.measure, "value": _rounded(rows.value, rows.measure),
        "op": rows.each(lambda put: put.rule.test.op), "limit": rows.number(lambda put: put.rule.test.value),
        "margin": _rounded(margin, Kinds(unit, UNITS)),
        "margin_unit": Kinds(np.where(np.isnan(margin), NO_UNIT, unit), UNITS),
        "certainty": Kinds(np.where(tested, np.where(firm, 1, 2), 0), CERTAINTIES),
        "feature_ids": rows.features, "sliver": rows.of(lambda answer: answer.sliver, no=False),
        "basis": rows.each(lambda put: put.rule.basis.text(lang)),
        "says": rows.each(lambda put: put.rule.says.in_(lang)),
        "remedy": _remedies(rows), "reason": _reasons(rows), "claimed": _claims(rows),
        "data": rows.each(lambda put: put.data),
    }  # fmt: skip


class _Rows:
    """
    Rules put to sites: a row for each rule and each site that it governs, the rules one after another.

    Parameters
    ----------
    batch
        The sites.
    puts
        The rules, one at least.
    """

    def __init__(self, batch: Batch, puts: Sequence[Put]) -> None:
        self.batch, self.puts = batch, puts
        counts = [len(put.rows) for put in puts]
        self.parts = [slice(end - count, end) for end, count in zip(np.cumsum(counts), counts, strict=True)]
        self.at = np.repeat(np.arange(len(puts)), counts)
        self.put = Kinds(self.at, np.array(puts, dtype=object))
        self.site = np.concatenate([put.rows for put in puts])
        self.margin = np.concatenate([put.margin for put in puts])
        self.asked = self.stacked([put.asked for put in puts])

    def each(self, text: Callable[[Put], str]) -> Kinds:
        """Give a text of every rule."""
        return Kinds(self.at, np.array([text(put) for put in self.puts], dtype=object))

    def number(self, figure: Callable[[Put], float]) -> np.ndarray[Any, Any]:
        """Give a figure of every rule, or whether something holds of it."""
        return np.array([figure(put) for put in self.puts])[self.at]

    def of(self, part: Callable[[Answer], np.ndarray[Any, Any]], no: object) -> np.ndarray[Any, Any]:
        """Give a part of the answers, or what stands for it where a layer failed."""
        kind = object if isinstance(no, str) else None
        return np.concatenate([
            np.full(len(put.rows), no, kind) if put.answer is None else part(put.answer)[put.some] for put in self.puts
        ])  # fmt: skip

    def stacked(self, columns: Sequence[Kinds | None]) -> Kinds:
        """Put a column of texts of every rule together; without one they are empty."""
        code, texts = np.zeros(len(self.site), dtype=np.int64), [""]
        for part, column in zip(self.parts, columns, strict=True):
            if column is not None:
                code[part] = column.code + len(texts)
                texts.extend(column.texts)
        return Kinds(code, np.array(texts, dtype=object))

    @cached_property
    def value(self) -> Floats:
        """The figures in the unit of `measure`, not yet rounded."""
        return self.of(lambda answer: answer.value, np.nan)

    @cached_property
    def features(self) -> Texts:
        """What the answers rest on."""
        return self.of(lambda answer: answer.features, "")

    @cached_property
    def measure(self) -> Kinds:
        """What was taken, or would have been."""
        shapes = self.batch.shapes
        return self.stacked([
            (natural_measures(put.rule, put.row, shapes) if put.answer is None else put.answer.measure).take(put.some)
            for put in self.puts
        ])  # fmt: skip

    @cached_property
    def why(self) -> Kinds:
        """What leaves the answers unknown."""
        return self.stacked([None if put.answer is None else put.answer.why.take(put.some) for put in self.puts])

    # -- outcome and effect -----------------------------------------------------------------------

    @cached_property
    def exception(self) -> tuple[Three, Kinds]:
        """Whether the exception is shown, and by what it would be."""
        lifted, unshown = np.full(len(self.site), FALSE, dtype=np.int8), list[Kinds | None]()
        for put, part in zip(self.puts, self.parts, strict=True):
            unshown.append(None)
            if put.rule.unless:
                shown, keys = self.batch.matched(put.rule.unless)
                lifted[part], unshown[-1] = shown[put.some], keys.take(put.some)
        return lifted, self.stacked(unshown)

    @cached_property
    def outcome(self) -> Ints:
        """Follow DESIGN's order of decision; give positions in `OUTCOMES`."""
        failed = self.number(lambda put: put.answer is None)
        test = self.of(lambda answer: answer.test, UNKNOWN)
        fails, hits = test == FALSE, (test == TRUE) & (np.concatenate([put.applies for put in self.puts]) == TRUE)
        outcome = np.where(failed, SOURCE_FAILED, NOT_EVALUABLE)
        outcome[fails], outcome[hits] = CLEAR, HIT
        outcome[self._uncovered(hits, fails)] = NO_COVERAGE
        outcome[(self.exception[0] == TRUE) & (outcome != CLEAR)] = LIFTED
        return outcome

    def _uncovered(self, hits: Bools, fails: Bools) -> Bools:
        """Where nothing was found but the layer does not speak for the whole site."""
        out = np.zeros(len(hits), dtype=bool)
        for put, part in zip(self.puts, self.parts, strict=True):
            silent = np.flatnonzero((fails if put.rule.test.is_presence else hits)[part])
            if silent.size and put.on_layer is not None:
                out[part.start + silent] = put.on_layer.uncovered(put.rule, put.rows[silent])
        return out

    @cached_property
    def _effects(self) -> tuple[Ints, Kinds]:
        rank, missing = self.number(lambda put: put.rule.rank), list[Kinds | None]()
        for put, part in zip(self.puts, self.parts, strict=True):
            stricter, open_ = np.zeros(len(put.rows), dtype=np.int64), []
            missing.append(None)
            for proof in put.rule.proofs:
                shown = self.batch.matched({proof.key: (True,)})[0][put.some]
                stricter = np.where(shown == FALSE, np.maximum(stricter, EFFECTS.index(proof.if_false)), stricter)
                open_.append(shown == UNKNOWN)
            if open_:
                missing[-1] = missing_of([proof.key for proof in put.rule.proofs], open_, len(put.rows))
                rank[part] = np.where(stricter > 0, stricter, rank[part])
        return rank, self.stacked(missing)

    @property
    def effect(self) -> Ints:
        """Each row's effect after the proofs, as its position in `EFFECTS`."""
        return self._effects[0]

    @property
    def unproved(self) -> Kinds:
        """The proofs that are missing."""
        return self._effects[1]


# ---------------------------------------------------------------------------------------------- texts


def _remedies(rows: _Rows) -> Texts:
    """Say what would change each finding."""
    batch, outcome = rows.batch, rows.outcome
    out = np.full(len(outcome), "", dtype=object)
    lacking = np.flatnonzero((outcome == SOURCE_FAILED) | (outcome == NO_COVERAGE))
    if lacking.size:
        what = crossed(lambda *of: _to_deliver(batch, *of), rows.put.take(lacking), Kinds(outcome[lacking], OUTCOMES))
        out[lacking] = what.plain()
    hits, open_ = np.flatnonzero(outcome == HIT), np.flatnonzero(outcome == NOT_EVALUABLE)
    if hits.size:
        columns = (rows.put.take(hits), rows.exception[1].take(hits), rows.unproved.take(hits))
        shown = crossed(lambda *of: _to_show(batch, *of), *columns).plain()
        found = rows.number(lambda put: put.rule.test.is_presence)[hits]
        out[hits[~found]] = _unled(shown[~found], batch.lang)
        out[hits[found]] = _changes(rows, hits[found]) + shown[found]
    if open_.size:
        columns = (rows.put.take(open_), rows.asked.take(open_), rows.why.take(open_))
        out[open_] = crossed(lambda *of: _to_complete(batch, *of), *columns).plain()
    return out


def _to_deliver(batch: Batch, put: Put, outcome: str) -> str:
    """Say what of a layer is lacking."""
    key = "remedy.deliver" if outcome == OUTCOMES[SOURCE_FAILED] else "remedy.cover"
    return say(key, batch.lang, layer=put.row.title.in_(batch.lang))


def _to_show(batch: Batch, put: Put, unshown: str, unproved: str) -> str:
    """Say what an applicant may still show, each led by the join of a list."""
    lang, proofs = batch.lang, {proof.key: proof.says.in_(batch.lang) for proof in put.rule.proofs}
    parts = [say("remedy.exception", lang, key=_named(batch, key)) for key in _words(unshown)]
    parts += [say("remedy.prove", lang, key=proofs[key], column=key) for key in _words(unproved)]
    return "".join(say("format.join", lang) + part for part in parts)


def _to_complete(batch: Batch, put: Put, asked: str, why: str) -> str:
    """Say what would make a rule evaluable."""
    lang = batch.lang
    parts = [say("remedy.supply", lang, key=_named(batch, key)) for key in _words(asked)]
    if why in ("dimension", "layer_kind"):
        parts.append(say(f"remedy.{why}", lang))
    elif why:
        parts.append(say("remedy.complete", lang, layer=put.row.title.in_(lang), what=why))
    return say("format.join", lang).join(parts)


def _named(batch: Batch, key: str) -> str:
    """Name an attribute as the zone does, with the column that an applicant fills in."""
    title = batch.pack.attribute(key).title
    return key if title is None else say("format.attribute", batch.lang, title=title.in_(batch.lang), key=key)


def _changes(rows: _Rows, some: Ints) -> Texts:
    """Say how the sites of some rows would have to change themselves."""
    lang, shapes, site = rows.batch.lang, rows.batch.shapes, rows.site[some]
    over = (rows.value - rows.number(lambda put: put.rule.test.value))[some]
    share = rows.number(lambda put: put.rule.test.is_share)[some]
    near = rows.number(lambda put: put.rule.test.is_distance)[some]
    texts = figures(np.where(share, over * shapes.size[site], over))
    out = np.full(len(some), "", dtype=object)
    for dimension, key in enumerate(("remedy.move_out", "remedy.remove_m", "remedy.remove_m2")):
        these = np.flatnonzero(~near & (shapes.dimension[site] == dimension))
        out[these] = filled(template(key, lang), len(these), value=texts[these])
    these = np.flatnonzero(near)
    if these.size:
        towards = np.array([say(f"compass.{wind}", lang) for wind in WINDS], dtype=object)
        away = np.concatenate([_away(put) for put in rows.puts])[some[these]]
        out[these] = filled(
            template("remedy.move", lang), len(these), distance=figures(np.abs(rows.margin[some[these]])),
            towards=towards[_winds(away)], feature=rows.features[some[these]],
        )  # fmt: skip
    return out


def _away(put: Put) -> Floats:
    """Give the way out of what is too near; none where a rule is not about distances."""
    away = None if put.answer is None else put.answer.away
    return np.zeros((len(put.rows), 2)) if away is None else away[put.some]


def _reasons(rows: _Rows) -> Kinds:
    """Say why an outcome is unknown, in words for machines."""
    unknown = np.flatnonzero(rows.outcome >= NO_COVERAGE)
    columns = (rows.put, Kinds(rows.outcome, OUTCOMES), rows.asked, rows.why)
    return _only_at(unknown, crossed(_reason, *(column.take(unknown) for column in columns)), len(rows.outcome))


def _only_at(rows: Ints, kinds: Kinds, n: int) -> Kinds:
    """Give a column of `n` rows that is empty but for some."""
    code = np.zeros(n, dtype=np.int64)
    code[rows] = kinds.code + 1
    return Kinds(code, np.concatenate([_BLANK, kinds.texts]))


def _reason(put: Put, outcome: str, keys: str, what: str) -> str:
    if outcome == OUTCOMES[SOURCE_FAILED]:
        return f"layer:{put.layer}"
    if outcome == OUTCOMES[NO_COVERAGE]:
        return f"{put.layer}:no_data" if put.row.kind == "raster" else f"coverage:{put.row.coverage}"
    return ";".join([*(f"attribute:{key}" for key in _words(keys)), *([f"{put.layer}:{what}"] if what else [])])


def _claims(rows: _Rows) -> Kinds:
    """Give the attributes on which an exception rests, which nobody checked."""
    claims = list[Kinds | None]()
    for put, part in zip(rows.puts, rows.parts, strict=True):
        lifted = np.flatnonzero(rows.outcome[part] == LIFTED)
        said = _claimed(rows.batch, sorted(put.rule.unless), put.rows[lifted]) if lifted.size else None
        claims.append(None if said is None else _only_at(lifted, said, len(put.rows)))
    return rows.stacked(claims)


def _claimed(batch: Batch, keys: Sequence[str], sites: Ints) -> Kinds:
    """Say what some sites claim."""
    cells = [texts(batch.attributes[batch.pack.attribute(key).column or key])[sites] for key in keys]

    def claim(*values: str) -> str:
        said = [f"{key}={value}" for key, value in zip(keys, values, strict=True)]
        return say("claimed", batch.lang, pairs=", ".join(said))

    return crossed(claim, *map(Kinds.of, cells))


def _words(cell: str) -> list[str]:
    return [word for word in cell.split(";") if word]


def _rounded(value: Floats, kind: Kinds) -> Floats:
    """Round figures to the digits that their measure or unit is written with."""
    digits = np.array([DECIMALS.get(str(text), 3) for text in kind.texts])[kind.code]
    out = value
    for one in np.unique(digits):
        out = np.where(digits == one, np.round(value, one), out)
    return out + 0.0  # no minus before a nought


def _unled(texts: Texts, lang: str) -> Texts:
    """Take the leading join from lists that begin with it."""
    lead = say("format.join", lang)
    return np.array([text.removeprefix(lead) for text in texts], dtype=object)


def _winds(away: Floats) -> Ints:
    """Give the position in `WINDS` of each direction; north is up in the analysis CRS."""
    eighth = np.rint(np.degrees(np.arctan2(away[:, 0], away[:, 1])) / 45.0).astype(np.int64) % 8
    return np.where(np.any(away != 0.0, axis=1), eighth, len(WINDS) - 1)
