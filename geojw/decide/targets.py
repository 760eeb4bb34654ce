"""Decide where the zone stands against the plan: each target met, not met, unknown or informative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd

from geojw.decide.counted import NOTHING
from geojw.decide.quantities import DECIMALS, measure
from geojw.decide.screening import Source
from geojw.errors import LayerError
from geojw.law.catalogue import Target
from geojw.texts import say

TARGETS = (
    "id", "title", "value", "op", "threshold", "unit", "margin", "status", "by", "basis", "source", "certainty",
    "value_planar", "denominator", "as_of", "timing", "worst_case", "value_max", "data_share", "reason", "note",
    "departments", "data",
)  # fmt: skip
STATUSES = ("met", "not_met", "unknown", "informative")
REASONS = (
    "not_reported",
    "reported_later",
    NOTHING,
    "no_day",
    "formula_unverified",
    "no_tolerance",
    "scope",
    "partly",
    "doubt",
)
"""Words of `reason`; anything else is the text of a fault."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """
    Where a zone stands against its plan.

    Parameters
    ----------
    targets
        `TARGETS`, a row a target, sorted by id.
    divisions
        `quantities.DIVISIONS`: the measured ones by town and control unit.
    counted
        Index = target id, in the analysis CRS: the areas that count.
    failed
        Layer -> why it could not be used.
    day
        Reports of later days are left out.
    """

    targets: pd.DataFrame
    divisions: pd.DataFrame
    counted: gpd.GeoDataFrame
    failed: Mapping[str, LayerError]
    day: date


def evaluate(source: Source, *, on: date, lang: str = "zh") -> Evaluation:
    """
    Measure the targets of a zone and decide on them.

    Parameters
    ----------
    source
        The zone.
    on
        The day.
    lang
        ``zh`` or ``en``.

    Returns
    -------
    Evaluation
        Layers that failed leave their targets unknown.
    """
    found = measure(source.pack.targets, source, on=on, lang=lang)
    return Evaluation(decide(source.pack.targets, found.table, lang), found.divisions, found.counted, found.failed, on)


def decide(targets: Sequence[Target], measured: pd.DataFrame, lang: str) -> pd.DataFrame:
    """
    Decide on targets.

    Parameters
    ----------
    targets
        The rows of ``targets.toml``.
    measured
        `quantities.MEASURED`, index = target id.
    lang
        ``zh`` or ``en``.

    Returns
    -------
    DataFrame
        `TARGETS`, in the order of `targets`.
    """
    found = measured.loc[[target.id for target in targets]]
    rows = [_decided(target, row, lang) for target, (_, row) in zip(targets, found.iterrows(), strict=True)]
    return pd.DataFrame(rows, columns=list(TARGETS))


def _decided(target: Target, found: pd.Series, lang: str) -> dict[str, object]:
    status, why = _status(target, found)
    margin = _margin(target, float(found["value"])) if status in ("met", "not_met") else np.nan
    margin = round(margin, DECIMALS.get(target.unit, 6)) + 0.0
    as_of = found["as_of"]
    title = target.title.in_(lang)
    estimate = "estimate" in str(found["data"]).split(";")
    basis = target.basis
    words = {word for word in str(found["data"]).split(";") if word}
    words |= {"force_unchecked"} if basis.in_force_checked is None else set()
    return {
        "id": target.id, "title": say("target.estimate", lang, title=title) if estimate else title,
        "value": found["value"], "op": target.op, "threshold": target.value, "unit": target.unit, "margin": margin,
        "status": status, "by": "" if target.by is None else str(target.by), "basis": basis.text(lang),
        "source": found["source"], "certainty": _certainty(target, status, margin, float(found["worst_case"])),
        "value_planar": found["value_planar"], "denominator": found["denominator"],
        "as_of": "" if as_of is None else as_of.isoformat(), "timing": _timing(target, status, as_of),
        "worst_case": found["worst_case"], "value_max": _shown_most(found), "data_share": found["data_share"],
        "reason": say(f"target.{why}", lang) if why in REASONS else why, "note": _note(target, lang),
        "departments": ";".join(target.departments), "data": ";".join(sorted(words)),
    }  # fmt: skip


def _status(target: Target, found: pd.Series) -> tuple[str, str]:
    """Give the status and why it is no plain yes or no."""
    quantity, reason = target.quantity, str(found["reason"])
    low, high = float(found["value"]), float(found["value_max"])
    if quantity.kind == "scope":
        return "informative", "scope"
    if np.isnan(low) or reason:
        return "unknown", reason
    if found["as_of"] is None:
        return "unknown", "no_day"
    if quantity.formula_verified is False:
        return "informative", "formula_unverified"
    if target.op == "about" and target.tolerance is None:
        return "informative", "no_tolerance"
    return _tested(target, low, np.inf if found["partial"] else high)


def _tested(target: Target, low: float, high: float) -> tuple[str, str]:
    """Test an interval: what is surely there, and the most that may be (infinite where nobody knows)."""
    if target.op == ">=":
        passes, fails = low >= target.value, high < target.value
    elif target.op == "<=":
        passes, fails = high <= target.value, low > target.value
    else:
        reach = target.tolerance or 0.0
        least, most = target.value - reach, target.value + reach
        passes, fails = least <= low and high <= most, low > most or high < least
    if passes or fails:
        return ("met" if passes else "not_met"), ""
    return "unknown", "partly" if np.isinf(high) else "doubt"


def _margin(target: Target, value: float) -> float:
    """Give the signed way to where the status flips, positive on the side of `met`."""
    match target.op:
        case ">=":
            return value - target.value
        case "<=":
            return target.value - value
        case _:
            return (target.tolerance or 0.0) - abs(value - target.value)


def _certainty(target: Target, status: str, margin: float, worst: float) -> str:
    """Say whether a measured answer survives all edges being off one way; of a reported one nobody can say."""
    if status not in ("met", "not_met") or target.quantity.kind == "reported":
        return ""
    return "firm" if abs(margin) > worst else "marginal"  # an unknown worst case is never firm


def _timing(target: Target, status: str, as_of: date | None) -> str:
    """Say whether the day of a value is before the target's year, or after it with the target not met."""
    if target.by is None or as_of is None or status not in ("met", "not_met"):
        return ""
    if as_of.year < target.by:
        return "interim"
    return "overdue" if as_of.year > target.by and status == "not_met" else ""


def _shown_most(found: pd.Series) -> float:
    most = float(found["value_max"])
    return most if np.isfinite(most) and most > float(found["value"]) else np.nan


def _note(target: Target, lang: str) -> str:
    parts = [] if target.note is None else [target.note.in_(lang)]
    formula = target.quantity.formula
    if formula is not None:
        key = "target.formula" if target.quantity.formula_verified else "target.formula_open"
        parts.append(say(key, lang, formula=formula.in_(lang)))
    return say("format.join", lang).join(part.rstrip("。.") for part in parts)
