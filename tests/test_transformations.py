"""Coordinates moved to CGCS2000: offsets of map services, given transformations, control points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geojw.errors import CRSError
from geojw.intake.control_points import Similarity, _f_quantile, fit_control, read_control
from geojw.intake.datums import recognise
from geojw.intake.transformations import (
    SevenParameters,
    read_transformation,
    shifted,
    transform,
    undo_offset,
    unshifted,
)
from geojw.measure.geodesy import ELLIPSOID

CGCS = CRS("EPSG:4490")

# WGS 84, GCJ-02, BD-09 as another library computes them: geocoordinates-rs 0.14.2 (Rust, MIT or Apache-2.0).
REFERENCE = [
    ((106.3, 29.5), (106.30382118634763, 29.497304634820132), (106.31024471243698, 29.50351083871574)),
    ((106.25, 29.62), (106.25376512055146, 29.61730281868446), (106.26033140501481, 29.62299591063112)),
    ((106.41, 29.33), (106.41400712597223, 29.327356038071997), (106.42050065393843, 29.333425795266326)),
    ((116.4, 39.9), (116.40624278491117, 39.901403529849404), (116.41262802928223, 39.90773378164862)),
    ((87.6, 43.8), (87.60283897227161, 43.80121203029208), (87.60921015182171, 43.80747250765041)),
]

IN_CHINA = st.tuples(st.floats(98.0, 120.0), st.floats(24.0, 42.0))


def keys(run: Callable[[], object]) -> list[str]:
    with pytest.raises(CRSError) as error:
        run()
    assert all(fault.text(lang) for fault in error.value.faults for lang in ("zh", "en"))
    return [fault.key for fault in error.value.faults]


def metres(a: Any, b: Any) -> np.ndarray[Any, Any]:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return np.asarray(ELLIPSOID.inv(a[:, 0], a[:, 1], b[:, 0], b[:, 1])[2])


# ---------------------------------------------------------------------------------------------- map services


def test_the_offsets_are_those_of_another_library() -> None:
    true, gcj, bd = (np.array([row[at] for row in REFERENCE]) for at in range(3))
    for offset, moved in (("gcj02", gcj), ("bd09", bd)):
        assert metres(shifted(true, offset), moved).max() < 1e-6
        assert metres(unshifted(moved, offset), true).max() < 1e-5


@given(st.lists(IN_CHINA, min_size=1, max_size=20), st.sampled_from(["gcj02", "bd09"]))
@settings(max_examples=60, deadline=None)
def test_undoing_an_offset_comes_back_to_a_tenth_of_a_millimetre(rows: list[tuple[float, float]], offset: str) -> None:
    lonlat = np.array(rows)
    there = shifted(lonlat, offset)
    assert metres(there, lonlat).max() < 2500.0
    assert metres(unshifted(there, offset), lonlat).max() < 1e-4
    assert metres(shifted(unshifted(lonlat, offset), offset), lonlat).max() < 1e-4


def test_here_gcj02_lies_480_m_off_and_bd09_a_kilometre() -> None:
    true = np.array([row[0] for row in REFERENCE[:3]])
    assert metres(shifted(true, "gcj02"), true) == pytest.approx([480, 480, 490], abs=12)
    assert metres(shifted(true, "bd09"), true) == pytest.approx([1070, 1050, 1090], abs=30)


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize(("offset", "bound_m"), [("gcj02", 5.0), ("bd09", 10.0)])
def test_sites_of_a_map_service_come_to_their_true_place(crs: str, offset: str, bound_m: float) -> None:
    true = shapely.box(106.30, 29.50, 106.302, 29.502)
    there = shapely.transform(shapely.segmentize(true, 1e-4), lambda xy: shifted(xy, offset))
    to_crs = Transformer.from_crs(4326, crs, always_xy=True)
    sites = np.array([shapely.transform(there, to_crs.transform, interleaved=False)], dtype=object)
    before = shapely.to_wkb(sites[0])
    moved = undo_offset(sites, CRS(crs), offset, "x.json")
    assert moved.crs == CGCS
    assert shapely.hausdorff_distance(moved.geometries[0], true) < 1e-9
    assert list(moved.accuracy_m) == [bound_m]
    assert "screening only" in moved.remarks[0].text("en")
    assert shapely.to_wkb(sites[0]) == before


def test_long_edges_are_straight_on_the_map_of_the_service() -> None:
    """An edge of 2 km drawn on the map bends once the offset is undone: points are put in before."""
    line = np.array([shapely.LineString([(106.30, 29.50), (106.32, 29.50)])], dtype=object)
    moved = undo_offset(line, CGCS, "gcj02", "x").geometries[0]
    middle = unshifted(np.array([[106.31, 29.50]]), "gcj02")[0]
    assert shapely.get_num_points(moved) > 10
    assert shapely.distance(moved, shapely.Point(middle)) * 111_000.0 < 0.01
    straight = shapely.LineString(shapely.get_coordinates(moved)[[0, -1]])
    assert shapely.distance(straight, shapely.Point(middle)) * 111_000.0 > 0.05


def test_an_offset_that_cannot_be_is_refused() -> None:
    here = np.array([shapely.box(106.30, 29.50, 106.302, 29.502)], dtype=object)
    assert keys(lambda: undo_offset(here, CRS("EPSG:4544"), "gcj02", "x")) == ["coords.offset_crs"]
    for lon, lat in ((-2.3, 53.4), (139.7, 35.7), (106.3, -29.5)):
        there = np.array([*here, shapely.Point(lon, lat)], dtype=object)
        assert keys(lambda there=there: undo_offset(there, CGCS, "gcj02", "x")) == ["coords.offset_nowhere"]
    assert len(undo_offset(here[:0], CGCS, "bd09", "x").geometries) == 0


# ---------------------------------------------------------------------------------------------- given transformations


def helmert_by_hand(lonlat: np.ndarray[Any, Any], seven: SevenParameters) -> np.ndarray[Any, Any]:
    """Bursa-Wolf by its matrix, from the Xi'an 1980 ellipsoid to that of CGCS2000."""
    to_earth = Transformer.from_pipeline("+proj=cart +a=6378140 +rf=298.257")
    back = Transformer.from_pipeline("+proj=cart +a=6378137 +rf=298.257223563 +inv")
    radians = np.radians(lonlat)
    xyz = np.array(to_earth.transform(radians[:, 0], radians[:, 1], np.zeros(len(lonlat)), radians=True))
    sign = 1.0 if seven.convention == "position_vector" else -1.0
    rx, ry, rz = sign * np.radians(np.array(seven.rotation_arcsec) / 3600.0)
    turn = np.array([[1.0, -rz, ry], [rz, 1.0, -rx], [-ry, rx, 1.0]])
    moved = np.array(seven.shift_m)[:, None] + (1.0 + seven.scale_ppm * 1e-6) * turn @ xyz
    return np.degrees(np.array(back.transform(*moved, radians=True))[:2].T)


@pytest.mark.parametrize("convention", ["position_vector", "coordinate_frame"])
def test_seven_parameters_by_hand(convention: str) -> None:
    given_ = read_transformation(f"{convention}, 12.5,-130.1,-55.7, 1.2,-0.8,2.1, 3.4", "--transform")
    assert isinstance(given_, SevenParameters)
    lonlat = np.array([[106.3, 29.5], [106.4, 29.6]])
    moved = transform(shapely.points(lonlat), recognise("EPSG:4610", "x"), given_, CGCS, 0.5, "x")
    assert metres(shapely.get_coordinates(moved.geometries), helmert_by_hand(lonlat, given_)).max() < 1e-3
    assert 30.0 < metres(shapely.get_coordinates(moved.geometries), lonlat).max() < 250.0
    assert (moved.crs, list(moved.accuracy_m)) == (CGCS, [0.5, 0.5])
    assert [fault.key for fault in moved.remarks] == ["coords.transformed"]
    # the same points in the plane of Xi'an 1980
    plane = np.column_stack(Transformer.from_crs(4610, 2359, always_xy=True).transform(*lonlat.T))
    again = transform(shapely.points(plane), recognise("EPSG:2359", "x"), given_, CGCS, None, "x")
    assert metres(*(shapely.get_coordinates(one.geometries) for one in (again, moved))).max() < 1e-3
    assert np.isnan(again.accuracy_m).all()
    assert [fault.key for fault in again.remarks] == ["coords.transformed_unknown"]


def test_the_two_conventions_are_not_the_same() -> None:
    lonlat = shapely.points([[106.3, 29.5]])
    a, b = (
        transform(
            lonlat, recognise("EPSG:4610", "x"), read_transformation(f"{name},0,0,0,0,0,3,0", "x"), CGCS, 1.0, "x"
        )
        for name in ("position_vector", "coordinate_frame")
    )
    apart = metres(shapely.get_coordinates(a.geometries), shapely.get_coordinates(b.geometries))
    assert apart[0] > 100.0


def test_a_pipeline_leads_to_the_crs_that_is_said() -> None:
    given_ = read_transformation("+proj=affine +xoff=35500000 +yoff=3000000", "--transform")
    site = np.array([shapely.box(0, 0, 1000, 10)], dtype=object)
    moved = transform(site, None, given_, CRS("EPSG:4523"), 0.1, "x")
    assert moved.geometries[0].bounds == (35_500_000.0, 3_000_000.0, 35_501_000.0, 3_000_010.0)
    assert shapely.get_num_coordinates(moved.geometries[0]) > 5  # long edges are split where they are straight
    assert moved.crs == CRS("EPSG:4523")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("position_vector,1,2,3", "coords.seven"),
        ("position_vector,1,2,3,4,5,6,seven", "coords.seven"),
        ("position_vector,1,2,3,4,5,6,nan", "coords.seven"),
        ("1,2,3,4,5,6,7", "coords.seven"),  # which convention?
        ("", "coords.seven"),
        ("+proj=pipeline +step +proj=hgridshift +grids=some.gsb", "coords.pipeline_file"),
        ("+proj=vgridshift +grids=@null", "coords.pipeline_file"),
        ("+proj=defmodel +model=x.json", "coords.pipeline_file"),
        ("+proj=tinshift +file=x.json", "coords.pipeline_file"),
        ("+init=epsg:4490 +proj=x", "coords.pipeline_file"),
        ("+proj=affine +xoff=/etc/x", "coords.pipeline_file"),
    ],
)
def test_what_is_no_transformation_is_refused(text: str, key: str) -> None:
    assert keys(lambda: read_transformation(text, "--transform")) == [key]


def test_a_transformation_that_cannot_be_made_is_refused() -> None:
    site = shapely.points([[1e5, 2e5]])
    seven = SevenParameters((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, "position_vector")
    local = recognise('LOCAL_CS["x",LOCAL_DATUM["y",0],UNIT["Meter",1.0]]', "x")
    for stated in (None, local):
        assert keys(lambda stated=stated: transform(site, stated, seven, CGCS, None, "x")) == ["coords.seven_source"]
    assert keys(lambda: transform(site, None, "+proj=nonsense", CGCS, None, "x")) == ["coords.pipeline"]
    nowhere = "+proj=pipeline +step +proj=tmerc +lon_0=105"
    far = shapely.points([[1e5, 2e5], [1e6, 1e9]])
    assert keys(lambda: transform(far, None, nowhere, CGCS, None, "x")) == ["coords.transformed_nowhere"]


# ---------------------------------------------------------------------------------------------- control points

LOCAL = np.array(
    [[50_000.0, 60_000.0], [53_000.0, 60_200.0], [52_800.0, 64_000.0], [49_900.0, 63_500.0], [51_000.0, 62_000.0]]
)
TURN = 1.00002 * np.exp(1j * np.radians(1.5))


def moved_by(local: np.ndarray[Any, Any], turn: complex = TURN) -> np.ndarray[Any, Any]:
    z = (local[:, 0] + 1j * local[:, 1] - (51_000 + 62_000j)) * turn + (35_624_000 + 3_265_000j)
    return np.column_stack([z.real, z.imag])


def control(local: np.ndarray[Any, Any] = LOCAL, target: np.ndarray[Any, Any] | None = None) -> pd.DataFrame:
    goal = moved_by(local) if target is None else target
    return pd.DataFrame(
        np.hstack([local, goal]), columns=["x", "y", "X", "Y"], index=[f"G{n + 1}" for n in range(len(local))]
    )


def test_an_exact_similarity_is_found() -> None:
    fit = fit_control(control(), "c.csv")
    assert fit.scale == pytest.approx(1.00002, abs=1e-9)
    assert fit.rotation_deg == pytest.approx(1.5, abs=1e-7)
    assert fit.rms_m < 1e-6
    site = np.array([shapely.box(50_500, 61_000, 50_700, 61_300)], dtype=object)
    moved = fit.apply(site, CRS("EPSG:4523"), "x")
    np.testing.assert_allclose(
        shapely.get_coordinates(moved.geometries), moved_by(shapely.get_coordinates(site)), rtol=0, atol=1e-6
    )
    assert shapely.area(moved.geometries[0]) == pytest.approx(60_000.0 * 1.00002**2)
    assert (moved.crs, [fault.key for fault in moved.remarks]) == (CRS("EPSG:4523"), ["coords.control_used"])


def test_residuals_and_bound_by_hand() -> None:
    """A square whose opposite corners err alike: no shift, turn or scale takes anything of it away."""
    square = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0]])
    goal = square + np.array([35_500_000.0, 3_000_000.0]) + np.array([[0.1, 0.0], [-0.1, 0.0]] * 2)
    fit = fit_control(control(square, goal), "c")
    np.testing.assert_allclose(fit.points["dx_m"], [0.1, -0.1, 0.1, -0.1], rtol=0, atol=1e-7)
    np.testing.assert_allclose(fit.points["dy_m"], 0.0, rtol=0, atol=1e-7)
    assert fit.rms_m == pytest.approx(0.1)
    # s² = 4 x 0.01 / (8 - 4) = 0.01; F(2, 4) = 6.944; at the centre h = 1/4, at a corner 1/4 + 5000/20000 = 1/2
    moved = fit.apply(shapely.points([[50.0, 50.0], [0.0, 0.0]]), CRS("EPSG:4523"), "x")
    np.testing.assert_allclose(
        moved.accuracy_m, [np.sqrt(2 * 6.944 * 0.01 * 1.25), np.sqrt(2 * 6.944 * 0.01 * 1.5)], rtol=1e-4
    )


def test_the_quantiles_are_those_of_the_tables() -> None:
    """F(2, d) at 5 % from printed tables."""
    assert [round(_f_quantile(0.05, d), 2) for d in (2, 4, 6, 10, 20)] == [19.0, 6.94, 5.14, 4.10, 3.49]


def test_the_stated_uncertainty_holds_19_times_in_20() -> None:
    """With errors of 3 cm in every control point, new points are as far off as the bound says, and no better."""
    rng = np.random.default_rng(7)
    target = CRS("EPSG:4523")
    for count in (3, 5):
        inside, runs = 0, 400
        for _ in range(runs):
            goal = moved_by(LOCAL[:count]) + rng.normal(0.0, 0.03, (count, 2))
            try:
                fit = fit_control(control(LOCAL[:count], goal), "c")
            except CRSError as error:
                assert [fault.key for fault in error.faults] == ["coords.control_gross"]  # noqa: PT017 - one in 100
                runs -= 1
                continue
            spot = rng.uniform([50_000, 60_000], [53_000, 64_000])
            moved = fit.apply(shapely.points([spot]), target, "x")
            true = moved_by(spot[None, :])[0] + rng.normal(0.0, 0.03, 2)
            inside += bool(np.hypot(*(shapely.get_coordinates(moved.geometries)[0] - true)) <= moved.accuracy_m[0])
        assert runs > 385
        assert 0.92 <= inside / runs <= 0.985, count


def test_uncertainty_grows_away_from_the_points_and_says_so() -> None:
    goal = moved_by(LOCAL) + np.array([[0.03, 0], [0, -0.02], [-0.01, 0.02], [0.02, 0.02], [-0.03, -0.01]])
    fit = fit_control(control(LOCAL, goal), "c")
    moved = fit.apply(shapely.points([[51_000, 62_000], [51_000, 80_000]]), CRS("EPSG:4523"), "x")
    assert moved.accuracy_m[1] > 3 * moved.accuracy_m[0] > 0.0
    assert [fault.key for fault in moved.remarks] == ["coords.control_used", "coords.control_far"]
    assert "RMS" in moved.remarks[0].text("en")


def test_a_gross_point_is_named() -> None:
    rng = np.random.default_rng(3)
    for at in range(len(LOCAL)):
        goal = moved_by(LOCAL) + rng.normal(0.0, 0.02, LOCAL.shape)
        goal[at] += [30.0, -40.0]
        with pytest.raises(CRSError) as error:
            fit_control(control(LOCAL, goal), "c")
        (fault,) = error.value.faults
        assert (fault.key, fault.fields["name"]) == ("coords.control_gross", f"G{at + 1}")
        assert float(str(fault.fields["m"])) == pytest.approx(50.0, abs=1.0)


def test_innocent_points_are_rarely_called_gross() -> None:
    rng = np.random.default_rng(11)
    named = 0
    for _ in range(500):
        try:
            fit_control(control(LOCAL, moved_by(LOCAL) + rng.normal(0.0, 0.05, LOCAL.shape)), "c")
        except CRSError:
            named += 1
    assert named <= 12  # 1 % is meant


@pytest.mark.parametrize(
    ("points", "key"),
    [
        (lambda: control(LOCAL[:2]), "coords.control_few"),
        (lambda: control(LOCAL[[0, 1, 1, 0]]), "coords.control_few"),
        (lambda: control(LOCAL[:0]), "coords.control_few"),
        (lambda: control(np.array([[0.0, 0.0], [100.0, 100.0], [300.0, 300.5]])), "coords.control_line"),
        (lambda: control(LOCAL, np.repeat(moved_by(LOCAL[:1]), 5, axis=0)), "coords.control_line"),
        (lambda: control(LOCAL[:, ::-1], moved_by(LOCAL)), "coords.control_mirrored"),
        (lambda: control(LOCAL, moved_by(LOCAL)[:, ::-1]), "coords.control_target"),
        (lambda: control(LOCAL, LOCAL / 1e4 + [100.0, 20.0]), "coords.control_target"),
        (lambda: control(LOCAL, moved_by(LOCAL, 3.28 * TURN)), "coords.control_scale"),
        (lambda: control(LOCAL / 1000.0, moved_by(LOCAL)), "coords.control_scale"),
    ],
)
def test_control_points_that_cannot_hold_are_refused(points: Callable[[], pd.DataFrame], key: str) -> None:
    assert keys(lambda: fit_control(points(), "c.csv")) == [key]


def test_control_points_are_read_from_csv() -> None:
    points = read_control("\ufeff点号,x,y,X,Y\nA,1,2,35500001,3000002\nB,3,4.5,35500003,3000004\n", "c.csv")
    assert list(points.index) == ["A", "B"]
    assert points.loc["B", "y"] == 4.5
    assert list(read_control("x,y,X,Y\n1,2,3,4\n", "c").index) == ["1"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["coords.control_columns"]),
        ("x,y\n1,2\n", ["coords.control_columns"]),
        ("x,y,X,Y\n", ["coords.control_columns"]),
        ("x,y,X,Y\n1,2,3,\nnan,2,3,oops\n1,2\n", ["coords.control_number"] * 5),
    ],
)
def test_a_csv_of_control_points_names_every_fault(text: str, found: list[str]) -> None:
    assert keys(lambda: read_control(text, "c.csv")) == found


@given(st.text(alphabet="xyXY,.\n 0123456789e-\"'\x00", max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_csv_gives_points_or_a_named_error(text: str) -> None:
    try:
        fit: Similarity | None = fit_control(read_control("x,y,X,Y\n" + text, "c"), "c")
    except CRSError as error:
        fit = None
        assert all(fault.text("zh") for fault in error.faults)  # noqa: PT017 - the other branch is a pass as well
    assert fit is None or np.isfinite(fit.scale)
