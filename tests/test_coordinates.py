"""Which CRS coordinates are in: what is stated, what would fit, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geojw.errors import CRSError
from geojw.intake.coordinates import Extent, candidates, settle
from geojw.intake.datums import (
    GEOGRAPHIC,
    datum_named,
    datums,
    grids,
    header_crs,
    judge,
    recognise,
    sizes,
)
from geojw.measure.geodesy import AnalysisCRS, reproject

CENTRE = (106.32, 29.50)
ANALYSIS = AnalysisCRS(*CENTRE)
EXTENT = Extent(ANALYSIS, shapely.box(-8000, -12000, 8000, 12000))
LONLAT = np.array([[106.30, 29.48], [106.33, 29.52], [106.36, 29.55]])


def esri(name: str, easting: float, meridian: float, datum: str = "D_China_2000") -> str:
    """A ``.prj`` as ESRI writes it."""
    spheroid = {
        "D_China_2000": '"CGCS2000",6378137.0,298.257222101',
        "D_Xian_1980": '"Xian_1980",6378140.0,298.257',
        "D_Beijing_1954": '"Krasovsky_1940",6378245.0,298.3',
    }[datum]
    return (
        f'PROJCS["{name}",GEOGCS["GCS_of_{datum}",DATUM["{datum}",SPHEROID[{spheroid}]],PRIMEM["Greenwich",0.0],'
        f'UNIT["Degree",0.0174532925199433]],PROJECTION["Gauss_Kruger"],PARAMETER["False_Easting",{easting}],'
        f'PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",{meridian}],PARAMETER["Scale_Factor",1.0],'
        'PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
    )


def placed(code: str) -> np.ndarray[Any, Any]:
    """The test's positions in a CRS, east first."""
    return np.column_stack(Transformer.from_crs(4490, code, always_xy=True).transform(*LONLAT.T))


def keys(error: CRSError) -> list[str]:
    return [fault.key for fault in error.faults]


# ---------------------------------------------------------------------------------------------- what is stated


def test_every_code_of_the_arithmetic_is_the_grid_of_the_epsg_dataset() -> None:
    """All 64 zones: number, width, false easting and central meridian as PROJ's EPSG dataset has them."""
    assert len(grids()) == 64
    for code, grid in grids():
        crs = CRS(code)
        facts = {p.name: p.value for p in crs.coordinate_operation.params}
        assert facts["Longitude of natural origin"] == grid.meridian, code
        assert facts["False easting"] == grid.false_easting_m, code
        assert ("3-degree" in crs.name) == (grid.degrees == 3), code
        assert crs.datum.name == "China 2000"


@pytest.mark.parametrize(
    ("name", "easting", "meridian", "code"),
    [
        ("CGCS2000_3_Degree_GK_CM_105E", 500000.0, 105.0, "EPSG:4544"),
        ("CGCS2000_3_Degree_GK_Zone_35", 35500000.0, 105.0, "EPSG:4523"),
        ("CGCS2000_GK_CM_105E", 500000.0, 105.0, "EPSG:4507"),
        ("CGCS2000_GK_Zone_18", 18500000.0, 105.0, "EPSG:4496"),
        ("我的投影", 35500000.0, 105.0, "EPSG:4523"),
        ("renamed by somebody", 500000.0, 108.0, "EPSG:4545"),
    ],
)
def test_a_prj_of_esri_is_recognised_by_name_or_parameters(
    name: str, easting: float, meridian: float, code: str
) -> None:
    stated = recognise(esri(name, easting, meridian), "x.prj")
    assert (stated.code, stated.datum, stated.faults) == (code, "cgcs2000", ())
    assert stated.crs == CRS(code)


def test_a_cgcs2000_grid_of_its_own_meridian_keeps_its_parameters() -> None:
    stated = recognise(esri("local meridian", 500000.0, 106.5), "x.prj")
    assert stated.code == ""
    assert stated.faults == ()
    assert stated.crs is not None
    assert stated.crs.coordinate_operation.params[1].value == 106.5


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        ('"Scale_Factor",1.0', '"Scale_Factor",0.9996'),
        ('"Latitude_Of_Origin",0.0', '"Latitude_Of_Origin",29.0'),
        ('"False_Northing",0.0', '"False_Northing",-3000000.0'),
        ('UNIT["Meter",1.0]', 'UNIT["Kilometer",1000.0]'),
    ],
)
def test_a_grid_that_only_looks_like_the_standard_one_is_not_taken_for_it(plain: str, other: str) -> None:
    stated = recognise(esri("CGCS2000_3_Degree_GK_CM_105E", 500000.0, 105.0).replace(plain, other), "x.prj")
    assert (stated.code, stated.datum) == ("", "cgcs2000")
    assert stated.crs is not None
    at = np.array([[500_000.0, 3_265_000.0]])
    assert np.abs(reproject(at, stated.crs.to_wkt(), GEOGRAPHIC) - reproject(at, "EPSG:4544", GEOGRAPHIC)).max() > 0.01


@pytest.mark.parametrize(
    ("text", "datum", "key"),
    [
        ("EPSG:4610", "xian80", "coords.datum_refused"),
        ("EPSG:2359", "xian80", "coords.datum_refused"),
        ("EPSG:4214", "beijing54", "coords.datum_refused"),
        ("EPSG:2411", "beijing54", "coords.datum_refused"),
        ("EPSG:4555", "new_beijing", "coords.datum_refused"),
        (esri("Xian_1980_3_Degree_GK_Zone_35", 35500000.0, 105.0, "D_Xian_1980"), "xian80", "coords.datum_refused"),
        (esri("anything", 500000.0, 105.0, "D_Beijing_1954"), "beijing54", "coords.datum_refused"),
        ("+proj=tmerc +lon_0=105 +x_0=500000 +ellps=krass +towgs84=1,2,3,0,0,0,0", "unknown", "coords.datum_unknown"),
        ("+proj=tmerc +lon_0=106.5 +x_0=500000 +ellps=GRS80", "unknown", "coords.datum_unknown"),
        ("EPSG:4267", "other", "coords.datum_refused"),
        ("EPSG:4258", "other", "coords.datum_refused"),
        ('LOCAL_CS["Nonearth",LOCAL_DATUM["Local Datum",32767],UNIT["Meter",1.0]]', "local", "coords.local_grid"),
        ("EPSG:4978", "local", "coords.local_grid"),
        ("no such thing", "unknown", "crs_unreadable"),
        ("", "unknown", "crs_unreadable"),
        ("CGCS 2000 / 3-degree Gauss-Kruger CM 105", "unknown", "crs_unreadable"),  # PROJ would guess one
        ("+init=epsg:4490", "unknown", "crs_unreadable"),
        ("+proj=longlat +ellps=GRS80 +nadgrids=some/file", "unknown", "crs_unreadable"),
    ],
)
def test_other_datums_are_named_and_refused(text: str, datum: str, key: str) -> None:
    """PROJ itself would take all of them for CGCS2000 without a word."""
    stated = recognise(text, "x.prj")
    assert (stated.datum, [fault.key for fault in stated.faults]) == (datum, [key])


def test_every_crs_of_the_epsg_dataset_on_a_refused_datum_is_refused() -> None:
    """Xi'an 1980, Beijing 1954 and New Beijing: each geographic and projected CRS there is."""
    from pyproj.database import query_crs_info  # noqa: PLC0415

    heads = ("Xian 1980", "Beijing 1954", "New Beijing")
    found = [info for info in query_crs_info(auth_name="EPSG", allow_deprecated=True) if info.name.startswith(heads)]
    assert len(found) > 200
    assert all(judge(CRS(f"EPSG:{info.code}"), "x").faults for info in found)


def test_a_name_that_lies_about_its_ellipsoid_is_no_cgcs2000() -> None:
    lying = esri("CGCS2000_3_Degree_GK_CM_105E", 500000.0, 105.0, "D_Beijing_1954")
    assert recognise(lying, "x.prj").faults
    lying = esri("x", 500000.0, 105.0).replace("6378137.0,298.257222101", "6378245.0,298.3")
    assert recognise(lying, "x.prj").datum == "other"


def test_wgs84_is_taken_as_cgcs2000_and_said_so() -> None:
    for text in ("EPSG:4326", "EPSG:32648", "EPSG:3857"):
        stated = recognise(text, "x")
        assert (stated.datum, stated.faults, [f.key for f in stated.remarks]) == ("wgs84", (), ["coords.as_cgcs2000"])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("2000国家大地坐标系", "cgcs2000"),
        ("CGCS2000", "cgcs2000"),
        ("国家2000坐标系", "cgcs2000"),
        ("ＣＧＣＳ２０００", "cgcs2000"),
        ("1980西安坐标系", "xian80"),
        ("80国家大地坐标系", "xian80"),
        ("西安80", "xian80"),
        ("1980年国家大地坐标系", "xian80"),
        ("Xi'an 80", "xian80"),
        ("1954年北京坐标系", "beijing54"),
        ("北京54", "beijing54"),
        ("新北京54", "new_beijing"),
        ("WGS_1984", "wgs84"),
        ("重庆独立坐标系", "local"),
        ("", ""),
        ("某坐标系", ""),
    ],
)
def test_datums_are_known_by_the_names_that_offices_write(text: str, key: str) -> None:
    assert datum_named(text) == key


def test_uncertain_offsets_have_a_figure() -> None:
    assert {key: row.uncertainty_m for key, row in datums().offset.items()} == {"gcj02": 5.0, "bd09": 10.0}


# ---------------------------------------------------------------------------------------------- a header

HEADER = {"坐标系": "2000国家大地坐标系", "几度分带": "3", "投影类型": "高斯克吕格", "计量单位": "米", "带号": "35"}


@pytest.mark.parametrize(
    ("change", "code", "grid", "remarks"),
    [
        ({}, "EPSG:4523", "EPSG:4523", []),
        ({}, "EPSG:4544", "EPSG:4544", ["coords.header_prefix_absent"]),
        ({"带号": ""}, "EPSG:4523", "EPSG:4523", ["coords.header_assumed"]),
        ({"几度分带": ""}, "EPSG:4523", "EPSG:4523", ["coords.header_assumed"]),
        ({"几度分带": "6", "带号": "18"}, "EPSG:4496", "EPSG:4496", []),
        ({"几度分带": "六度", "带号": "１８"}, "EPSG:4507", "EPSG:4507", ["coords.header_prefix_absent"]),
        ({"几度分带": "三度分带"}, "EPSG:4523", "EPSG:4523", []),
        ({"计量单位": "", "投影类型": ""}, "EPSG:4523", "EPSG:4523", ["coords.header_assumed"] * 2),
        ({"转换参数": ",,,,,,"}, "EPSG:4523", "EPSG:4523", []),
        ({"转换参数": "0,0,0,0,0，0,0"}, "EPSG:4523", "EPSG:4523", []),
        ({"投影类型": "高斯-克吕格投影"}, "EPSG:4523", "EPSG:4523", []),
        ({"投影类型": "Gauss-Kruger"}, "EPSG:4523", "EPSG:4523", []),
        ({"坐标系": "WGS84"}, "EPSG:4523", "EPSG:4523", ["coords.as_cgcs2000"]),
    ],
)
def test_a_header_settles_the_crs(change: dict[str, str], code: str, grid: str, remarks: list[str]) -> None:
    stated = header_crs({**HEADER, **change}, placed(grid), "x.txt")
    assert [fault.text("zh") for fault in stated.faults] == []
    assert (stated.code, [fault.key for fault in stated.remarks]) == (code, remarks)
    assert stated.crs == CRS(code)


@pytest.mark.parametrize(
    ("change", "grid", "fault"),
    [
        ({"坐标系": "1980西安坐标系"}, "EPSG:4523", "coords.datum_refused"),
        ({"坐标系": "1954北京坐标系"}, "EPSG:4523", "coords.datum_refused"),
        ({"坐标系": "城市坐标系"}, "EPSG:4523", "coords.datum_refused"),
        ({"坐标系": "某某"}, "EPSG:4523", "coords.datum_unknown"),
        ({"坐标系": ""}, "EPSG:4523", "coords.header_missing"),
        ({"带号": ""}, "EPSG:4544", "coords.header_missing"),
        ({"带号": "36"}, "EPSG:4523", "coords.header_zone_differs"),
        ({"带号": "105"}, "EPSG:4544", "coords.header_zone_range"),
        ({"几度分带": "6"}, "EPSG:4523", "coords.header_zone_range"),
        ({"几度分带": "1.5"}, "EPSG:4523", "coords.header_value"),
        ({"带号": "三十五"}, "EPSG:4523", "coords.header_value"),
        ({"带号": "35.5"}, "EPSG:4523", "coords.header_value"),
        ({"计量单位": "度"}, "EPSG:4523", "coords.header_unit"),
        ({"计量单位": "千米"}, "EPSG:4523", "coords.header_unit"),
        ({"投影类型": "UTM"}, "EPSG:4523", "coords.header_projection"),
        ({"转换参数": "1.2,0,0,0,0,0,0"}, "EPSG:4523", "coords.header_parameters"),
        ({"转换参数": "七参数"}, "EPSG:4523", "coords.header_parameters"),
        ({}, "EPSG:4490", "coords.header_unit"),
    ],
)
def test_a_header_that_cannot_be_trusted_is_refused(change: dict[str, str], grid: str, fault: str) -> None:
    stated = header_crs({**HEADER, **change}, placed(grid), "x.txt")
    assert [one.key for one in stated.faults] == [fault]
    assert stated.crs is None
    assert all(one.text(lang) for one in stated.faults for lang in ("zh", "en"))


def test_all_faults_of_a_header_come_at_once() -> None:
    bad = {"坐标系": "西安80", "计量单位": "度", "投影类型": "UTM", "带号": "x", "转换参数": "1"}
    assert len(header_crs(bad, placed("EPSG:4523"), "x.txt").faults) == 5


def test_exchanged_columns_and_mixed_prefixes_of_a_text_are_refused() -> None:
    swapped = header_crs(HEADER, placed("EPSG:4523")[:, ::-1], "x")
    assert [fault.key for fault in swapped.faults] == ["coords.header_swapped"]
    both = np.concatenate([placed("EPSG:4523"), placed("EPSG:4544")])
    assert [fault.key for fault in header_crs(HEADER, both, "x").faults] == ["coords.mixed"]


# ---------------------------------------------------------------------------------------------- what would fit


def test_eight_digits_give_the_zone_and_still_no_answer() -> None:
    found = candidates(placed("EPSG:4523"), EXTENT)
    near = [one for one in found if one.lies_in_zone]
    assert [one.code for one in near] == ["EPSG:4523"]
    with pytest.raises(CRSError) as error:
        settle(None, None, placed("EPSG:4523"), EXTENT, "x.shp")
    assert keys(error.value) == ["coords.unstated_near", "coords.by_prefix"]
    assert "EPSG:4523" in error.value.text("zh")
    assert "--crs" in error.value.text("en")


def test_six_digits_leave_meridian_width_and_utm_open() -> None:
    found = {one.code: one for one in candidates(placed("EPSG:4544"), EXTENT) if not one.swapped}
    assert found["EPSG:4544"].lies_in_zone
    assert found["EPSG:4507"].lies_in_zone  # the 6-degree zone of the same meridian: the same coordinates
    assert found["EPSG:32648"].distance_to_zone_km < 2.0  # UTM: about 1.3 km farther north
    assert not found["EPSG:4545"].lies_in_zone
    assert found["EPSG:4545"].distance_to_zone_km == pytest.approx(281, abs=5)
    with pytest.raises(CRSError) as error:
        settle(None, None, placed("EPSG:4544"), EXTENT, "x.shp")
    assert keys(error.value)[0] == "coords.unstated_near"
    assert {fault.where for fault in error.value.faults[1:]} == {"EPSG:4544", "EPSG:4507", "EPSG:32648"}


def test_degrees_are_offered_with_the_warning_of_offsets() -> None:
    with pytest.raises(CRSError) as error:
        settle(None, None, LONLAT, EXTENT, "x.csv")
    assert keys(error.value) == ["coords.unstated_near", "coords.by_degrees"]
    assert "GCJ-02" in error.value.text("en")


def test_web_mercator_is_told_from_a_zone_prefix() -> None:
    found = [one for one in candidates(placed("EPSG:3857"), EXTENT) if one.lies_in_zone]
    assert [one.code for one in found] == ["EPSG:3857"]


def test_nothing_fits_is_said() -> None:
    with pytest.raises(CRSError) as error:
        settle(None, None, np.array([[1234.5, 678.9], [1300.0, 700.0]]), EXTENT, "x.dxf")
    assert keys(error.value) == ["coords.unstated"]
    assert candidates(np.full((3, 2), np.nan), EXTENT) == ()


@settings(max_examples=60)
@given(st.sampled_from([code for code, _ in grids() if int(code[5:]) in (4523, 4524, 4544, 4545, 4496, 4507)]))
def test_the_true_crs_is_always_among_the_candidates_near(code: str) -> None:
    near = [one for one in candidates(placed(code), EXTENT) if one.distance_to_zone_km * 1000.0 <= EXTENT.reach_m]
    assert code in [one.code for one in near]
    assert near == sorted(near, key=lambda one: one.distance_to_zone_km)


def test_candidates_are_ranked_by_distance_and_given_axes_first() -> None:
    found = candidates(placed("EPSG:4544"), EXTENT)
    away = [one.distance_to_zone_km for one in found]
    assert away[: sum(one.lies_in_zone for one in found)] == [0.0] * sum(one.lies_in_zone for one in found)
    assert not found[0].swapped


# ---------------------------------------------------------------------------------------------- what is settled


def test_what_is_stated_and_lies_in_the_zone_is_used_without_a_word() -> None:
    settled = settle(recognise("EPSG:4523", "x"), None, placed("EPSG:4523"), EXTENT, "x")
    assert (settled.code, settled.remarks) == ("EPSG:4523", ())


def test_the_user_overrides_the_file_and_it_is_said() -> None:
    settled = settle(recognise("EPSG:4545", "x"), "EPSG:4544", placed("EPSG:4544"), EXTENT, "x")
    assert settled.code == "EPSG:4544"
    assert [fault.key for fault in settled.remarks] == ["coords.overridden"]
    settled = settle(recognise("EPSG:4544", "x"), "EPSG:4544", placed("EPSG:4544"), EXTENT, "x")
    assert settled.remarks == ()


def test_a_refused_datum_stays_refused_by_whoever_says_it() -> None:
    for stated, asked in ((recognise("EPSG:2359", "x"), None), (None, "EPSG:2359")):
        with pytest.raises(CRSError) as error:
            settle(stated, asked, placed("EPSG:4523"), EXTENT, "x")
        assert keys(error.value) == ["coords.datum_refused"]


@pytest.mark.parametrize("code", ["EPSG:4490", "EPSG:4523", "EPSG:4544", "EPSG:3857"])
def test_exchanged_axes_are_refused_with_the_remedy(code: str) -> None:
    with pytest.raises(CRSError) as error:
        settle(recognise(code, "x"), None, placed(code)[:, ::-1], EXTENT, "x")
    assert keys(error.value) == ["coords.swapped"]
    assert "exchange" in error.value.text("en")


@pytest.mark.parametrize(
    ("said", "true"),
    [("EPSG:4544", "EPSG:4523"), ("EPSG:4523", "EPSG:4544"), ("EPSG:4490", "EPSG:4544"), ("EPSG:4544", "EPSG:4490"),
     ("EPSG:4490", "EPSG:4523"), ("EPSG:4524", "EPSG:4523"), ("EPSG:4490", "EPSG:3857")],
)  # fmt: skip
def test_coordinates_that_contradict_what_is_stated_are_refused(said: str, true: str) -> None:
    """A prefix that is there or is not, degrees for metres: the stated CRS cannot be true."""
    with pytest.raises(CRSError) as error:
        settle(recognise(said, "x"), None, placed(true), EXTENT, "x")
    assert keys(error.value) == ["coords.contradicts"]
    assert true in error.value.text("en")


def test_another_meridian_is_a_remark_since_the_file_may_lie_there() -> None:
    settled = settle(recognise("EPSG:4545", "x"), None, placed("EPSG:4544"), EXTENT, "x")
    assert [fault.key for fault in settled.remarks] == ["coords.elsewhere_but"]
    assert "EPSG:4544" in settled.remarks[0].text("zh")
    far = settle(recognise("EPSG:4490", "x"), None, LONLAT + np.array([10.0, 0.0]), EXTENT, "x")
    assert [fault.key for fault in far.remarks] == ["coords.elsewhere"]


def test_a_file_of_several_kinds_of_coordinates_is_refused() -> None:
    both = np.concatenate([placed("EPSG:4523"), placed("EPSG:4544")])
    for asked in ("EPSG:4544", None):
        with pytest.raises(CRSError) as error:
            settle(None, asked, both, EXTENT, "x")
        assert keys(error.value) == ["coords.mixed"]


@pytest.mark.parametrize("odd", [[0.0, 0.0], [106.3, 29.5], [35_624_000.0, 3_265_000.0], [3_265_000.0, 624_000.0]])
def test_a_few_rows_of_another_kind_are_said_and_lie_far_away(odd: list[float]) -> None:
    rows = np.concatenate([placed("EPSG:4544"), [odd]])
    settled = settle(recognise("EPSG:4544", "x"), None, rows, EXTENT, "x")
    assert [(fault.key, fault.fields["n"]) for fault in settled.remarks] == [("coords.mixed_rows", 1)]
    assert EXTENT.distance_m(np.array([odd]), settled.crs) > 2e6  # intake rejects them one by one


def test_size_tells_nothing_around_an_origin() -> None:
    """In the analysis CRS itself a site near the centre has numbers as small as degrees."""
    rows = np.array([[10.0, 20.0], [5000.0, 7000.0], [-3.0, 4.0], [6000.0, -90.0]])
    settled = settle(recognise(ANALYSIS.crs.to_wkt(), "x"), None, rows, EXTENT, "x")
    assert settled.remarks == ()


def test_without_a_zone_nothing_is_held_against_it() -> None:
    assert settle(recognise("EPSG:4490", "x"), None, LONLAT[:, ::-1], None, "x").remarks == ()
    assert settle(recognise(GEOGRAPHIC, "x"), None, np.empty((0, 2)), EXTENT, "x").remarks == ()


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True)),
        max_size=5,
    ),
    st.sampled_from([None, "EPSG:4490", "EPSG:4523", "EPSG:4326", "EPSG:2359"]),
)
@settings(max_examples=80, deadline=None)
def test_any_numbers_give_a_crs_or_a_named_error(rows: list[tuple[float, float]], code: str | None) -> None:
    xy = np.array(rows, dtype=float).reshape(-1, 2)
    assert len(sizes(xy)) == len(xy)
    try:
        settled = settle(recognise(code, "x") if code else None, None, xy, EXTENT, "x")
    except CRSError as error:
        told = [fault.text(lang) for fault in error.faults for lang in ("zh", "en")]
    else:
        told = [settled.code]
        assert settled.crs == CRS(code)
    assert all(told)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_prj_is_recognised_or_faulted(data: st.DataObject) -> None:
    """A ``.prj`` cut, with a piece doubled, or with a character changed."""
    text = esri("CGCS2000_3_Degree_GK_CM_105E", 500000.0, 105.0)
    at, to = (data.draw(st.integers(0, len(text))) for _ in range(2))
    text = text[:at] + data.draw(st.sampled_from(["", "[", "]", ",", '"', "9", "坐", text[to : to + 30]])) + text[to:]
    stated = recognise(text, "x")
    assert (stated.crs is not None) or stated.faults
    assert stated.datum in {*datums().datum, "other", "unknown"}


def test_a_name_is_taken_only_if_it_is_the_same() -> None:
    assert recognise("WGS84", "x").datum == "wgs84"
    assert recognise("CGCS2000 / 3-degree Gauss-Kruger CM 105E", "x").code == "EPSG:4544"
