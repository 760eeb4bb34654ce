"""The pages of targets and of comparisons: what they show is what was measured, and nothing is fetched."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from browsing import Visit, violations
from click.testing import CliRunner
from pyproj import Geod
from test_maps import HOSTILE, data_of, shape_of

from geojw.cli import main
from geojw.maps import mapdata
from geojw.measure.geodesy import AnalysisCRS
from geojw.runs.comparison_maps import PAINTS
from geojw.runs.target_maps import class_limits, class_of

GEOD = Geod(a=6378137.0, rf=298.257222101)
DAY = "2026-11-22"
WEST, EAST = HOSTILE[0], "东镇"
TOWNS = {
    "label": "name", "status": "synthetic",
    "features": [
        {"id": "W", "name": WEST, "box": [-10_000, -10_000, 0, 10_000]},
        {"id": "E", "name": EAST, "box": [0, -10_000, 10_000, 10_000]},
    ],
}  # fmt: skip
RED_OLD = [{"id": "A", "box": [-5_000, 0, 5_000, 2_000]}]
RED_NEW = [{"id": "A", "box": [-5_000, 0, 1_000, 2_000]}, {"id": "B", "box": [5_000, 5_000, 6_000, 6_000]}]
WOODS = {
    "kind": "raster", "classes": {"forest": [1], "other": [0]}, "origin": [-10_000, 10_000], "cell_m": 10_000.0,
    "cells": ["10", "00"],
}  # fmt: skip
AREA = {"kind": "layer_area", "layer": "red", "within": "boundary"}
COVER = {"kind": "cover_share", "layer": "woods", "within": "boundary", "classes": ["forest"], "min_data_share": 0.5}
TARGETS = [
    {"id": "area", "title": {"zh": "面积", "en": HOSTILE[2]}, "quantity": AREA, "value": 19.0},
    {"id": "cover", "title": {"zh": "覆盖", "en": "cover"}, "quantity": COVER, "value": 40.0, "unit": "%"},
    {"id": "said", "title": {"zh": "填报", "en": "said"}},
]
RULE = {"id": "R1", "layer": "red"}


def written(make_pack: Any, name: str, red: list[dict[str, Any]]) -> Path:
    layers = {"red": {"features": red}, "towns": TOWNS, "woods": WOODS}
    pack = make_pack(name, layers=layers, targets=TARGETS, rules=[RULE], zone={"divisions": ["towns"]})
    return pack.write()


def run(*words: str) -> Any:
    return CliRunner().invoke(main, [*words, "--on", DAY])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, new_pack: Any) -> dict[str, Path]:
    """Results of both commands, in both languages."""
    folder = tmp_path_factory.mktemp("pages")
    make = lambda name, **tables: new_pack(folder / name, **deepcopy(tables))  # noqa: E731
    old, new = written(make, "old", RED_OLD), written(make, "new", RED_NEW)
    analysis = AnalysisCRS(106.33, 29.52)
    places = [shapely.box(x, y, x + 100, y + 100) for x, y in ((4000, 500), (5400, 5400), (-9000, -9000))]
    shapes = analysis.to_geographic(np.array(places, dtype=object))
    names = {"site_id": ["LOST", "WON", "SAME"], "name": [HOSTILE[2], "won", "same"]}
    gpd.GeoDataFrame(names, geometry=shapes, crs="EPSG:4490").to_file(folder / "sites.gpkg", engine="pyogrio")
    for lang in ("zh", "en"):
        done = run("targets", "--zone", str(old), "--lang", lang, "--out", str(folder / f"targets-{lang}"))
        assert done.exit_code == 0, done.output
        words = [str(old), str(new), "--sites", str(folder / "sites.gpkg"), "--out", str(folder / f"compare-{lang}")]
        done = run("compare", *words, "--lang", lang)
        assert done.exit_code == 0, done.output
    return {path.name: path for path in folder.iterdir() if path.is_dir()}


def page_of(folder: Path) -> str:
    return (folder / "map.html").read_text("utf-8")


def layers_of(page: str) -> dict[str, dict[str, Any]]:
    return {layer["id"]: layer for layer in data_of(page)["layers"]}


def square_km(data: dict[str, Any], layer: dict[str, Any]) -> float:
    """What a layer's features cover on the page, in km² on the ellipsoid."""
    drawn = [shape_of(data, feature["geometry"]) for feature in layer["features"]]
    return sum(abs(GEOD.geometry_area_perimeter(shapely.segmentize(shape, 0.0005))[0]) for shape in drawn) / 1e6


# ---------------------------------------------------------------------------------------------- targets


def test_what_counts_is_on_the_page_with_its_figures(folders: dict[str, Path]) -> None:
    """20 km² of red line, half of it in each town of 200 km²: 5 %."""
    page = page_of(folders["targets-en"])
    data, layers = data_of(page), layers_of(page)
    assert square_km(data, layers["area"]) == pytest.approx(20.0, rel=1e-5)
    (feature,) = layers["area"]["features"]
    told = dict(zip(layers["area"]["columns"], feature["values"], strict=True))
    assert (told["value"], told["threshold"], told["margin"]) == ("20 km²", "≥ 19", "+1")
    assert told["status"].startswith("met")
    towns = layers["area:towns"]
    assert [one["label"] for one in towns["features"]] == [f"{EAST} 5.0 %", f"{WEST} 5.0 %"]
    assert dict(zip(towns["columns"], towns["features"][0]["values"], strict=True))["value"] == "10 km²"
    assert [one["label"] for one in layers["cover:towns"]["features"]] == [f"{EAST} 0.0 %", f"{WEST} 50.0 %"]
    assert "cover" not in layers, "a raster has no outline to draw"
    assert data["absent"] == [{"id": "woods", "title": "woods", "why": "raster"}]


def test_towns_are_shaded_by_their_share(folders: dict[str, Path]) -> None:
    towns = layers_of(page_of(folders["targets-zh"]))["cover:towns"]
    east, west = (one["shade"] for one in towns["features"])
    strengths = dict(towns["shades"])
    assert east == min(strengths.values()) < west == max(strengths.values())
    assert [*strengths] == ["0–20 %", "20–40 %", "40–60 %"]


@pytest.mark.parametrize(
    ("values", "limits"),
    [([0.0, 50.0], [0, 20, 40, 60]), ([93.0, 99.9], [92, 94, 96, 98, 100]), ([-3.0, 5.0], [-4, -2, 0, 2, 4, 6])],
)
def test_classes_hold_every_value(values: list[float], limits: list[float]) -> None:
    assert class_limits(values) == pytest.approx(limits)
    for value in np.linspace(values[0], values[1], 37):
        at = class_of(float(value), limits)
        assert at is not None
        assert limits[at] <= value <= limits[at + 1]
    assert class_of(float("nan"), limits) is None


@pytest.mark.parametrize("command", ["targets", "compare"])
def test_pages_are_in_one_language_and_say_what_is_made_up(folders: dict[str, Path], command: str) -> None:
    zh, en = (page_of(folders[f"{command}-{lang}"]) for lang in ("zh", "en"))
    assert 'lang="zh-CN"' in zh
    assert "合成（虚构）数据" in zh
    assert "仅限内部使用" in zh
    assert "synthetic (made-up) data" in en
    assert "Internal use only" in en
    for page in (zh, en):
        assert not re.search(r"\{\w+\}</", page), "a text with an unfilled brace"
        assert str(next(iter(folders.values())).parent) not in page


def test_without_a_map_nothing_of_it_is_left(make_pack: Any, tmp_path: Path) -> None:
    pack = str(written(make_pack, "pack", RED_OLD))
    for words in (["targets", "--zone", pack], ["compare", pack, pack]):
        out = tmp_path / words[0]
        assert run(*words, "--out", str(out)).exit_code == 0
        assert (out / "map.html").exists()
        assert run(*words, "--out", str(out), "--no-map").exit_code == 0
        assert not (out / "map.html").exists()


def test_a_map_that_is_too_heavy_costs_no_table(
    make_pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapdata, "LAYER_LIMIT", 10)
    old, new = (str(written(make_pack, *pair)) for pair in (("old", RED_OLD), ("new", RED_NEW)))
    for words in (["targets", "--zone", old], ["compare", old, new]):
        out = tmp_path / words[0]
        done = run(*words, "--out", str(out), "--lang", "en")
        assert done.exit_code == 0
        assert "No map was drawn" in done.output
        assert not (out / "map.html").exists()
        assert "vertices" in json.loads((out / "passport.json").read_text("utf-8"))["no_map"]
        assert (out / "targets.csv").exists()


# ---------------------------------------------------------------------------------------------- comparisons


def test_added_and_removed_are_drawn_apart(folders: dict[str, Path]) -> None:
    page = page_of(folders["compare-en"])
    data, layers = data_of(page), layers_of(page)
    added, removed = layers["red:added"], layers["red:removed"]
    assert square_km(data, added) == pytest.approx(1.0, rel=1e-4)
    assert square_km(data, removed) == pytest.approx(8.0, rel=1e-5)
    for key in ("colour", "hatch", "dash"):
        assert added["paint"][key] != removed["paint"][key]
    assert layers["red"]["paint"]["hatch"] is False
    assert layers["red"]["group"] == added["group"] == removed["group"]
    labels = [one["label"] for one in layers["red:towns"]["features"]]
    assert labels == [f"{EAST} +1,500.00 mu −12,000.00 mu", WEST]
    (areas,) = (table for table in data["tables"] if table["title"] == "Areas added and removed")
    assert [row["cells"] for row in areas["rows"]] == [
        ["red · all of it", "1,500.00", "12,000.00"], [f"red · {EAST}", "1,500.00", "12,000.00"],
    ]  # fmt: skip


def test_the_page_has_the_sites_whose_verdict_changes(folders: dict[str, Path]) -> None:
    data = data_of(page_of(folders["compare-en"]))
    sites = data["tables"][0]
    assert [row["cells"][1:] for row in sites["rows"]] == [
        ["prohibited · firm", "clear · firm", "R1"], ["clear · firm", "prohibited · firm", "R1"],
    ]  # fmt: skip
    assert sorted(row[0] for row in data["sites"]["rows"]) == ["LOST", "WON"]


def test_lines_and_points_are_on_the_page_too(make_pack: Any, tmp_path: Path) -> None:
    river, well = {"geometry": "line", "may_be_empty": True}, {"geometry": "point", "may_be_empty": True}
    drawn = {"id": "A", "line": [[-10, 10], [90, 10]]}, {"id": "A", "point": [-5, 5]}
    versions = {
        "old": {"river": {**river, "features": [drawn[0]]}, "well": {**well, "features": []}},
        "new": {"river": {**river, "features": []}, "well": {**well, "features": [drawn[1]]}},
    }
    packs = [
        str(make_pack(name, layers={"towns": TOWNS, **layers}, zone={"divisions": ["towns"]}).write())
        for name, layers in versions.items()
    ]
    assert run("compare", *packs, "--lang", "en", "--out", str(tmp_path / "out")).exit_code == 0
    data = data_of(page_of(tmp_path / "out"))
    layers = {layer["id"]: layer for layer in data["layers"]}
    assert layers["river:removed_lines"]["kind"] == "line"
    assert layers["well:added_points"]["kind"] == "point"
    assert [one["label"] for one in layers["river:towns"]["features"]] == [f"{EAST} −90.00 m", f"{WEST} −10.00 m"]
    assert [one["label"] for one in layers["well:towns"]["features"]] == [EAST, f"{WEST} +1 feature(s)"]
    told = {table["title"]: [row["cells"] for row in table["rows"]] for table in data["tables"]}
    assert told["Lines added and removed"][0] == ["river · all of it", "", "100.00"]
    assert told["Points added and removed"] == [["well · all of it", "1", ""], [f"well · {WEST}", "1", ""]]
    assert gpd.read_file(tmp_path / "out" / "changes.gpkg", layer="added_points", engine="pyogrio")[
        "count"
    ].tolist() == [1]


# ---------------------------------------------------------------------------------------------- in a browser


def shown(visit: Any) -> set[str]:
    boxes = "[...document.querySelectorAll('[data-layer]')].map((box) => [Number(box.dataset.layer), box.checked])"
    data = json.loads(visit.evaluate("document.getElementById('screening').textContent"))
    ids = [layer["id"] for layer in data["layers"]]
    return {ids[number] for number, checked in visit.evaluate(boxes) if checked}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["targets-zh", "targets-en", "compare-zh", "compare-en"])
def test_pages_open_fetch_nothing_and_have_no_fault(
    browser: Any, folders: dict[str, Path], name: str, width: int
) -> None:
    opened = Visit(browser, folders[name] / "map.html", width)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.page.evaluate("window.pwned") is None
    assert violations(opened.page) == []
    opened.close()


def test_a_page_without_an_outline_opens(browser: Any, make_pack: Any, tmp_path: Path) -> None:
    lost = {"boundary": {"broken": "missing"}}
    old, new = (
        str(make_pack(name, layers={**lost, "red": {"features": red}}, targets=TARGETS[:1]).write())
        for name, red in (("old", RED_OLD), ("new", RED_NEW))
    )
    for words in (["targets", "--zone", old], ["compare", old, new]):
        out = tmp_path / words[0]
        assert run(*words, "--lang", "en", "--out", str(out)).exit_code == 4
        opened = Visit(browser, out / "map.html")
        assert "boundary" in opened.page.inner_text("#panel")
        opened.close()


def test_a_target_is_chosen_by_its_row(browser: Any, folders: dict[str, Path]) -> None:
    opened = Visit(browser, folders["targets-en"] / "map.html")
    visit = opened.page
    assert shown(visit) == {"boundary", "area", "area:towns"}
    assert HOSTILE[2] in visit.inner_text(".figures tbody tr:first-child button")
    labels = visit.locator(".tag-on-map:not(.gone)").all_inner_texts()
    assert {f"{EAST} 5.0 %", f"{WEST} 5.0 %"} <= set(labels)
    visit.locator(".figures tbody tr:nth-child(2) button").press("Enter")
    assert shown(visit) == {"boundary", "cover:towns"}
    assert f"{WEST} 50.0 %" in visit.locator(".tag-on-map:not(.gone)").all_inner_texts()
    visit.evaluate("document.querySelector('[data-row=\"0\"]').click()")
    visit.locator(".leaflet-overlay-pane, .leaflet-pane path[fill^='url(#hatch']").last.click(force=True)
    card = visit.inner_text(".leaflet-popup .card")
    for word in ("20 km²", "≥ 19", "+1", "met"):
        assert word in card
    opened.close()


def test_a_changed_site_says_what_it_was_and_why(browser: Any, folders: dict[str, Path]) -> None:
    opened = Visit(browser, folders["compare-en"] / "map.html")
    visit = opened.page
    visit.locator(".figures tbody tr:first-child button").first.click()
    card = visit.inner_text(".leaflet-popup .card")
    assert HOSTILE[2] in card
    lines = [line for line in card.splitlines() if line.strip()]
    assert lines[lines.index("Before") + 1] == "prohibited · firm"
    assert lines[lines.index("Changed by") + 1] == "R1"
    visit.keyboard.press("Escape")
    for change, paint in PAINTS.items():
        number = [layer["id"] for layer in data_of(page_of(folders["compare-en"]))["layers"]].index(f"red:{change}")
        path = visit.locator(f".leaflet-layer{number}-pane path").first
        assert path.get_attribute("stroke") == paint["colour"]
        assert path.get_attribute("fill") == f"url(#hatch{number})"
        lines_drawn = visit.evaluate(
            f"document.querySelector('#hatch{number} path').getAttribute('d').split('M').length - 1"
        )
        assert lines_drawn == (2 if paint["hatch"] == "cross" else 1)
    opened.close()
