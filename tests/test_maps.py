"""The page of a map: offline, safe against its data, the same each time, for mouse, finger and keyboard."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
import string
import tomllib
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import folium
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from branca.element import JavascriptLink
from browsing import Visit, violations
from hypothesis import given
from hypothesis import strategies as st

from geojw.errors import CRSError, OutputError
from geojw.maps import mapdata, mapsites, packing
from geojw.maps import page as maps
from geojw.measure.geodesy import ELLIPSOID
from geojw.texts import texts_of

STATIC = Path(str(resources.files("geojw.maps"))) / "static"
HOSTILE = (
    '<img src=x onerror="window.pwned=1">',
    "`${window.pwned=1}`",
    "</script><script>window.pwned=1</script>",
    "abc\u202egnp.exe",
    "'\"><svg onload=window.pwned=1><!--",
    "{{ 7 * 7 }}{% raw %}",
)
BOUNDS = (106.2, 29.4, 106.4, 29.6)


def page_texts(lang: str) -> dict[str, str]:
    """The texts of a page: the map's own, and the words that all outputs share."""
    texts = texts_of("map", lang)
    for family in ("verdict", "outcome", "certainty", "status"):
        texts |= {f"{family}.{word}": text for word, text in texts_of(family, lang).items()}
    return texts


def make_sites() -> gpd.GeoDataFrame:
    """Thirteen sites: every verdict, hostile names, a line, a point, one without geometry."""
    verdicts = [*mapdata.VERDICTS, *mapdata.VERDICTS[:6]]
    n = len(verdicts)
    shapes = [shapely.box(x, 29.45, x + 0.004, 29.453) for x in np.linspace(106.21, 106.39, n)]
    shapes[5] = shapely.LineString([(106.25, 29.5), (106.3, 29.52)])
    shapes[6] = shapely.Point(106.33, 29.55)
    shapes[12] = None
    return gpd.GeoDataFrame(
        {
            "name": [*HOSTILE, *[f"项目{i}" for i in range(n - len(HOSTILE) - 1)], None],
            "verdict": verdicts,
            "certainty": ["firm", None, "marginal", *["firm"] * (n - 3)],
            "decided_by": ["R1;R2", *[None] * (n - 1)],
            "area_m2": np.linspace(1e4, 2e5, n),
            "at_least": ["clear"] * n,
            "at_most": ["prohibit"] * n,
            "could_become": [None, None, "approval;condition", *[None] * (n - 3)],
        },
        geometry=shapes,
        index=pd.Index([f"S{i:02}" for i in range(n)], name="site_id"),
        crs="EPSG:4490",
    )


def make_findings(sites: gpd.GeoDataFrame) -> pd.DataFrame:
    """Three findings a site: a hit, an unknown one, a clear one."""
    rows = []
    for key in sites.index:
        base = {
            "site_id": key,
            "measure": "overlap_m2",
            "op": ">",
            "limit": 0.0,
            "basis": HOSTILE[0],
            "says": "须避让",
        }
        rows += [
            base
            | {"rule_id": "R1", "layer": "plots", "outcome": "hit", "effect": "prohibit", "value": 387.25}
            | {
                "margin": -0.0004,
                "margin_unit": "m",
                "certainty": "marginal",
                "feature_ids": "P1;P2",
                "remedy": "核减 387 平方米",
            },
            base
            | {
                "rule_id": "R2",
                "layer": "plots",
                "outcome": "no_coverage",
                "effect": "condition",
                "value": None,
            }
            | {"reason": "图层未覆盖"},
            base
            | {
                "rule_id": "R3",
                "layer": "stations",
                "outcome": "clear",
                "effect": "supervise",
                "measure": "distance_m",
            }
            | {
                "op": "<=",
                "value": 3000.1,
                "limit": 3000.0,
                "margin": 0.1,
                "margin_unit": "m",
                "certainty": "firm",
            },
        ]
    return pd.DataFrame(rows).reindex(columns=["site_id", *mapsites.FINDING])


def make_layers() -> list[mapdata.MapLayer]:
    """The zone, hatched polygons (one tiny), a line and stations with a ring."""

    def frame(shapes: list[shapely.Geometry], **columns: list[object]) -> gpd.GeoDataFrame:
        index = pd.Index([f"P{i}" for i in range(len(shapes))], name="id")
        return gpd.GeoDataFrame(columns, geometry=shapes, index=index, crs="EPSG:4490")

    def layer(name: str, data: gpd.GeoDataFrame, label: str | None = None, **more: Any) -> mapdata.MapLayer:
        paint = {"colour": "#336699", "opacity": 0.3, "weight": 1.5, "dash": "6 3", "hatch": name == "plots"}
        source = f"发布机构 {name} · 2024-01-01 · CC0-1.0"
        return mapdata.MapLayer(name, f"图层 {name}", data, label, paint, "synthetic", source, **more)

    zone = frame([shapely.box(*BOUNDS)])
    plots = frame(
        [shapely.box(106.24, 29.44, 106.28, 29.5), shapely.box(106.35, 29.55, 106.3501, 29.5501)],
        note=[HOSTILE[2], None],
    )
    river = frame([shapely.LineString([(106.21, 29.41), (106.39, 29.59)])])
    stations = frame([shapely.Point(106.3, 29.5), shapely.Point(106.36, 29.46)], name=[HOSTILE[0], "金凤"])
    return [
        layer("stations", stations, "name", ring_m=(3000.0,)),
        layer("zone", zone, zone=True),
        layer("plots", plots),
        layer("river", river),
    ]


def draw(**changes: Any) -> str:
    """Draw the page of these tests."""
    sites = changes.pop("sites", None)
    sites = make_sites() if sites is None else sites
    findings = changes.pop("findings", None)
    findings = make_findings(sites) if findings is None else findings
    layers = changes.pop("layers", None) or make_layers()
    arguments: dict[str, Any] = {
        "title": f"试验区 {HOSTILE[0]}",
        "notices": ["含合成数据，不得作为依据。", HOSTILE[2]],
        "facts": {"判定日": "2026-11-22", HOSTILE[1]: HOSTILE[5]},
        "lang": "zh",
        "texts": page_texts(changes.get("lang", "zh")),
        "bounds": BOUNDS,
    }
    return maps.draw_screening(sites, findings, layers, **(arguments | changes)).page


@pytest.fixture(scope="module")
def page() -> str:
    """The page of these tests."""
    return draw()


def data_of(page: str) -> dict[str, Any]:
    """The data that a page holds."""
    found = re.search(r'<script type="application/json" id="screening">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def numbers_of(text: str) -> list[int]:
    """The whole numbers of a packed line, by a pattern: digits that say more follow, then one that does not."""
    more, last = ALPHABET[32:], ALPHABET[:32]
    out = []
    for found in re.findall(f"[{re.escape(more)}]*[{last}]", text):
        bits = sum((ALPHABET.index(letter) % 32) * 32**place for place, letter in enumerate(found))
        out.append(-(bits + 1) // 2 if bits % 2 else bits // 2)
    return out


def unpacked(data: dict[str, Any], text: str, spot: tuple[int, int] = (0, 0)) -> np.ndarray[Any, Any]:
    """Longitudes and latitudes of a packed line."""
    grid = data["packing"]
    start = np.array([grid["west"], grid["south"]]) + spot
    steps = np.array(numbers_of(text)).reshape(-1, 2).cumsum(axis=0) + start
    return steps / 10 ** grid["decimals"]


def shape_of(data: dict[str, Any], packed: str | None, spot: tuple[int, int] = (0, 0)) -> shapely.Geometry | None:
    """A packed shape, decoded by other code than the page's."""
    if packed is None:
        return None
    kind, parts = int(packed[0]), packed[1:].split(";")
    if kind == 2:
        rings = [
            [np.concatenate([r := unpacked(data, ring, spot), r[:1]]) for ring in part.split(",")] for part in parts
        ]
        return shapely.union_all([shapely.Polygon(part[0], part[1:]) for part in rings])
    lines = [unpacked(data, part, spot) for part in parts]
    return shapely.MultiLineString(lines) if kind == 1 else shapely.MultiPoint(np.concatenate(lines))


def sites_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The sites of a page, with what is said of them."""
    columns, said = data["sites"]["columns"], data["sites"]["said_columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in data["sites"]["rows"]]
    return [row | dict(zip(said, data["sites"]["said"][row["said"]], strict=True)) for row in rows]


def site_shapes(data: dict[str, Any]) -> list[shapely.Geometry | None]:
    """The shapes of a page's sites: their vertices are counted from their spots."""
    return [shape_of(data, site["geometry"], (site["x"], site["y"])) for site in sites_of(data)]


class Reader(HTMLParser):
    """Collects what a browser would see: tags with their attributes, and texts outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in {"script", "style"}:
            self.texts.append(data)

    def handle_endtag(self, _tag: str) -> None:
        self._inside = ""


# --- static: these always run -----------------------------------------------------------------------------


def test_nothing_is_fetched(page: str) -> None:
    tags = Reader(page).tags
    assert not [tag for tag, _ in tags if tag in {"link", "img", "iframe", "object", "base"}]
    assert not [value for _, given in tags for key, value in given.items() if key in {"src", "data", "action"}]
    assert not re.search(r"@import|url\((?!#|['\"]?\$)(?!`)[^)#]*(//|\.png)", page)
    assert "sourceMappingURL" not in page
    address = r"https?://[^\s\"'`<>)]+"
    paths = [*(STATIC / "vendor").rglob("*.js"), *(STATIC / "vendor").rglob("*.css"), STATIC / "tools.js"]
    known = "".join(
        path.read_text("utf-8") for path in paths
    )  # namespaces, links in comments, base maps not offered here
    assert set(re.findall(address, page)) <= set(re.findall(address, known))


def test_policy_names_every_script_and_style_and_nothing_else(page: str) -> None:
    policy = next(given["content"] for _, given in Reader(page).tags if given.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    for tag in ("script", "style"):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert texts
        for text in texts:
            assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert not re.search(r"<[^>]+\sstyle=", page.split("<script>", maxsplit=1)[0])


def test_viewport_language_and_main_landmarks(page: str) -> None:
    tags = Reader(page).tags
    assert [given["content"] for _, given in tags if given.get("name") == "viewport"] == [
        "width=device-width, initial-scale=1"
    ]
    assert ("html", {"lang": "zh-CN"}) in tags
    assert {"header", "main", "aside", "h1"} <= {tag for tag, _ in tags}
    assert ("html", {"lang": "en"}) in Reader(draw(lang="en")).tags


def test_same_input_gives_the_same_bytes_and_order_means_nothing(page: str) -> None:
    assert draw() == page
    sites = make_sites()
    assert draw(sites=sites.iloc[::-1], findings=make_findings(sites).sample(frac=1, random_state=3)) == page


def test_folium_is_left_as_it_was() -> None:
    draw()
    assert folium.Map().get_name() != folium.Map().get_name()
    assert ("leaflet", folium.folium._default_js[0][1]) in folium.Map.default_js


def test_arguments_are_not_changed() -> None:
    sites, layers = make_sites(), make_layers()
    before = sites.copy(), [layer.frame.copy() for layer in layers]
    draw(sites=sites, layers=layers)
    pd.testing.assert_frame_equal(sites, before[0])
    for layer, frame in zip(layers, before[1], strict=True):
        pd.testing.assert_frame_equal(layer.frame, frame)


def test_hostile_text_stays_text(page: str) -> None:
    assert "<img" not in page
    assert "\u202e" not in page
    assert page.count("<script") == 7  # folium's switches, the data, Leaflet, two libraries, folium's map, ours
    names = {site["id"]: site["name"] for site in sites_of(data_of(page))}
    assert names["S00"] == HOSTILE[0]
    assert names["S03"] == "abc[U+202E]gnp.exe"
    read = "".join(Reader(page).texts)
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[5]):
        assert text in read


def test_every_layer_is_in_the_legend_and_can_be_switched(page: str) -> None:
    reader = Reader(page)
    text = " ".join(reader.texts)
    switches = {given["data-layer"] for _, given in reader.tags if "data-layer" in given}
    assert switches == {"0", "1", "2", "3"}
    for layer in make_layers():
        assert layer.title in text
        assert layer.source in text
    assert [given.get("class") for _, given in reader.tags].count("badge synthetic") == 4
    assert "3000" in text
    drawn = data_of(page)["layers"]
    assert [layer["kind"] for layer in drawn] == ["polygon", "polygon", "line", "point"]
    assert 'id="hatch1"' in page


def test_every_verdict_has_its_switch_count_and_short_word(page: str) -> None:
    switches = [given["data-verdict"] for _, given in Reader(page).tags if "data-verdict" in given]
    assert tuple(switches) == mapdata.VERDICTS
    shorts = [page_texts(lang)[f"short.{word}"] for lang in ("zh", "en") for word in mapdata.VERDICTS]
    assert len(set(shorts[:7])) == len(set(shorts[7:])) == 7


def test_notices_facts_and_audience_are_in_the_page_without_any_script(page: str) -> None:
    text = "".join(Reader(page).texts)
    for wanted in ("含合成数据，不得作为依据。", "2026-11-22", page_texts("zh")["audience.internal"]):
        assert wanted in text


def test_sites_come_strictest_first_and_none_is_lost(page: str) -> None:
    sites = sites_of(data_of(page))
    order = [mapdata.VERDICTS.index(site["verdict"]) for site in sites]
    assert order == sorted(order)
    assert {site["id"] for site in sites} == set(make_sites().index)
    assert next(site for site in sites if site["id"] == "S12")["geometry"] is None


def test_all_findings_of_a_site_are_there_hits_first(page: str) -> None:
    data = data_of(page)
    found = data["findings"]
    assert len(found["rows"]) == len(data["sites"]["rows"])
    assert {len(rows) for rows in found["rows"]} == {3}

    def decoded(names: list[str], row: list[Any]) -> dict[str, Any]:
        cells = dict(itertools.zip_longest(names, row))
        return {k: v if v is None or k in found["numbers"] else found["strings"][v] for k, v in cells.items()}

    same = {rule["rule_id"]: rule for rule in (decoded(found["rule_columns"], row) for row in found["rules"])}
    rows = [decoded(found["columns"], row) for row in found["rows"][0]]
    rows = [same[row["rule_id"]] | row for row in rows]
    assert rows[2]["limit"] == 3000.0
    assert [row["outcome"] for row in rows] == ["hit", "no_coverage", "clear"]
    assert rows[0]["value"] == 387.25
    assert rows[0]["basis"] == HOSTILE[0]
    assert rows[1]["value"] is None
    assert rows[2]["margin"] == 0.1


def test_a_limit_round_an_area_is_a_true_distance_and_may_hold_for_some_features_only() -> None:
    plots = make_layers()[2]
    far = mapdata.MapLayer(
        "far", "距", plots.frame, None, plots.paint, "open", "源", (500.0,), ring_only={900.0: ["P1"]}
    )
    data = data_of(draw(layers=[far]))
    rings = data["layers"][0]["rings"]
    assert sorted(ring["m"] for ring in rings) == [500.0, 500.0, 900.0]
    lon, lat = unpacked(data, rings[-1]["at"]).T
    corner = plots.frame.geometry["P1"].bounds[:2]
    beyond = (lon < corner[0]) & (lat < corner[1])
    start = np.full((2, beyond.sum()), [[corner[0]], [corner[1]]])
    _, _, distance_m = ELLIPSOID.inv(*start, lon[beyond], lat[beyond])
    assert np.abs(distance_m - 900.0).max() < 0.2


def test_coordinates_are_rounded_and_polygons_stay_valid() -> None:
    rng = np.random.default_rng(7)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 400))
    radius = rng.uniform(1e-5, 3e-3, 400)
    ragged = shapely.Polygon(np.column_stack([106.3 + radius * np.cos(angle), 29.5 + radius * np.sin(angle)]))
    speck = shapely.box(106.3, 29.5, 106.3 + 2e-7, 29.5 + 2e-7)
    grid = packing.Packing(maps.DECIMALS, 106_300_000, 29_500_000)
    drawn = grid.packed(np.array([ragged, speck, None, shapely.Point()], dtype=object))
    assert [shape is None for shape in drawn] == [False, False, True, True]
    shape = shape_of({"packing": {"decimals": 6, "west": 106_300_000, "south": 29_500_000}}, drawn[0])
    assert shapely.is_valid(shape)
    assert shapely.symmetric_difference(shape, shapely.set_precision(ragged, 1e-6)).area < 1e-15


@given(st.lists(st.lists(st.integers(-(2**31) + 1, 2**31 - 1) | st.integers(-40, 40))))
def test_numbers_are_written_and_read_again(lists: list[list[int]]) -> None:
    flat = np.array([number for numbers in lists for number in numbers], dtype=np.int64)
    texts = packing.texts_of_numbers(flat, np.array([len(numbers) for numbers in lists], dtype=np.int64))
    assert [numbers_of(text) for text in texts] == lists


def test_parts_and_rings_keep_their_places_and_shells_run_anticlockwise() -> None:
    """Two parts, the one with two holes, wound the wrong way: written part by part, ring by ring, from its own spot."""
    holes = [shapely.box(x, 1, x + 1, 2) for x in (1, 3)]
    holed = shapely.Polygon(shapely.box(0, 0, 5, 3).exterior.coords[::-1], [hole.exterior.coords for hole in holes])
    shape = shapely.MultiPolygon([shapely.box(7, 0, 8, 1), holed])
    line = shapely.MultiLineString([[(0, 0), (2, 1)], [(5, 5), (4, 4), (4, 3)]])
    grid = packing.Packing(0, 0, 0)
    texts = grid.packed(np.array([shape, line, None], dtype=object), np.array([[7, 1], [0, 0], [9, 9]]))
    assert texts[2] is None
    parts = [[numbers_of(ring) for ring in part.split(",")] for part in texts[0][1:].split(";")]
    assert sorted(len(part) for part in parts) == [1, 3]
    data = {"packing": {"decimals": 0, "west": 0, "south": 0}}
    assert shape_of(data, texts[0], (7, 1)).equals(shape)
    assert shape_of(data, texts[1]).equals(line)
    for part in texts[0][1:].split(";"):
        turns = [shapely.LinearRing(unpacked(data, ring, (7, 1))).is_ccw for ring in part.split(",")]
        assert turns == [True] + [False] * (len(turns) - 1)


def test_a_heavy_layer_is_simplified_and_the_page_says_so(page: str) -> None:
    angle = np.linspace(0, 2 * np.pi, 220_000, endpoint=False)
    wobble = 0.05 + np.random.default_rng(5).uniform(-5e-6, 5e-6, len(angle))
    ring = np.column_stack([106.3 + wobble * np.cos(angle), 29.5 + wobble * np.sin(angle)])
    heavy = make_layers()[2]
    frame = gpd.GeoDataFrame(geometry=[shapely.Polygon(ring)], index=["H"], crs="EPSG:4490")
    layer = mapdata.MapLayer("heavy", "重", frame, None, heavy.paint, "open", "源")
    text = draw(layers=[layer, *make_layers()])
    data = data_of(text)
    drawn = next(each for each in data["layers"] if each["id"] == "heavy")
    shape = shape_of(data, drawn["features"][0]["geometry"])
    assert shapely.get_num_coordinates(shape) < mapdata.SLIM_BUDGET
    shapely.prepare(outline := shapely.boundary(shape))
    far_m = shapely.distance(shapely.points(ring[::50]), outline).max() * 111_700
    assert far_m <= drawn["simplified_m"]
    said = page_texts("zh")["simplified"].format(metres=f"{drawn['simplified_m']:g}")
    assert said in "".join(Reader(text).texts)
    assert "简化" not in "".join(Reader(page).texts)


@pytest.mark.parametrize(
    "name", ["vendor/leaflet/leaflet.js", "vendor/leaflet/leaflet.css", "check.js", "manifest.toml"]
)
def test_a_missing_asset_is_our_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(STATIC, tmp_path / "static")
    (tmp_path / "static" / name).unlink()
    texts = page_texts("zh")
    monkeypatch.setattr(maps.resources, "files", lambda _: tmp_path)
    with pytest.raises(OutputError):
        draw(texts=texts)


def test_an_altered_asset_is_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(STATIC, tmp_path / "static")
    with (tmp_path / "static/vendor/leaflet/leaflet.js").open("a") as file:
        file.write("\n")
    texts = page_texts("zh")
    monkeypatch.setattr(maps.resources, "files", lambda _: tmp_path)
    with pytest.raises(OutputError):
        draw(texts=texts)


def test_a_foreign_link_is_an_error_never_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    added = [*folium.Map.default_js, ("plugin", "https://example.org/plugin.js")]
    monkeypatch.setattr(folium.Map, "default_js", added)
    with pytest.raises(OutputError):
        draw()
    assert isinstance(JavascriptLink("x"), maps.Link)


def test_paint_and_crs_are_checked() -> None:
    layers = make_layers()
    for paint in ({"colour": "red"}, {"colour": "#336699", "dash": '1" onload="x'}):
        bad = mapdata.MapLayer("bad", "坏", layers[0].frame, None, paint, "open", "源")
        with pytest.raises(OutputError):
            draw(layers=[bad])
    with pytest.raises(CRSError):
        draw(sites=make_sites().to_crs(4326))


def test_vendored_files_are_those_of_the_manifest() -> None:
    assets = tomllib.loads((STATIC / "manifest.toml").read_text("utf-8"))["asset"]
    for asset in assets:
        assert set(asset) == {"name", "version", "licence", "source", "path", "sha256"}
        assert hashlib.sha256((STATIC / asset["path"]).read_bytes()).hexdigest() == asset["sha256"]
    vendored = {path.relative_to(STATIC).as_posix() for path in (STATIC / "vendor").rglob("*") if path.is_file()}
    assert vendored == {asset["path"] for asset in assets}
    assert any(path.endswith("LICENSE") for path in vendored)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_text_that_the_page_names_exists(lang: str) -> None:
    script = "".join((STATIC / f"{name}.js").read_text("utf-8") for name in maps._SCRIPTS)
    template = (STATIC / "page.html").read_text("utf-8")
    named = set(re.findall(r'(?:say|tool)\("([\w.]+)"', script)) | set(re.findall(r't\["([\w.]+)"\]', template))
    named |= set(re.findall(r'\["(\w+)", [\w(]', script)) - {"base"}
    named |= {word for pair in re.findall(r'say\([^"]*\? "(\w+)" : "(\w+)"', script) for word in pair}
    named |= {f"check_state.{word}" for word in ("meets", "apart", "unsure", "nodata", "distance")}
    named |= {f"{family}.{word}" for family, words in FAMILIES.items() for word in words}
    texts = page_texts(lang)
    assert len(named) > 90
    assert sorted(named - set(texts)) == []


FAMILIES = {
    "audience": ("internal", "department", "public"),
    "picking": ("measure", "point", "area"),
    "absent": ("withheld", "failed", "raster"),
    "check_rule": ("met", "unsure"),
    "base": ("vec", "img", "gaode"),
}


# --- in a browser -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1280, 390])
def visit(request: pytest.FixtureRequest, browser: Any, page: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page on a desk and on a phone; whatever a test does, nothing is fetched and nothing fails."""
    path = tmp_path_factory.mktemp("map") / "map.html"
    path.write_text(page, "utf-8")
    opened = Visit(browser, path, request.param)
    yield opened.page
    assert opened.page.evaluate("window.pwned") is None
    opened.close()


def search(visit: Any, query: str, rows: int, first: str) -> None:
    """Search, and wait for the table (by selector: the page's policy forbids evaluated conditions)."""
    visit.fill("#query", query)
    visit.wait_for_selector(f"#sites tbody tr:nth-child({rows}):last-child", state="attached")
    visit.wait_for_selector(f"#sites tbody tr:first-child:has-text('{first}')")


def close_card(visit: Any) -> None:
    """Close the card by keyboard, and wait for it to have faded."""
    visit.keyboard.press("Escape")
    visit.wait_for_selector(".leaflet-popup", state="detached")


def test_it_opens_with_all_sites_and_no_overflow(visit: Any) -> None:
    assert visit.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert visit.locator("#sites tbody tr").count() == 13
    assert visit.locator(".leaflet-symbols-pane .symbol").count() >= 8
    assert re.search("公里|米", visit.inner_text(".leaflet-control-scale"))


def test_the_card_shows_hostile_text_and_all_findings(visit: Any) -> None:
    for i, name in enumerate(HOSTILE):
        search(visit, f"S{i:02}", 1, f"S{i:02}")
        visit.locator("#sites tbody button").click()
        assert visit.inner_text(".leaflet-popup .card h2 span:last-child") == name.replace("\u202e", "[U+202E]")
    visit.evaluate("document.querySelector('.card details').open = true")
    text = visit.inner_text(".leaflet-popup .card")
    for wanted in (
        "R1",
        "R2",
        "R3",
        "387.3 平方米",
        "-0.0004 米",
        "核减 387 平方米",
        "图层未覆盖",
        HOSTILE[0],
        "P1、P2",
    ):
        assert wanted in text
    close_card(visit)
    search(visit, "", 13, "S00")


def test_layers_and_verdicts_can_be_switched_by_keyboard(visit: Any) -> None:
    paths = "document.querySelectorAll('.leaflet-layer1-pane path').length"
    assert visit.evaluate(paths) == 2
    for wanted in (0, 2):
        visit.focus("[data-layer='1']")
        visit.keyboard.press("Space")
        assert visit.evaluate(paths) == wanted
    visit.focus("[data-verdict='prohibit']")
    visit.keyboard.press("Space")
    assert visit.locator("#sites tbody tr").count() == 11
    assert visit.locator(".leaflet-symbols-pane .symbol.prohibit").count() == 0
    assert visit.inner_text("#status") == page_texts("zh")["hidden"].format(title=page_texts("zh")["verdict.prohibit"])
    visit.keyboard.press("Space")
    assert visit.locator("#sites tbody tr").count() == 13


def test_a_site_is_reached_by_keyboard_and_focus_comes_back(visit: Any) -> None:
    visit.focus("#query")
    for _ in range(12):  # past the buttons of the table and its headings
        visit.keyboard.press("Tab")
        if visit.evaluate("document.activeElement.className") == "go":
            break
    assert visit.evaluate("document.activeElement.className") == "go"
    visit.keyboard.press("Enter")
    assert visit.evaluate("document.activeElement.closest('[role=dialog]') !== null")
    assert visit.locator(".symbol.selected").count() == 1
    close_card(visit)
    assert visit.evaluate("document.activeElement.className") == "go"


def test_features_are_found_by_name(visit: Any) -> None:
    visit.fill("#query", "金凤")
    visit.wait_for_selector("#features button")
    visit.locator("#features button").click()
    assert "图层 stations" in visit.inner_text(".leaflet-popup .card")
    close_card(visit)
    search(visit, "", 13, "S00")


def test_every_site_has_a_symbol_at_every_zoom(visit: Any) -> None:
    for zoom in (8, 11, 14):
        visit.evaluate(f"map_screening.setView([29.5, 106.3], {zoom}, {{animate: false}})")
        shown = visit.evaluate("document.querySelectorAll('.leaflet-symbols-pane .symbol').length")
        merged = visit.evaluate(
            "[...document.querySelectorAll('.symbol .more')].reduce((n, e) => n + Number(e.textContent), 0)"
        )
        if zoom < 12:  # all twelve that have a geometry are in view
            assert shown + merged == 12
        assert visit.evaluate("document.querySelector('.leaflet-symbols-pane .symbol').offsetWidth") >= 18
    visit.evaluate("map_screening.setView([29.5, 106.3], 11, {animate: false})")


def test_print_is_one_page(visit: Any) -> None:
    pdf = visit.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1


def test_no_fault_of_accessibility_is_found(visit: Any) -> None:
    for opened in (False, True):
        if opened:
            visit.locator("#sites tbody button").first.click()
            visit.wait_for_timeout(400)  # the card fades in: half-way its contrast is poor
        assert violations(visit) == []
    visit.keyboard.press("Escape")


def test_a_crowd_of_sites_is_drawn_and_said(browser: Any, tmp_path: Path) -> None:
    one = make_sites().iloc[[0]]
    many = pd.concat([one] * (mapsites.CROWD + 1)).set_axis([f"S{i:05}" for i in range(mapsites.CROWD + 1)])
    rng = np.random.default_rng(1)
    corners = rng.uniform([106.2, 29.4], [106.4, 29.6], (len(many), 2))
    many = many.set_geometry(shapely.box(*corners.T, *(corners + 5e-4).T), crs="EPSG:4490").rename_axis("site_id")
    path = tmp_path / "crowd.html"
    path.write_text(draw(sites=many), "utf-8")
    opened = Visit(browser, path, 1280)
    visit = opened.page
    assert visit.locator(".leaflet-sites-pane canvas").count() >= 1
    assert page_texts("zh")["crowd"].format(limit=mapsites.CROWD) in visit.inner_text("#panel")
    assert visit.locator(".leaflet-symbols-pane .symbol").count() < 500
    visit.locator("#sites tbody button").first.click()
    assert "R1" in visit.inner_text(".leaflet-popup .card")
    opened.close()
