"""The oracle of the tests reproduces the example whose results were computed independently."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from oracle import DAY as RANDOM_DAY
from oracle import OracleResult, attribute_matches, cell_matches, evaluate, random_pack

HERE = Path(__file__).resolve().parent
PLACES = (HERE / "minizone", HERE.parents[1] / "shared" / "examples" / "minizone")
DAY = date(2026, 11, 22)
NOISE_M2, NOISE_SHARE = 0.05, 1e-9  # edges that touch overlap by rounding, or do not: not a row to insist on
LENGTH_SHARE = 2e-6  # the example's plane stretches a line of 51.5 km by 1.2e-6; the oracle measures on the ellipsoid


@pytest.fixture(scope="module")
def minizone() -> Path:
    """The folder of the example."""
    for place in PLACES:
        if (place / "pack" / "zone.toml").exists():
            return place
    pytest.skip("the example minizone is neither in tests/ nor beside the repository")


@pytest.fixture(scope="module")
def result(minizone: Path) -> OracleResult:
    """What the oracle says of the example."""
    return evaluate(minizone / "pack", gpd.read_file(minizone / "sites.gpkg"), DAY)


def joined(expected: pd.DataFrame, found: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Put expected and found rows side by side; none may be alone."""
    both = expected.merge(found, on=keys, how="outer", suffixes=("_expected", "_found"), indicator=True)
    assert both.loc[both["_merge"] != "both", keys].empty
    return both


def beyond_noise(overlaps: pd.DataFrame) -> pd.DataFrame:
    """Leave out what rounding may make of edges that touch, and the rows of distances alone."""
    return overlaps[(overlaps["overlap_share"] > NOISE_SHARE) & ~(overlaps["overlap_m2"] <= NOISE_M2)]


def assert_near(expected: pd.Series[float], found: pd.Series[float], most: float | pd.Series[float]) -> None:
    """Missing where missing, and no further apart than allowed."""
    assert (expected.isna() == found.isna()).all()
    apart = (expected - found).abs()
    assert (apart.dropna() <= (most if isinstance(most, float) else most[apart.notna()])).all(), apart.max()


def test_findings(minizone: Path, result: OracleResult) -> None:
    """Same rows, outcomes, effects, measures; areas and lengths to 1e-6 or 0.05, distances to 0.03 m."""
    rows = joined(pd.read_csv(minizone / "expected_findings.csv"), result.findings, ["site_id", "rule_id", "layer"])
    for column in ("outcome", "effect", "measure"):
        unequal = rows[rows[f"{column}_expected"] != rows[f"{column}_found"]]
        assert unequal.empty, unequal
    expected, found, kind = rows["value_expected"], rows["value_found"], rows["measure_found"]
    share = np.where(kind == "overlap_m", LENGTH_SHARE, 1e-6)
    most = pd.Series(np.maximum(expected.abs() * share, 0.05), index=rows.index)
    most[kind == "overlap_share"] = 1e-6
    most[kind == "distance_m"] = 0.03
    assert_near(expected, found, most)


def test_verdicts(minizone: Path, result: OracleResult) -> None:
    """The verdict and both bounds of every site."""
    rows = joined(pd.read_csv(minizone / "expected_verdicts.csv"), result.verdicts, ["site_id"])
    for column in ("verdict", "at_least", "at_most"):
        unequal = rows[rows[f"{column}_expected"] != rows[f"{column}_found"]]
        assert unequal.empty, unequal


def test_overlaps(minizone: Path, result: OracleResult) -> None:
    """The same features overlap by the same areas and shares."""
    expected = pd.read_csv(minizone / "expected_overlaps.csv")
    rows = joined(beyond_noise(expected), beyond_noise(result.overlaps), ["site_id", "layer", "feature_id"])
    area = rows["overlap_m2_expected"]
    assert_near(area, rows["overlap_m2_found"], pd.Series(np.maximum(area * 1e-6, 0.05), index=rows.index))
    assert_near(rows["overlap_share_expected"], rows["overlap_share_found"], 1e-6)


@pytest.mark.parametrize(
    ("cell", "listed", "declared", "truth"),
    [
        ("housing", ["housing"], {}, True),
        (" housing ", ["housing"], {}, True),
        ("road", ["housing"], {}, False),
        ("2611", ["26*"], {}, True),
        ("26", ["26*"], {}, True),
        ("road;housing", ["housing"], {}, True),
        ("road;/", ["housing"], {}, None),
        ("road;", ["housing"], {}, False),
        (None, ["housing"], {}, None),
        (float("nan"), ["housing"], {}, None),
        ("NULL", ["housing"], {}, None),
        ("/", ["housing"], {}, None),
        ("  ", ["housing"], {}, None),
        (3011.0, ["3011"], {}, True),
        (3011, ["30*"], {}, True),
        (701.0, ["07*"], {}, None),
        (701.0, ["3011"], {"digits": 4}, None),
        (3011.0, ["0701"], {"digits": 4}, False),
        ("3", ["30*"], {"type": "code"}, None),
        ("3", ["30*"], {}, None),
        ("30", ["3011"], {"type": "code"}, None),
        ("31", ["3011"], {"type": "code"}, False),
        ("9999", ["3011"], {"codes": ["30*"]}, None),
        ("3012", ["3011"], {"codes": ["30*"]}, False),
        ("是", [True], {"type": "boolean"}, True),
        ("0", [False], {"type": "boolean"}, True),
        (True, [True], {}, True),
        ("maybe", [True], {"type": "boolean"}, None),
    ],
)
def test_three_values(cell: object, listed: list[object], declared: dict[str, object], truth: object) -> None:
    """What is not stated is unknown, never false."""
    assert cell_matches(cell, listed, declared) is truth


def test_scheme() -> None:
    """A code of another or of no stated scheme is unknown."""
    declared = {"land_use": {"type": "code", "scheme": "A", "scheme_column": "by"}}
    for stated, truth in ((" A ", True), ("B", None), (None, None)):
        assert attribute_matches({"land_use": "0701", "by": stated}, "land_use", ["07*"], declared) is truth


@pytest.mark.parametrize("seed", range(3))
def test_random_pack_has_one_answer(seed: int, tmp_path: Path) -> None:
    """The same seed writes the same pack, and the order of sites means nothing."""
    first = random_pack(seed, tmp_path / "a")
    again = random_pack(seed, tmp_path / "b")
    one = evaluate(tmp_path / "a", first, RANDOM_DAY)
    other = evaluate(tmp_path / "b", again.iloc[::-1], RANDOM_DAY)
    pd.testing.assert_frame_equal(one.findings, other.findings)
    pd.testing.assert_frame_equal(one.verdicts, other.verdicts)
    pd.testing.assert_frame_equal(one.overlaps, other.overlaps)
    assert set(one.verdicts["site_id"]) == set(first["site_id"])
