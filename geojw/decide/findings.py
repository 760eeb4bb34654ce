"""Rules and answers make findings: outcome, effect, margin, what it rests on and what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from geojw.decide.answers import NO_UNIT, UNITS, Answer, OnLayer, natural_measures
from geojw.decide.batch import Batch, LayerData
from geojw.decide.raster_answers import OnRaster
from geojw.law.access_list import FALSE, TRUE, UNKNOWN, Rule, Three, missing_of, texts
from geojw.law.catalogue import Layer
from geojw.law.effects import EFFECTS
from geojw.measure.geodesy import Floats
from geojw.measure.index import Bools
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

NUMBERS = frozenset({"value", "limit", "margin"})
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
_EFFECTS: Texts = np.array(EFFECTS, dtype=object)

WINDS = ("n", "ne", "e", "se", "s", "sw", "w", "nw", "any")
"""Directions from the north by eighths, and none."""

Cells = np.ndarray[Any, Any] | Kinds | str
"""A column, or the text that all its rows have in common."""

NOBODY: Mapping[str, Any] = {"row": np.zeros(0, dtype=np.int64)} | {
    name: np.zeros(0, dtype=float if name in NUMBERS else object) for name in FINDINGS[1:]
}
"""The columns of a rule that governs no site."""

Columns = Mapping[str, Any]
"""The `Cells` of a table to be: one frame is made of a whole batch, for small frames cost more than their figures."""


class LayerFindings:
    """
    What the rules on one layer say of the sites of a batch.

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

    def finding(self, rule: Rule, *, failed: bool) -> Columns:
        """
        Evaluate one rule.

        Parameters
        ----------
        rule
            In force.
        failed
            Whether the layer cannot serve this rule.

        Returns
        -------
        Columns
            `FINDINGS` but the first, a row for each site that the rule governs, and ``row``, the site's position in
            the batch.
        """
        applies, asked = self.batch.matched(rule.applies)
        rows = np.flatnonzero(applies != FALSE)
        if not rows.size:  # nobody is governed, so nothing is measured
            return NOBODY
        answer = None if failed or self.on_layer is None else self.on_layer.answer(rule)
        lifted, unshown = self._exception(rule)
        outcome = self._outcome(rule, answer, applies, lifted)
        effect, unproved = self._effect(rule)
        n, lang = len(applies), self.batch.lang
        frame: dict[str, object] = {
            "rule_id": rule.id, "layer": self.name, "outcome": Kinds(outcome, OUTCOMES),
            "effect": Kinds(effect, _EFFECTS), "op": rule.test.op, "limit": rule.test.value,
            "basis": rule.basis.text(lang), "says": rule.says.in_(lang),
            "remedy": self._remedies(rule, answer, outcome, asked, unshown, unproved),
            "reason": self._reasons(answer, outcome, asked), "claimed": self._claims(rule, outcome),
            "data": self.data_words(rule),
        }  # fmt: skip
        if answer is None:
            nothing = np.full(n, np.nan)
            measure = natural_measures(rule, self.row, self.batch.shapes)
            frame |= {"measure": measure, "value": nothing, "margin": nothing, "certainty": ""}
            frame |= {"feature_ids": np.full(n, "", dtype=object), "margin_unit": "", "sliver": np.zeros(n, dtype=bool)}
        else:
            tested = (outcome == HIT) | (outcome == CLEAR)
            margin = np.where(tested | (outcome == LIFTED), answer.margin, np.nan)
            margin_unit = np.where(np.isnan(margin), NO_UNIT, answer.unit)
            frame |= {"measure": answer.measure, "value": _rounded(answer.value, answer.measure)}
            frame |= {"margin": _rounded(margin, Kinds(answer.unit, UNITS)), "margin_unit": Kinds(margin_unit, UNITS)}
            frame |= {"feature_ids": answer.features, "sliver": answer.sliver}
            frame |= {"certainty": Kinds(np.where(tested, np.where(answer.firm, 1, 2), 0), CERTAINTIES)}
        some = rows if len(rows) < n else None
        return {"row": rows} | {name: _column(frame[name], some, len(rows)) for name in FINDINGS[1:]}

    # -- outcome and effect -----------------------------------------------------------------------

    def _exception(self, rule: Rule) -> tuple[Three, Kinds]:
        """Whether the exception is shown, and by what it would be."""
        if rule.unless:
            return self.batch.matched(rule.unless)
        n = len(self.batch.ids)
        return np.full(n, FALSE, dtype=np.int8), Kinds.same("", n)

    def _outcome(self, rule: Rule, answer: Answer | None, applies: Three, lifted: Three) -> Ints:
        """Follow DESIGN's order of decision; give positions in `OUTCOMES`."""
        if answer is None:
            outcome = np.full(len(applies), SOURCE_FAILED)
        else:
            passes, fails = answer.test == TRUE, answer.test == FALSE
            outcome = np.full(len(applies), NOT_EVALUABLE)
            outcome[fails] = CLEAR
            outcome[passes & (applies == TRUE)] = HIT
            outcome[self._uncovered(rule, passes & (applies == TRUE), fails)] = NO_COVERAGE
        outcome[(lifted == TRUE) & (outcome != CLEAR)] = LIFTED
        return outcome

    def _uncovered(self, rule: Rule, passes: Bools, fails: Bools) -> Bools:
        """Where nothing was found but the layer does not speak for the whole site."""
        out = np.zeros(len(passes), dtype=bool)
        silent = np.flatnonzero(fails if rule.test.is_presence else passes)
        if silent.size and self.on_layer is not None:
            out[silent] = self.on_layer.uncovered(rule, silent)
        return out

    def _effect(self, rule: Rule) -> tuple[Ints, Kinds]:
        """Give each site's effect after the proofs, as its position in `EFFECTS`, and the proofs that are missing."""
        n = len(self.batch.ids)
        stricter, open_ = np.zeros(n, dtype=np.int64), []
        for proof in rule.proofs:
            shown, _ = self.batch.matched({proof.key: (True,)})
            stricter = np.where(shown == FALSE, np.maximum(stricter, EFFECTS.index(proof.if_false)), stricter)
            open_.append(shown == UNKNOWN)
        missing = missing_of([proof.key for proof in rule.proofs], open_, n)
        return np.where(stricter > 0, stricter, rule.rank), missing

    # -- texts ------------------------------------------------------------------------------------

    def _remedies(
        self, rule: Rule, answer: Answer | None, outcome: Ints, asked: Kinds, unshown: Kinds, unproved: Kinds
    ) -> Texts:
        """Say what would change each finding."""
        lang, title = self.batch.lang, self.row.title.in_(self.batch.lang)
        out = np.full(len(outcome), "", dtype=object)
        out[outcome == SOURCE_FAILED] = say("remedy.deliver", lang, layer=title)
        out[outcome == NO_COVERAGE] = say("remedy.cover", lang, layer=title)
        if answer is None:
            return out
        hits, open_ = np.flatnonzero(outcome == HIT), np.flatnonzero(outcome == NOT_EVALUABLE)
        if hits.size:
            shown = crossed(lambda *keys: self._to_show(rule, *keys), unshown.take(hits), unproved.take(hits))
            if rule.test.is_presence:
                out[hits] = self._changes(rule, answer, hits) + shown.plain()
            else:
                out[hits] = Kinds(shown.code, _unled(shown.texts, lang)).plain()
        if open_.size:
            what = crossed(lambda *why: self._to_complete(title, *why), asked.take(open_), answer.why.take(open_))
            out[open_] = what.plain()
        return out

    def _to_show(self, rule: Rule, unshown: str, unproved: str) -> str:
        """Say what an applicant may still show, each led by the join of a list."""
        lang, proofs = self.batch.lang, {proof.key: proof.says.in_(self.batch.lang) for proof in rule.proofs}
        parts = [say("remedy.exception", lang, key=self._named(key)) for key in _words(unshown)]
        parts += [say("remedy.prove", lang, key=proofs[key], column=key) for key in _words(unproved)]
        return "".join(say("format.join", lang) + part for part in parts)

    def _to_complete(self, title: str, asked: str, why: str) -> str:
        """Say what would make a rule evaluable."""
        lang = self.batch.lang
        parts = [say("remedy.supply", lang, key=self._named(key)) for key in _words(asked)]
        if why in ("dimension", "layer_kind"):
            parts.append(say(f"remedy.{why}", lang))
        elif why:
            parts.append(say("remedy.complete", lang, layer=title, what=why))
        return say("format.join", lang).join(parts)

    def _named(self, key: str) -> str:
        """Name an attribute as the zone does, with the column that an applicant fills in."""
        title = self.batch.pack.attribute(key).title
        return (
            key
            if title is None
            else say("format.attribute", self.batch.lang, title=title.in_(self.batch.lang), key=key)
        )

    def _changes(self, rule: Rule, answer: Answer, rows: Ints) -> Texts:
        """Say how each of these sites itself would have to change."""
        lang, shapes = self.batch.lang, self.batch.shapes
        if answer.away is not None:
            towards = np.array([say(f"compass.{wind}", lang) for wind in WINDS], dtype=object)
            return filled(
                template("remedy.move", lang), len(rows), distance=figures(np.abs(answer.margin[rows])),
                towards=towards[_winds(answer.away[rows])], feature=answer.features[rows],
            )  # fmt: skip
        value = answer.value[rows] - rule.test.value
        value = value * shapes.size[rows] if rule.test.is_share else value
        out, texts = np.full(len(rows), "", dtype=object), figures(value)
        for dimension, key in enumerate(("remedy.move_out", "remedy.remove_m", "remedy.remove_m2")):
            some = np.flatnonzero(shapes.dimension[rows] == dimension)
            out[some] = filled(template(key, lang), len(some), value=texts[some])
        return out

    def _reasons(self, answer: Answer | None, outcome: Ints, asked: Kinds) -> Kinds:
        """Say why an outcome is unknown, in words for machines."""
        no_cells = self.row.kind == "raster"
        uncovered = f"{self.name}:no_data" if no_cells else f"coverage:{self.row.coverage}"
        texts: Texts = np.array(["", f"layer:{self.name}", uncovered], dtype=object)
        code = np.where(outcome == SOURCE_FAILED, 1, np.where(outcome == NO_COVERAGE, 2, 0))
        rows = np.flatnonzero(outcome == NOT_EVALUABLE)
        if not rows.size or answer is None:
            return Kinds(code, texts)

        def reason(keys: str, what: str) -> str:
            return ";".join([*(f"attribute:{key}" for key in _words(keys)), *([f"{self.name}:{what}"] if what else [])])

        why = crossed(reason, asked.take(rows), answer.why.take(rows))
        code[rows] = why.code + len(texts)
        return Kinds(code, np.concatenate([texts, why.texts]))

    def _claims(self, rule: Rule, outcome: Ints) -> Kinds | str:
        """Give the attributes on which an exception rests, which nobody checked."""
        rows = np.flatnonzero(outcome == LIFTED)
        if not rows.size:
            return ""
        keys = sorted(rule.unless)
        cells = [texts(self.batch.attributes[self.batch.pack.attribute(key).column or key]) for key in keys]

        def claim(*values: str) -> str:
            said = [f"{key}={value}" for key, value in zip(keys, values, strict=True)]
            return say("claimed", self.batch.lang, pairs=", ".join(said))

        claims = crossed(claim, *(Kinds.of(column[rows]) for column in cells))
        code = np.zeros(len(outcome), dtype=np.int64)
        code[rows] = claims.code + 1
        return Kinds(code, np.concatenate([np.array([""], dtype=object), claims.texts]))

    def data_words(self, rule: Rule | None) -> str:
        """Give what every table must say of the data behind a row."""
        statuses = {self.row.status} if self.data is None else {*self.data.statuses, self.row.status}
        words = {"synthetic"} & statuses
        if self.row.source.date > self.day:
            words.add("newer_than_day")
        if rule is not None and rule.basis.in_force_checked is None:
            words.add("force_unchecked")
        return ";".join(sorted(words))

    # -- overlaps ---------------------------------------------------------------------------------

    def overlaps(self, rules: Sequence[Rule], findings: Sequence[Columns]) -> list[Columns]:
        """
        Collect what the sites share with every feature, and the nearest features of distance rules.

        Parameters
        ----------
        rules, findings
            The rules that the layer served, and what `finding` gave for each.

        Returns
        -------
        list of Columns
            `OVERLAPS` and ``row``, as above; a feature that overlaps and is nearest has two rows still.
        """
        if not isinstance(self.on_layer, OnLayer):
            return []
        out = []
        if self.name != self.batch.pack.zone.boundary:
            out.append(self._shared(rules))
        for rule, frame in zip(rules, findings, strict=True):
            if rule.test.is_distance:
                near = np.flatnonzero(frame["feature_ids"] != "")
                near_m = {"distance_m": frame["value"][near]}
                out.append(
                    self._overlap_rows(frame["row"][near], Kinds.of(frame["feature_ids"][near]), rule.id, near_m)
                )
        return out

    def _shared(self, rules: Sequence[Rule]) -> Columns:
        assert isinstance(self.on_layer, OnLayer)  # noqa: S101 - overlaps() asks only vector layers that were read
        pairs, shapes, ids = self.on_layer.pairs, self.batch.shapes, self.on_layer.data.ids
        keeps = {rule.id: self.on_layer.kept(rule).possible for rule in rules}
        rows = pairs.overlap > 0.0
        site, feature, overlap = pairs.site[rows], pairs.feature[rows], pairs.overlap[rows]
        met, which = np.unique(feature, return_inverse=True)
        by = np.array([";".join(sorted(r for r, k in keeps.items() if k[f])) for f in met], dtype=object)
        dimension = shapes.dimension[site]
        figures = {
            "overlap_m2": np.where(dimension == 2, overlap, np.nan),  # noqa: PLR2004 - areas
            "overlap_m": np.where(dimension == 1, overlap, np.nan),
            "overlap_share": np.minimum(overlap / shapes.size[site], 1.0),
        }
        return self._overlap_rows(site, Kinds(which, ids[met]), Kinds(which, by), figures)

    def _overlap_rows(self, site: Ints, feature: Kinds, rules: Kinds | str, figures: dict[str, Floats]) -> Columns:
        frame: dict[str, object] = {
            "layer": self.name, "feature_id": feature, "rules": rules,
            "data": self.data_words(None),
        }  # fmt: skip
        for column in ("overlap_m2", "overlap_share", "distance_m", "overlap_m"):
            figure = figures.get(column, np.full(len(site), np.nan))
            frame[column] = np.round(figure, DECIMALS.get(column, 3))
        return {"row": site} | {name: _column(frame[name], None, len(site)) for name in OVERLAPS[1:]}


def _column(cells: object, rows: Ints | None, n: int) -> Cells:
    """Take `n` rows of a column, or all; a number that they have in common is repeated."""
    match cells:
        case str():
            return cells
        case Kinds():
            return cells if rows is None else cells.take(rows)
        case np.ndarray():
            return cells if rows is None else cells[rows]
        case _:
            return np.full(n, cells, dtype=float)


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
