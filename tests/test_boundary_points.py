"""界址点坐标: every plot of a text is built or named with its reason; nothing is guessed unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import hypothesis
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geojw.errors import CRSError, OutputError, SitesError
from geojw.intake.boundary_points import COLUMNS, Plots, read_plots, sniff, write_plots
from geojw.intake.site_files import read_sites
from geojw.intake.sites import place
from geojw.measure.geodesy import AnalysisCRS, ellipsoidal_area_m2, reproject

ANALYSIS = AnalysisCRS(106.32, 29.50)
N, E = 3_265_000.0, 35_624_000.0
"""South-west corner of the squares below: north (x of the format) and east (y)."""

HEADER = """[属性描述]
格式版本号=1.01版本
坐标系=2000国家大地坐标系
几度分带=3
投影类型=高斯克吕格
计量单位=米
带号=35
精度=0.001
转换参数=,,,,,,
[地块坐标]
"""


def ring(number: int, south: float, west: float, size: float, first: int = 1) -> list[str]:
    """A square ring as four points and the first again, in metres from the corner."""
    corners = [(0, 0), (0, size), (size, size), (size, 0)]
    lines = [f"J{first + i},{number},{N + south + n:.3f},{E + west + e:.3f}" for i, (n, e) in enumerate(corners)]
    return [*lines, lines[0]]


def triangle(number: int) -> list[str]:
    """A triangle of 200 m² with one corner on the west edge of the square."""
    corners = enumerate([(50, 0), (40, 20), (60, 20)], 20)
    lines = [f"J{label},{number},{N + north:.3f},{E + east:.3f}" for label, (north, east) in corners]
    return [*lines, lines[0]]


def text(*plots: list[str], header: str = HEADER, end: str = "\n") -> str:
    return header.replace("\n", end) + end.join(line for plot in plots for line in plot) + end


def square(head: str = "5,1.0000,1,一号,面,H48,工业用地,0601,@", **at: Any) -> list[str]:
    return [head, *ring(1, at.get("south", 0.0), at.get("west", 0.0), at.get("size", 100.0))]


def said(plots: Plots) -> list[str]:
    return [fault.key for fault in plots.remarks]


def why(plots: Plots) -> list[str]:
    return ["" if fault is None else fault.key for fault in plots.reasons]


def framed(plots: Plots) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(plots.frame, geometry=list(plots.geometries), crs=plots.crs)


# ---------------------------------------------------------------------------------------------- the example


@pytest.fixture(scope="module")
def example() -> tuple[str, dict[str, Any]]:
    """The example whose areas were computed independently."""
    here = Path(__file__).resolve().parent
    for folder in (here / "intake", here.parents[1] / "shared" / "examples" / "intake"):
        if (folder / "expected.json").is_file():
            data = (folder / "boundary_points_gbk.txt").read_bytes()
            assert sniff(data)
            return data.decode("gbk"), json.loads((folder / "expected.json").read_text("utf-8"))
    pytest.skip("the example of boundary points is neither in tests/ nor beside the repository")


def test_the_example_has_the_areas_to_find(example: tuple[str, dict[str, Any]]) -> None:
    plots = read_plots(example[0], "x.txt")
    assert list(plots.frame["name"]) == example[1]["names"]
    assert plots.crs == CRS("EPSG:4523")
    assert (said(plots), why(plots), plots.stated.remarks) == ([], [""] * 6, ())
    areas = plots.areas(ANALYSIS)
    np.testing.assert_allclose(areas["ellipsoidal_m2"], example[1]["ellipsoidal_area_m2"], rtol=0, atol=1e-3)
    # This office stated planar areas; the ellipsoidal ones are 6 to 25 m² smaller.
    assert list(areas["agrees"]) == ["planar"] * 6


def test_the_example_comes_back_as_the_same_text(example: tuple[str, dict[str, Any]]) -> None:
    plots = read_plots(example[0], "x.txt")
    assert write_plots(framed(plots), CRS("EPSG:4523"), plots.header) == example[0]


# ---------------------------------------------------------------------------------------------- by hand


def test_a_square_and_its_hole_by_hand() -> None:
    plots = read_plots(text([*square("10,0.9600,7,名,面,图,用,0601,@"), *ring(2, 40, 40, 20, first=5)]), "x")
    row = plots.frame.iloc[0]
    assert list(plots.frame.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert (row["plot"], row["name"], row["kind"], row["sheet"], row["use"], row["land_use_code"]) == (
        "7", "名", "面", "图", "用", "0601",
    )  # fmt: skip
    assert (row["stated_area_ha"], row["stated_decimals"], row["points"], row["line"]) == (0.96, 4, 10, 11)
    assert shapely.area(plots.geometries[0]) == 9600.0
    assert plots.geometries[0].interiors[0].bounds == (E + 40, N + 40, E + 60, N + 60)
    assert said(plots) == []
    area = plots.areas(ANALYSIS).iloc[0]
    lonlat = shapely.transform(plots.geometries[0], lambda xy: reproject(xy, "EPSG:4523", "EPSG:4490"))
    assert area["ellipsoidal_m2"] == pytest.approx(ellipsoidal_area_m2(lonlat), abs=1e-3)
    assert area["planar_m2"] == 9600.0
    assert area["tolerance_m2"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rings", "area", "parts", "remarks"),
    [
        # containment decides, not the ring's number: the outline may come last
        ([ring(1, 40, 40, 20), ring(2, 0, 0, 100)], 9600.0, 1, []),
        ([ring(1, 0, 0, 100), ring(2, 200, 0, 50)], 12500.0, 2, ["txt.outlines"]),
        # an island in the hole
        ([ring(1, 0, 0, 100), ring(2, 10, 10, 80), ring(3, 40, 40, 20)], 4000.0, 2, ["txt.outlines"]),
        # four deep, in any order
        ([ring(4, 45, 45, 10), ring(2, 10, 10, 80), ring(1, 0, 0, 100), ring(3, 40, 40, 20)], 3900.0, 2,
         ["txt.outlines"]),
        # a hole that touches the outline in one point
        ([ring(1, 0, 0, 100), triangle(2)], 9800.0, 1, []),
        # the same number goes on after it closed
        ([ring(1, 0, 0, 100), ring(1, 200, 0, 50)], 12500.0, 2, ["txt.ring_again", "txt.outlines"]),
        ([ring(1, 0, 0, 100), ring(1, 40, 40, 20)], 9600.0, 1, ["txt.ring_again"]),
    ],
)  # fmt: skip
def test_holes_and_outlines_by_containment(rings: list[list[str]], area: float, parts: int, remarks: list[str]) -> None:
    points = [line for one in rings for line in one]
    plots = read_plots(text([f"{len(points)},,1,n,面,,,,@", *points]), "x")
    assert why(plots) == [""]
    assert shapely.area(plots.geometries[0]) == pytest.approx(area)
    assert shapely.get_num_geometries(plots.geometries[0]) == parts
    assert said(plots) == remarks


def test_interleaved_rings_are_sorted_and_it_is_said() -> None:
    one, two = ring(1, 0, 0, 100), ring(2, 40, 40, 20)
    points = [line for pair in zip(one, two, strict=True) for line in pair]
    plots = read_plots(text(["10,,1,n,面,,,,@", *points]), "x")
    assert shapely.area(plots.geometries[0]) == 9600.0
    assert said(plots) == ["txt.rings_interleaved"]


@pytest.mark.parametrize(
    "rings",
    [
        [ring(1, 0, 0, 100), ring(2, 50, 50, 100)],  # cross
        [ring(1, 0, 0, 100), ring(2, 0, 0, 100)],  # coincide
        [ring(1, 0, 0, 100), ring(2, 0, 0, 50)],  # share part of an edge: no hole
        [ring(1, 0, 0, 100), ring(2, 0, 100, 100)],  # side by side: the common edge makes no two parts
    ],
)
def test_rings_that_cross_or_coincide_are_refused(rings: list[list[str]]) -> None:
    points = [line for one in rings for line in one]
    plots = read_plots(text(["10,,1,n,面,,,,@", *points], square(south=500)), "x")
    assert why(plots) == ["txt.rings_cross", ""]
    assert plots.geometries[0] is None
    assert shapely.area(plots.geometries[1]) == 10_000.0


def test_rings_without_an_order_are_refused_even_beside_one_that_crosses_itself() -> None:
    """The third lies in the first, which half lies in the second: whose hole is it?"""
    bow = [f"J{i},4,{N + y},{E + x}" for i, (x, y) in enumerate([(500, 0), (600, 100), (600, 0), (500, 100), (500, 0)])]
    points = [*ring(1, 0, 0, 100), *ring(2, -80, 40, 260), *ring(3, 40, 10, 20), *bow]
    plots = read_plots(text(["20,,1,n,面,,,,@", *points]), "x")
    assert (why(plots), said(plots)) == (["txt.rings_cross"], [])


def test_a_ring_that_crosses_itself_is_left_for_intake_to_mend() -> None:
    bow = [f"J{i},1,{N + y},{E + x}" for i, (x, y) in enumerate([(0, 0), (100, 100), (100, 0), (0, 100), (0, 0)])]
    plots = read_plots(text(["5,,1,n,面,,,,@", *bow]), "x")
    assert why(plots) == [""]
    assert not shapely.is_valid(plots.geometries[0])


def test_lines_and_points() -> None:
    line = ["3,,L,路,线,,,,@", *[f"J{i},1,{N + i},{E}" for i in range(3)], f"J4,2,{N},{E + 9}", f"J5,2,{N + 9},{E + 9}"]
    spot = ["1,,P,井,点,,,,@", f"J1,1,{N},{E}"]
    spots = ["2,,Q,井群,点,,,,@", f"J1,1,{N},{E}", f"J2,1,{N + 5},{E}"]
    plots = read_plots(text(line, spot, spots), "x")
    assert [shape.geom_type for shape in plots.geometries] == ["MultiLineString", "Point", "MultiPoint"]
    assert shapely.length(plots.geometries[0]) == 11.0
    assert said(plots) == ["txt.count"]
    assert list(plots.areas(ANALYSIS)["agrees"]) == ["", "", ""]


# ---------------------------------------------------------------------------------------------- odd but kept


@pytest.mark.parametrize(
    ("lines", "remarks"),
    [
        (square("5，1.0000，1，一号，面，H48，工业用地，0601，@"), []),
        (square("　5 , 1.0000 ,1,一号,面,H48,工业用地,0601, @　"), []),
        (square("５,１.００００,1,一号,面,H48,工业用地,0601,＠"), []),
        (square("4,1.0000,1,一号,面,H48,工业用地,0601,@"), []),  # the closing point is not counted
        (square("5,1.0000,1,一号,面,H48,工业用地,0601"), ["txt.no_end"]),
        (square("5,1.0000,1,一号,面,H48,工业用地,@"), ["txt.columns_kept"]),
        (square("5,1.0000,1,一号,面,@"), ["txt.columns_kept"]),
        (square("5,1.0000,1,一号,面,H48,工业用地,0601,,1,B,C,备注,@"), ["txt.columns_kept"]),
        (square("7,1.0000,1,一号,面,H48,工业用地,0601,@"), ["txt.count"]),
        (square(",1.0000,1,一号,面,H48,工业用地,0601,@"), ["txt.count_unread"]),
        (square("5,约一公顷,1,一号,面,H48,工业用地,0601,@"), ["txt.area_unread"]),
        (square("5,1.0000,1,一号,,H48,工业用地,0601,@"), ["txt.kind_missing"]),
        (square()[:-1], ["txt.ring_open"]),
        ([*square()[:3], square()[2], *square()[3:]], ["txt.repeated"]),  # 5 without the closing one
        ([*square()[:-1], f"J1,1,{N + 0.002:.3f},{E:.3f}"], ["txt.ring_open", "txt.label_twice"]),
        ([line.replace("J2", "J1") for line in square()], ["txt.label_twice"]),
        ([square()[0], *[line + ",312.5" for line in square()[1:]]], ["txt.point_extra"] * 5),
    ],
)
def test_odd_things_are_kept_and_said(lines: list[str], remarks: list[str]) -> None:
    plots = read_plots(text(lines), "x")
    assert (said(plots), why(plots)) == (remarks, [""])
    assert shapely.area(plots.geometries[0]) == pytest.approx(10_000.0, abs=0.2)
    assert all(fault.text(lang) for fault in plots.remarks for lang in ("zh", "en"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\n \r\n\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_marks_and_blank_lines_do_no_harm(end: str, mark: str) -> None:
    plots = read_plots(mark + text(square(), end=end), "x")
    assert (said(plots), why(plots), plots.crs) == ([], [""], CRS("EPSG:4523"))
    assert plots.header["坐标系"] == "2000国家大地坐标系"


def test_full_width_brackets_and_equals_signs() -> None:
    plots = read_plots(text(square()).replace("[", "【").replace("]", "】").replace("=", "＝"), "x")
    assert (said(plots), plots.crs) == ([], CRS("EPSG:4523"))


def test_other_sections_repeated_keys_and_stray_lines_are_said() -> None:
    head = "[扩展信息]\na=b\n" + HEADER.replace("带号=35", "带号=35\n带号=36\n不明的一行")
    plots = read_plots(text(square(), header=head), "x")
    assert said(plots) == ["txt.section", "txt.key_twice", "txt.line_ignored"]
    assert plots.header["带号"] == "35"


def test_labels_that_start_anew_in_each_ring_are_no_fault() -> None:
    plots = read_plots(text(["10,,1,n,面,,,,@", *ring(1, 0, 0, 100), *ring(2, 40, 40, 20)]), "x")
    assert said(plots) == []


def test_a_text_without_a_header_has_plots_and_no_crs() -> None:
    plots = read_plots("\n".join(square()), "x")
    assert why(plots) == [""]
    assert plots.crs is None
    assert [fault.key for fault in plots.stated.faults] == ["coords.header_missing"]
    with pytest.raises(CRSError, match="datum"):
        plots.areas(ANALYSIS)
    assert plots.areas(ANALYSIS, CRS("EPSG:4523"))["planar_m2"].iloc[0] == 10_000.0


def test_plots_that_count_in_two_ways_are_said() -> None:
    """Whether the closing point counts is no fault, but where it changes within a file a point may be missing."""
    with_closing, without = square(), square("4,1.0000,2,二号,面,,,,@", south=300)
    plots = read_plots(text(with_closing, square(south=600), without), "x")
    assert [(fault.key, fault.where) for fault in plots.remarks] == [("txt.count_ways", "x, 23")]
    assert said(read_plots(text(without, without), "x")) == []


# ---------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([*square()[:3], "J9,1,坏,35624000", *square()[3:]], "txt.bad_line"),
        ([*square()[:3], "J9,1,3,265,000.0,35,624,000.0", *square()[3:]], "txt.bad_line"),
        ([*square()[:3], "J9,1,nan,inf", *square()[3:]], "txt.bad_line"),
        ([*square()[:3], "J9,1,1e300,35624000.0", *square()[3:]], "txt.bad_line"),
        ([*square()[:3], "what is this", *square()[3:]], "txt.bad_line"),
        (square("5,1.0,1,一号,体,H48,工业用地,0601,@"), "txt.kind"),
        (square("5,1.0,1,一号,,H48,工业用地,0601,@")[:-1], "txt.kind"),
        (square("5,1.0,一号,面,H48,工业用地,0601,@"), "txt.columns"),
        (square("5,1.0,1,x,y,面,H48,工业用地,0601,@"), "txt.columns"),
        (["5,1.0,1,一号,面,H48,工业用地,0601,@"], "txt.no_points"),
        (square("2,1.0,1,一号,面,,,,@")[:3], "txt.ring_short"),
        (["1,1.0,1,一号,线,,,,@", square()[1]], "txt.ring_short"),
        (["5,1.0,1,一号,面,,,,@", *[square()[1]] * 5], "txt.ring_short"),
        (square("9,1.0,1,一号,面,,,,@")[:-1], "txt.truncated"),
    ],
)
def test_a_plot_that_cannot_be_built_is_named_and_the_others_stay(lines: list[str], reason: str) -> None:
    plots = read_plots(text(square(), lines, square(south=300)), "x.txt")
    assert why(plots) == ["", reason, ""]
    assert plots.geometries[1] is None
    assert plots.reasons[1].where.startswith("x.txt, ")
    assert all(plots.reasons[1].text(lang) for lang in ("zh", "en"))
    assert [shapely.area(shape) for shape in plots.geometries[[0, 2]]] == [10_000.0, 10_000.0]


def test_points_before_any_plot_are_a_refused_plot_of_their_own() -> None:
    plots = read_plots(text(ring(1, 0, 0, 100), square(south=300)), "x")
    assert why(plots) == ["txt.no_header", ""]
    assert list(plots.frame["points"]) == [5, 5]


@pytest.mark.parametrize(
    "broken", ["", "\n\n", "hello", "[属性描述]\n坐标系=2000国家大地坐标系\n[地块坐标]\n", "\x00" * 50]
)
def test_a_text_without_plots_is_a_named_error(broken: str) -> None:
    with pytest.raises(SitesError) as error:
        read_plots(broken, "x.txt")
    assert [fault.key for fault in error.value.faults] == ["txt.no_plots"]


def test_hostile_texts_end_soon() -> None:
    """Many rings that close at once, and many rings one inside the other: work grows with the text, not its square."""
    tiny = [line for n in range(5_000) for line in ring(1, n % 120, n // 120, 0.5)]
    nested = [line for n in range(1900) for line in ring(n + 1, n, n, 4000.0 - 2 * n)]
    plots = read_plots(text(["25000,,1,n,面,,,,@", *tiny], ["9500,,2,n,面,,,,@", *nested]), "x")
    assert why(plots) == ["txt.rings_many", ""]
    assert shapely.get_num_geometries(plots.geometries[1]) == 950


# ---------------------------------------------------------------------------------------------- stated areas


@pytest.mark.parametrize(
    ("stated", "agrees"),
    [
        ("1.0000", "planar"),
        ("0.9996", "ellipsoidal"),
        ("1.00", "both"),
        ("1.0", "both"),
        ("1.0100", "neither"),
        ("10000.00", "other_unit"),
        ("15.00", "other_unit"),
        ("", ""),
        ("0", "neither"),
    ],
)
def test_the_stated_area_is_compared_to_the_precision_it_is_stated_with(stated: str, agrees: str) -> None:
    """The square of 100 m: 10,000 m² in the plane, 9,996.2 m² on the ellipsoid."""
    plots = read_plots(text(square(f"5,{stated},1,一号,面,H48,工业用地,0601,@")), "x")
    areas = plots.areas(ANALYSIS)
    assert areas["ellipsoidal_m2"].iloc[0] == pytest.approx(9996.2, abs=0.1)
    assert list(areas["agrees"]) == [agrees]
    assert areas.index.equals(plots.frame.index)
    remarks = [fault.key for fault in plots.area_remarks(areas)]
    assert remarks == {
        "neither": ["txt.area_differs"],
        "other_unit": ["txt.area_unit"],
        "planar": ["txt.area_planar"],
    }.get(agrees, [])


# ---------------------------------------------------------------------------------------------- sniffing and writing


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-be"])
def test_sniffing_knows_the_format_in_every_encoding(code: str) -> None:
    assert sniff(text(square()).encode(code))


def test_sniffing_is_not_taken_in() -> None:
    for data in (b"", b"J1,1,1.0,2.0", "地块".encode(), bytes(range(256)) * 10):
        assert not sniff(data)


MILLI = st.integers(-2_000_000, 2_000_000).map(lambda mm: mm / 1000.0)


@st.composite
def drawn_plots(draw: st.DrawFn) -> gpd.GeoDataFrame:
    """Plots of all kinds on the millimetre, with holes and parts, and any names."""
    shapes: list[shapely.Geometry] = []
    for _ in range(draw(st.integers(1, 4))):
        x, y = E + draw(MILLI), N + draw(MILLI)
        size = draw(st.integers(1_000, 200_000)) / 1000.0
        outline = shapely.box(x, y, round(x + size, 3), round(y + size, 3))
        hole = shapely.box(*(round(v, 3) for v in (x + size / 4, y + size / 4, x + size / 2, y + size / 2)))
        holed = shapely.Polygon(outline.exterior, [hole.exterior])
        kinds = {
            0: outline,
            1: holed,
            2: shapely.MultiPolygon([outline, shapely.box(x - 50.0, y, x - 10.0, y + 1.0)]),
            3: shapely.LineString([(x, y), (x + size, y), (x, y + 7.0)]),
            4: shapely.Point(x, y),
            5: shapely.MultiPolygon([holed, shapely.box(x, y - 9, x + 1, y - 1)]),
        }
        shapes.append(kinds[draw(st.integers(0, 5))])
    names = draw(st.lists(st.text(max_size=12), min_size=len(shapes), max_size=len(shapes)))
    return gpd.GeoDataFrame({"name": names}, geometry=shapes, crs="EPSG:4523")


@given(drawn_plots(), st.sampled_from(["EPSG:4523", "EPSG:4544", "EPSG:4496"]))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_again(frame: gpd.GeoDataFrame, code: str) -> None:
    """Text -> plots -> text, to the millimetre, in whatever zone; the second text is the first."""
    shift = {"EPSG:4523": 0.0, "EPSG:4544": -35e6, "EPSG:4496": -17e6}[code]
    frame = frame.set_geometry(frame.geometry.translate(shift), crs=code)
    written = write_plots(frame, CRS(code))
    plots = read_plots(written, "x")
    assert why(plots) == [""] * len(frame)
    assert plots.crs == CRS(code)
    assert shapely.equals_exact(
        plots.geometries, np.asarray(frame.geometry.values), tolerance=6e-4, normalize=True
    ).all()
    again = framed(plots).assign(plot=plots.frame["plot"])
    assert write_plots(again, CRS(code), plots.header) == written


def test_writing_refuses_what_the_format_cannot_say() -> None:
    frame = gpd.GeoDataFrame({"name": ["a", "b", "c"]}, geometry=[None, shapely.box(0, 0, 1, 1), shapely.Point()])
    with pytest.raises(OutputError) as error:
        write_plots(frame.set_crs("EPSG:4523"), CRS("EPSG:4523"))
    assert [fault.where for fault in error.value.faults] == ["0", "2"]
    for code in ("EPSG:4490", "EPSG:32648", "EPSG:2359"):
        with pytest.raises(CRSError, match="Gauss-Kruger"):
            write_plots(frame, CRS(code))


def test_an_absent_area_is_written_as_the_planar_one() -> None:
    frame = gpd.GeoDataFrame({"plot": ["9"]}, geometry=[shapely.box(E, N, E + 100, N + 123.4)], crs="EPSG:4523")
    assert "5,1.2340,9,,面,,,,@" in write_plots(frame, CRS("EPSG:4523"))


def test_a_plot_without_points_says_nothing_of_the_others(tmp_path: Path) -> None:
    """It is refused, the others are read; where no plot has any, that is the reason, not exchanged axes."""
    path = tmp_path / "plots.txt"
    path.write_text(text(square(), square(south=300), ["0,1.0,9,n,面,,,,@"]), "utf-8")
    sites = place(read_sites(path), ANALYSIS)
    assert (len(sites), [reason.key for reason in sites.rejected["reason"]]) == (2, ["txt.no_points"])
    path.write_text(text(["0,1.0,9,n,面,,,,@"]), "utf-8")
    with pytest.raises(SitesError) as caught:
        read_sites(path)
    assert [fault.key for fault in caught.value.faults] == ["txt.no_points"]


# ---------------------------------------------------------------------------------------------- any text


ODD = ["@", ",", "J1,1", "5,1,1,n,线,,,,@", "[", "]", "", "=", "带号=", "J1,2,3,4", "一"]
PIECES = st.sampled_from([*text(square(), square(south=300)).splitlines(), *ODD])


@hypothesis.example(["[属性描述]", "坐标系=2000国家大地坐标系", "5,1,1,n,线,,,,@"])  # no place at all, so no zone
@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=25))
@settings(max_examples=150, deadline=None)
def test_any_lines_give_plots_or_a_named_error(lines: list[str]) -> None:
    try:
        plots = read_plots("\n".join(lines), "x")
    except SitesError as error:
        assert error.faults  # noqa: PT017 - the other branch is a pass as well
        return
    assert len(plots.frame) == len(plots.geometries) == len(plots.reasons) > 0
    for shape, reason in zip(plots.geometries, plots.reasons, strict=True):
        assert (shape is None) != (reason is None)
        assert shape is None or np.isfinite(shapely.bounds(shape)).all()
    assert all(fault.text("zh") for fault in plots.remarks)
    assert plots.crs is not None or plots.stated.faults
    if plots.crs is not None:
        assert len(plots.areas(ANALYSIS)) == len(plots.frame)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_mutated_text_never_loses_a_plot_unseen(data: st.DataObject) -> None:
    """One character changed, dropped or doubled: both plots are there, or something is said."""
    whole = text(square(), square("5,1.0000,2,二号,面,,,,@", south=300))
    at = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.sampled_from(["", "，", "9", "\n", "@", "x", whole[at] * 2]))
    try:
        plots = read_plots(whole[:at] + new + whole[at + 1 :], "x")
    except SitesError as error:
        assert error.faults  # noqa: PT017 - the other branch is a pass as well
        return
    clean = not plots.remarks and not any(why(plots)) and not plots.stated.remarks and not plots.stated.faults
    if clean and len(plots.frame) != 2:
        pytest.fail("a plot is gone and nothing was said")
