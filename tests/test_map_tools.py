"""What one can do on a page, by mouse and keyboard: rules, check, measure, picture, print, links, files, base maps."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import runpy
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from browsing import AXE, READY, Visit, violations
from click.testing import CliRunner
from PIL import Image
from test_maps import BOUNDS, HOSTILE, data_of, draw, make_findings, make_sites
from test_publish import light, rewritten

from geojw.cli import main
from geojw.errors import OutputError
from geojw.intake.site_files import SiteFiles
from geojw.maps import mapdata, mapsites
from geojw.maps import page as maps
from geojw.maps.editions import Asked
from geojw.maps.mapdata import MapLayer, MapRule
from geojw.maps.publish import publish
from geojw.measure.geodesy import ELLIPSOID
from geojw.zone import open_zone

DAY = date(2026, 11, 22)
TIMEOUT = 15_000
MAPS = Path(__file__).resolve().parents[1] / "maps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The department's page of the embedded zone without its largest shapes, and the public's in two files."""
    out = tmp_path_factory.mktemp("tools")
    zone = rewritten(out / "gaoxin", lambda _, frame: light(frame))
    publish(zone, Asked(DAY, "department", draft=True), out, SiteFiles(open_zone("gaoxin").sample_sites))
    publish(zone, Asked(DAY, "public", draft=True, split=True), out / "split")
    return out


@pytest.fixture(scope="module", params=[1280, 390])
def visit(request: pytest.FixtureRequest, browser: Any, folder: Path) -> Iterator[Visit]:
    """The department's page on a desk and on a phone."""
    opened = Visit(browser, folder / "map-department.html", request.param)
    opened.page.set_default_timeout(TIMEOUT)
    yield opened
    opened.close()


def press(page: Any, text: str, within: str = "body") -> None:
    """Press a button by keyboard."""
    page.locator(f"{within} button", has_text=text).first.focus()
    page.keyboard.press("Enter")


def test_a_rule_shows_where_it_applies_and_which_sites_it_decided(visit: Visit) -> None:
    page = visit.page
    page.evaluate("document.querySelector('#rules').open = true")
    page.locator("[data-rule='ERL-1']").focus()
    page.keyboard.press("Enter")
    said = page.inner_text("#rule")
    assert "ERL-1" in said
    assert "禁止" in said
    assert "全部 10 个要素" in said
    assert page.locator(".leaflet-focus-pane canvas").count() >= 1
    decided = page.locator("#rule ul button").count()
    assert decided >= 2
    listed = page.locator("#sites tbody tr").count()
    assert decided <= listed < 30  # the table holds what the rule hits or leaves open
    page.locator("#rule ul button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".leaflet-popup .card")
    assert "ERL-1" in page.inner_text(".leaflet-popup .card")
    page.keyboard.press("Escape")
    press(page, "取消选择规则")
    assert page.locator("#sites tbody tr").count() == 30
    assert page.evaluate("document.activeElement.dataset.rule") == "ERL-1"


def test_a_rule_on_a_layer_that_is_not_published_says_no_data(visit: Visit) -> None:
    page = visit.page
    page.evaluate("document.querySelector('#rules').open = true")
    page.locator("[data-rule='FARM-1']").focus()
    page.keyboard.press("Enter")
    assert "未向本受众公开：无数据" in page.inner_text("#rule")
    press(page, "取消选择规则")


def test_a_distance_rule_draws_its_line_and_every_finding_leads_to_its_rule(visit: Visit) -> None:
    page = visit.page
    page.fill("#query", "SYN-S25")
    page.wait_for_selector("#sites tbody tr:only-child")
    page.locator("#sites tbody button").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".leaflet-popup .card")
    rule = page.locator(".leaflet-popup .finding button.go", has_text="YRB-1").first
    rule.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#rule:not([hidden])")
    assert "1,000 米" in page.inner_text("#rule")
    assert page.locator(".leaflet-rings-pane path").count() >= 1
    press(page, "取消选择规则")
    page.fill("#query", "")
    page.wait_for_selector("#sites tbody tr:nth-child(30)")


PLACE_WORDS = {
    "106.286, 29.607": "触及",
    "29.607 106.286": "触及",
    "106°17′09.6″E 29°36′25.2″N": "触及",
    "北纬29.607，东经106.286": "触及",
}


@pytest.mark.parametrize("text", PLACE_WORDS)
def test_a_typed_place_is_checked(visit: Visit, text: str) -> None:
    page = visit.page
    page.fill("#place", text)
    page.focus("#place")
    page.keyboard.press("Enter")
    said = page.inner_text("#check-answer")
    assert "不是法定结论" in said
    assert re.search(r"自然保护区（演示）\s+触及", said)
    assert re.search(r"永久基本农田（演示）\s+无数据：未向本受众公开", said)
    assert re.search(r"国家重要湿地（未交付）\s+无数据：资料缺失", said)
    assert re.search(r"空气质量监测点\s+见距离\s+最近：虎溪，约 1.3 公里", said)
    assert "NR-2" in said
    assert "触及" in page.inner_text("#status")


@pytest.mark.parametrize("text", ["", "abc", "106.3", "106.3,29.5;106.4,29.5", "106.3,29.5,1", "200, 95", "0,0"])
def test_what_is_no_place_is_refused_in_words(visit: Visit, text: str) -> None:
    visit.page.fill("#place", text)
    press(visit.page, "查核", "#check")
    assert "坐标读不懂" in visit.page.inner_text("#check-answer")


def test_shifted_coordinates_are_brought_back_and_count_as_less_sure(visit: Visit) -> None:
    page = visit.page
    page.fill("#place", "106.28978, 29.60423")  # GCJ-02 of about 106.286, 29.607
    page.select_option("#datum", "gcj02")
    press(page, "查核", "#check")
    said = page.inner_text("#check-answer")
    lon, lat = map(float, re.search(r"位置：([\d.]+), ([\d.]+)", said).groups())
    assert 300 < np.hypot((lon - 106.28978) * 96_800, (lat - 29.60423) * 110_850) < 700
    assert "另计 10 米" in said
    page.select_option("#datum", "cgcs2000")


def test_a_place_is_picked_and_an_area_drawn_by_keyboard(visit: Visit) -> None:
    page = visit.page
    page.evaluate("map_screening.setView([29.607, 106.286], 14, {animate: false})")
    press(page, "在图上点选", "#check")
    page.keyboard.press("Enter")
    assert page.input_value("#place").startswith("106.286000, 29.607000")
    assert page.evaluate("document.activeElement.id") == "check-answer"
    press(page, "在图上画范围", "#check")
    for key in ("Enter", "ArrowRight", "Enter", "ArrowDown", "Enter"):
        page.keyboard.press(key)
        page.wait_for_timeout(350)
    press(page, "完成", "#picked")
    assert page.input_value("#place").count(";") == 2
    assert "范围：" in page.inner_text("#check-answer")


def test_an_area_is_drawn_by_mouse_or_finger(visit: Visit) -> None:
    page = visit.page
    page.evaluate("map_screening.setView([29.607, 106.286], 13, {animate: false})")
    page.locator("#check button", has_text="在图上画范围").click()
    box = page.locator(".folium-map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    corners = []
    for dx, dy in ((-60, -60), (60, -60), (60, 60), (-60, 60)):
        page.mouse.click(x + dx, y + dy)
        at = f"map_screening.containerPointToLatLng([{x + dx - box['x']}, {y + dy - box['y']}])"
        corners.append(page.evaluate(f"(() => {{ const p = {at}; return [p.lng, p.lat]; }})()"))
    page.mouse.click(x, y)  # one too many, on shapes that would open a card
    page.locator("#picked button", has_text="退一点").click()
    page.locator("#picked button", has_text="完成").click()
    drawn = [tuple(map(float, pair.split(","))) for pair in page.input_value("#place").split(";")]
    assert np.abs(np.array(drawn) - corners).max() < 2e-4  # two pixels
    assert page.locator(".leaflet-popup").count() == 0
    said = page.inner_text("#check-answer")
    area_m2 = abs(ELLIPSOID.polygon_area_perimeter(*np.array(drawn).T)[0])
    told_m2 = float(re.search(r"（([\d,.]+) 平方米", said)[1].replace(",", ""))
    assert told_m2 == pytest.approx(area_m2, rel=2e-4)  # what is written is rounded to 0.1 m
    assert re.search(r"自然保护区（演示）\s+触及", said)


def test_full_screen_is_entered_and_left_by_keyboard(visit: Visit) -> None:
    page = visit.page
    for on in (True, False):
        press(page, "全屏")
        page.wait_for_selector(f".tool[aria-pressed={str(on).lower()}]")
        assert page.evaluate("document.fullscreenElement !== null") == on
    assert page.evaluate("(() => { const s = map_screening.getSize(), b = map_screening.getContainer();"
                         " return s.x === b.clientWidth && s.y === b.clientHeight; })()")  # fmt: skip


def test_measuring_is_geodesic_and_eats_no_clicks(visit: Visit) -> None:
    page = visit.page
    page.evaluate("map_screening.setView([29.55, 106.32], 12, {animate: false})")
    press(page, "量距")
    box = page.locator(".folium-map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    ends = []
    for dx in (-60, 60):
        page.mouse.click(x + dx, y)
        at = f"map_screening.containerPointToLatLng([{x + dx - box['x']}, {y - box['y']}])"
        ends.append(page.evaluate(f"(() => {{ const p = {at}; return [p.lng, p.lat]; }})()"))
    said = page.inner_text("#picked-text")
    metres = float(re.search(r"长 ([\d,.]+) 米", said)[1].replace(",", ""))
    assert abs(metres - ELLIPSOID.inv(*ends[0], *ends[1])[2]) < 1.0  # a click is a pixel wide
    assert page.locator(".leaflet-popup").count() == 0
    page.keyboard.press("Escape")
    page.locator(".folium-map").focus()
    page.keyboard.press("Escape")
    assert page.locator("#picked").is_hidden()


def test_a_link_brings_back_view_layers_rule_and_site(visit: Visit, browser: Any, folder: Path) -> None:
    page = visit.page
    page.evaluate("map_screening.closePopup(); map_screening.setView([29.5, 106.31], 13, {animate: false})")
    page.uncheck("[data-verdict='prohibit']")
    name = page.locator(".legend li:has-text('林地') input[data-layer]")
    name.uncheck()
    page.evaluate("document.querySelector('#rules').open = true")
    page.locator("[data-rule='AIR-1A']").click()
    anchor = "#" + page.evaluate("location.hash.slice(1)")
    again = Visit(browser, folder / "map-department.html", 1280, anchor)
    assert "AIR-1A" in again.page.inner_text("#rule")
    assert not again.page.is_checked("[data-verdict='prohibit']")
    assert not again.page.is_checked(".legend li:has-text('林地') input[data-layer]")
    assert again.page.evaluate("map_screening.getZoom()") == page.evaluate("map_screening.getZoom()")
    again.close()
    press(page, "取消选择规则")
    page.check("[data-verdict='prohibit']")
    name.check()
    broken = Visit(
        browser, folder / "map-department.html", 1280, "#at=x/y/z&layers=%3Cscript%3E&site=nobody&rule=none&place=1"
    )
    assert broken.page.locator("#sites tbody tr").count() == 30
    broken.close()


def test_the_table_sorts_and_goes_out_as_csv_and_geojson(visit: Visit) -> None:
    page = visit.page
    heading = page.locator("#sites th button", has_text="结论")
    heading.focus()
    page.keyboard.press("Enter")
    assert page.locator("#sites th[aria-sort=ascending]").count() == 1
    first = page.inner_text("#sites tbody tr:first-child .verdict span:last-child")
    page.keyboard.press("Enter")
    assert page.locator("#sites th[aria-sort=descending]").count() == 1
    assert page.inner_text("#sites tbody tr:first-child .verdict span:last-child") != first
    with page.expect_download() as saved:
        press(page, "CSV", "#take-away")
    text = Path(saved.value.path()).read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 30
    assert rows[0]["site_id"].startswith("SYN-S")
    with page.expect_download() as saved:
        press(page, "GeoJSON", "#take-away")
    frame = gpd.read_file(saved.value.path())
    xy = shapely.get_coordinates(frame.geometry.to_numpy())
    assert len(frame) == 30
    assert np.abs(xy * 1e5 - np.rint(xy * 1e5)).max() < 1e-4
    assert "未经审图" in Path(saved.value.path()).read_text("utf-8")


def test_the_picture_has_map_legend_and_mark(visit: Visit) -> None:
    with visit.page.expect_download() as saved:
        press(visit.page, "存图")
    content = Path(saved.value.path()).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width = int.from_bytes(content[16:20], "big")
    size = visit.page.evaluate("map_screening.getSize().x")
    assert width == 2 * (size + 250)
    colours = visit.page.evaluate(
        "(() => { const c = geojw.picture(), s = new Set();"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "for (let i = 0; i < d.length; i += 16) s.add((d[i] << 16) + (d[i + 1] << 8) + d[i + 2]); return s.size; })()"
    )
    assert colours > 200


def test_the_sheet_is_one_page_with_the_whole_extent(visit: Visit) -> None:
    pdf = visit.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    visit.page.evaluate("map_screening.setView([29.5, 106.31], 11, {animate: false})")
    shown = visit.page.evaluate("map_screening.getBounds().toBBoxString()").split(",")
    visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    printed = visit.page.evaluate("map_screening.getBounds().toBBoxString()").split(",")
    assert all(float(printed[i]) <= float(shown[i]) + 1e-6 for i in (0, 1))
    assert all(float(printed[i]) >= float(shown[i]) - 1e-6 for i in (2, 3))
    visit.page.evaluate("window.dispatchEvent(new Event('afterprint'))")


def test_all_that_is_on_the_map_is_in_lists(visit: Visit) -> None:
    page = visit.page
    box = page.locator("details[data-features]", has_text="生态保护红线").first
    box.locator("summary").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("details[data-features][open] ul button")
    assert box.locator("ul button").count() == 10
    box.locator("ul button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".leaflet-popup .card")
    assert "生态保护红线" in page.inner_text(".leaflet-popup .card")
    page.keyboard.press("Escape")


@pytest.mark.parametrize(("query", "kind"), [("无法判定", "undetermined"), ("syn-s15", None)])
def test_sites_are_found_by_verdict_and_by_id(visit: Visit, query: str, kind: str | None) -> None:
    page = visit.page
    page.fill("#query", query)
    page.wait_for_selector("#sites tbody tr:nth-child(30)", state="detached")
    rows = page.locator("#sites tbody tr").all_inner_texts()
    assert all(query in row.lower() for row in rows)
    if kind is None:
        assert len(rows) == 1
    else:  # of what is undetermined the words say how strict it may be, so that it is found too
        counted = int(page.inner_text(f".verdicts li:has([data-verdict={kind}]) .count"))
        assert 0 < counted == page.locator(f"#sites tbody .symbol.{kind}").count() <= len(rows)
    page.fill("#query", "")
    page.wait_for_selector("#sites tbody tr:nth-child(30)")


def test_a_coordinate_in_the_search_is_a_place(visit: Visit) -> None:
    page = visit.page
    page.fill("#query", "106.31, 29.52")
    page.wait_for_selector("#features button")
    page.locator("#features button").focus()
    page.keyboard.press("Enter")
    assert "位置：106.31000, 29.52000" in page.inner_text("#check-answer")
    page.fill("#query", "")
    page.wait_for_selector("#sites tbody tr:nth-child(30)")


def test_no_fault_of_accessibility_with_everything_open(visit: Visit) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not there: npm install --no-save axe-core, or AXE_CORE=path of axe.min.js")
    page = visit.page
    page.evaluate("document.querySelectorAll('details').forEach(box => { box.open = true; })")
    page.fill("#place", "106.286, 29.607")
    press(page, "查核", "#check")
    page.locator("[data-rule='ERL-1']").click()
    assert violations(page) == []
    press(page, "取消选择规则")
    press(page, "量距")
    assert violations(page) == []
    press(page, "取消", "#picked")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_in_parts_needs_only_its_assets(browser: Any, folder: Path) -> None:
    text = (folder / "split/map-public.html").read_text("utf-8")
    names = set(re.findall(r'(?:src|href)="(assets/[^"]+)"', text))
    assert names == {path.relative_to(folder / "split").as_posix() for path in (folder / "split/assets").iterdir()}
    assert all(re.fullmatch(r"assets/[a-z-]+\.[0-9a-f]{10}\.(js|css)", name) for name in names)
    whole = len(draw(sites=make_sites()))
    assert whole > 250_000  # all of Leaflet and the rest in one file; here they stand beside it
    opened = Visit(browser, folder / "split/map-public.html")
    assert opened.page.locator(".leaflet-zone-pane path").count() > 0
    opened.page.fill("#place", "106.286, 29.607")
    press(opened.page, "查核", "#check")
    assert re.search(r"自然保护区（演示）\s+触及", opened.page.inner_text("#check-answer"))
    with opened.page.expect_download() as saved:
        press(opened.page, "存图")
    assert Path(saved.value.path()).read_bytes()[:4] == b"\x89PNG"
    opened.close()


RULES = [
    MapRule("R1", "plots", "prohibit", "s", "b", "overlap_m2", ">", 0.0),
    MapRule("R2", "plots", "condition", "s", "b", "overlap_m2", ">", 0.0),
    MapRule("R3", "stations", "supervise", "s", "b", "distance_m", "<=", 3000.0),
]


@pytest.mark.parametrize(
    ("face", "host", "label"),
    [
        (maps.Face(tianditu="0123456789abcdef"), "tianditu.gov.cn", "天地图 矢量"),
        (maps.Face(gaode=True), "is.autonavi.com", "高德"),
    ],
)
def test_base_maps_ask_nothing_before_they_are_chosen(
    browser: Any, tmp_path: Path, face: maps.Face, host: str, label: str
) -> None:
    path = tmp_path / "map.html"
    path.write_text(draw(face=face), "utf-8")
    empty = b"\x89PNG\r\n\x1a\n"
    opened = Visit(browser, path, answer=lambda route: route.fulfill(body=empty, content_type="image/png"))
    assert opened.requests == []
    before = opened.page.evaluate("document.querySelector('.leaflet-layer1-pane path').getAttribute('d')")
    opened.page.locator("#base-maps label", has_text=label).click()
    opened.page.wait_for_timeout(500)
    assert opened.requests
    assert all(re.match(rf"https://[\w.]*{re.escape(host)}/", url) for url in opened.requests)
    after = opened.page.evaluate("document.querySelector('.leaflet-layer1-pane path').getAttribute('d')")
    assert after == before  # the data stay where they are
    assert "不在存出的图片中" in opened.page.inner_text("#base-maps")
    pixels = (
        "(() => { const c = geojw.picture();"
        " return [...c.getContext('2d').getImageData(0, c.height - 60, c.width, 60).data].join(); })()"
    )
    noted = opened.page.evaluate(pixels)  # not tainted: it can be read and saved
    opened.page.locator("#base-maps label", has_text=label).click()
    assert opened.page.evaluate(pixels) != noted  # the picture's foot says what is not in it
    opened.context.close()


def test_gaode_tiles_are_shifted_to_where_they_belong(browser: Any, tmp_path: Path) -> None:
    """The tile pixel that shows a place in GCJ-02 lies on the place itself."""
    path = tmp_path / "map.html"
    path.write_text(draw(face=maps.Face(gaode=True)), "utf-8")
    opened = Visit(browser, path, answer=lambda route: route.fulfill(body=b"", content_type="image/png"))
    page = opened.page
    page.locator("#base-maps input").check()
    for zoom in (11, 13, 15, 17):
        page.evaluate(f"map_screening.setView([29.5, 106.3], {zoom}, {{animate: false}})")
        page.wait_for_timeout(300)
        off = page.evaluate(
            """() => {
              const tile = document.querySelector('.leaflet-tile-pane img'), box = tile.getBoundingClientRect();
              const [, x, y, z] = tile.src.match(/x=(\\d+)&y=(\\d+)&z=(\\d+)/).map(Number);
              const corner = map_screening.unproject([x * 256, y * 256], z);
              const true_ = gcoord.transform([corner.lng, corner.lat], gcoord.GCJ02, gcoord.WGS84);
              const frame = map_screening.getContainer().getBoundingClientRect();
              const meant = map_screening.latLngToContainerPoint([true_[1], true_[0]]);
              return Math.hypot(box.left - frame.left - meant.x, box.top - frame.top - meant.y);
            }"""
        )
        assert off < 2.0, zoom
    opened.context.close()


def test_a_key_comes_from_the_environment_only_and_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEOJW_TIANDITU_KEY", raising=False)
    out = CliRunner().invoke(main, ["map", "--tianditu", "--out", str(tmp_path)])
    assert out.exit_code == 3
    assert "GEOJW_TIANDITU_KEY" in out.output
    text = draw()
    assert "tk=" not in re.sub(r"tk=\{tk\}", "", text)
    assert data_of(text)["tianditu"] is None
    assert "img-src" not in text
    assert "img-src https://*.tianditu.gov.cn;" in draw(face=maps.Face(tianditu="0123456789abcdef"))


@pytest.mark.parametrize("canvas", [False, True])
@pytest.mark.parametrize("hatch", [False, True])
def test_where_areas_of_a_layer_overlap_it_is_no_darker(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, canvas: bool, hatch: bool
) -> None:
    """Two squares that overlap, one with a hole under the other: as one dissolved shape, on the map and the picture."""
    if canvas:
        monkeypatch.setattr(mapdata, "VERTEX_BUDGET", 0)
    sides = shapely.box(106.22, 29.44, 106.30, 29.56), shapely.box(106.26, 29.42, 106.38, 29.54)
    holed = shapely.difference(sides[0], shapely.box(106.24, 29.47, 106.29, 29.50))
    both = [holed, sides[1]]
    paint = {"colour": "#336699", "opacity": 0.3, "weight": 0.5, "hatch": hatch}
    seen = []
    for shapes in (both, [shapely.union_all(both)]):
        frame = gpd.GeoDataFrame(geometry=shapes, crs="EPSG:4490")
        layer = MapLayer("a", "甲", frame, None, paint, "open", "源")
        text = draw(sites=make_sites().iloc[:0], layers=[layer], findings=make_findings(make_sites().iloc[:0]))
        assert data_of(text)["layers"][0]["overlaps"] == (len(shapes) > 1)
        assert data_of(text)["layers"][0]["canvas"] == canvas
        (tmp_path / "map.html").write_text(text, "utf-8")
        opened = Visit(browser, tmp_path / "map.html")
        opened.page.wait_for_timeout(500)  # tiles fade in
        seen.append([pixels(opened.page.screenshot()), pixels(picture_of(opened.page))])
        opened.close()
    for apart, dissolved in zip(*seen, strict=True):
        assert apart.shape == dissolved.shape
        differing = (np.abs(apart.astype(int) - dissolved).max(axis=2) > 6).mean()
        assert differing < 0.004  # the seams of the edges that lie inside


def pixels(content: bytes) -> np.ndarray[Any, Any]:
    """Red, green and blue of a PNG."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def picture_of(page: Any) -> bytes:
    """The picture that the page would save."""
    return base64.b64decode(page.evaluate("geojw.picture().toDataURL('image/png')").split(",")[1])


def many_sites(count: int) -> tuple[gpd.GeoDataFrame, Any]:
    """So many sites with three findings each, names hostile."""
    rng = np.random.default_rng(1)
    corners = rng.uniform(BOUNDS[:2], BOUNDS[2:], (count, 2))
    ids = [f"S{i:06}" for i in range(count)]
    verdicts = rng.choice(["prohibit", "approval", "clear"], count, p=[0.1, 0.2, 0.7])
    sites = gpd.GeoDataFrame(
        {"name": [f"=项目{i}{HOSTILE[i % 6]}" for i in range(count)], "verdict": verdicts, "certainty": "firm",
         "decided_by": np.where(verdicts == "clear", "", "R1"), "area_m2": 2_000.0, "at_least": verdicts,
         "at_most": verdicts, "could_become": ""},
        geometry=shapely.box(*corners.T, *(corners + 4e-4).T), index=pd.Index(ids, name="site_id"), crs="EPSG:4490",
    )  # fmt: skip
    outcomes = np.where(verdicts == "clear", "clear", "hit")
    same = {"rule_id": "R1", "layer": "plots", "effect": "prohibit", "value": 387.25, "margin": -387.25}
    one = pd.DataFrame({"site_id": ids, "outcome": outcomes}).assign(**same)
    three = one.assign(rule_id="R3", layer="stations", outcome="clear", value=3500.0)
    return sites, pd.concat([one, three]).reindex(columns=["site_id", *mapsites.FINDING])


def test_many_sites_open_from_a_file_with_rough_findings_and_every_one_is_there(browser: Any, tmp_path: Path) -> None:
    sites, findings = many_sites(mapsites.MANY + 1)
    face = maps.Face(rules=RULES, findings_file="findings.csv")
    text = draw(sites=sites, findings=findings, face=face)
    assert 'href="findings.csv"' in text
    path = tmp_path / "map.html"
    path.write_text(text, "utf-8")
    opened = Visit(browser, path)
    page = opened.page
    shown = page.evaluate("document.querySelectorAll('.leaflet-symbols-pane .symbol').length")
    assert 0 < shown < 500
    merged = page.evaluate("[...document.querySelectorAll('.spot .symbol')].length")
    assert merged == shown
    page.fill("#query", "S000004")
    page.wait_for_selector("#sites tbody tr:only-child")
    page.locator("#sites tbody button").first.click()
    said = page.inner_text(".leaflet-popup .card")
    hit = sites.loc["S000004", "verdict"] != "clear"
    assert ("约 387 平方米" in said) == hit
    page.keyboard.press("Escape")
    page.fill("#query", "")
    page.wait_for_selector("#sites tbody tr:nth-child(100)")
    text = page.evaluate("geojw.csv()")
    rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))
    assert len(rows) == len(sites) + 1
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows[1:] for cell in row)
    parsed = json.loads(page.evaluate("geojw.geojson()"))
    assert len(parsed["features"]) == len(sites)
    assert page.evaluate("window.pwned") is None
    opened.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_name_of_ten_thousand_letters_breaks_nothing(browser: Any, tmp_path: Path, width: int) -> None:
    sites = make_sites()
    sites["name"] = [*("中" * 10_000, "x" * 10_000), *HOSTILE, *["\u2066=1+1\u2069"] * (len(sites) - 8)]
    path = tmp_path / "map.html"
    path.write_text(draw(sites=sites), "utf-8")
    opened = Visit(browser, path, width)
    page = opened.page
    for _ in range(2):
        page.locator("#sites tbody button").first.click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Escape")
    page.evaluate("window.dispatchEvent(new Event('beforeprint')); window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("geojw.picture().width") > 0
    rows = list(csv.reader(io.StringIO(page.evaluate("geojw.csv()").lstrip("\ufeff"))))
    assert len(rows) == len(sites) + 1
    assert len(rows[1][1]) == 10_000
    opened.close()


def test_the_most_sites_that_a_page_may_have_fit_into_it() -> None:
    """Eight-cornered sites with two findings each: what one weighs, times the most, is well below the limit."""
    weights = {}
    for count in (mapsites.MANY + 1, 2 * mapsites.MANY + 1):
        sites, findings = many_sites(count)
        rng = np.random.default_rng(2)
        angle = np.sort(rng.uniform(0, 2 * np.pi, (count, 8)), axis=1)
        reach = rng.uniform(25, 60, (count, 8)) / 1e5
        centres = shapely.get_coordinates(shapely.centroid(sites.geometry.to_numpy()))
        corners = centres[:, None, :] + np.stack([np.cos(angle), np.sin(angle)], axis=2) * reach[:, :, None]
        sites = sites.set_geometry(shapely.polygons(corners), crs=sites.crs)
        sites["name"] = [f"演示项目{i}" for i in range(count)]
        text = draw(sites=sites, findings=findings, face=maps.Face(rules=RULES))
        weights[count] = len(text.encode())
    (few, light_page), (many, heavy_page) = weights.items()
    each = (heavy_page - light_page) / (many - few)
    assert light_page + each * (mapsites.MOST_SITES - few) < 0.8 * maps.PAGE_LIMIT


def test_more_than_a_page_holds_stops_the_build_and_says_what_to_do() -> None:
    sites, findings = many_sites(10)
    crowd = gpd.GeoDataFrame(sites.loc[sites.index.repeat(1 + mapsites.MOST_SITES // 10)], crs=sites.crs)
    crowd.index = [f"S{i}" for i in range(len(crowd))]
    with pytest.raises(OutputError) as stopped:
        draw(sites=crowd.rename_axis("site_id"), findings=findings.iloc[:0], face=maps.Face(rules=RULES))
    for lang in ("zh", "en"):
        assert "sites" in stopped.value.text(lang)
        assert "--no-map" in stopped.value.text(lang)


def test_committed_maps_are_what_the_command_builds(tmp_path: Path) -> None:
    runpy.run_path(str(MAPS.parent / "scripts/build_maps.py"))["build"](tmp_path)
    names = ("index.html", "map-public.html", "map-department.html")
    for name in names:
        assert (tmp_path / name).read_bytes() == (MAPS / name).read_bytes(), name
        assert len((MAPS / name).read_bytes()) < 1_000_000
        assert "未经审图·合成数据·不得公开发布" in (MAPS / name).read_text("utf-8")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["index.html", "map-public.html", "map-department.html"])
def test_no_fault_of_accessibility_is_in_the_committed_pages(browser: Any, width: int, name: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not there: npm install --no-save axe-core, or AXE_CORE=path of axe.min.js")
    opened = Visit(browser, MAPS / name, width, ready="h1" if name == "index.html" else READY)
    assert violations(opened.page) == []
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.close()
