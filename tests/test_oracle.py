"""The engine against a second implementation, written from the design alone, on random zone packs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import oracle
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geojw

SEEDS = st.integers(min_value=0, max_value=100_000)
MANY = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


def both(seed: int, folder: Path) -> tuple[oracle.OracleResult, geojw.Screening]:
    sites = oracle.random_pack(seed, folder)
    expected = oracle.evaluate(folder, sites, oracle.DAY)
    return expected, geojw.screen(sites, geojw.open_zone(folder), on=oracle.DAY, lang="en")


def undeclared(found: geojw.Screening) -> set[str]:
    """Rules whose `where` value is not in the data: a fault here, unknown to the oracle."""
    faults = [fault for error in found.failed.values() for fault in error.faults]
    return {str(fault.fields["rule"]) for fault in faults if fault.key == "where_value"}


@MANY
@given(SEEDS)
def test_the_engine_agrees_with_the_oracle(seed: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="geojw-test-"))
    try:
        expected, found = both(seed, folder)
        lost = undeclared(found)
        rows = compare_findings(expected.findings, found.findings, lost)
        compare_values(rows)
        if not lost:
            compare_verdicts(expected.verdicts, found.verdicts)
        compare_overlaps(expected.overlaps, found.overlaps)
    finally:
        shutil.rmtree(folder)


def compare_findings(expected: pd.DataFrame, found: pd.DataFrame, lost: set[str]) -> pd.DataFrame:
    rows = expected.merge(found, on=["site_id", "rule_id"], how="outer", suffixes=("_x", ""), indicator=True)
    assert (rows["_merge"] == "both").all()
    rows = rows[~rows["rule_id"].isin(lost)]
    for column in ("outcome", "effect", "measure", "certainty", "sliver"):
        bad = rows[rows[column].fillna("") != rows[f"{column}_x"].fillna("")]
        assert bad.empty, bad[["site_id", "rule_id", column, f"{column}_x", "value", "value_x", "reason"]].to_string()
    return rows


def compare_values(rows: pd.DataFrame) -> None:
    """Compare figures; where a test is unknown both say so and the figure is nobody's answer."""
    known = rows[rows["outcome"].isin(["hit", "clear", "no_coverage"]) & rows["value_x"].notna()]
    distance = known["measure"] == "distance_m"
    # The oracle's figure is of features that are surely kept and whose place is known. Where nothing was found, what is
    # perhaps kept may be nearer; and a station somewhere in its town is surely no farther than the town's far end.
    presence = known["op"].isin(["<", "<="])
    found = ((known["outcome"] == "hit") & presence) | ((known["outcome"] == "clear") & ~presence)
    nearer = distance & (~found | (known["layer"] == "stations")) & (known["value"] < known["value_x"])
    known = known[~nearer]
    apart = (known["value"] - known["value_x"]).abs()
    allowed = np.where(known["measure"] == "overlap_share", 6e-6, np.maximum(0.02, 5e-6 * known["value_x"].abs()))
    assert (apart <= allowed).all(), known[apart > allowed][["site_id", "rule_id", "value", "value_x"]].to_string()


def compare_verdicts(expected: pd.DataFrame, found: pd.DataFrame) -> None:
    rows = expected.merge(found, on="site_id", suffixes=("_x", ""))
    assert len(rows) == len(expected) == len(found)
    for column in ("verdict", "at_least", "at_most", "certainty", "could_become", "decided_by"):
        bad = rows[rows[column].fillna("") != rows[f"{column}_x"].fillna("")]
        assert bad.empty, bad[["site_id", column, f"{column}_x"]].to_string()


def compare_overlaps(expected: pd.DataFrame, found: pd.DataFrame) -> None:
    def real(table: pd.DataFrame) -> pd.DataFrame:
        """Rows beyond what rounding makes of edges that touch."""
        table = table[(table["overlap_share"] > 1e-8) & (table["layer"] != "boundary")]
        return table[~(table["overlap_m2"].fillna(1.0).between(1e-12, 0.05))]

    rows = real(expected).merge(
        real(found), on=["site_id", "layer", "feature_id"], how="outer", suffixes=("_x", ""), indicator=True
    )
    assert (rows["_merge"] == "both").all(), rows[rows["_merge"] != "both"].to_string()
    assert np.allclose(rows["overlap_share"], rows["overlap_share_x"], rtol=1e-5, atol=1e-6)
