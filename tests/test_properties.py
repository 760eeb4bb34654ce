"""Promises that hold for any zone and any sites."""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import oracle
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from pyogrio.errors import DataSourceError

import geojw
from geojw.law.effects import EFFECTS

SEEDS = st.integers(min_value=0, max_value=100_000)
SOME = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
HERE = Path(__file__).resolve().parent / "minizone"
RANK = {effect: rank for rank, effect in enumerate(EFFECTS)}


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder to hypothesis, whose examples cannot share pytest's."""
    path = Path(tempfile.mkdtemp(prefix="geojw-test-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def screened(pack: Path, sites: gpd.GeoDataFrame) -> geojw.Screening:
    return geojw.screen(sites, geojw.open_zone(pack), on=oracle.DAY, lang="en")


def at_most(result: geojw.Screening) -> pd.Series:
    return result.verdicts.set_index("site_id")["at_most"].map(RANK)


def delivered(pack: Path) -> list[tuple[str, Path, str]]:
    """The vector layers that are there: name, file, id column."""
    layers = tomllib.loads((pack / "catalogue.toml").read_text("utf-8"))["layers"]
    found = [(name, pack / row["path"], row["id"]) for name, row in layers.items()]
    return [(name, path, column) for name, path, column in found if path.exists()]


def removed(path: Path, _: str) -> None:
    path.unlink()


def emptied(path: Path, _: str) -> None:
    frame = gpd.read_file(path)
    path.unlink()
    frame.iloc[:0].to_file(path, driver="GPKG")


def broken(path: Path, _: str) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def blanked(path: Path, column: str) -> None:
    frame = gpd.read_file(path)
    path.unlink()
    others = [name for name in frame.columns if name not in (column, "geometry")]
    frame.assign(**dict.fromkeys(others)).to_file(path, driver="GPKG")


@SOME
@given(SEEDS, st.sampled_from([removed, emptied, broken, blanked]), st.data())
def test_losing_data_never_lowers_what_a_site_may_be(seed: int, lose: object, data: st.DataObject) -> None:
    """Promise 1, unknown is never no: on random packs, whatever layer is lost in whatever way."""
    with folder() as pack:
        sites = oracle.random_pack(seed, pack)
        before = at_most(screened(pack, sites))
        layers = tomllib.loads((pack / "catalogue.toml").read_text("utf-8"))["layers"]
        choices = [
            (p, c) for name, p, c in delivered(pack) if not (lose is emptied and layers[name].get("may_be_empty"))
        ]
        path, column = data.draw(st.sampled_from(choices))
        try:
            lose(path, column)
        except (DataSourceError, KeyError, AttributeError):  # the pack had broken this file already
            return
        after = at_most(screened(pack, sites))
        assert (after >= before).all(), pd.DataFrame({"before": before, "after": after})[after < before]


@pytest.mark.parametrize("lose", [removed, emptied, broken, blanked])
@pytest.mark.parametrize("layer", ["boundary", "forest", "plots", "red_line", "stations"])
def test_losing_a_layer_of_minizone(layer: str, lose: object, tmp_path: Path) -> None:
    pack = Path(shutil.copytree(HERE / "pack", tmp_path / "pack"))
    sites = gpd.read_file(HERE / "sites.gpkg")
    before = screened(pack, sites)
    lose(pack / f"{layer}.gpkg", "id")
    after = screened(pack, sites)
    assert (at_most(after) >= at_most(before)).all()
    rules = {"red_line": "ERL-2", "forest": "FOR-1", "plots": "SOIL-4", "stations": "AIR-1", "boundary": "2H-1"}
    mine = after.findings[after.findings["rule_id"] == rules[layer]]
    if lose is not blanked or layer == "plots":
        assert not mine["outcome"].isin(["clear", "hit"]).any()


@SOME
@given(st.integers(0, 89), st.floats(5.0, 900.0), st.integers(0, 7))
def test_more_red_line_never_relaxes(site: int, radius_m: float, corner: int) -> None:
    sites = gpd.read_file(HERE / "sites.gpkg")
    before = screened(HERE / "pack", sites)
    with folder() as work:
        pack = Path(shutil.copytree(HERE / "pack", work / "pack"))
        frame = gpd.read_file(pack / "red_line.gpkg")
        xy = shapely.get_coordinates(sites.geometry[site])
        more = shapely.buffer(shapely.Point(xy[corner % len(xy)]), radius_m / 1e5)
        grown = pd.concat([frame, gpd.GeoDataFrame({"id": ["MORE"]}, geometry=[more], crs=frame.crs)])
        (pack / "red_line.gpkg").unlink()
        grown.to_file(pack / "red_line.gpkg", driver="GPKG", layer="red_line")
        after = screened(pack, sites)
    for column in ("at_least", "at_most"):
        old, new = (result.verdicts[column].map(RANK) for result in (before, after))
        assert (new >= old).all()


@SOME
@given(SEEDS)
def test_reversed_rings_change_nothing(seed: int) -> None:
    with folder() as pack:
        sites = oracle.random_pack(seed, pack)
        before = screened(pack, sites)
        turned = sites.assign(geometry=[None if shape is None else shapely.reverse(shape) for shape in sites.geometry])
        after = screened(pack, turned.set_crs(sites.crs, allow_override=True))
    keys = ["site_id", "rule_id", "outcome", "effect", "certainty"]
    assert_frame_equal(after.findings[keys], before.findings[keys])
    assert np.allclose(after.findings["value"], before.findings["value"], rtol=1e-9, atol=2e-4, equal_nan=True)


@SOME
@given(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_moving_the_origin_changes_nothing(east: float, north: float) -> None:
    sites = gpd.read_file(HERE / "sites.gpkg")
    before = screened(HERE / "pack", sites)
    with folder() as work:
        pack = Path(shutil.copytree(HERE / "pack", work / "pack"))
        text = (pack / "zone.toml").read_text("utf-8")
        centre = f"centre = [{106.33 + east:.6f}, {29.52 + north:.6f}]"
        (pack / "zone.toml").write_text(text.replace("centre = [106.33, 29.52]", centre), "utf-8")
        after = screened(pack, sites)
    keys = ["site_id", "rule_id", "outcome", "effect"]
    assert_frame_equal(after.findings[keys], before.findings[keys])
    areas = before.findings["measure"].isin(["overlap_m2", "distance_m"])
    # Areas are ellipsoidal and distances geodesic wherever the centre is.
    assert np.allclose(after.findings["value"][areas], before.findings["value"][areas], rtol=1e-6, atol=0.02)


@SOME
@given(SEEDS)
def test_shares_never_exceed_one_and_nothing_is_lost(seed: int) -> None:
    with folder() as pack:
        sites = oracle.random_pack(seed, pack)
        result = screened(pack, sites)
    assert len(sites) == len(result.verdicts) + len(result.rejected)
    share = result.findings.loc[result.findings["measure"] == "overlap_share", "value"].dropna()
    assert share.between(0.0, 1.0).all()
    assert result.overlaps["overlap_share"].dropna().between(0.0, 1.0).all()
    polygons = result.verdicts.set_index("site_id")["area_m2"]
    areas = result.findings[result.findings["measure"] == "overlap_m2"]
    assert (areas["value"].fillna(0.0) <= areas["site_id"].map(polygons).fillna(np.inf) + 1e-4).all()


def test_twice_the_same_layer_counts_once(tmp_path: Path) -> None:
    """Promise 4, union before measuring: every feature delivered twice under another id."""
    pack = Path(shutil.copytree(HERE / "pack", tmp_path / "pack"))
    sites = gpd.read_file(HERE / "sites.gpkg")
    before = screened(pack, sites).findings
    frame = gpd.read_file(pack / "forest.gpkg")
    (pack / "forest.gpkg").unlink()
    twice = pd.concat([frame, frame.assign(id=frame["id"] + "-again")])
    twice.to_file(pack / "forest.gpkg", driver="GPKG", layer="forest")
    after = screened(pack, sites).findings
    keys = ["site_id", "rule_id", "outcome", "certainty"]
    assert_frame_equal(after[keys], before[keys])
    assert np.allclose(after["value"], before["value"], rtol=1e-9, atol=1e-6)
