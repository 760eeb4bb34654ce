"""The complete small zone: what an independent computation says of it, in any order and in any number of parts."""

from __future__ import annotations

import random
import re
import shutil
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import geojw

HERE = Path(__file__).resolve().parent / "minizone"
DAY = date(2026, 11, 22)
LENGTH_SHARE = 5e-6
"""What planes stretch within 20 km. Of T00006 (51.5 km) the geodesic length is 1 cm from ours, 6 cm from its own."""


def screened(pack: Path = HERE / "pack", sites: Path = HERE / "sites.gpkg", **options: int) -> geojw.Screening:
    return geojw.screen(geojw.read_sites(sites), geojw.open_zone(pack), on=DAY, lang="en", **options)


@pytest.fixture(scope="module")
def result() -> geojw.Screening:
    return screened()


def test_findings_equal_the_independent_ones(result: geojw.Screening) -> None:
    expected = pd.read_csv(HERE / "expected_findings.csv")
    both = expected.merge(result.findings, on=["site_id", "rule_id"], how="outer", suffixes=("_x", ""), indicator=True)
    assert (both["_merge"] == "both").all()
    for column in ("layer", "outcome", "effect", "measure"):
        assert (both[column] == both[f"{column}_x"]).all(), column
    apart = (both["value"] - both["value_x"]).abs()
    allowed = np.select(
        [both["measure"] == "distance_m", both["measure"] == "overlap_m"],
        [0.03, LENGTH_SHARE * both["value_x"].abs()],
        np.maximum(0.05, 1e-6 * both["value_x"].abs()),
    )
    assert (apart <= np.maximum(allowed, 1e-3)).all()
    assert both["value"].notna().all()


def test_verdicts_equal_the_independent_ones(result: geojw.Screening) -> None:
    expected = pd.read_csv(HERE / "expected_verdicts.csv")
    assert_frame_equal(result.verdicts[list(expected.columns)], expected, check_dtype=False)


def test_overlaps_equal_the_independent_ones(result: geojw.Screening) -> None:
    expected = pd.read_csv(HERE / "expected_overlaps.csv")
    found = result.overlaps[result.overlaps["overlap_share"].notna()]
    both = expected.merge(
        found, on=["site_id", "layer", "feature_id"], how="outer", suffixes=("_x", ""), indicator=True
    )
    noise = both[["overlap_m2", "overlap_m2_x"]].max(axis=1) <= 0.05  # touching neighbours may share rounding, or not
    assert ((both["_merge"] == "both") | noise).all()
    both = both[both["_merge"] == "both"]
    areas = both["overlap_m2_x"].notna()
    apart = (both["overlap_m2"] - both["overlap_m2_x"]).abs()[areas]
    assert (apart <= np.maximum(0.05, 1e-6 * both["overlap_m2_x"][areas])).all()
    assert ((both["overlap_share"] - both["overlap_share_x"]).abs() <= 1e-6).all()
    assert (both["overlap_m2"].notna() == areas).all()


def test_distance_rules_name_their_nearest_feature(result: geojw.Screening) -> None:
    air = result.findings[result.findings["rule_id"] == "AIR-1"]
    near = result.overlaps[result.overlaps["layer"] == "stations"]
    assert len(near) == len(air)
    assert (near["rules"] == "AIR-1").all()
    assert near["distance_m"].tolist() == air["value"].tolist()


def test_touching_neighbours_and_slivers(result: geojw.Screening) -> None:
    findings = result.findings.set_index(["site_id", "rule_id"])
    touching = findings.loc[("T00005", "ERL-1")]
    assert (touching["outcome"], touching["sliver"]) == ("clear", False)
    assert touching["value"] == pytest.approx(0.0, abs=0.05)
    sliver = findings.loc[("T00001", "ERL-2")]
    assert (sliver["outcome"], sliver["sliver"], sliver["certainty"]) == ("clear", True, "marginal")
    assert sliver["value"] == pytest.approx(0.3, abs=1e-3)
    inside, outside = findings.loc[("T00003", "AIR-1")], findings.loc[("T00004", "AIR-1")]
    assert (inside["outcome"], inside["value"], inside["margin"]) == ("hit", 2999.9, -0.1)
    assert (outside["outcome"], outside["value"], outside["margin"]) == ("clear", 3000.1, 0.1)


@pytest.mark.parametrize(("workers", "batch"), [(1, 1000), (2, 1000), (1, 7), (2, 1), (3, 31)])
def test_workers_and_batches_change_nothing(result: geojw.Screening, workers: int, batch: int) -> None:
    assert_same(screened(workers=workers, batch=batch), result)


@pytest.mark.parametrize("seed", [1, 2])
def test_order_means_nothing(result: geojw.Screening, tmp_path: Path, seed: int) -> None:
    """Sites, features, rules and layers are dealt out anew."""
    rng = random.Random(seed)
    pack = Path(shutil.copytree(HERE / "pack", tmp_path / "pack"))
    for path in [*pack.glob("*.gpkg"), Path(shutil.copy(HERE / "sites.gpkg", tmp_path / "sites.gpkg"))]:
        frame = gpd.read_file(path)
        rows = list(range(len(frame)))
        rng.shuffle(rows)
        path.unlink()
        frame.iloc[rows].to_file(path, driver="GPKG", layer=path.stem)
    for name, mark in (("access_list.toml", r"(?m)^(?=\[\[rule\]\])"), ("catalogue.toml", r"(?m)^(?=\[layers\.)")):
        blocks = [block for block in re.split(mark, (pack / name).read_text("utf-8")) if block.strip()]
        rng.shuffle(blocks)
        (pack / name).write_text("\n".join(blocks), "utf-8")
    assert_same(screened(pack, tmp_path / "sites.gpkg"), result)


def assert_same(one: geojw.Screening, other: geojw.Screening) -> None:
    for table in ("verdicts", "findings", "overlaps"):
        assert_frame_equal(getattr(one, table), getattr(other, table))
