"""Few sites on a layer of many features read only the window they need, and nobody can tell from the answers."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pandas.testing import assert_frame_equal

import geojw
from geojw.intake import layer_files

DAY = date(2026, 11, 22)
PACK = Path(__file__).resolve().parent / "minizone" / "pack"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A zone of 3,600 plots in a grid of 0.01 degrees over 0.6 x 0.6 degrees, listed in the far south-west only."""
    folder = tmp_path / "pack"
    folder.mkdir()
    for name in ("zone.toml", "targets.toml", "boundary.gpkg", "red_line.gpkg", "forest.gpkg", "stations.gpkg"):
        (folder / name).write_bytes((PACK / name).read_bytes())
    for name in ("catalogue.toml", "access_list.toml"):
        text = (PACK / name).read_text("utf-8").replace('coverage = "boundary"', 'coverage = "unlimited"')
        (folder / name).write_text(text, "utf-8")
    x, y = (part.ravel() for part in np.meshgrid(106.03 + np.arange(60) / 100, 29.22 + np.arange(60) / 100))
    plots = gpd.GeoDataFrame(
        {
            "id": [f"P{i:05}" for i in range(len(x))],
            "status": np.where((x < 106.05) & (y < 29.24), "listed", "suspected"),
        },
        geometry=shapely.box(x, y, x + 0.001, y + 0.001),
        crs=4490,
    )
    plots.loc[5, "id"] = None
    plots.to_file(folder / "plots.gpkg", driver="GPKG", layer="plots")
    return folder


@pytest.fixture
def sites() -> gpd.GeoDataFrame:
    at = shapely.points([[106.33, 29.52], [106.3305, 29.5205], [106.0405, 29.2305]])
    shapes = shapely.buffer(at, 0.0003)
    columns: dict[str, Any] = {
        "site_id": ["A", "B", "C"],
        "category": "housing",
        "industry_code": "3912",
        "activity": "road",
    }
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4490)


@pytest.mark.parametrize("rows", [[0], [1], [0, 1], [2], [0, 1, 2]])
def test_a_window_gives_the_answers_of_the_whole(
    rows: list[int], pack: Path, sites: gpd.GeoDataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = geojw.screen(sites.iloc[rows], geojw.open_zone(pack), on=DAY, lang="en")
    monkeypatch.setattr(layer_files, "WINDOW_FEATURES", 1000)
    zone = geojw.open_zone(pack)
    window = geojw.screen(sites.iloc[rows], zone, on=DAY, lang="en")
    for table in ("verdicts", "findings", "overlaps"):
        assert_frame_equal(getattr(window, table), getattr(whole, table))


def test_a_site_far_from_what_counts_reads_on_until_it_is_found(
    pack: Path, sites: gpd.GeoDataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest listed plot is 28 km west and 32 km south: its margin is not cut at the window."""
    monkeypatch.setattr(layer_files, "WINDOW_FEATURES", 1000)
    zone = geojw.open_zone(pack)
    near = geojw.screen(sites.iloc[[0]], zone, on=DAY, lang="en").findings.set_index("rule_id")
    assert len(zone.layers_read()["plots"].index) == 3600
    assert near.loc["SOIL-1", "margin"] == pytest.approx(np.hypot(27_985, 32_000), abs=100)
    assert near.loc["SOIL-4", "outcome"] == "hit"


def test_a_small_window_reads_little(pack: Path, sites: gpd.GeoDataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_files, "WINDOW_FEATURES", 1000)
    text = (pack / "access_list.toml").read_text("utf-8").replace('where = { status = ["listed"] }', "where = {}")
    (pack / "access_list.toml").write_text(text, "utf-8")
    zone = geojw.open_zone(pack)
    geojw.screen(sites.iloc[[0]], zone, on=DAY)
    assert len(zone.layers_read()["plots"].index) < 20
    assert zone.layers_read()["plots"].reach_m is not None
    assert zone.layers_read()["forest"].reach_m is None


def test_a_value_beyond_the_window_is_no_fault(
    pack: Path, sites: gpd.GeoDataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`listed` occurs only far away: the rule is served all the same; a value that occurs nowhere is a fault."""
    monkeypatch.setattr(layer_files, "WINDOW_FEATURES", 1000)
    assert not geojw.screen(sites.iloc[[0]], geojw.open_zone(pack), on=DAY).failed
    text = (pack / "access_list.toml").read_text("utf-8").replace('["listed"]', '["lisited"]')
    (pack / "access_list.toml").write_text(text, "utf-8")
    result = geojw.screen(sites.iloc[[0]], geojw.open_zone(pack), on=DAY)
    assert [fault.key for fault in result.failed["plots"].faults] == ["where_value"]
    assert result.findings.set_index("rule_id").loc["SOIL-1", "outcome"] == "source_failed"
