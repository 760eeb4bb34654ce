"""The engine against a second implementation, written from the design alone, on random zone packs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import oracle
import pandas as pd
import pytest
import shapely
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


# ---------------------------------------------------------------------------------------------- rasters

COVER_TESTS = ("> 0.4", ">= 0.05", "> 0", "< 0.4", "<= 0.95")
RULE = """
[[rule]]
id = "{id}"
layer = "{layer}"
where = {{ class = ["{name}"] }}
test = {{ measure = "cover_share", op = "{op}", value = {value} }}
effect = "{effect}"
level = "zone"
dimension = "spatial"
says = {{ zh = "规则", en = "rule" }}
in_force = {{ start = 2023-10-20 }}
basis = {{ title = "t", article = "1", url = "", verified = true, in_force_checked = 2026-01-01 }}
"""


def cover_rules(folder: Path, layer: str, names: tuple[str, ...]) -> None:
    """Replace the access list by tests of cover, of every kind."""
    rows = []
    for number, (name, test) in enumerate((name, test) for name in names for test in COVER_TESTS):
        op, value = test.split()
        effect = oracle.EFFECTS[1 + number % 5]
        rows.append(RULE.format(id=f"C{number:02}", layer=layer, name=name, op=op, value=float(value), effect=effect))
    (folder / "access_list.toml").write_text("".join(rows), "utf-8")


def scattered(rng: np.random.Generator, middles: np.ndarray, radii_m: np.ndarray) -> gpd.GeoDataFrame:
    """Stars, and a few lines and points, in degrees."""
    lon_m, lat_m = oracle.DEGREE_LON_M, oracle.DEGREE_LAT_M
    shapes: list[shapely.Geometry] = []
    for middle, radius in zip(middles, radii_m, strict=True):
        corners = int(rng.integers(3, 12))
        turn = np.sort(rng.uniform(0.0, 2.0 * np.pi, corners))
        ring = (
            np.column_stack([np.cos(turn) / lon_m, np.sin(turn) / lat_m]) * radius * rng.uniform(0.4, 1.0, (corners, 1))
        )
        drawn = [
            shapely.make_valid(shapely.Polygon(middle + ring)),
            shapely.LineString(middle + ring),
            shapely.Point(middle),
        ]
        shapes.append(drawn[int(rng.choice(3, p=[0.8, 0.1, 0.1]))])
    polygons = [shape for shape in shapes if shape.geom_type in {"Polygon", "MultiPolygon", "LineString", "Point"}]
    return gpd.GeoDataFrame({"site_id": [f"S{n:03}" for n in range(len(polygons))]}, geometry=polygons, crs="EPSG:4490")


def agree(folder: Path, sites: gpd.GeoDataFrame) -> pd.DataFrame:
    expected = oracle.evaluate(folder, sites, oracle.DAY)
    found = geojw.screen(sites, geojw.open_zone(folder), on=oracle.DAY, lang="en")
    rows = compare_findings(expected.findings, found.findings, set())
    for column in ("value", "margin"):
        known = rows[f"{column}_x"].notna() & rows[column].notna()
        apart = (rows[column] - rows[f"{column}_x"]).abs()[known]
        assert (apart <= 2e-6).all(), rows.loc[apart[apart > 2e-6].index, ["site_id", "rule_id", column, f"{column}_x"]]
    compare_verdicts(expected.verdicts, found.verdicts)
    return rows


def test_the_raster_of_the_embedded_zone(tmp_path: Path) -> None:
    """Sites of a tenth of a cell to 600 m across, all over the zone, on its edge and beyond it."""
    folder = tmp_path / "zone"
    shutil.copytree(geojw.open_zone("gaoxin").pack.folder, folder)
    cover_rules(folder, "forest_raster", ("forest", "other"))
    rng = np.random.default_rng(20261127)
    outline = gpd.read_file(folder / "boundary.fgb").geometry.iloc[0]
    west, south, east, north = outline.bounds
    middles = rng.uniform([west, south], [east, north], (60, 2))
    edge = [outline.exterior.interpolate(at, normalized=True).coords[0] for at in rng.uniform(0, 1, 20)]
    radii = np.exp(rng.uniform(np.log(1.0), np.log(300.0), 80))
    rows = agree(folder, scattered(rng, np.vstack([middles, edge]), radii))
    assert set(rows["outcome"]) == {"hit", "clear", "no_coverage"}
    assert set(rows["certainty"]) == {"firm", "marginal", ""}
    assert rows["value"].between(0.01, 0.99).sum() > 100


@pytest.mark.parametrize("seed", range(6))
def test_random_rasters(seed: int, make_pack: Any) -> None:
    """Cells of every kind, a third of the area beyond the layer's coverage, sites across the raster's edge."""
    rng = np.random.default_rng(seed)
    cells = ["".join(rng.choice([*"0012.7"], 40)) for _ in range(40)]
    woods = {
        "kind": "raster", "classes": {"forest": [1], "scrub": [2], "other": [0]}, "cells": cells, "origin": [-200, 200],
        "accuracy_m": float(rng.choice([0.0, 3.0])), "coverage": "known",
    }  # fmt: skip
    layers = {"woods": woods, "known": {"features": [{"id": "K", "box": [-250, -250, 80, 250]}]}}
    folder = make_pack(layers=layers).write()
    cover_rules(folder, "woods", ("forest", "other"))
    around = np.array(oracle.CENTRE) + rng.uniform(-260, 260, (30, 2)) / (oracle.DEGREE_LON_M, oracle.DEGREE_LAT_M)
    agree(folder, scattered(rng, around, np.exp(rng.uniform(np.log(1.0), np.log(120.0), 30))))
