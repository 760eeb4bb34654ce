"""Findings make verdicts: the strictest that is sure, what it could become, and by which rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geojw.decide.batch import Batch
from geojw.law.access_list import EFFECTS, texts
from geojw.law.quantity_rows import AREA_UNITS
from geojw.measure.geodesy import planar_area_m2, read_crs
from geojw.measure.index import AREA, LINE, Bools
from geojw.measure.pieces import Ints
from geojw.texts import say
from geojw.wording import Texts, by_kind, joined

UNKNOWN_OUTCOMES = ("no_coverage", "source_failed", "not_evaluable")
VERDICTS = (
    "site_id", "name", "verdict", "certainty", "decided_by", "area_m2", "hits", "unknown", "at_least", "at_most",
    "could_become", "lifted", "area_ha", "area_mu", "length_m", "area_planar_m2", "verdict_text", "data",
)  # fmt: skip


def verdicts_of(findings: pd.DataFrame, batch: Batch) -> pd.DataFrame:
    """Give the table of verdicts of a batch: what `decide` says, with names, sizes and words."""
    out = _decided(findings, batch.ids)
    shapes, attributes = batch.shapes, batch.attributes
    area = np.where(shapes.dimension == AREA, shapes.size, np.nan)
    out["name"] = texts(attributes["name"]) if "name" in attributes else np.full(len(area), "", dtype=object)
    out["area_m2"] = np.round(area, 4)
    out["area_ha"], out["area_mu"] = np.round(area / AREA_UNITS["ha"], 8), np.round(area / AREA_UNITS["mu"], 7)
    out["length_m"] = np.round(np.where(shapes.dimension == LINE, shapes.size, np.nan), 3)
    planar = batch.pack.zone.planar_crs
    moved = np.full(len(area), np.nan)
    if planar is not None and len(shapes):
        moved = planar_area_m2(shapes.geometries, batch.analysis.crs, read_crs(planar, "zone.toml, planar_crs"))
    out["area_planar_m2"] = np.round(np.where(shapes.dimension == AREA, moved, np.nan), 4)
    claimed, data = out["lifted"] != "", out["data"].copy()
    data[claimed] = by_kind(lambda words: "claims_unchecked" + (f";{words}" if words else ""), data[claimed])
    out["data"] = data
    words = {word: say(f"verdict.{word}", batch.lang) for word in (*EFFECTS, "undetermined")}
    out["verdict_text"] = by_kind(words.__getitem__, out["verdict"])
    return pd.DataFrame({name: out[name] for name in VERDICTS})


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
    return pd.DataFrame(_decided(findings, ids))


def _decided(findings: pd.DataFrame, ids: Texts) -> dict[str, np.ndarray[Any, Any]]:
    n = len(ids)
    site = np.asarray(pd.Index(ids).get_indexer(pd.Index(findings["site_id"])), dtype=np.int64)
    ranks = {word: rank for rank, word in enumerate(EFFECTS)}
    rank = np.asarray(findings["effect"].map(ranks), dtype=np.int64)
    outcome = findings["outcome"].to_numpy(dtype=object)
    rule = findings["rule_id"].to_numpy(dtype=object)
    hit, unknown, lifted = outcome == "hit", np.isin(outcome, UNKNOWN_OUTCOMES), outcome == "lifted"
    at_least, doubt = _most(site, rank, hit, n), _most(site, rank, unknown, n)
    at_most = np.maximum(at_least, doubt)
    decided = at_least == at_most
    words = np.array(EFFECTS, dtype=object)
    carries = (hit & decided[site] & (rank == at_least[site])) | (unknown & (rank > at_least[site]))
    marginal = (findings["certainty"] == "marginal").to_numpy(dtype=bool)
    could = _could_become(_Ranked(site, rank, hit, unknown, outcome == "clear", marginal), at_least, at_most)
    return {
        "site_id": ids,
        "verdict": np.where(decided, words[at_least], "undetermined"),
        "certainty": np.where(decided, np.where(could != "", "marginal", "firm"), ""),
        "decided_by": joined(site[carries], rule[carries], n),
        "hits": joined(site[hit], rule[hit], n),
        "unknown": joined(site[unknown], rule[unknown], n),
        "at_least": words[at_least],
        "at_most": words[at_most],
        "could_become": could,
        "lifted": joined(site[lifted], rule[lifted], n),
        "data": _joined_words(site, findings["data"], n),
    }


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Findings as arrays: position of the site, rank of the effect, and what the outcome is."""

    site: Ints
    rank: Ints
    hit: Bools
    unknown: Bools
    clear: Bools
    marginal: Bools


def _could_become(found: _Ranked, at_least: Ints, at_most: Ints) -> Texts:
    """
    Find the verdicts that a flip of marginal findings would give.

    A marginal `clear` may become a hit; hits that carry a verdict together may all be lost together, since they may
    rest on the same uncertain edge.
    """
    n = len(at_least)
    decided = at_least == at_most
    words = np.array([*EFFECTS, "undetermined"], dtype=object)
    worse = found.clear & found.marginal & decided[found.site] & (found.rank > at_least[found.site])
    firm = _most(found.site, found.rank, found.hit & ~found.marginal, n)
    next_hit = _most(found.site, found.rank, found.hit & (found.rank < at_least[found.site]), n)
    doubt = _most(found.site, found.rank, found.unknown, n)
    lost = np.flatnonzero(decided & (at_least > 0) & (firm < at_least))
    lesser = np.where(doubt[lost] <= next_hit[lost], next_hit[lost], len(EFFECTS))
    return joined(
        np.concatenate([found.site[worse], lost]), np.concatenate([words[found.rank[worse]], words[lesser]]), n
    )


def _most(site: Ints, rank: Ints, rows: Bools, n: int) -> Ints:
    out = np.zeros(n, dtype=np.int64)
    np.maximum.at(out, site[rows], rank[rows])
    return out


def _joined_words(site: Ints, cells: pd.Series, n: int) -> Texts:
    """Join cells that are lists themselves; few distinct ones repeat, so a bit stands for each word."""
    codes, unique = pd.factorize(cells)
    words = sorted({word for cell in unique for word in str(cell).split(";") if word})
    masks = np.array([sum(1 << words.index(w) for w in str(cell).split(";") if w) for cell in unique], dtype=np.int64)
    bits = np.zeros(n, dtype=np.int64)
    if len(codes):
        np.bitwise_or.at(bits, site, masks[codes])
    kinds, code = np.unique(bits, return_inverse=True)
    texts = np.array([";".join(w for i, w in enumerate(words) if kind >> i & 1) for kind in kinds], dtype=object)
    return texts[code] if n else np.zeros(0, dtype=object)
