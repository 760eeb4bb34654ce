"""Audiences: what a page may hold, how fine, and how far that is from the source."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_maps import data_of, shape_of, site_shapes

from geojw.cli import main
from geojw.errors import OutputError
from geojw.intake.site_files import SiteFiles
from geojw.maps.editions import AUDIENCES, GRADES, Asked, Edition
from geojw.maps.generalise import Grade, generalise, precision_m
from geojw.maps.publish import draw_zone, publish
from geojw.measure.geodesy import AnalysisCRS
from geojw.zone import Zone, open_zone

DAY = date(2026, 11, 22)
GAOXIN = Path(__file__).resolve().parents[1] / "layers" / "gaoxin"
ANALYSIS = AnalysisCRS(106.32, 29.50)
LONLAT = ANALYSIS.crs.geodetic_crs


def light(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Without the largest shapes, which only take time: every layer keeps features and neighbours."""
    return frame[shapely.get_num_coordinates(frame.geometry.to_numpy()) < 2_500].iloc[:60]


def rewritten(folder: Path, change: Callable[[str, gpd.GeoDataFrame], gpd.GeoDataFrame]) -> Zone:
    """A copy of the embedded zone whose layers were changed."""
    shutil.copytree(GAOXIN, folder)
    for path in folder.glob("*.fgb"):
        if path.stem != "sites":
            changed = change(path.stem, light(pyogrio.read_dataframe(path)))
            path.unlink()
            pyogrio.write_dataframe(changed, path, layer=path.stem, SPATIAL_INDEX="NO")
    return open_zone(folder)


def allowed(zone: Zone, layer: str, audience: str) -> tuple[str, ...]:
    return zone.pack.layers[layer].audience_columns.get(audience, ())


def sees(zone: Zone, layer: str, audience: str) -> bool:
    return Edition(zone, Asked(DAY, audience)).may_see(layer)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Zone:
    """The embedded zone without its largest shapes, read once."""
    return rewritten(tmp_path_factory.mktemp("small") / "gaoxin", lambda _, frame: frame)


@pytest.fixture(scope="module", params=["public", "department"])
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Zone, str]:
    """A zone with an attribute that nobody declared, and a mark in every attribute that the audience may not see."""
    audience, real = request.param, open_zone("gaoxin")

    def plant(layer: str, frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        out = frame.assign(phone=[f"SECRET-{layer}-phone-{i}" for i in range(len(frame))])
        kept = {*allowed(real, layer, audience), "geometry", "position", "accuracy_m", "status", "phone"}
        filtered = {column for rule in real.pack.rules if rule.layer == layer for column in rule.where}
        for column in {*frame.columns} - kept - filtered - ({"id"} if sees(real, layer, audience) else set()):
            out[column] = [f"SECRET-{layer}-{column}-{i}" for i in range(len(frame))]
        return out

    return rewritten(tmp_path_factory.mktemp("planted") / "gaoxin", plant), audience


@pytest.fixture(scope="module")
def page(planted: tuple[Zone, str]) -> str:
    """Its page, with the sample sites."""
    zone, audience = planted
    return draw_zone(zone, Asked(DAY, audience, draft=True), SiteFiles(GAOXIN / "sites.fgb")).page


def test_no_dropped_value_is_in_the_page(planted: tuple[Zone, str], page: str) -> None:
    zone, audience = planted
    assert "SECRET" not in page
    for name, row in zone.pack.layers.items():
        if row.kind == "vector" and (GAOXIN / row.path).exists() and not sees(zone, name, audience):
            ids = pyogrio.read_dataframe(GAOXIN / row.path, read_geometry=False)[row.id]
            assert not [key for key in ids.astype(str) if len(key) > 3 and key in page]
    for hidden in ("site_id_column", str(zone.pack.folder), ".fgb"):
        assert hidden not in page.replace("wetland_not_delivered.fgb", "")


def test_the_page_does_not_depend_on_what_its_audience_may_not_see(small: Zone, tmp_path: Path) -> None:
    """Restricted layers moved and renamed, hidden attributes changed: the public page is the same, byte by byte."""
    real, rng = small, np.random.default_rng(3)

    def change(layer: str, frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        if not sees(real, layer, "public"):
            moved = frame.set_geometry(frame.geometry.translate(*rng.uniform(-0.02, 0.02, 2)))
            return moved.assign(name=[f"another {i}" for i in range(len(frame))])
        hidden = {*frame.columns} - {*allowed(real, layer, "public"), "geometry", "position", "id", "accuracy_m"}
        return frame.assign(**{column: frame[column].to_numpy()[::-1] for column in hidden - {"status"}})

    asked = Asked(DAY, "public", draft=True)
    sites = GAOXIN / "sites.fgb"
    changed = rewritten(tmp_path / "changed", change)
    changed_layers = {row.path for row in changed.pack.layers.values()}
    assert "red_line.fgb" in changed_layers
    assert draw_zone(changed, asked, SiteFiles(sites)).page == draw_zone(real, asked, SiteFiles(sites)).page


def test_no_vertex_of_a_restricted_layer_survives_and_all_lie_on_the_grid(planted: tuple[Zone, str], page: str) -> None:
    zone, audience = planted
    data = data_of(page)
    shapes = [shape_of(data, f["geometry"]) for layer in data["layers"] for f in layer["features"]]
    drawn = shapely.get_coordinates(shapes + site_shapes(data))
    step = GRADES[audience].step
    assert data["packing"]["decimals"] == GRADES[audience].decimals
    assert np.abs(drawn / step - np.rint(drawn / step)).max() < 1e-5
    assert {layer["id"] for layer in data["layers"]} == {
        name
        for name, row in zone.pack.layers.items()
        if sees(zone, name, audience) and row.kind == "vector" and name != "wetland"
    }
    source = {tuple(at) for at in drawn.round(9)}
    for name, row in zone.pack.layers.items():
        if not sees(zone, name, audience) and row.kind == "vector":
            secret = shapely.get_coordinates(pyogrio.read_dataframe(GAOXIN / row.path).geometry.to_numpy())
            assert not {tuple(at) for at in secret.round(9)} & source, name


@pytest.mark.parametrize("audience", ["public", "department"])
def test_precision_is_the_measured_distance_and_neighbours_keep_their_edges(audience: str, small: Zone) -> None:
    for layer in Edition(small, Asked(DAY, audience)).layers():
        source = layer.data.index.geometries
        drawn = ANALYSIS.project(np.asarray(layer.frame.geometry), LONLAT)
        few = np.argsort(shapely.get_num_coordinates(source))[-12:]
        for one, other in zip(source[few], drawn[few], strict=True):
            if shapely.get_num_coordinates(one) > 1_000:
                continue  # the library needs the square of that
            pair = [shapely.segmentize(shapely.boundary(s) if s.geom_type != "Point" else s, 5.0) for s in (one, other)]
            assert shapely.hausdorff_distance(*pair) <= layer.precision_m
        assert layer.precision_m <= 2.0 * GRADES[audience].step * 111_700 + GRADES[audience].tolerance_m
        assert not shapely.is_empty(layer.frame.geometry.to_numpy()).any()
        assert shapely.is_valid(layer.frame.geometry.to_numpy()).all()
        if layer.data.index.kind == "polygon" and shapely.coverage_is_valid(source):
            assert shapely.coverage_is_valid(layer.frame.geometry.to_numpy()), layer.id


def thin_things() -> np.ndarray[Any, Any]:
    """What a grid swallows: a thin ring, a small hole, a corridor between two rooms, a speck, a sliver of a gap."""
    ring = shapely.Point(0, 0).buffer(120).difference(shapely.Point(0, 0).buffer(116))
    holed = shapely.box(300, 0, 600, 300).difference(shapely.box(448, 148, 452, 152))
    rooms = shapely.union_all(
        [shapely.box(0, 300, 90, 390), shapely.box(90, 340, 400, 343), shapely.box(400, 300, 500, 390)]
    )
    speck = shapely.box(-400, 0, -398, 2)
    gap = shapely.union_all([shapely.box(-400, 300, -300, 400), shapely.box(-297, 300, -200, 400)])
    return np.array([ring, holed, rooms, speck, gap], dtype=object)


@pytest.mark.parametrize("decimals", [4, 5])
def test_nothing_that_the_grid_would_swallow_is_lost(decimals: int) -> None:
    things = thin_things()
    for group in (things, things[:1], things[1:]):
        made = generalise(group, ANALYSIS, Grade(decimals, 10.0 ** (5 - decimals)))
        assert made.precision_m < 3.0 * 10.0 ** (5 - decimals) * 1.2
        assert not shapely.is_empty(made.shapes).any()
        assert inside_out(group, made.shapes, made.precision_m) == 0


def inside_out(source: np.ndarray[Any, Any], shapes: np.ndarray[Any, Any], precision: float) -> int:
    """Count places, farther than the precision from the published outline, that are in the one and not the other."""
    drawn = ANALYSIS.project(shapes, LONLAT)
    rng, wrong = np.random.default_rng(1), 0
    for one, other in zip(source, drawn, strict=True):
        x0, y0, x1, y1 = shapely.bounds(one)
        at = shapely.points(rng.uniform([x0 - 50, y0 - 50], [x1 + 50, y1 + 50], (3_000, 2)))
        far = at[shapely.distance(at, shapely.boundary(other)) > precision]
        wrong += int((shapely.contains(one, far) != shapely.contains(other, far)).sum())
    return wrong


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_beyond_the_precision_published_and_source_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blobs = [shapely.Point(*rng.uniform(-400, 400, 2)).buffer(rng.uniform(2, 120), quad_segs=3) for _ in range(6)]
    cut = shapely.union_all(blobs[:4]).difference(shapely.union_all(blobs[4:]))
    source = np.array([cut], dtype=object)
    if shapely.is_empty(cut):
        return
    made = generalise(source, ANALYSIS, Grade(4, 10.0))
    assert inside_out(source, made.shapes, made.precision_m) == 0
    assert made.precision_m < 60.0
    assert precision_m(source, made.shapes, ANALYSIS) == made.precision_m


def test_a_public_page_without_a_review_number_is_refused(tmp_path: Path) -> None:
    run = CliRunner()
    refused = run.invoke(main, ["map", "--audience", "public", "--out", str(tmp_path / "no")])
    assert refused.exit_code == 3
    assert "--review-number" in refused.output
    assert not (tmp_path / "no").exists()
    with pytest.raises(OutputError):
        draw_zone(open_zone("gaoxin"), Asked(DAY, "public"))


def test_review_number_and_mark_are_on_the_page(small: Zone) -> None:
    reviewed = draw_zone(small, Asked(DAY, "public", review="渝S(2026)001号")).page
    draft = draw_zone(small, Asked(DAY, "public", draft=True)).page
    assert "渝S(2026)001号" in reviewed
    assert 'class="mark"' not in reviewed
    assert draft.count("未经审图·合成数据·不得公开发布") >= 4


def test_a_layer_names_its_latest_release_to_this_audience_and_the_page_whom_to_ask(
    small: Zone, tmp_path: Path
) -> None:
    """Of towns: one release to departments, two to the public (one after the day); of the outline: internal only."""
    folder = Path(shutil.copytree(small.pack.folder, tmp_path / "gaoxin"))
    records = [
        ("towns", "department", "甲局", "2026-03-01", ""),
        ("towns", "public", "乙<b>局", "2026-02-01", 'document = "某发〔2026〕2号"\nreview = "渝S(2026)009号"\n'),
        ("towns", "public", "丙局", "2026-12-01", ""),
        ("boundary", "internal", "丁局", "2026-01-01", ""),
    ]
    with (folder / "catalogue.toml").open("a", encoding="utf-8") as file:
        for layer, audience, approver, day, more in records:
            row = f'audience = "{audience}"\napprover = "{approver}"\ndate = {day}\n{more}'
            file.write(f"\n[[layers.{layer}.release]]\n{row}")
    zone = open_zone(folder)
    told = {
        audience: {layer["id"]: layer["release"] for layer in data_of(draw_zone(zone, asked).page)["layers"]}
        for audience in AUDIENCES
        for asked in [Asked(DAY, audience, draft=True)]
    }
    assert told["public"]["towns"] == "2026-02-01 由乙<b>局向公众公布，文号 某发〔2026〕2号，审图号 渝S(2026)009号。"
    assert told["department"]["towns"] == "2026-03-01 由甲局向各部门公布。"
    assert told["public"]["boundary"] == told["department"]["boundary"] == "没有向本受众公布的登记。"
    assert told["internal"]["boundary"] == "2026-01-01 由丁局向内部人员公布。"
    assert told["internal"]["forest"] is None
    page = draw_zone(zone, Asked(DAY, "public", draft=True)).page
    assert "由乙&lt;b&gt;局向公众公布" in page
    assert re.search(r'<th scope="row">联系</th><td>演示片区', page)
    assert "丁局" not in page


def test_an_english_page_names_features_in_english_beside_the_term_of_the_source(small: Zone) -> None:
    labels = {}
    for lang in ("zh", "en"):
        data = data_of(draw_zone(small, Asked(DAY, "public", lang=lang, draft=True)).page)
        labels[lang] = {f["label"] for layer in data["layers"] for f in layer["features"] if layer["id"] == "stations"}
    assert labels["zh"] == {"虎溪", "白市驿", "金凤"}
    assert labels["en"] == {"Huxi 虎溪", "Baishiyi 白市驿", "Jinfeng 金凤"}


def test_what_an_audience_may_not_see_is_unknown_to_it_never_clear() -> None:
    zone = open_zone("gaoxin")
    tables = {}
    for audience in AUDIENCES:
        edition = Edition(zone, Asked(DAY, audience))
        tables[audience] = edition.screened(SiteFiles(GAOXIN / "sites.fgb"))
    order = ["clear", "inform", "supervise", "condition", "approval", "prohibit"]
    full = tables["internal"][0]["at_most"].map(order.index)
    for audience in ("department", "public"):
        sites, findings = tables[audience]
        assert (sites["at_most"].map(order.index) >= full).all()
        layers = findings[findings["outcome"] != "withheld"]["layer"]
        assert all(sees(zone, name, audience) for name in layers.unique())
        assert findings[findings["outcome"] == "withheld"][["value", "margin"]].isna().all().all()
    public = tables["public"][1]
    metres = public.loc[public["measure"] == "distance_m", "value"].dropna()
    assert len(metres)
    assert (metres % 10.0 == 0.0).all()
    assert (public["remedy"] == "").all()


def test_pages_are_the_same_bytes_each_time_and_hold_no_path(small: Zone, tmp_path: Path) -> None:
    folder = small.pack.folder
    first, second = (publish(open_zone(folder), Asked(DAY, "public", draft=True), tmp_path / n) for n in "ab")
    assert first.read_bytes() == second.read_bytes()
    text = first.read_text("utf-8")
    assert str(folder) not in text
    assert not re.search(r"/(root|home|tmp|work)/", text)
