"""Findings make verdicts: the strictest that is sure, what it could become, and by which rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geojw.decide.batch import CODED_ROWS, Batch
from geojw.law.access_list import texts
from geojw.law.effects import EFFECTS
from geojw.law.quantity_rows import AREA_UNITS
from geojw.measure.geodesy import planar_area_m2, read_crs
from geojw.measure.index import AREA, LINE, Bools
from geojw.measure.pieces import Ints
from geojw.texts import say
from geojw.wording import Kinds, Texts, framed, joined

ENDS = (*EFFECTS, "undetermined")
"""What a verdict may be."""

DECIDED_BY = ("rule_id", "outcome", "effect", "certainty", "data")
"""The columns of findings that verdicts rest on, all of words."""

UNKNOWN_OUTCOMES = ("no_coverage", "source_failed", "not_evaluable")
VERDICTS = (
    "site_id", "name", "verdict", "certainty", "decided_by", "area_m2", "hits", "unknown", "at_least", "at_most",
    "could_become", "lifted", "area_ha", "area_mu", "length_m", "area_planar_m2", "verdict_text", "data",
)  # fmt: skip


def verdicts_of(findings: Mapping[str, Any], batch: Batch) -> pd.DataFrame:
    """Give the table of verdicts of a batch: what `decide` says, with names, sizes and words, as categories of many."""
    n, coded = len(batch), len(batch) >= CODED_ROWS
    site: Ints = findings["row"]
    decided = _decided(findings, site, n)
    shapes, attributes = batch.shapes, batch.attributes
    area = np.where(shapes.dimension == AREA, shapes.size, np.nan)
    planar = batch.pack.zone.planar_crs
    moved = np.full(n, np.nan)
    if planar is not None and n:
        moved = planar_area_m2(shapes.geometries, batch.analysis.crs, read_crs(planar, "zone.toml, planar_crs"))
    words = {word: say(f"verdict.{word}", batch.lang) for word in ENDS}
    out: dict[str, Any] = {name: kinds.column(coded=coded) for name, kinds in decided.items()}
    out |= {
        "site_id": batch.words,
        "name": texts(attributes["name"]) if "name" in attributes else np.full(n, "", dtype=object),
        "area_m2": np.round(area, 4),
        "area_ha": np.round(area / AREA_UNITS["ha"], 8),
        "area_mu": np.round(area / AREA_UNITS["mu"], 7),
        "length_m": np.round(np.where(shapes.dimension == LINE, shapes.size, np.nan), 3),
        "area_planar_m2": np.round(np.where(shapes.dimension == AREA, moved, np.nan), 4),
        "data": _with_claims(decided["data"], decided["lifted"]).column(coded=coded),
        "verdict_text": _renamed(decided["verdict"], words).column(coded=coded),
    }
    return framed({name: out[name] for name in VERDICTS})


def _with_claims(data: Kinds, lifted: Kinds) -> Kinds:
    """Say of sites on which an exception counts that nobody checked what it rests on."""
    claimed = (lifted.texts != "")[lifted.code]
    also = np.array(["claims_unchecked" + (f";{words}" if words else "") for words in data.texts], dtype=object)
    return Kinds(data.code + claimed * len(data.texts), np.concatenate([data.texts, also]))


def _renamed(kinds: Kinds, words: Mapping[str, str]) -> Kinds:
    return Kinds(kinds.code, np.array([words[text] for text in kinds.texts], dtype=object))


def decide(findings: pd.DataFrame, ids: Texts) -> pd.DataFrame:
    """
    Decide each site from its findings.

    Parameters
    ----------
    findings
        With site_id, rule_id, outcome, effect, certainty, data.
    ids
        Every site, also those that no rule governs.

    Returns
    -------
    DataFrame
        One row a site in the order of `ids`: site_id, verdict, certainty, decided_by, hits, unknown, at_least, at_most,
        could_become, lifted, data.
    """
    site = np.asarray(pd.Index(ids).get_indexer(pd.Index(findings["site_id"])), dtype=np.int64)
    decided = _decided({name: _kinds(findings[name]) for name in DECIDED_BY}, site, len(ids))
    return pd.DataFrame({"site_id": ids} | {name: kinds.column(coded=False) for name, kinds in decided.items()})


def _decided(findings: Mapping[str, Kinds], site: Ints, n: int) -> dict[str, Kinds]:
    """Decide each of so many sites by their findings' columns of words; `site` is the position of each finding's."""
    effect, outcome, rule = findings["effect"], findings["outcome"], findings["rule_id"]
    rank = np.array([EFFECTS.index(word) for word in effect.texts], dtype=np.int64)[effect.code]
    hit, unknown, lifted = (_is(outcome, *words) for words in (("hit",), UNKNOWN_OUTCOMES, ("lifted",)))
    at_least, doubt = _most(site, rank, hit, n), _most(site, rank, unknown, n)
    at_most = np.maximum(at_least, doubt)
    decided = at_least == at_most
    words = np.array(ENDS, dtype=object)
    carries = (hit & decided[site] & (rank == at_least[site])) | (unknown & (rank > at_least[site]))
    found = _Ranked(site, rank, hit, unknown, _is(outcome, "clear"), _is(findings["certainty"], "marginal"))
    could = _could_become(found, at_least, at_most)
    shaky = (could.texts != "")[could.code]
    sureness = np.asarray(np.where(decided, np.where(shaky, 2, 1), 0), dtype=np.int64)

    def rules(some: Bools) -> Kinds:
        return joined(site[some], rule.code[some], rule.texts, n)

    return {
        "verdict": Kinds(np.asarray(np.where(decided, at_least, len(EFFECTS)), dtype=np.int64), words),
        "certainty": Kinds(sureness, np.array(["", "firm", "marginal"], dtype=object)),
        "decided_by": rules(carries),
        "hits": rules(hit),
        "unknown": rules(unknown),
        "at_least": Kinds(at_least, words),
        "at_most": Kinds(at_most, words),
        "could_become": could,
        "lifted": rules(lifted),
        "data": _joined_words(site, findings["data"], n),
    }


def _kinds(column: pd.Series) -> Kinds:
    """Give a column of words that repeat by their codes, the words sorted."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.is_monotonic_increasing:
        codes = np.asarray(column.cat.codes, dtype=np.int64)
        return Kinds(codes, np.asarray(column.cat.categories, dtype=object))
    return Kinds.of(column.to_numpy(dtype=object))


def _is(kinds: Kinds, *words: str) -> Bools:
    """Whether each cell is one of some words."""
    return np.array([word in words for word in kinds.texts], dtype=bool)[kinds.code]


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Findings as arrays: position of the site, rank of the effect, and what the outcome is."""

    site: Ints
    rank: Ints
    hit: Bools
    unknown: Bools
    clear: Bools
    marginal: Bools


def _could_become(found: _Ranked, at_least: Ints, at_most: Ints) -> Kinds:
    """
    Find the verdicts that a flip of marginal findings would give.

    A marginal `clear` may become a hit; hits that carry a verdict together may all be lost together, since they may
    rest on the same uncertain edge.
    """
    n = len(at_least)
    decided = at_least == at_most
    worse = found.clear & found.marginal & decided[found.site] & (found.rank > at_least[found.site])
    firm = _most(found.site, found.rank, found.hit & ~found.marginal, n)
    next_hit = _most(found.site, found.rank, found.hit & (found.rank < at_least[found.site]), n)
    doubt = _most(found.site, found.rank, found.unknown, n)
    lost = np.flatnonzero(decided & (at_least > 0) & (firm < at_least))
    lesser = np.where(doubt[lost] <= next_hit[lost], next_hit[lost], len(EFFECTS))
    place, words = np.argsort(np.argsort(ENDS)), np.array(sorted(ENDS), dtype=object)
    rank = place[np.concatenate([found.rank[worse], lesser])]
    pair = np.unique(np.concatenate([found.site[worse], lost]) * len(words) + rank)
    return joined(pair // len(words), pair % len(words), words, n)


def _most(site: Ints, rank: Ints, rows: Bools, n: int) -> Ints:
    out = np.zeros(n, dtype=np.int64)
    np.maximum.at(out, site[rows], rank[rows])
    return out


def _joined_words(site: Ints, kinds: Kinds, n: int) -> Kinds:
    """Join cells that are lists themselves."""
    lists = [[word for word in str(cell).split(";") if word] for cell in kinds.texts]
    words = np.array(sorted({word for words in lists for word in words}), dtype=object)
    place = {word: at for at, word in enumerate(words)}
    pairs = [np.zeros(0, dtype=np.int64)]
    for number, some in enumerate(lists):
        own = site[kinds.code == number]
        pairs += [own * len(words) + place[word] for word in some]
    pair = np.unique(np.concatenate(pairs))
    return joined(pair // max(len(words), 1), pair % max(len(words), 1), words, n)
