"""What an audience may know of a screening: what rests on layers that it may not see is unknown to it."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from geojw.decide.verdicts import decide

DIGITS = 2
"""Significant digits of areas and shares that an audience may know where its distances are rounded too."""

_BLANK = ("feature_ids", "remedy", "reason", "certainty", "margin_unit")


def disclosed(
    verdicts: pd.DataFrame, findings: pd.DataFrame, hidden: Collection[str], nameless: Collection[str], step_m: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Decide sites anew from what an audience may know.

    Parameters
    ----------
    verdicts, findings
        The tables of a screening.
    hidden
        Rules that rest on layers or attributes that it may not see: no finding tells what was found, none says clear.
    nameless
        Layers whose feature ids it may not see.
    step_m
        Distances are rounded to multiples of this, so that many of them give no place away; 0 keeps all figures.

    Returns
    -------
    verdicts, findings : DataFrame
        The same rows; findings of hidden rules have the outcome ``withheld``, which is unknown.
    """
    away = findings["rule_id"].isin([*hidden]).to_numpy()
    out = findings.copy()
    out.loc[away, "outcome"] = "source_failed"
    for column in _BLANK:
        out.loc[away, column] = ""
    out.loc[away, ["value", "margin"]] = np.nan
    out.loc[away, "measure"] = out.loc[away, "measure"].where(out.loc[away, "measure"] == "distance_m", "")
    anew = decide(out, verdicts["site_id"].to_numpy(dtype=object))
    out.loc[away, "outcome"] = "withheld"
    told = verdicts.drop(columns=[c for c in anew.columns if c in verdicts.columns and c != "site_id"])
    told = told.merge(anew, on="site_id", validate="one_to_one")[list(verdicts.columns)]
    if step_m > 0.0:
        out.loc[out["layer"].isin([*nameless]).to_numpy(), "feature_ids"] = ""
        out["remedy"] = ""  # it says to the centimetre what would change the finding
        metres = out["measure"].eq("distance_m").to_numpy(dtype=bool)
        out["value"] = _rounded(out["value"].to_numpy(dtype=float), metres, step_m)
        metres = out["margin_unit"].eq("m").to_numpy(dtype=bool)
        out["margin"] = _rounded(out["margin"].to_numpy(dtype=float), metres, step_m)
        sizes = told["area_m2"].to_numpy(dtype=float)
        told["area_m2"] = _rounded(sizes, np.zeros(len(told), dtype=bool), step_m, digits=DIGITS + 1)
    return told, out


def _rounded(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    metres: np.ndarray[tuple[int], np.dtype[np.bool_]],
    step_m: float,
    digits: int = DIGITS,
) -> list[float]:
    return [
        value if not math.isfinite(value) or value == 0.0
        else round(value / step_m) * step_m if far
        else round(value, digits - 1 - math.floor(math.log10(abs(value))))
        for value, far in zip(values.tolist(), metres.tolist(), strict=True)
    ]  # fmt: skip
