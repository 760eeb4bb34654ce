"""What the script of a map's page is given of sites: shapes, verdicts and findings, packed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw.errors import Fault, OutputError
from geojw.maps.mapdata import VERDICTS, VERTEX_BUDGET, Cell, MapRule, bare, cell, shown
from geojw.maps.packing import Packing
from geojw.measure.geodesy import Floats, Geometries

CROWD = 2_000
"""Sites above which they are drawn as canvas tiles, since SVG would zoom in jerks on a phone."""
MANY = 5_000
"""Sites above which the page carries only the findings that are not clear, as rule numbers and rounded values."""
MOST_SITES, MOST_SITE_VERTICES = 100_000, 1_500_000
"""What one page can hold."""

FINDING = (
    *("rule_id", "layer", "outcome", "effect", "measure", "value", "op", "limit", "margin", "margin_unit"),
    *("certainty", "feature_ids", "basis", "says", "remedy", "reason"),
)
NUMBERS = frozenset({"value", "limit", "margin"})
_OF_RULE = ("rule_id", "layer", "op", "limit", "basis", "says")
"""What is the same in every finding of a rule."""
_OF_SITE = ("rule_id", *(name for name in FINDING if name not in _OF_RULE))
SITE = ("name", "verdict", "certainty", "decided_by", "area_m2", "at_least", "at_most", "could_become")
CHANGED = ("before", "changed_by")
"""What is said of a site besides where two versions are compared: the verdict before, and the rules that changed it."""
_OWN = ("name", "area_m2")

_OUTCOMES = ("hit", "not_evaluable", "no_coverage", "source_failed", "withheld", "lifted", "clear")
_ROUGH = 3
"""Significant digits of the values that a page of many sites carries."""


def packed_sites(sites: gpd.GeoDataFrame, packing: Packing) -> dict[str, Any]:
    """
    List the sites, each with a point on it for its symbol, its vertices counted from there.

    What is said of a site often repeats: it is the number of a row of ``said``.

    Raises
    ------
    OutputError
        There are more than a page can hold: says how many, and what to do.
    """
    geometries = bare(sites, packing)
    vertices = int(shapely.get_num_coordinates(geometries).sum())
    if len(sites) > MOST_SITES or vertices > MOST_SITE_VERTICES:
        fields = {"sites": f"{len(sites):,}", "vertices": f"{vertices:,}", "most": f"{MOST_SITES:,}"}
        raise OutputError([Fault("map_sites_heavy", "sites", fields | {"most_vertices": f"{MOST_SITE_VERTICES:,}"})])
    spots = shapely.get_coordinates(shapely.points(_spots(geometries)))
    steps = packing.steps(np.nan_to_num(spots))
    told = [name for name in (*SITE, *CHANGED) if name in sites.columns and name not in _OWN]
    said: dict[tuple[Cell, ...], int] = {}
    names, areas = ([cell(value) for value in sites[column]] for column in _OWN)
    words = (tuple(map(cell, row)) for row in sites[told].itertuples(index=False, name=None))
    columns = zip(sites.index, steps.tolist(), packing.packed(geometries, steps), names, areas, words, strict=True)
    return {
        "columns": ["id", "x", "y", "geometry", *_OWN, "said"],
        "said_columns": told,
        "rows": [
            [shown(key), x, y, shape, name, area, said.setdefault(word, len(said))]
            for key, (x, y), shape, name, area, word in columns
        ],
        "said": [[*row] for row in said],
        "canvas": len(sites) > CROWD or vertices > VERTEX_BUDGET,
    }


def _spots(geometries: Geometries) -> Floats:
    spots = shapely.point_on_surface(geometries)
    return np.column_stack([shapely.get_x(spots), shapely.get_y(spots)])


def packed_findings(
    findings: pd.DataFrame, site_ids: Sequence[object], rules: Sequence[MapRule], *, rough: bool
) -> dict[str, Any]:
    """Code the findings for the page, hits first: all of them, or for many sites those that are not clear, rounded."""
    order = {word: i for i, word in enumerate((*VERDICTS, *_OUTCOMES))}
    ranks = {name: findings[name[1:]].map(order) for name in ("_outcome", "_effect")}
    ranked = findings.assign(**ranks).sort_values([*ranks, "rule_id"], kind="stable")
    if rough:
        return _rough_findings(ranked[ranked["outcome"] != "clear"], site_ids, rules)
    strings: dict[str, int] = {}

    def coded(name: str, value: Cell) -> Cell:
        plain = value is None or value == "" or name in NUMBERS
        return (None if value == "" else value) if plain else strings.setdefault(str(value), len(strings))

    def row(names: Sequence[str], values: Iterable[Any]) -> list[Cell]:
        out = [*map(coded, names, map(cell, values))]
        while out and out[-1] is None:
            out.pop()
        return out

    rows: dict[object, list[list[Cell]]] = {key: [] for key in site_ids}
    for key, *values in ranked[["site_id", *_OF_SITE]].itertuples(index=False, name=None):
        rows[key].append(row(_OF_SITE, values))
    same = ranked.drop_duplicates("rule_id")[list(_OF_RULE)].itertuples(index=False, name=None)
    return {
        "columns": _OF_SITE,
        "rule_columns": _OF_RULE,
        "numbers": sorted(NUMBERS),
        "rows": [*rows.values()],
        "rules": [row(_OF_RULE, values) for values in same],
        "strings": [*strings],
    }


def _rough_findings(ranked: pd.DataFrame, site_ids: Sequence[object], rules: Sequence[MapRule]) -> dict[str, Any]:
    """Code which rules say what of each site as a number of a list of patterns, and the rounded values of the hits."""
    number = {rule.id: at for at, rule in enumerate(rules)}
    outcomes = {word: at for at, word in enumerate(_OUTCOMES)}
    found: dict[object, list[int]] = {key: [] for key in site_ids}
    values: dict[object, list[float | None]] = {key: [] for key in site_ids}
    columns = ranked[["site_id", "rule_id", "outcome", "value", "margin"]]
    for key, rule, outcome, *figures in columns.itertuples(index=False, name=None):
        found[key] += [number[rule], outcomes[outcome]]
        if outcome == "hit":
            values[key] += [_rounded(figure) for figure in figures]
    patterns: dict[tuple[int, ...], int] = {}
    return {
        "of": [patterns.setdefault(tuple(row), len(patterns)) for row in found.values()],
        "patterns": [[*pattern] for pattern in patterns],
        "values": [row or 0 for row in values.values()],
        "outcomes": _OUTCOMES,
    }


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    if value == 0.0:
        return 0
    rounded = round(value, _ROUGH - 1 - math.floor(math.log10(abs(value))))
    return int(rounded) if float(rounded).is_integer() else rounded
