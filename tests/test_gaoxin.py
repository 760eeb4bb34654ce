"""The embedded demonstration zone: its data are what they claim to be, and its law is stated honestly."""

from __future__ import annotations

import datetime as dt
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from pyproj import Geod

ROOT = Path(__file__).resolve().parents[1]
PACK = ROOT / "layers" / "gaoxin"
SCRIPT = ROOT / "scripts" / "make_gaoxin.py"
GEOD = Geod(a=6378137.0, rf=298.257222101)
FILES = sorted(path.name for path in PACK.glob("*.fgb"))
TOWNS = {"白市驿镇": 52.55, "金凤镇": 36.94, "走马镇": 29.9, "巴福镇": 18.15}
STATES = {
    "非污染", "疑似污染地块", "调查中", "污染地块(超筛选值)", "风险评估中", "名录-风险管控", "名录-修复",
    "效果评估中", "移出名录",
}  # fmt: skip


def read(name):
    return gpd.read_file(PACK / f"{name}.fgb")


def km2(geometry):
    """Ellipsoidal area of edges that are straight in longitude and latitude."""
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(geometry, 0.0005))[0]) / 1e6


def toml(name):
    return tomllib.loads((PACK / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def boundary():
    return read("boundary").geometry.iloc[0]


@pytest.fixture(scope="module")
def towns():
    return read("towns").set_index("name").geometry


@pytest.fixture(scope="module")
def forest():
    return read("forest")


@pytest.fixture(scope="module")
def rules():
    return toml("access_list.toml")["rule"]


@pytest.fixture(scope="module")
def catalogue():
    return toml("catalogue.toml")["layers"]


# --------------------------------------------------------------------------------------------- files


def test_the_generator_gives_the_committed_bytes(tmp_path):
    text = SCRIPT.read_text("utf-8")
    made_with = re.search(
        r"GDAL (\d+\.\d+\.\d+), GEOS (\d+\.\d+\.\d+), shapely (\S+)\s+and\s+numpy (\d+\.\d+\.\d+)", text
    )
    here = (pyogrio.__gdal_version_string__, shapely.geos_version_string, shapely.__version__, np.__version__)
    if made_with.groups() != here:
        pytest.skip(f"written with {made_with.groups()}, here {here}: the bytes may differ")
    raster_with = re.search(r"rasterio (\d+\.\d+\.\d+) and its GDAL (\d+\.\d+\.\d+)", text)
    same_raster = raster_with.groups() == (rasterio.__version__, rasterio.__gdal_version__)
    spec = importlib.util.spec_from_file_location("make_gaoxin", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:  # dataclasses look their module up
        patch.setitem(sys.modules, "make_gaoxin", script)
        spec.loader.exec_module(script)
        layers = script.build()
        script.write(layers, tmp_path)
        script.write_raster(layers, tmp_path)
    raster = tmp_path / "forest_raster.tif"
    if same_raster:
        assert raster.read_bytes() == (PACK / raster.name).read_bytes()
    raster.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert [name for name in FILES if (tmp_path / name).read_bytes() != (PACK / name).read_bytes()] == []


def test_the_generator_needs_nothing_of_geojw():
    assert "geojw" not in re.findall(r"^\s*(?:import|from)\s+(\w+)", SCRIPT.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_small_valid_and_on_the_grid(name):
    assert (PACK / name).stat().st_size < 2_000_000
    layer = gpd.read_file(PACK / name)
    assert layer.crs.to_epsg() == 4490
    assert layer.geometry.is_valid.all()
    assert not layer.geometry.is_empty.any()
    xy = shapely.get_coordinates(layer.geometry.values)
    assert np.array_equal(xy, np.round(xy, 8))


@pytest.mark.parametrize("name", FILES)
def test_ids_are_unique_and_say_that_they_are_synthetic(name):
    layer = gpd.read_file(PACK / name)
    ids = layer["site_id" if name == "sites.fgb" else "id"]
    assert ids.is_unique
    assert ids.str.startswith("SYN-").all()
    for column in {"code"} & set(layer.columns) - ({"code"} if name in {"forest.fgb", "stations.fgb"} else set()):
        assert layer[column].str.startswith("SYN-").all()
    if "status" in layer and name not in {"plots.fgb", "stations.fgb"}:
        assert set(layer["status"]) == {"synthetic"}


# --------------------------------------------------------------------------------------------- areas


def test_the_zone_has_its_planning_area(boundary):
    assert km2(boundary) == pytest.approx(313.5, rel=1e-5)
    west, south, east, north = boundary.bounds
    assert 106.22 < west < 106.27
    assert 29.33 < south < 29.38
    assert 106.38 < east < 106.42
    assert 29.61 < north < 29.65


@pytest.mark.parametrize(("town", "area"), TOWNS.items())
def test_a_published_town_area_is_met(towns, town, area):
    assert km2(towns[town]) == pytest.approx(area, rel=0.01)


def test_the_red_line_area(boundary):
    red = read("red_line").geometry
    assert 27.6 <= km2(shapely.union_all(red.values).intersection(boundary)) <= 28.2
    assert sum(map(km2, red)) == pytest.approx(km2(shapely.union_all(red.values)), rel=1e-9)


def test_the_forest_share_holds_with_and_without_what_does_not_count(forest, boundary):
    area = forest.geometry.map(km2)
    counted = forest["code"].isin(["0301", "0302"]) | (forest["special_shrub"] == "true")
    assert 0.403 <= area.sum() / km2(boundary) <= 0.415
    assert 0.400 < area[counted].sum() / km2(boundary) < area.sum() / km2(boundary)
    assert shapely.coverage_is_valid(forest.geometry.values)
    outside = shapely.union_all(forest.geometry.values).difference(boundary)
    assert km2(outside) < 1e-6


def test_the_raster_is_a_small_cloud_optimised_geotiff():
    path = PACK / "forest_raster.tif"
    assert path.stat().st_size < 2_000_000
    with rasterio.open(path) as raster:
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (raster.crs.to_epsg(), raster.res, raster.count) == (4544, (10.0, 10.0), 1)
        assert raster.overviews(1) == [2, 4, 8]
        cells = raster.read(1)
    assert set(np.unique(cells)) == {0, 1, 2, 255}


def test_the_raster_is_the_forest_at_the_middles_of_its_cells(forest, boundary):
    """Every cell's middle, looked up in the vector forest; cells that touch the zone have data."""
    with rasterio.open(PACK / "forest_raster.tif") as raster:
        cells, at = raster.read(1), raster.transform
    rng = np.random.default_rng(7)
    rows, columns = rng.integers(0, cells.shape[0], 4000), rng.integers(0, cells.shape[1], 4000)
    x, y = at.c + (columns + 0.5) * at.a, at.f + (rows + 0.5) * at.e
    middles = gpd.GeoSeries(gpd.points_from_xy(x, y), crs=4544).to_crs(4490)
    found = cells[rows, columns]
    counted = forest[forest["code"].isin(["0301", "0302"]) | (forest["special_shrub"] == "true")]
    wooded = gpd.GeoDataFrame(geometry=middles).sjoin(counted[["geometry"]], predicate="within").index.unique()
    inside = middles.within(boundary).to_numpy()
    assert 1500 < inside.sum() < 3500
    assert (found[inside] != 255).all()
    is_wooded = np.isin(np.arange(len(found)), wooded)
    assert np.mean((found == 1)[inside] != is_wooded[inside]) < 0.001


def test_the_forest_is_detailed(forest):
    assert 100_000 < shapely.get_num_coordinates(forest.geometry.values).sum() < 110_000
    assert shapely.get_num_interior_rings(forest.geometry.values).sum() > 100
    assert set(forest["code"]) == {"0301", "0302", "0305", "0307"}
    assert set(forest["class"]) == {"public_welfare", "commercial"}
    assert forest.loc[forest["code"] == "0305", "special_shrub"].notna().all()


# ---------------------------------------------------------------------------------------- partitions


@pytest.mark.parametrize("name", ["towns", "units"])
def test_a_partition_is_exact(name, boundary):
    parts = read(name).geometry.values
    assert shapely.coverage_is_valid(parts)
    assert shapely.coverage_union_all(parts).equals(boundary)
    assert sum(map(km2, parts)) == pytest.approx(km2(boundary), rel=1e-9)
    corners = {tuple(xy) for xy in shapely.get_coordinates(parts)}
    assert {tuple(xy) for xy in shapely.get_coordinates(boundary)} <= corners


def test_there_are_ten_towns_beside_the_right_neighbours(towns):
    assert set(towns.index) == {
        "曾家镇", "西永街道", "虎溪街道", "香炉山街道", "白市驿镇", "走马镇", "含谷镇", "巴福镇",
        "金凤镇", "石板镇",
    }  # fmt: skip
    pairs = [
        ("白市驿镇", "含谷镇"), ("白市驿镇", "金凤镇"), ("白市驿镇", "走马镇"), ("白市驿镇", "石板镇"),
        ("金凤镇", "曾家镇"), ("金凤镇", "含谷镇"), ("金凤镇", "走马镇"),
    ]  # fmt: skip
    for a, b in pairs:
        assert towns[a].intersection(towns[b]).length > 0.005, (a, b)
    middle = {name: shape.centroid for name, shape in towns.items()}
    assert middle["含谷镇"].y > middle["白市驿镇"].y > middle["石板镇"].y
    assert middle["曾家镇"].y > middle["金凤镇"].y > middle["走马镇"].y
    assert middle["含谷镇"].x > middle["金凤镇"].x < middle["白市驿镇"].x
    assert {name for name, point in middle.items() if point.y > 29.56} == {
        "虎溪街道",
        "西永街道",
        "香炉山街道",
    }


def test_units_have_no_general_class():
    units = read("units")
    assert 12 <= len(units) <= 16
    assert set(units["class"]) == {"优先", "重点"}
    kinds = units["code"].str.extract(r"^SYN-ZH-([PK])\d\d$")[0]
    assert (kinds.map({"P": "优先", "K": "重点"}) == units["class"]).all()
    red = shapely.union_all(read("red_line").geometry.values)
    priority = shapely.coverage_union_all(units.geometry[units["class"] == "优先"].values)
    assert km2(red.intersection(priority)) > 0.9 * km2(red)


def test_the_grades_and_zones_are_nested_without_overlap():
    for name, column in (("water_source", "grade"), ("reserve", "zone_old"), ("scenic", "core")):
        layer = read(name)
        assert layer[column].is_unique
        assert shapely.coverage_is_valid(layer.geometry.values)
    grade = read("water_source").set_index("grade").geometry
    assert shapely.Polygon(grade["二级"].exterior).contains(grade["一级"])
    zones = read("reserve").set_index("zone_old")["zone"].to_dict()
    assert zones == {"核心区": "核心保护区", "缓冲区": "核心保护区", "实验区": "一般控制区"}


def test_the_three_lines_do_not_cross():
    red, farm, urban = (shapely.union_all(read(n).geometry.values) for n in ("red_line", "farmland", "urban_boundary"))
    assert km2(red.intersection(urban)) < 1e-6
    assert not farm.intersects(red)
    assert not farm.intersects(urban)


# ------------------------------------------------------------------------------------------- features


def test_plots_show_every_state_and_some_without():
    plots = read("plots")
    assert len(plots) >= 40
    assert set(plots["status"].dropna()) == STATES
    assert 1 <= plots["status"].isna().sum() <= 6
    assert shapely.coverage_is_valid(plots.geometry.values)
    assert shapely.area(shapely.union_all(plots.geometry.values)) == pytest.approx(
        shapely.area(plots.geometry.values).sum()
    )


def test_stations_are_where_the_list_says_or_unknown(towns):
    rows = read("stations").set_index("name")
    assert rows.loc["虎溪", "geometry"].equals(shapely.Point(106.2953, 29.5983))
    assert rows.loc["白市驿", "geometry"].equals(shapely.Point(106.3754, 29.4572))
    assert rows.loc["金凤", "geometry"].equals(towns["金凤镇"])
    assert rows["accuracy_m"].to_dict() == {"虎溪": 350.0, "白市驿": 3900.0, "金凤": 10.0}
    assert rows["position"].to_dict() == {"虎溪": "known", "白市驿": "known", "金凤": "unknown"}
    assert rows["status"].to_dict() == {"虎溪": "open", "白市驿": "open", "金凤": "synthetic"}
    assert rows["code"].dropna().to_dict() == {"虎溪": "1418A", "白市驿": "1422A"}
    assert towns["虎溪街道"].contains(rows.loc["虎溪", "geometry"])
    assert towns["白市驿镇"].contains(rows.loc["白市驿", "geometry"])


def test_the_wide_coverage_serves_the_distance_rules(boundary, rules, catalogue):
    wide = read("coverage_wide").geometry.iloc[0]
    gap = min(GEOD.inv(a.x, a.y, b.x, b.y)[2] for a, b in [shapely.ops.nearest_points(boundary, wide.boundary)])
    assert gap >= 5_000
    limits = [
        rule["test"]["value"] for rule in rules if rule["test"]["measure"] == "distance_m" and rule.get("enabled", True)
    ]
    assert limits
    assert max(limits) < 5_000
    for rule in rules:
        if rule["test"]["measure"] == "distance_m":
            assert catalogue[rule["layer"]]["coverage"] == "coverage_wide"
    rivers = shapely.union_all(read("rivers").geometry.values)
    assert not rivers.within(wide)
    assert boundary.intersects(rivers)


def test_thirty_sample_sites_of_three_kinds():
    sites = read("sites")
    assert len(sites) == 30
    assert set(sites.geom_type) == {"Polygon", "LineString", "Point"}
    assert sites["industry_code"].dropna().str.fullmatch(r"\d{4}").all()
    assert (sites["industry_scheme"] != "GB/T 4754-2017").sum() == 1
    assert sites["name"].is_unique


def test_a_site_touches_a_listed_plot_and_another_is_a_sliver_on_farmland(boundary):
    sites = read("sites").set_index("site_id").geometry
    plots = read("plots")
    listed = shapely.union_all(plots.geometry[plots["status"] == "名录-修复"].values)
    assert sites["SYN-S02"].touches(listed)
    farm = read("farmland").geometry
    assert 0 < km2(sites["SYN-S03"].intersection(farm[farm.intersects(sites["SYN-S03"])].iloc[0])) < 1e-6
    assert sites["SYN-S23"].crosses(boundary.exterior) or sites["SYN-S23"].intersects(boundary.exterior)
    assert not boundary.contains(sites["SYN-S23"])


@pytest.mark.parametrize(("site", "distance"), [("SYN-S20", 2_999.9), ("SYN-S21", 3_000.1)])
def test_two_sites_lie_just_within_and_just_beyond_the_ring(site, distance):
    shape = read("sites").set_index("site_id").geometry[site]
    assert min(GEOD.inv(106.2953, 29.5983, x, y)[2] for x, y in shapely.get_coordinates(shape)) == pytest.approx(
        distance, abs=0.005
    )


# ----------------------------------------------------------------------------------------- TOML files


def test_every_layer_but_one_is_delivered(catalogue):
    declared = {row["path"] for row in catalogue.values()}
    assert declared - set(FILES) == {"wetland_not_delivered.fgb", "forest_raster.tif"}
    assert set(FILES) - declared == {"sites.fgb"}
    assert toml("zone.toml")["sample_sites"] == "sites.fgb"


def test_every_layer_tells_the_truth_about_its_origin(catalogue):
    for name, row in catalogue.items():
        synthetic = row["source"]["publisher"] == "geojw (synthetic)"
        assert (row["status"] == "synthetic") is synthetic, name
        assert synthetic or name == "stations"
        assert isinstance(row["source"]["date"], dt.date)
        assert row["source"]["licence"] == "CC0-1.0"
        assert row["coverage"] in {"unlimited", "boundary", "coverage_wide"}
    assert "2022-02" in catalogue["stations"]["source"]["publisher"]


def test_enumerated_columns_hold_only_their_codes(catalogue):
    for name, row in catalogue.items():
        if row["path"] not in FILES:
            continue
        layer = read(name)
        for column, codes in row.get("codes", {}).items():
            assert set(layer[column].dropna()) <= set(codes), (name, column)
        for audience, columns in row.get("audience_columns", {}).items():
            assert set(columns) <= set(layer.columns), (name, audience)
        assert row.get("label", "id") in layer.columns, name


def test_sensitive_layers_are_not_public(catalogue):
    assert {catalogue[name]["audience"] for name in ("red_line", "plots", "units", "key_enterprises")} == {"department"}
    assert catalogue["farmland"]["audience"] == "internal"
    for name in ("boundary", "towns", "forest", "rivers", "stations"):
        assert catalogue[name]["audience"] == "public"


def test_a_rule_is_enabled_exactly_if_its_basis_is_verified(rules):
    for rule in rules:
        assert rule["basis"]["verified"] is rule.get("enabled", True), rule["id"]
        assert ("reason" in rule) is (not rule.get("enabled", True)), rule["id"]
        assert "in_force_checked" not in rule["basis"], rule["id"]
        assert rule["basis"]["title"], rule["id"]
        assert rule["basis"]["article"], rule["id"]


def test_rules_have_dates_words_and_unique_ids(rules):
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert isinstance(rule["in_force"]["start"], dt.date), rule["id"]
        until = rule["in_force"].get("until", dt.date.max)
        assert rule["in_force"]["start"] < until, rule["id"]
        assert rule["says"]["zh"], rule["id"]
        assert rule["says"]["en"], rule["id"]
        assert all(proof["says"]["zh"] and proof["says"]["en"] for proof in rule.get("proofs", []))


def test_rules_ask_only_for_what_is_declared(rules, catalogue):
    attributes = toml("zone.toml")["attributes"]
    sites = read("sites")
    for rule in rules:
        keys = {
            *rule.get("applies", {}),
            *rule.get("unless", {}),
            *(p["key"] for p in rule.get("proofs", [])),
        }
        assert keys <= set(attributes), rule["id"]
        assert keys <= set(sites.columns), rule["id"]
        columns = set(rule.get("where", {}))
        assert columns <= set(catalogue[rule["layer"]].get("codes", {})), rule["id"]


def test_no_unverified_item_lifts_a_rule(rules):
    for rule in rules:
        for values in rule.get("unless", {}).values():
            assert not {"6", "7", "8", "9", "10"} & set(values), rule["id"]
    assert "6" not in toml("zone.toml")["attributes"]["activity_type"]["codes"]


def test_the_stations_rule_supervises_and_never_prohibits(rules):
    on_stations = [rule for rule in rules if rule["layer"] == "stations"]
    assert {rule["effect"] for rule in on_stations} == {"supervise"}
    assert {(rule["test"]["op"], rule["test"]["value"]) for rule in on_stations} == {("<=", 3000.0)}


def test_the_reserve_rules_change_hands_on_one_day(rules):
    day = dt.date(2026, 3, 15)
    on_reserve = [rule for rule in rules if rule["layer"] == "reserve"]
    old = [rule for rule in on_reserve if "zone_old" in rule["where"]]
    new = [rule for rule in on_reserve if "zone" in rule["where"]]
    assert len(old) + len(new) == len(on_reserve)
    assert {rule["in_force"].get("until") for rule in old} == {day}
    assert {rule["in_force"]["start"] for rule in new} == {day}


def test_unit_requirements_cover_all_four_dimensions_and_say_that_they_are_invented(rules):
    rows = [rule for rule in rules if rule["level"] == "unit"]
    assert {rule["dimension"] for rule in rows} == {"spatial", "emission", "risk", "resource"}
    for rule in rows:
        assert rule["layer"] == "units"
        assert set(rule["where"]) == {"code"}
        assert rule["basis"]["title"].startswith("synthetic demonstration table of unit requirements")
        assert "虚构" in rule["says"]["zh"]
        assert "invented" in rule["says"]["en"]


def test_every_effect_has_an_enabled_rule(rules):
    effects = {rule["effect"] for rule in rules if rule.get("enabled", True)}
    assert effects == {"prohibit", "approval", "condition", "supervise", "inform"}


def test_the_undelivered_layer_has_one_rule_for_one_site(rules):
    (rule,) = [rule for rule in rules if rule["layer"] == "wetland"]
    ((key, values),) = rule["applies"].items()
    stated = read("sites")[key]
    assert stated.notna().all()
    assert stated.isin(values).sum() == 1


def test_targets_are_those_of_the_plan():
    """The 24 numbers of the plan; two of them are told a second way."""
    rows = {row["id"]: row for row in toml("targets.toml")["target"]}
    again = {"forest-share-raster": "forest-share", "safe-land-use-count": "safe-land-use"}
    assert len(rows) == 24 + len(again)
    for second, first in again.items():
        for key in ("op", "value", "unit", "by", "departments", "basis"):
            assert rows[second].get(key) == rows[first].get(key)
    kinds = {name: row["quantity"]["kind"] for name, row in rows.items() if row["quantity"]["kind"] != "reported"}
    assert kinds == {
        "red-line-area": "layer_area", "forest-share": "layer_share", "forest-share-raster": "cover_share",
        "safe-land-use": "area_rate", "safe-land-use-count": "count_rate", "new-energy-forklifts": "scope",
        "station-radius": "scope",
    }  # fmt: skip
    for name, value in (("red-line-area", 27.5), ("forest-share", 40.0)):
        assert (rows[name]["op"], rows[name]["value"], rows[name]["by"]) == (">=", value, 2025)
    assert [name for name, row in rows.items() if row["op"] == "about"] == ["good-air-days"]
    assert "tolerance" not in rows["good-air-days"]
    rates = [row["quantity"] for row in rows.values() if row["quantity"]["kind"].endswith("_rate")]
    assert [rate["formula_verified"] for rate in rates] == [False, False]
    assert {rows[name]["op"] for name in ("safe-land-use", "safe-land-use-count")} == {"="}
    undated = {name for name, row in rows.items() if "by" not in row}
    assert undated == {
        "near-zero-carbon-park", "low-carbon-community", "charging-ready-parking", "machinery-monitored",
        "old-trucks-retired", "new-energy-forklifts", "fertiliser-use-rate", "station-radius", "safe-land-use",
        "safe-land-use-count",
    }  # fmt: skip
    assert {row.get("by") for row in rows.values()} == {2025, None}
    assert all(name.endswith(("局", "中心", "办公室")) for row in rows.values() for name in row["departments"])
    assert all(row["basis"]["verified"] and row["departments"] for row in rows.values())


PLAN = ROOT.parent / "shared" / "policy" / "plan-2023.txt"


@pytest.mark.skipif(not PLAN.is_file(), reason="the plan's text is beside the repository only where it was written")
def test_every_number_is_in_its_item_of_the_plan():
    """Each value stands in the item that the row names, beside the row's departments."""
    text = PLAN.read_text("utf-8")
    items = dict(
        re.findall(r"\(([一二三四五六七八九十]+)\)(.*?)(?=\n\n\([一二三四五六七八九十]+\)|\Z)", text, re.DOTALL)
    )
    spelled = {
        "station-radius": "三公里",
        "heavy-pollution-days": "全面消除重污染天气",
        "machinery-monitored": "全覆盖",
        "charging-ready-parking": "应全部",
        "old-trucks-retired": "全面淘汰",
    }
    for row in toml("targets.toml")["target"]:
        item = items[row["basis"]["article"]]
        said = spelled.get(row["id"], f"{row['value']:g}")
        assert said in item, row["id"]
        for name in row["departments"]:
            assert name in item or (name == "城市建设事务中心" and "城建中心" in item), (row["id"], name)
