"""Two versions compared: areas against geodesics, verdicts against the oracle, all made anew from the two packs."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import oracle
import pandas as pd
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from pyproj import Geod

import geojw
from geojw.cli import main
from geojw.runs.changes import OUTSIDE
from geojw.runs.comparison import compare, versions_of

DAY = date(2026, 11, 22)
GEOD = Geod(a=6378137.0, rf=298.257222101)
MU_M2 = 10_000.0 / 15.0


def m2(shape: shapely.Geometry) -> float:
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(shape, 0.0005))[0])


def keep_blocks(path: Path, head: str, words: str) -> None:
    """Keep the rows of a TOML file that say something."""
    parts = path.read_text("utf-8").split(f"[[{head}]]")
    path.write_text(f"[[{head}]]".join([parts[0], *(part for part in parts[1:] if words in part)]), "utf-8")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The embedded zone with its red-line rules and target, and the same with an altered red line."""
    folder = tmp_path_factory.mktemp("packs")
    old, new = folder / "old", folder / "new"
    shutil.copytree(geojw.open_zone("gaoxin").pack.folder, old)
    keep_blocks(old / "access_list.toml", "rule", 'layer = "red_line"')
    keep_blocks(old / "targets.toml", "target", 'id = "red-line-area"')
    shutil.copytree(old, new)
    red = gpd.read_file(new / "red_line.fgb")
    sites = gpd.read_file(old / "sites.fgb").set_index("site_id").geometry
    inside = red.geometry.intersects(sites["SYN-S04"])
    assert inside.sum() == 1
    assert not red.geometry.intersects(sites["SYN-S01"]).any()
    around = shapely.box(*sites["SYN-S01"].buffer(0.0004).bounds)
    altered = red[~inside]
    extra = altered.iloc[[0]].assign(id="SYN-ERL-NEW", code="SYN-ERL-NEW", geometry=[around])
    pd.concat([altered, extra]).to_file(new / "red_line.fgb", driver="FlatGeobuf", engine="pyogrio")
    return old, new


@pytest.fixture(scope="module")
def found(packs: tuple[Path, Path]) -> Any:
    old, new = versions_of(str(packs[0]), str(packs[1]), "gaoxin", None)
    return compare(old, new, on=DAY, lang="en", sites=geojw.read_sites(packs[0] / "sites.fgb"))


@pytest.fixture(scope="module")
def shapes(packs: tuple[Path, Path]) -> dict[str, shapely.Geometry]:
    """What was added and removed, from the files alone, in degrees."""
    before, after = (shapely.union_all(gpd.read_file(path / "red_line.fgb").geometry.values) for path in packs)
    return {"old": before, "new": after, "added": after.difference(before), "removed": before.difference(after)}


def test_only_the_altered_layer_changes(found: Any) -> None:
    changes = found.layers.set_index("layer")["change"]
    assert changes[changes != "same"].to_dict() == {"red_line": "changed", "wetland": "failed"}
    assert set(found.areas["layer"]) == {"red_line"}


def test_the_areas_agree_with_geodesics(found: Any, shapes: dict[str, shapely.Geometry]) -> None:
    whole = found.areas[found.areas["division"] == ""].iloc[0]
    for name in ("added", "removed"):
        assert whole[f"{name}_m2"] == pytest.approx(m2(shapes[name]), rel=1e-6)
        assert whole[f"{name}_mu"] == pytest.approx(m2(shapes[name]) / MU_M2, rel=1e-6)
        drawn = found.shapes.set_index("change").loc[name]
        assert drawn["area_m2"] == whole[f"{name}_m2"]
        assert drawn.geometry.area == pytest.approx(whole[f"{name}_m2"], abs=1e-3)
    assert whole["added_m2"] > 10_000.0
    assert whole["removed_m2"] > 100_000.0
    assert whole["change_m2"] == pytest.approx(whole["added_m2"] - whole["removed_m2"], abs=1e-3)


def test_the_table_by_town_agrees_with_geodesics(
    found: Any, packs: tuple[Path, Path], shapes: dict[str, shapely.Geometry]
) -> None:
    for layer in ("towns", "units"):
        parts = gpd.read_file(packs[1] / f"{layer}.fgb").set_index("id").geometry
        rows = found.areas[found.areas["division"] == layer].set_index("feature_id")
        assert set(rows.index) == {*parts.index, OUTSIDE}
        for name in ("added", "removed"):
            for feature, part in parts.items():
                want = m2(shapes[name].intersection(part))
                assert rows.loc[feature, f"{name}_m2"] == pytest.approx(want, rel=1e-6, abs=0.5), (feature, name)
            whole = found.areas.iloc[0][f"{name}_m2"]
            assert rows[f"{name}_m2"].sum() == pytest.approx(whole, abs=0.1)


def test_the_target_before_and_after(found: Any, packs: tuple[Path, Path], shapes: dict[str, shapely.Geometry]) -> None:
    (row,) = found.targets.to_dict("records")
    edge = gpd.read_file(packs[0] / "boundary.fgb").geometry.iloc[0]
    for side in ("old", "new"):
        assert row[f"value_{side}"] * 1e6 == pytest.approx(m2(shapes[side].intersection(edge)), rel=1e-7)
        assert row[f"status_{side}"] == ("met" if row[f"value_{side}"] >= 27.5 else "not_met")
    assert row["change"] == pytest.approx(row["value_new"] - row["value_old"], abs=1e-9)
    assert (row["status_old"], row["status_new"]) == ("met", "not_met")


def test_the_changed_verdicts_are_those_of_the_oracle(found: Any, packs: tuple[Path, Path]) -> None:
    sites = gpd.read_file(packs[0] / "sites.fgb")
    before, after = (oracle.evaluate(path, sites, DAY) for path in packs)
    old, new = (side.verdicts.set_index("site_id") for side in (before, after))
    columns = ["verdict", "at_least", "at_most", "certainty"]
    moved = [site for site in old.index if list(old.loc[site, columns]) != list(new.loc[site, columns])]
    told = found.verdicts.set_index("site_id")
    assert sorted(told.index) == sorted(moved)
    assert {"SYN-S01", "SYN-S04"} <= set(moved)
    for site in moved:
        for side, frame in (("old", old), ("new", new)):
            assert told.loc[site, f"verdict_{side}"] == frame.loc[site, "verdict"]
    keys = ["site_id", "rule_id"]
    rows = before.findings.merge(after.findings, on=keys, suffixes=("_old", "_new"))
    turned = rows[rows["outcome_old"] != rows["outcome_new"]].set_index(keys)
    mine = found.findings[found.findings["outcome_old"] != found.findings["outcome_new"]].set_index(keys)
    assert sorted(mine.index) == sorted(turned.index)
    assert told.loc["SYN-S01", ["change", "verdict_old", "rules"]].tolist() == ["verdict", "clear", "ERL-1"]
    assert set(told.loc["SYN-S04", "rules"].split(";")) == {
        rule for site, rule in turned.index if site == "SYN-S04"
    } & {*old.loc["SYN-S04", "decided_by"].split(";")}


def test_nothing_changes_between_equal_versions(minipack: Path, minizone: Path) -> None:
    old, new = versions_of(str(minipack), str(minizone / "pack"), "gaoxin", None)
    same = compare(old, new, on=DAY, lang="en", sites=geojw.read_sites(minizone / "sites.gpkg"))
    assert set(same.layers["change"]) == {"same"}
    assert same.areas.empty
    assert same.shapes.empty
    assert same.verdicts.empty
    assert same.findings.empty
    assert (same.targets["change"] == 0.0).all()


def test_overlapping_features_count_once_and_touching_ones_are_nothing(make_pack: Any) -> None:
    """Added: a strip of 100 m by 1 km beside what was there, by a feature that overlaps the old one."""
    layers = {"red": {"features": [{"id": "A", "box": [0, 0, 1000, 1000]}]}}
    more = {"red": {"features": [*layers["red"]["features"], {"id": "B", "box": [500, 0, 1100, 1000]}]}}
    old, new = make_pack("old", layers=layers).write(), make_pack("new", layers=more).write()
    table = compare(*versions_of(str(old), str(new), "gaoxin", None), on=DAY, lang="en").areas
    assert table[["added_m2", "removed_m2", "added_mu"]].to_numpy().tolist() == [[100_000.0, 0.0, 150.0]]


def test_layers_that_only_one_version_has(make_pack: Any) -> None:
    gone = {"features": [{"id": "A", "box": [0, 0, 100, 100]}]}
    old, new = make_pack("old", layers={"gone": gone}).write(), make_pack("new", layers={"come": gone}).write()
    result = compare(*versions_of(str(old), str(new), "gaoxin", None), on=DAY, lang="en")
    assert result.layers.set_index("layer")["change"].to_dict() == {
        "boundary": "same_areas", "come": "added", "gone": "removed",
    }  # fmt: skip
    assert result.areas.set_index("layer")[["added_m2", "removed_m2"]].to_numpy().tolist() == [
        [10_000.0, 0.0], [0.0, 10_000.0],
    ]  # fmt: skip


def layers_of(**rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Layers of lines and points, and two towns side by side, 1 km each."""
    towns = [{"id": "W", "box": [-1000, -1000, 0, 1000]}, {"id": "E", "box": [0, -1000, 1000, 1000]}]
    kinds = {"river": "line", "wells": "point"}
    drawn = {
        name: {"geometry": kinds[name], "features": features, "may_be_empty": True} for name, features in rows.items()
    }
    return {"towns": {"features": towns}} | drawn


def compared(make_pack: Any, old: dict[str, Any], new: dict[str, Any]) -> Any:
    folders = [
        str(make_pack(name, layers=x, zone={"divisions": ["towns"]}).write())
        for name, x in (("old", old), ("new", new))
    ]
    return compare(*versions_of(*folders, "gaoxin", None), on=DAY, lang="en")


def test_lines_are_measured_by_town(make_pack: Any) -> None:
    """A river of 1,500 m is moved for its last 500 m, which lie in the eastern town and 300 m beyond it."""
    before = [{"id": "A", "line": [[-700, 0], [800, 0]]}]
    after = [
        {"id": "A", "line": [[-700, 0], [-200, 0], [300, 0]]},
        {"id": "B", "line": [[300, 0], [300, 700], [1300, 700]]},
    ]
    table = compared(make_pack, layers_of(river=before), layers_of(river=after)).lengths
    assert table.drop(columns=["layer", "name"]).to_numpy().tolist() == [
        ["", "", 1500.0, 2700.0, 1700.0, 500.0, 1200.0],
        ["towns", "E", 800.0, 1700.0, 1400.0, 500.0, 900.0],
        ["towns", "W", 700.0, 700.0, 0.0, 0.0, 0.0],
        ["towns", OUTSIDE, 0.0, 300.0, 300.0, 0.0, 300.0],
    ]


def test_a_line_with_a_vertex_more_or_drawn_twice_is_the_same(make_pack: Any) -> None:
    before = [{"id": "A", "line": [[-700, -333], [800, 777]]}]
    middle = [-700 + 1500 * 0.3, -333 + 1110 * 0.3]
    after = [{"id": "A", "line": [[-700, -333], middle, [800, 777]]}, {"id": "B", "line": [[800, 777], middle]}]
    found = compared(make_pack, layers_of(river=before), layers_of(river=after))
    assert found.layers.set_index("layer").loc["river", "change"] == "same_places"
    assert found.lengths.empty
    assert found.shapes.empty


def test_points_are_counted_by_town(make_pack: Any) -> None:
    """One of three wells moves from the west out of both towns, one is on two rows, one comes in the east."""
    before = [{"id": "A", "point": [-100, 5]}, {"id": "B", "point": [100, 5]}, {"id": "C", "point": [200, 5]}]
    after = [*before[1:], {"id": "D", "point": [200, 5]}, {"id": "E", "point": [0, 3000]}, {"id": "F", "point": [9, 9]}]
    found = compared(make_pack, layers_of(wells=before), layers_of(wells=after))
    assert found.counts.drop(columns=["layer", "name"]).to_numpy().tolist() == [
        ["", "", 3, 4, 2, 1, 1],
        ["towns", "E", 2, 3, 1, 0, 1],
        ["towns", "W", 1, 0, 0, 1, -1],
        ["towns", OUTSIDE, 0, 1, 1, 0, 1],
    ]
    drawn = found.shapes.set_index("change")
    assert drawn["count"].to_dict() == {"added": 2, "removed": 1}
    assert shapely.get_coordinates(drawn.geometry["removed"])[0] == pytest.approx([-100.0, 5.0], abs=2e-3)


def test_lines_and_points_that_only_one_version_has(make_pack: Any) -> None:
    river, wells = [{"id": "A", "line": [[1, 1], [1, 31]]}], [{"id": "A", "point": [-1, 1]}]
    found = compared(make_pack, layers_of(river=river), layers_of(wells=wells))
    assert found.lengths.iloc[0][["old_m", "new_m", "added_m", "removed_m"]].tolist() == [30.0, 0.0, 0.0, 30.0]
    assert found.counts.iloc[0][["old_count", "new_count", "added_count", "removed_count"]].tolist() == [0, 1, 1, 0]


# ---------------------------------------------------------------------------------------------- rasters

WOODS: dict[str, Any] = {
    "kind": "raster", "classes": {"forest": [1], "other": [0]}, "origin": [-1000, 1000], "cell_m": 500.0,
}  # fmt: skip
SQUARE = {"features": [{"id": "Z", "box": [-1000, -1000, 1000, 1000]}]}


def test_the_cover_of_a_raster_before_and_after(make_pack: Any) -> None:
    """16 cells of 0.25 km²; the eastern town loses two of forest, one to nobody knows what, and gains one of other."""
    before = {**WOODS, "cells": ["1111", "1100", "0000", "0000"]}
    after = {**WOODS, "cells": ["111.", "1100", "0000", "0007"]}
    table = compared(
        make_pack,
        {**layers_of(), "boundary": SQUARE, "woods": before},
        {**layers_of(), "boundary": SQUARE, "woods": after},
    ).covers
    rows = table.set_index(["class", "division", "feature_id"])
    want = {
        ("forest", "", ""): [1.5, 1.25, -0.25, 0.0, 0.5],
        ("forest", "towns", "E"): [0.5, 0.25, -0.25, 0.0, 0.5],
        ("forest", "towns", "W"): [1.0, 1.0, 0.0, 0.0, 0.0],
        ("other", "", ""): [2.5, 2.25, -0.25, 0.0, 0.5],
        ("other", "towns", "E"): [1.5, 1.25, -0.25, 0.0, 0.5],
        ("other", "towns", "W"): [1.0, 1.0, 0.0, 0.0, 0.0],
    }
    assert set(rows.index) == set(want)
    columns = ["old_m2", "new_m2", "change_m2", "old_no_data_m2", "new_no_data_m2"]
    for key, km2 in want.items():
        assert rows.loc[key, columns].tolist() == pytest.approx([1e6 * value for value in km2], abs=0.05), key
        assert rows.loc[key, "change_mu"] == pytest.approx(1e6 * km2[2] / MU_M2, abs=1e-3)


def test_of_a_raster_that_was_not_there_nothing_is_known(make_pack: Any) -> None:
    after = {"boundary": SQUARE, "woods": {**WOODS, "cells": ["1111", "1100", "0000", "0000"]}}
    found = compared(make_pack, {**layers_of(), "boundary": SQUARE}, {**layers_of(), **after})
    assert found.layers.set_index("layer").loc["woods", "change"] == "added"
    whole = found.covers.set_index(["class", "division"]).loc[("forest", "")]
    assert whole["new_m2"] == pytest.approx(1.5e6, abs=0.05)
    assert whole[["old_m2", "change_m2", "change_mu", "old_no_data_m2"]].isna().all()


def test_an_altered_forest_raster_of_the_embedded_zone_against_its_cells(
    packs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Every forest cell of a window is felled; the loss is what single cells of the file have of each town."""
    new = tmp_path / "new"
    shutil.copytree(packs[0], new)
    with rasterio.open(new / "forest_raster.tif") as file:
        cells, profile = file.read(1), file.profile
    rows, columns = (slice(size // 2 - 60, size // 2 + 60) for size in cells.shape)
    felled = np.argwhere(cells[rows, columns] == 1) + np.array([rows.start, columns.start])
    assert len(felled) > 500
    changed = cells.copy()
    changed[tuple(felled.T)] = 0
    plain = {key: profile[key] for key in ("crs", "transform", "nodata", "height", "width", "count", "dtype")}
    with rasterio.open(new / "forest_raster.tif", "w", driver="GTiff", **plain) as file:
        file.write(changed, 1)
    table = compare(*versions_of(str(packs[0]), str(new), "gaoxin", None), on=DAY, lang="en").covers
    whole = table.set_index(["division", "class"]).loc[("", "forest")]
    ground = gpd.GeoSeries([cell_at(profile["transform"], *at) for at in felled], crs=profile["crs"]).to_crs(4490)
    assert whole["change_m2"] == pytest.approx(-sum(map(m2, ground)), rel=2e-6)
    towns = gpd.read_file(new / "towns.fgb").set_index("id").geometry
    mine = table[(table["division"] == "towns") & (table["class"] == "forest")].set_index("feature_id")["change_m2"]
    for town, shape in towns.items():
        lost = [cell if shape.covers(cell) else cell.intersection(shape) for cell in ground if cell.intersects(shape)]
        assert mine[town] == pytest.approx(-sum(map(m2, lost)), rel=1e-5, abs=0.5), town
    assert (mine < 0).any()


def cell_at(at: Any, row: int, column: int) -> shapely.Polygon:
    west, north = at.c + column * at.a, at.f + row * at.e
    return shapely.box(west, north + at.e, west + at.a, north)


# ---------------------------------------------------------------------------------------------- the command


def run(out: Path, *words: str) -> Any:
    return CliRunner().invoke(main, ["compare", *words, "--out", str(out), "--on", "2026-11-22", "--lang", "en"])


def test_two_files_of_one_layer(minipack: Path, tmp_path: Path) -> None:
    red = gpd.read_file(minipack / "red_line.gpkg")
    (tmp_path / "delivered").mkdir()
    delivered = tmp_path / "delivered" / "red_line_2026.gpkg"
    red.iloc[1:].to_file(delivered, driver="GPKG", engine="pyogrio")
    words = [str(minipack / "red_line.gpkg"), str(delivered), "--layer", "red_line", "--zone", str(minipack)]
    done = run(tmp_path / "out", *words)
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {"layers.csv", "areas.csv", "lengths.csv", "counts.csv", "covers.csv", "targets.csv"}
    assert names == tables | {"changes.gpkg", "map.html", "passport.json"}
    passport = (tmp_path / "out" / "passport.json").read_text("utf-8")
    assert json.loads(passport)["new"]["layers"]["red_line"]["path"] == "red_line_2026.gpkg"
    assert str(tmp_path) not in passport
    removed = gpd.read_file(tmp_path / "out" / "changes.gpkg", layer="removed", engine="pyogrio")
    assert removed.crs.to_epsg() == 4490
    areas = pd.read_csv(tmp_path / "out" / "areas.csv")
    assert m2(removed.geometry.iloc[0]) == pytest.approx(areas["removed_m2"].iloc[0], rel=1e-6)
    assert areas["added_m2"].iloc[0] == 0.0


def test_the_command_with_sites(
    packs: tuple[Path, Path], found: Any, shapes: dict[str, shapely.Geometry], tmp_path: Path
) -> None:
    done = run(tmp_path / "out", str(packs[0]), str(packs[1]), "--sites", str(packs[0] / "sites.fgb"))
    assert done.exit_code == 4  # a layer of the demonstration is not delivered, in either version
    table = pd.read_csv(tmp_path / "out" / "verdicts.csv", dtype=str, keep_default_na=False)
    assert table["site_id"].tolist() == found.verdicts["site_id"].tolist()
    assert "30 sites (0 rejected)" in done.output
    for word in ("made-up", "red line", "met → not met", "SYN-S01", "ERL-1", "added (mu)"):
        assert word in done.output
    for change in ("added", "removed"):
        drawn = gpd.read_file(tmp_path / "out" / "changes.gpkg", layer=change, engine="pyogrio").geometry.iloc[0]
        assert m2(drawn.symmetric_difference(shapes[change])) < 1e-5 * m2(shapes[change])


def test_rejected_sites_are_not_lost(make_pack: Any, rows_to_file: Any, tmp_path: Path) -> None:
    pack = str(make_pack().write())
    rows = [{"site_id": "A", "box": [0, 0, 10, 10]}, {"site_id": "B", "nothing": True}]
    rows_to_file(tmp_path / "sites.gpkg", rows)
    done = run(tmp_path / "out", pack, pack, "--sites", str(tmp_path / "sites.gpkg"))
    assert done.exit_code == 1
    assert "1 sites (1 rejected)" in done.output
    assert "B" in pd.read_csv(tmp_path / "out" / "rejected.csv")["site_id"].tolist()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gaoxin", "nowhere"], "there is no such zone"),
        (["{pack}/red_line.gpkg", "gaoxin"], "say which with --layer"),
        (["a.gpkg", "b.gpkg", "--layer", "nothing"], "has no layer nothing"),
    ],
)
def test_faults(words: list[str], said: str, minipack: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "out", *[word.format(pack=minipack) for word in words])
    assert done.exit_code == 3
    assert said in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_version_that_is_not_there_is_a_failed_layer(minipack: Path, tmp_path: Path) -> None:
    words = [
        str(minipack / "red_line.gpkg"),
        str(tmp_path / "none.gpkg"),
        "--layer",
        "red_line",
        "--zone",
        str(minipack),
    ]
    done = run(tmp_path / "out", *words)
    assert done.exit_code == 4
    assert "What changed in it was not measured" in " ".join(done.output.split())
    assert "failed 1" in done.output
