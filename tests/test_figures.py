"""Figures for documents: true to scale, complete, the same on each run, and only what is meant for the reader."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from conftest import ANALYSIS, CENTRE
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.path import Path as MplPath

from geojw.errors import OutputError
from geojw.figures import cartography, fonts, mapface, signs
from geojw.figures import figure as figures
from geojw.figures.canvas import level
from geojw.figures.figure import Drawing
from geojw.figures.sheet import Content, Paper
from geojw.maps.mapdata import MapLayer
from geojw.measure.geodesy import ELLIPSOID, AnalysisCRS
from geojw.texts import LANGS, texts_of

EXTENT = (-10_000.0, -10_000.0, 10_000.0, 10_000.0)
A4 = Paper(210.0, 297.0, 100)
SMALL = Paper(200.0, 150.0, 100)
MM_AN_INCH = 25.4


def words(lang: str = "zh") -> dict[str, str]:
    """Give the texts of a figure."""
    shared = {key: text for key, text in texts_of("map", lang).items() if key.startswith(("short.", "unit.", "north"))}
    families = {f"{name}.{key}": text for name in ("verdict", "status") for key, text in texts_of(name, lang).items()}
    return texts_of("figure", lang) | shared | families


def geographic(shapes: Sequence[shapely.Geometry], **columns: Any) -> gpd.GeoDataFrame:
    """Make a frame of shapes that are drawn in metres around the zone's centre."""
    flat = ANALYSIS.to_geographic(np.array(shapely.segmentize(shapes, 300.0), dtype=object))
    ids = columns.pop("index", [f"F{number}" for number in range(len(shapes))])
    return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(flat, index=ids, crs="EPSG:4490"), index=ids)


def layer(name: str, shapes: Sequence[shapely.Geometry], *, paint: Any = None, **more: Any) -> MapLayer:
    columns = more.pop("columns", {})
    return MapLayer(
        id=name, title=more.pop("title", f"图层{name}"), frame=geographic(shapes, **columns),
        label=more.pop("label", None), paint={"colour": "#336699", "opacity": 1.0, "weight": 0.0} | (paint or {}),
        status=more.pop("status", "official"), source=more.pop("source", "局 · 2024-01-01 · CC0-1.0"), **more,
    )  # fmt: skip


ZONE = layer("zone", [shapely.box(*EXTENT)], paint={"colour": "#3d3d3d", "weight": 2.0}, zone=True, title="范围")
RED = layer("red", [shapely.box(-8000, -8000, 0, 8000)], paint={"colour": "#cc0000"})


def site_frame(shapes: Sequence[shapely.Geometry], verdicts: Sequence[str], names: Sequence[str] | None = None) -> Any:
    ids = [f"S{number:05d}" for number in range(len(shapes))]
    return geographic(shapes, index=ids, verdict=list(verdicts), name=list(names or ids))


def content(*layers: MapLayer, **more: Any) -> Content:
    plain: dict[str, Any] = {
        "title": "测试图", "subtitle": "副题", "extent_m": EXTENT, "notices": ["须知一", "须知二"],
        "badge": "仅限内部使用", "review": "审图号：无", "day": "2026-11-22",
    }  # fmt: skip
    return Content(layers=layers or (ZONE, RED), **plain | more)


def drawn(what: Content | None = None, paper: Paper = SMALL, lang: str = "zh") -> Drawing:
    return figures.draw(what or content(), ANALYSIS, paper, words(lang))


def texts_on(drawing: Drawing) -> list[str]:
    return [text.get_text() for text in drawing.figure.axes[0].texts]


def pixel(drawing: Drawing, x_m: float, y_m: float) -> tuple[int, ...]:
    """Give the colour at a place of the plane."""
    (x, y), dpi = drawing.frame.to_mm(np.array([[x_m, y_m]]))[0], drawing.paper.dpi
    picture = image.imread(io.BytesIO(drawing.write("png")))
    row = round((drawing.paper.height_mm - y) / MM_AN_INCH * dpi)
    return tuple(round(255 * part) for part in picture[row, round(x / MM_AN_INCH * dpi)][:3].tolist())


# ---- true to scale


@pytest.mark.parametrize("centre", [(0.0, 0.0), (12_000.0, -7_000.0), (180_000.0, 250_000.0)])
@pytest.mark.parametrize("scale", [500.0, 25_000.0, 150_000.0, 2_000_000.0])
def test_the_scale_bar_is_its_length_on_the_ground(centre: tuple[float, float], scale: float) -> None:
    frame = cartography.Frame(10.0, 20.0, 120.0, 200.0, centre, scale)
    bar = cartography.scale_bar(frame, ANALYSIS, 45.0)
    assert bar.length_mm <= 45.0
    half = bar.length_mm * scale / 2000.0
    ends = ANALYSIS.lonlat(np.array([[centre[0] - half, centre[1]], [centre[0] + half, centre[1]]]))
    assert ELLIPSOID.inv(*ends[0], *ends[1])[2] == pytest.approx(bar.length_m, rel=2e-5)
    assert f"{bar.length_m:e}"[0] in "125"


def test_the_frame_has_one_scale_in_both_directions_and_holds_the_extent() -> None:
    frame = cartography.fit((-3_000.0, -9_000.0, 5_000.0, 11_000.0), (10.0, 20.0, 130.0, 200.0))
    assert frame.scale == 125_000  # 20 km in 94 % of 180 mm: 1:118 203
    assert frame.extent_m == (-6_500.0, -10_250.0, 8_500.0, 12_250.0)
    corners = np.array([[-6_500.0, -10_250.0], [8_500.0, 12_250.0], [1_000.0, 1_000.0]])
    assert frame.to_mm(corners).tolist() == [[10.0, 20.0], [130.0, 200.0], [70.0, 110.0]]
    assert np.diff(frame.to_mm(np.array([[0.0, 0.0], [1_000.0, 1_000.0]])), axis=0).tolist() == [[8.0, 8.0]]


@given(st.floats(1.0, 1e9))
def test_a_round_scale_is_the_next_one_and_not_far(needed: float) -> None:
    scale = cartography.round_scale(needed)
    assert needed * (1 - 1e-9) <= max(scale, 1) + 0.5
    assert scale <= needed * 1.34 + 0.5


@pytest.mark.parametrize("scale", [2_000.0, 150_000.0, 6_000_000.0])
@pytest.mark.parametrize("at", [CENTRE, (0.0, -45.0), (-179.0, 10.0)])
def test_each_line_of_the_graticule_runs_through_its_own_degrees(scale: float, at: tuple[float, float]) -> None:
    analysis = AnalysisCRS(*at)
    frame = cartography.Frame(10.0, 20.0, 150.0, 220.0, (0.0, 0.0), scale)
    lines = cartography.graticule(frame, analysis)
    for axis in (0, 1):
        mine = [one for one in lines if one.is_meridian == (axis == 0)]
        assert 2 <= len(mine) <= 12
        for one in mine:
            mm = shapely.get_coordinates(one.line)
            metres = (mm - (85.0, 130.0)) * frame.metres_a_mm
            degrees = analysis.lonlat(metres)[:, axis]
            assert np.ptp(degrees) * 111_000 / frame.metres_a_mm < 0.02  # on paper: a fiftieth of a millimetre
            assert degrees_of(one.text) == pytest.approx(float(degrees.mean()), abs=0.02 * frame.metres_a_mm / 111_000)
    assert len({one.text for one in lines}) == len(lines)


def degrees_of(text: str) -> float:
    """Read ``106°20′E``."""
    number = text[:-1].replace("°", " ").replace("′", " ").replace("″", " ").split()
    whole = sum(float(part) / 60**power for power, part in enumerate(number))
    return -whole if text[-1] in "WS" else whole


def test_the_graticule_of_a_large_map_is_curved() -> None:
    frame = cartography.Frame(0.0, 0.0, 150.0, 150.0, (0.0, 0.0), 6_000_000.0)
    parallels = [one for one in cartography.graticule(frame, ANALYSIS) if not one.is_meridian]
    first, last = parallels[0].ends
    middle = shapely.line_interpolate_point(parallels[0].line, 0.5, normalized=True)
    assert shapely.distance(middle, shapely.LineString([first, last])) > 1.0


@pytest.mark.parametrize("at", [(0.0, 0.0), (30_000.0, -200_000.0)])
def test_a_ring_lies_at_its_true_distance(at: tuple[float, float]) -> None:
    point, area = shapely.Point(at), shapely.box(*at, at[0] + 500.0, at[1] + 900.0)
    flat = ANALYSIS.to_geographic(np.array([point, shapely.segmentize(area, 10.0)], dtype=object))
    for shape in flat:
        (line,) = cartography.true_rings(np.array([shape], dtype=object), 3_000.0, ANALYSIS)
        corners = ANALYSIS.lonlat(shapely.get_coordinates(line))
        near = shapely.get_coordinates(shape)
        pairs = ELLIPSOID.inv(
            *(np.repeat(corners[:, axis], len(near)) for axis in (0, 1)), *np.tile(near, (len(corners), 1)).T
        )
        assert np.reshape(pairs[2], (len(corners), -1)).min(axis=1) == pytest.approx(3_000.0, abs=0.05)


# ---- what is painted where


def test_a_layer_has_its_colour_at_its_place_and_the_outside_is_dimmed() -> None:
    drawing = drawn()
    assert pixel(drawing, -4_321.0, 1_234.0) == (0xCC, 0, 0)
    assert pixel(drawing, 4_321.0, 1_234.0) == (0xFF, 0xFD, 0xF5)
    assert pixel(drawing, 10_700.0, 1_234.0) == pytest.approx((0xE8, 0xEA, 0xEC), abs=2)


def test_overlapping_areas_are_painted_once_and_holes_stay_open() -> None:
    ring = shapely.box(-8000, -8000, 2000, 8000) - shapely.box(-6000, -6000, -4000, -4000)
    backwards = shapely.Polygon([*shapely.box(0, 0, 6000, 6000).exterior.coords][::-1])
    both = layer("both", [ring, backwards], paint={"colour": "#000000", "opacity": 0.5})
    drawing = drawn(content(ZONE, both))
    once = pixel(drawing, -7_654.0, 4_321.0)
    assert once == pytest.approx((127, 126, 122), abs=2)
    assert pixel(drawing, 1_234.0, 3_210.0) == once
    assert pixel(drawing, 4_567.0, 4_321.0) == once
    assert pixel(drawing, -4_567.0, -4_567.0) == (0xFF, 0xFD, 0xF5)


def test_shells_run_one_way_and_holes_the_other() -> None:
    square, hole = ((0, 0), (9, 0), (9, 9), (0, 9)), ((2, 2), (4, 2), (4, 4), (2, 4))
    shapes = [shapely.Polygon(square[:: way[0]], [hole[:: way[1]]]) for way in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    rings = cartography.outline(np.array(shapes, dtype=object)).to_polygons()
    assert len({shapely.LinearRing(ring).is_ccw for ring in rings[::2]}) == 1
    assert [shapely.LinearRing(ring).is_ccw for ring in rings[1::2]] == [not shapely.LinearRing(rings[0]).is_ccw] * 4


def test_symbols_have_the_colours_of_the_page() -> None:
    css = {word: paint.colour for word, paint in signs.verdict_paints().items()}
    assert css["prohibit"] == "#9c0058"
    assert len(css) == len(signs.VERDICTS) == 7
    sites = site_frame([shapely.Point(-2_000 * number, -2_500) for number in range(3)], ["prohibit", "clear", "inform"])
    drawing = drawn(content(ZONE, sites=sites), Paper(200.0, 150.0, 300))
    for x, colour in ((0, "prohibit"), (-2_000, "clear"), (-4_000, "inform")):
        at = pixel(
            drawing, x - 0.42 * 1.5 * drawing.size_pt * fonts.MM_A_POINT * drawing.frame.metres_a_mm * 0.75, -2_500
        )
        assert "#{:02x}{:02x}{:02x}".format(*at) == css[colour]


def test_small_plots_become_dots_but_the_crumbs_of_large_areas_do_not() -> None:
    crumb = shapely.box(4_000, 4_000, 4_010, 4_010)
    plots = layer("plots", [crumb, shapely.box(-4_000, 4_000, -3_500, 4_500)], paint={"colour": "#00aa00"})
    wood = layer("wood", [crumb, shapely.box(-9_000, -9_000, 3_000, 3_000)], paint={"colour": "#00aa00"})
    assert pixel(drawn(content(ZONE, plots), Paper(200, 150, 300)), 4_050.0, 4_050.0) == (0, 0xAA, 0)
    assert pixel(drawn(content(ZONE, wood), Paper(200, 150, 300)), 4_060.0, 4_060.0) == (0xFF, 0xFD, 0xF5)
    said = [entry.key for entry in drawn(content(ZONE, plots)).legend if entry.kind == "remark"]
    assert said == ["plots", "zone"]


# ---- the legend


def test_the_legend_lists_what_is_drawn_and_nothing_else() -> None:
    far = layer("far", [shapely.box(50_000, 50_000, 60_000, 60_000)], status="open", source="别处 · 2020-01-01 · X")
    nothing = layer("nothing", [shapely.Polygon()])
    points = layer("points", [shapely.Point(3_000, 3_000)], ring_m=(2_000.0, 90_000.0), source="站 · 2022-02-02 · CC0")
    drawing = drawn(content(ZONE, RED, far, nothing, points))
    entries = {(entry.kind, entry.key, entry.number) for entry in drawing.legend if entry.key}
    assert entries == {
        ("layer", "zone", 0), ("remark", "zone", 0), ("layer", "red", 0), ("layer", "points", 0),
        ("ring", "points", 2_000.0),
    }  # fmt: skip
    notes = [entry.text for entry in drawing.legend if entry.kind == "note"]
    assert [note for note in notes if note.startswith("[")] == [
        "[1] 正式 · 站 · 2022-02-02 · CC0", "[2] 正式 · 局 · 2024-01-01 · CC0-1.0"
    ]  # fmt: skip
    assert all(any(part in text for text in texts_on(drawing)) for part in ("图层points [1]", "图层red [2]"))


def test_a_published_precision_is_stated_where_paper_shows_it_and_unknown_places_have_no_ring() -> None:
    station = [shapely.Point(1_000, 1_000), shapely.box(-3_000, -3_000, -1_000, -1_000)]
    coarse = layer("coarse", station, precision_m=52.34, ring_m=(2_000.0,), adrift=("F1",), source="a")
    fine = layer("fine", [shapely.box(0, 0, 5_000, 5_000)], precision_m=2.0)
    drawing = drawn(content(ZONE, coarse, fine))
    assert [e.text for e in drawing.legend if e.kind == "remark" and e.key in ("coarse", "fine")] == [
        "公布精度 52.4 米。",
        "面：位置不详的要素，在此范围内某处。",
    ]
    placed = mapface.placed(mapface.planar([coarse], ANALYSIS), drawing.frame)
    (ring,) = placed[0].rings[2_000.0]
    at = drawing.frame.to_mm(np.array([[1_000.0, 1_000.0]]))[0]
    assert shapely.centroid(ring).coords[0] == pytest.approx(tuple(at), abs=0.05)


def test_the_legend_counts_the_verdicts_in_sight_and_names_the_sites_outside() -> None:
    shapes = [shapely.Point(0, 0), shapely.Point(1_000, 0), shapely.Point(900_000, 0), shapely.Point()]
    sites = site_frame(shapes, ["prohibit", "clear", "clear", "clear"], ["甲", "乙", "丙", "丁"])
    drawing = drawn(content(ZONE, sites=sites), A4)
    assert [(e.key, e.text.split()[-1]) for e in drawing.legend if e.kind == "verdict"] == [
        ("prohibit", "1"),
        ("clear", "1"),
    ]
    assert [e.text for e in drawing.legend if e.kind == "site"] == ["甲", "乙", "（图外）丙", "（图外）丁"]
    assert "2 个项目在图幅之外。" in texts_on(drawing)


def test_many_sites_are_drawn_without_numbers_and_the_legend_says_so() -> None:
    rng = np.random.default_rng(1)
    shapes = shapely.points(rng.uniform(-9_000, 9_000, (signs.LISTED + 1, 2)))
    drawing = drawn(content(ZONE, sites=site_frame(shapes, ["clear"] * len(shapes))), A4)
    assert not [entry for entry in drawing.legend if entry.kind == "site"]
    assert any("61 个" in text for text in texts_on(drawing))


def test_numbered_symbols_do_not_cover_each_other_and_a_line_leads_back() -> None:
    shapes = [shapely.Point(0, 0)] * 12 + [shapely.Point(5_000, 5_000)]
    frame = cartography.fit(EXTENT, (10.0, 10.0, 130.0, 130.0))
    places = cartography.Places(frame.box_mm)
    pins = signs.place_pins(signs.place_sites(site_frame(shapes, ["clear"] * 13), frame, ANALYSIS), frame, places, 2.6)
    boxes = shapely.box(*np.array(places.taken).T)
    assert len(boxes) == len(pins) == 13
    assert all(shapely.area(shapely.intersection(a, b)) == 0 for n, a in enumerate(boxes) for b in boxes[:n])
    assert [pin.moved for pin in pins] == [False, *[True] * 11, False]
    at = frame.to_mm(np.array([[0.0, 0.0]]))[0]
    assert all(pin.at == pytest.approx(tuple(at), abs=1e-6) for pin in pins[:12])


# ---- the text


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("paper", [A4, SMALL, Paper(297.0, 210.0, 100), Paper(594.0, 420.0, 60)])
def test_all_text_stands_on_the_sheet(paper: Paper, lang: str) -> None:
    shapes = shapely.points(np.random.default_rng(2).uniform(-9_000, 9_000, (30, 2)))
    sites = site_frame(shapes, ["approval"] * 30, [f"很长的项目名称{number}" * 5 for number in range(30)])
    towns = layer(
        "towns",
        [shapely.box(-9_000, -9_000, 0, 9_000)],
        label="name",
        columns={"name": ["某镇"]},
        paint={"names": True},
    )
    notices = ["这是一条很长的提示，" * 30, "Short.", "Long words of a notice " * 20]
    drawing = drawn(content(ZONE, RED, towns, sites=sites, notices=notices, title="标题" * 40), paper, lang)
    with fonts.typesetting():
        renderer = FigureCanvasAgg(drawing.figure).get_renderer()
        for text in drawing.figure.axes[0].texts:
            box = text.get_window_extent(renderer).transformed(drawing.figure.transFigure.inverted())
            assert -1e-9 <= box.x0 <= box.x1 <= 1.0 + 1e-9, text.get_text()
            assert -1e-9 <= box.y0 <= box.y1 <= 1.0 + 1e-9, text.get_text()
    assert "某镇" in texts_on(drawing)


def test_notices_and_the_review_line_are_whole() -> None:
    notices = ["甲乙丙丁戊己庚辛，" * 40, "a notice of words " * 30]
    drawing = drawn(content(notices=notices, review="审图号：渝S(2026)001号"), A4)
    told = "".join(texts_on(drawing))
    assert "".join("".join(notices).split()) in "".join(told.replace("·", "").split())
    assert "审图号：渝S(2026)001号" in told
    assert {"仅限内部使用", "2026-11-22", "测试图", "副题"} <= {*texts_on(drawing)}


HOSTILE = {
    "formula": "$x^2$ and $\\frac{$",
    "markup": "<img src=x onerror=alert(1)></script>-->",
    "template": "${7*7} `x` {0} %s \\n",
    "controls": "a\x00b\x1b[31mc\u202ed\u200be",
    "breaks": "one\ntwo\r\nthree\tfour\u2028five",
    "long": "长" * 10_000,
    "dense": "x" * 10_000,
    "rare": "\U0010fffd\u0378🀀",
    "blank": " \u3000 ",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_name_is_drawn_as_text(name: str) -> None:
    """Warnings (a missing letter, a formula that does not parse) are errors here."""
    stations = layer("st", [shapely.Point(2_000, 0)], label="name", columns={"name": [name]}, title=name, source=name)
    sites = site_frame([shapely.Point(0, 0)], ["clear"], [name])
    drawing = drawn(
        content(ZONE, stations, sites=sites, title=name, subtitle=name, badge=name, review=name[:40], day=name[:9]), A4
    )
    drawing.write("png")
    svg, pdf = drawing.write("svg").decode(), drawing.write("pdf")
    assert "<img" not in svg
    assert "<script" not in svg
    assert pdf.startswith(b"%PDF")
    texts = texts_on(drawing)
    assert all(char.isprintable() for text in texts for char in text)
    assert max(map(len, texts)) < 400
    if name == HOSTILE["formula"]:
        assert texts.count(name) >= 3


def test_a_column_that_is_not_shown_is_in_no_file() -> None:
    columns = {"name": ["可见名"], "phone": ["SECRET-13800000000"]}
    stations = layer("st", [shapely.Point(2_000, 0)], label="name", columns=columns)
    drawing = drawn(content(ZONE, stations))
    assert "可见名" in texts_on(drawing)
    for form in figures.FORMATS:
        assert b"SECRET" not in drawing.write(form)
    assert "可见名" in drawing.write("svg").decode()


def test_without_a_number_the_stamp_runs_across_every_part_of_the_map() -> None:
    drawing = drawn(content(stamp="未经审图"))
    left, bottom, right, top = drawing.frame.box_mm
    at = [text.get_position() for text in drawing.figure.axes[0].texts if text.get_text() == "未经审图"]
    for x in (left, (left + right) / 2):
        for y in (bottom, (bottom + top) / 2):
            half_x, half_y = (right - left) / 2, (top - bottom) / 2
            assert any(x <= cx <= x + half_x and y <= cy <= y + half_y for cx, cy in at)
    assert all(
        text.get_zorder() >= level("stamp") for text in drawing.figure.axes[0].texts if text.get_text() == "未经审图"
    )


# ---- the files


def test_the_same_content_gives_the_same_bytes_in_any_order() -> None:
    points = layer("points", [shapely.Point(3_000, 3_000)], ring_m=(2_000.0,))
    layers = (ZONE, RED, points)
    first, again = drawn(content(*layers)), drawn(content(*reversed(layers)))
    for form in figures.FORMATS:
        assert first.write(form) == again.write(form) == first.write(form)


def test_the_same_bytes_in_another_process_with_a_users_own_settings(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(
        "lines.linewidth: 9\nfont.size: 30\nsavefig.bbox: tight\npdf.compression: 0\n"
    )
    code = (
        "import sys, hashlib; sys.path.insert(0, 'tests'); import test_figures as t; drawing = t.drawn()\n"
        "print([hashlib.sha256(drawing.write(form)).hexdigest() for form in t.figures.FORMATS])"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(tmp_path)}
    root = Path(__file__).resolve().parent.parent
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env, cwd=root)
    drawing = drawn()
    assert told.stdout.strip() == str([hashlib.sha256(drawing.write(form)).hexdigest() for form in figures.FORMATS])


def test_a_png_has_its_size_and_resolution() -> None:
    data = drawn(paper=Paper(200.0, 150.0, 254)).write("png")
    assert struct.unpack(">II", data[16:24]) == (2_000, 1_500)
    at = data.index(b"pHYs") + 4
    assert struct.unpack(">IIB", data[at : at + 9]) == (10_000, 10_000, 1)


def test_pdf_text_is_text_in_an_embedded_font_and_svg_letters_are_outlines() -> None:
    drawing = drawn()
    pdf, svg = drawing.write("pdf"), drawing.write("svg").decode()
    assert b"/ToUnicode" in pdf
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert "<text" not in svg
    assert "font-family" not in svg
    assert 'width="566.9' in svg  # 200 mm in points
    assert "<title>测试图</title>" in svg
    assert "测试图".encode("utf-16-be") in pdf


def test_a_font_of_postscript_outlines_is_embedded_as_truetype_of_the_same_shape(tmp_path: Path) -> None:
    face = fonts.chinese_typeface()
    assert not face.truetype
    fonts._write_truetype(face, map(ord, "重庆 Ag【】"), tmp_path / "letters.ttf")
    made = fonts._opened(str(tmp_path / "letters.ttf"), 0)
    assert made is not None
    assert made.truetype
    assert {chr(code) for code in made.letters} == {*"重庆 Ag【】"}
    for char in "重庆Ag【】":
        first, second = (glyph_of(each, char) for each in (face, made))
        assert fonts._advance_em(char, face) == fonts._advance_em(char, made)
        assert shapely.hausdorff_distance(first.boundary, second.boundary) < 3.0  # thousandths of the size


def glyph_of(face: fonts.Typeface, char: str) -> shapely.Geometry:
    """Draw a letter, by even and odd."""
    font = FT2Font(str(face.path), face_index=face.index)
    font.set_size(1_000.0, 72.0)
    font.load_char(ord(char), flags=LoadFlags.NO_HINTING)
    rings = MplPath(*font.get_path()).to_polygons()
    shape = shapely.Polygon()
    for ring in rings:
        shape = shapely.symmetric_difference(shape, shapely.make_valid(shapely.Polygon(ring)))
    return shape


def test_a_font_of_truetype_outlines_is_embedded_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "chinese_typeface", fonts._rest)
    plain = content(ZONE, title="Map", subtitle="x", notices=["n"], badge="b", review="r", day="d")
    plain = replace(plain, layers=[replace(ZONE, title="zone", source="s")])
    pdf = figures.draw(plain, ANALYSIS, SMALL, dict.fromkeys(words(), "text")).write("pdf")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


@pytest.mark.parametrize(
    ("size", "turn", "sides"),
    [
        ("A4", None, (210.0, 297.0)),
        ("a3", "landscape", (420.0, 297.0)),
        ("160x120", None, (160.0, 120.0)),
        ("160x120mm", "portrait", (120.0, 160.0)),
        ("160.5 × 120", None, (160.5, 120.0)),
    ],
)
def test_sizes(size: str, turn: str | None, sides: tuple[float, float]) -> None:
    paper = figures.paper_of(size, (0, 0, 10, 20), turn=turn)
    assert (paper.width_mm, paper.height_mm) == sides


def test_a_sheet_is_turned_as_suits_the_zone() -> None:
    assert figures.paper_of("A4", (0, 0, 30, 10)).width_mm == 297.0
    assert figures.paper_of("A4", (0, 0, 10, 30)).width_mm == 210.0


@pytest.mark.parametrize("size", ["A9", "", "10x10", "9999x100", "160", "nanxnan", "1e9x3"])
def test_an_unknown_size_is_refused(size: str) -> None:
    with pytest.raises(OutputError, match="--size"):
        figures.paper_of(size, EXTENT)


def test_the_review_number_is_whole_or_the_sheet_is_refused() -> None:
    assert "审图号：" + "号" * 40 in texts_on(drawn(content(review="审图号：" + "号" * 40)))
    with pytest.raises(OutputError, match="200 x 150"):
        drawn(content(review="审图号：" + "号" * 400))


def test_too_many_pixels_are_refused() -> None:
    with pytest.raises(OutputError, match="--dpi"):
        figures.paper_of("A2", EXTENT, dpi=1200)


def test_a_sheet_too_small_for_the_notices_is_refused() -> None:
    with pytest.raises(OutputError, match="60 x 60"):
        drawn(content(notices=["很长的提示。" * 200]), Paper(60.0, 60.0))


# ---- lines of text


@given(st.text(st.sampled_from("中文字，。（）《》“”abc 12-_/"), max_size=80), st.floats(20.0, 90.0))
def test_lines_fit_and_lose_nothing(text: str, width: float) -> None:
    lines = fonts.wrapped(text, width, 8.0)
    assert all(fonts.width_mm(line, 8.0) <= width + 1e-9 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(st.sampled_from("中文字abc "), max_size=80), st.integers(1, 3))
def test_a_cut_text_fits_and_says_that_it_is_cut(text: str, most: int) -> None:
    lines = fonts.wrapped(text, 25.0, 8.0, most)
    whole = fonts.wrapped(text, 25.0, 8.0)
    assert len(lines) == min(len(whole), most)
    assert all(fonts.width_mm(line, 8.0) <= 25.0 + 1e-9 for line in lines)
    assert lines == whole or lines[-1].endswith("…")


def test_no_line_starts_with_a_closing_sign() -> None:
    lines = fonts.wrapped("一二三四五六七八，九十（甲乙丙）、丁戊己庚。" * 5, 30.0, 8.0)
    assert len(lines) > 5
    assert not any(line[0] in "，、。）" or line[-1] == "（" for line in lines)
