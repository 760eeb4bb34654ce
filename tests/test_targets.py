"""Where a zone stands against its plan: measured, decided and told; figures worked out by hand."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner
from pyproj import Geod, Transformer

import geojw
from geojw.cli import main
from geojw.decide.quantities import MEASURED
from geojw.decide.targets import TARGETS, decide, evaluate
from geojw.errors import Fault, FontError
from geojw.figures import fonts
from geojw.law.catalogue import Target, read_row
from geojw.zone import Zone

DAY = date(2026, 11, 22)
GEOD = Geod(a=6378137.0, rf=298.257222101)
BASIS = {"title": "plan", "article": "1", "url": "", "verified": True}
AREA = {"kind": "layer_area", "layer": "red", "within": "boundary"}
SHARE = {"kind": "layer_share", "layer": "red", "within": "boundary"}


def target_of(**keys: Any) -> Target:
    row = {
        "id": "T", "title": {"zh": "指标", "en": "Target"}, "quantity": {"kind": "reported"}, "op": ">=", "value": 10.0,
        "unit": "km2", "basis": BASIS, **keys,
    }  # fmt: skip
    faults: list[Fault] = []
    target = read_row(Target, row, "x", faults)
    assert target is not None, faults
    return target


def measured(low: float, high: float | None = None, **keys: Any) -> pd.DataFrame:
    row = {
        "value": low, "value_max": low if high is None else high, "partial": False, "worst_case": 0.0,
        "value_planar": np.nan, "denominator": "", "data_share": 1.0, "as_of": date(2025, 6, 1), "source": "s",
        "reason": "", "data": "", **keys,
    }  # fmt: skip
    return pd.DataFrame([row], columns=list(MEASURED), index=["T"])


def decided(found: pd.DataFrame, **keys: Any) -> dict[str, Any]:
    (row,) = decide([target_of(**keys)], found, "en").to_dict("records")
    return row


def one(zone: Zone, name: str = "T", on: date = DAY) -> dict[str, Any]:
    """Evaluate a zone and give one target's row."""
    return evaluate(zone, on=on, lang="en").targets.set_index("id").loc[name].to_dict()


def one_target(make_pack: Any, target: dict[str, Any], layers: dict[str, Any], **more: Any) -> Any:
    return make_pack(layers=layers, targets=[{"id": "T", **target}], **more)


# ---------------------------------------------------------------------------------------------- decide


@pytest.mark.parametrize(
    ("op", "low", "high", "partial", "status"),
    [
        (">=", 10.0, 10.0, False, "met"),
        (">=", 9.9999, 9.9999, False, "not_met"),
        (">=", 9.0, 11.0, False, "unknown"),
        (">=", 10.0, 11.0, False, "met"),
        (">=", 10.0, 10.0, True, "met"),  # the covered part suffices
        (">=", 9.0, 9.0, True, "unknown"),  # the rest may have the missing part
        ("<=", 10.0, 10.0, False, "met"),
        ("<=", 10.0001, 10.0001, False, "not_met"),
        ("<=", 9.0, 11.0, False, "unknown"),
        ("<=", 9.0, 9.0, True, "unknown"),
        ("<=", 11.0, 11.0, True, "not_met"),
        ("=", 10.0, 10.0, False, "met"),
        ("=", 9.0, 9.0, False, "not_met"),
        ("=", 11.0, 11.0, False, "not_met"),
        ("=", 9.0, 10.0, False, "unknown"),
        ("=", 10.0, 10.0, True, "unknown"),
        ("=", 11.0, 11.0, True, "not_met"),
    ],
)
def test_status(*, op: str, low: float, high: float, partial: bool, status: str) -> None:
    row = decided(measured(low, high, partial=partial), op=op)
    assert row["status"] == status
    assert bool(row["reason"]) == (status == "unknown")
    assert math.isnan(row["margin"]) == (status == "unknown")


def test_about_is_informative_unless_a_tolerance_is_stated() -> None:
    assert decided(measured(10.0), op="about")["status"] == "informative"
    for value, status, margin in ((9.5, "met", 0.5), (11.0, "met", 0.0), (11.5, "not_met", -0.5)):
        row = decided(measured(value), op="about", tolerance=1.0)
        assert (row["status"], row["margin"]) == (status, margin)


@pytest.mark.parametrize(
    ("op", "value", "margin"),
    [(">=", 10.4, 0.4), (">=", 9.5, -0.5), ("<=", 9.5, 0.5), ("<=", 12.0, -2.0), ("=", 7.0, -3.0)],
)
def test_the_margin_is_positive_where_the_target_is_met(op: str, value: float, margin: float) -> None:
    assert decided(measured(value), op=op)["margin"] == pytest.approx(margin, abs=1e-12)


@pytest.mark.parametrize(
    ("worst", "certainty"), [(0.39, "firm"), (0.4, "marginal"), (0.5, "marginal"), (float("nan"), "marginal")]
)
def test_certainty_is_the_margin_against_the_worst_case(worst: float, certainty: str) -> None:
    quantity = {"kind": "layer_area", "layer": "l", "within": "l"}
    assert decided(measured(10.4, worst_case=worst), quantity=quantity)["certainty"] == certainty


def test_nobody_can_say_how_sure_a_reported_value_is() -> None:
    assert decided(measured(12.0))["certainty"] == ""


@pytest.mark.parametrize(
    ("by", "as_of", "value", "timing"),
    [
        (2025, date(2026, 1, 1), 9.0, "overdue"),
        (2025, date(2026, 1, 1), 10.0, ""),
        (2025, date(2025, 12, 31), 9.0, ""),
        (2025, date(2025, 1, 1), 9.0, ""),
        (2025, date(2024, 12, 31), 9.0, "interim"),
        (2025, date(2024, 12, 31), 10.0, "interim"),
        (None, date(2030, 1, 1), 9.0, ""),
    ],
)
def test_overdue_and_interim(by: int | None, as_of: date, value: float, timing: str) -> None:
    keys = {} if by is None else {"by": by}
    row = decided(measured(value, as_of=as_of), **keys)
    assert (row["timing"], row["by"]) == (timing, "" if by is None else str(by))


def test_without_a_day_a_value_proves_nothing() -> None:
    row = decided(measured(12.0, as_of=None))
    assert (row["status"], row["as_of"]) == ("unknown", "")
    assert "of what day" in row["reason"]


def test_a_formula_that_nobody_verified_is_for_information() -> None:
    rate = {
        "kind": "area_rate", "layer": "l", "within": "l", "counts": [{"a": ["1"]}], "of": [{"a": ["*"]}],
        "formula": {"zh": "甲除以乙", "en": "a over b"},
    }  # fmt: skip
    row = decided(measured(100.0), op="=", value=100.0, unit="%", quantity={**rate, "formula_verified": False})
    assert (row["status"], row["note"]) == ("informative", "formula (not verified): a over b")
    row = decided(measured(100.0), op="=", value=100.0, unit="%", quantity={**rate, "formula_verified": True})
    assert (row["status"], row["note"]) == ("met", "formula: a over b")


def test_a_scope_is_nothing_to_be_reached() -> None:
    assert decided(measured(np.nan), quantity={"kind": "scope"})["status"] == "informative"


# ---------------------------------------------------------------------------------------------- reported


def reported(make_pack: Any, rows: list[str], **target: Any) -> Any:
    pack = make_pack(targets=[{"id": "T", "value": 25.0, "unit": "%", "by": 2025, **target}])
    pack.write()
    pack.text("reported.toml", "\n".join(f"[[reported]]\n{row}" for row in rows))
    return geojw.open_zone(pack.folder)


def report_row(value: float, as_of: str | None, **more: Any) -> str:
    row = {"target": "T", "value": value, "unit": "%", "source": f"report {value:g}", "status": "official", **more}
    lines = [f"{key} = {json.dumps(cell)}" for key, cell in row.items()]
    return "\n".join([*lines, *([f"as_of = {as_of}"] if as_of else [])])


def test_nothing_reported_is_unknown(make_pack: Any) -> None:
    row = one(make_pack(targets=[{"id": "T", "op": "<="}]).open())
    assert (row["status"], row["reason"], row["source"]) == ("unknown", "not reported", "")
    assert math.isnan(row["value"])


def test_the_latest_report_before_the_day_counts(make_pack: Any) -> None:
    zone = reported(
        make_pack, [report_row(26.0, "2025-12-31"), report_row(24.0, "2024-12-31"), report_row(30.0, "2027-01-01")]
    )
    row = one(zone)
    assert (row["value"], row["status"], row["as_of"], row["source"]) == (26.0, "met", "2025-12-31", "report 26")
    row = one(zone, on=date(2025, 6, 1))
    assert (row["value"], row["status"], row["timing"]) == (24.0, "not_met", "interim")
    assert one(zone, on=date(2023, 1, 1))["reason"] == "reported only after the day"


def test_a_report_without_a_day_is_unknown(make_pack: Any) -> None:
    row = one(reported(make_pack, [report_row(26.0, None)]))
    assert (row["value"], row["status"]) == (26.0, "unknown")


def test_a_hundred_per_cent_of_nothing_is_unknown(make_pack: Any) -> None:
    row = one(reported(make_pack, [report_row(100.0, "2025-12-31", of=0.0)], op="=", value=100.0))
    assert (row["status"], row["reason"]) == ("unknown", "a share of nothing")
    row = one(reported(make_pack, [report_row(100.0, "2025-12-31", of=3.0)], op="=", value=100.0))
    assert row["status"] == "met"


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (report_row(1.0, "2025-01-01", target="X"), "target_unknown"),
        (report_row(1.0, "2025-01-01", target="M"), "target_measured"),
        (report_row(0.25, "2025-01-01", unit="share"), "unit_differs"),
        (report_row(1.0, "2025-01-01", vlaue=1.0), "unknown_key_near"),
        (report_row(1.0, "2025-01-01") + "\n[[reported]]\n" + report_row(2.0, "2025-01-01"), "reported_twice"),
    ],
)
def test_faults_of_reports(make_pack: Any, row: str, key: str) -> None:
    layers = {"red": {"features": [{"id": "R", "box": [0, 0, 1, 1]}]}}
    pack = make_pack(layers=layers, targets=[{"id": "T", "unit": "%"}, {"id": "M", "quantity": AREA}])
    pack.write()
    pack.text("reported.toml", f"[[reported]]\n{row}\n")
    with pytest.raises(geojw.PackError) as caught:
        geojw.open_zone(pack.folder)
    assert [fault.key for fault in caught.value.faults] == [key]


# ---------------------------------------------------------------------------------------------- areas and shares


def test_an_area_is_that_of_the_union_within_the_outline(make_pack: Any) -> None:
    """Two squares of 1 km² overlap by half; a third lies half outside of the zone."""
    red = [
        {"id": "A", "box": [0, 0, 1000, 1000]}, {"id": "B", "box": [500, 0, 1500, 1000]},
        {"id": "C", "box": [9_500, 0, 10_500, 1000]},
    ]  # fmt: skip
    zone = one_target(make_pack, {"quantity": AREA, "value": 2.0}, {"red": {"features": red, "accuracy_m": 2.0}}).open()
    row = one(zone)
    assert (row["value"], row["status"], row["margin"]) == (2.0, "met", 0.0)
    # Outlines of 5 km and 3 km, all of them 2 m off: 16,000 m².
    assert (row["worst_case"], row["certainty"]) == (0.016, "marginal")
    assert list(row) == [name for name in TARGETS if name != "id"]


def test_a_share_says_of_what(make_pack: Any) -> None:
    red = [{"id": "A", "box": [-10_000, -10_000, 0, 10_000]}]
    zone = one_target(make_pack, {"quantity": SHARE, "unit": "%", "value": 40.0}, {"red": {"features": red}}).open()
    row = one(zone)
    assert (row["value"], row["status"], row["certainty"]) == (50.0, "met", "firm")
    assert row["denominator"] == "boundary, 400.0000 km²"


def test_the_worst_case_of_a_share_moves_its_whole_too(make_pack: Any) -> None:
    """100 km² of 400 km²; edges of 40 km and 80 km, 5 m and 10 m off: 10 m by 40 km out, 10 m by 80 km in."""
    red = [{"id": "A", "box": [-5_000, -5_000, 5_000, 5_000]}]
    layers = {
        "red": {"features": red, "accuracy_m": 5.0},
        "boundary": {"features": [{"id": "Z", "box": [-10_000, -10_000, 10_000, 10_000]}], "accuracy_m": 10.0},
    }
    row = one(one_target(make_pack, {"quantity": SHARE, "unit": "share", "value": 0.25}, layers).open())
    assert row["worst_case"] == pytest.approx((100.0 + 0.4) / (400.0 - 0.8) - 0.25, abs=1e-9)


@pytest.mark.parametrize(("threshold", "status"), [(2.0, "met"), (2.1, "unknown")])
def test_a_partly_covered_layer(make_pack: Any, threshold: float, status: str) -> None:
    layers = {
        "red": {"features": [{"id": "A", "box": [0, 0, 2000, 1000]}], "coverage": "known"},
        "known": {"features": [{"id": "K", "box": [-10_000, -10_000, 5_000, 10_000]}]},
    }
    row = one(one_target(make_pack, {"quantity": AREA, "value": threshold}, layers).open())
    assert (row["status"], row["data_share"], row["data"]) == (status, 0.75, "partial")


def test_only_what_counts_is_counted(make_pack: Any) -> None:
    """Either filter suffices, all columns of one must match; a shrub without its flag may count."""
    red = [
        {"id": "A", "box": [0, 0, 1000, 1000], "code": "0301"},
        {"id": "B", "box": [1000, 0, 2000, 1000], "code": "0305", "flag": "true"},
        {"id": "C", "box": [2000, 0, 3000, 1000], "code": "0305", "flag": "false"},
        {"id": "D", "box": [3000, 0, 4000, 1000], "code": "0307"},
        {"id": "E", "box": [4000, 0, 5000, 1000], "code": "0305"},
    ]
    quantity = {**AREA, "counts": [{"code": ["0301"]}, {"code": ["0305"], "flag": ["true"]}]}
    for threshold, status in ((2.0, "met"), (2.5, "unknown"), (3.5, "not_met")):
        row = one(one_target(make_pack, {"quantity": quantity, "value": threshold}, {"red": {"features": red}}).open())
        assert (row["value"], row["value_max"], row["status"]) == (2.0, 3.0, status)


@pytest.mark.parametrize(
    ("counts", "key"), [([{"kode": ["0301"]}], "target_column"), ([{"code": ["0310"]}], "target_value")]
)
def test_a_filter_that_the_data_do_not_know_leaves_the_target_unknown(make_pack: Any, counts: Any, key: str) -> None:
    red = [{"id": "A", "box": [0, 0, 1000, 1000], "code": "0301"}]
    zone = one_target(make_pack, {"quantity": {**AREA, "counts": counts}}, {"red": {"features": red}}).open()
    found = evaluate(zone, on=DAY, lang="en")
    assert [fault.key for fault in found.failed["red"].faults] == [key]
    assert found.targets["status"].tolist() == ["unknown"]
    assert [fault.key for fault in zone.faults()[0]] == [key], "geojw check finds it too"


def test_a_feature_without_a_place_may_be_anywhere(make_pack: Any) -> None:
    red = [{"id": "A", "box": [0, 0, 1000, 1000]}, {"id": "B", "nothing": True}]
    for threshold, status in ((1.0, "met"), (1.1, "unknown")):
        zone = one_target(make_pack, {"quantity": AREA, "value": threshold}, {"red": {"features": red}}).open()
        assert one(zone)["status"] == status


def test_a_layer_that_is_rightly_empty_has_no_area(make_pack: Any) -> None:
    layers = {"red": {"may_be_empty": True}, "towns": {"features": [{"id": "T1", "box": [0, 0, 1000, 1000]}]}}
    zone = {"divisions": ["towns"], "planar_crs": "EPSG:4544"}
    opened = one_target(make_pack, {"quantity": AREA}, layers, zone=zone).open()
    row = one(opened)
    assert (row["value"], row["value_planar"], row["status"], row["certainty"]) == (0.0, 0.0, "not_met", "firm")
    assert evaluate(opened, on=DAY, lang="en").divisions["value"].tolist() == [0.0]


@pytest.mark.parametrize("unknown", ["red", "boundary"])
def test_an_unknown_accuracy_is_never_firm(make_pack: Any, unknown: str) -> None:
    layers = {
        "red": {"features": [{"id": "A", "box": [-10_000, -10_000, 0, 10_000]}]},
        "boundary": {"features": [{"id": "Z", "box": [-10_000, -10_000, 10_000, 10_000]}]},
    }
    layers[unknown]["accuracy_m"] = "absent"
    for target in ({"quantity": SHARE, "unit": "%"}, {"quantity": AREA}):
        row = one(one_target(make_pack, target, layers).open())
        assert math.isnan(row["worst_case"])
        assert (row["status"], row["certainty"]) == ("met", "marginal")


@pytest.mark.parametrize("lost", ["red", "boundary"])
def test_the_layer_that_failed_is_named(make_pack: Any, lost: str) -> None:
    layers = {
        "red": {"features": [{"id": "A", "box": [0, 0, 1000, 1000]}]},
        "boundary": {"features": [{"id": "Z", "box": [-10_000, -10_000, 10_000, 10_000]}]},
    }
    layers[lost]["broken"] = "missing"
    found = evaluate(one_target(make_pack, {"quantity": AREA}, layers).open(), on=DAY, lang="en")
    assert list(found.failed) == [lost]


def test_a_layer_that_fails_leaves_its_targets_unknown(make_pack: Any) -> None:
    zone = one_target(make_pack, {"quantity": AREA}, {"red": {"broken": "missing"}}).open()
    found = evaluate(zone, on=DAY, lang="en")
    assert list(found.failed) == ["red"]
    assert found.targets["status"].tolist() == ["unknown"]
    assert "was not delivered" in found.targets["reason"][0]


# ---------------------------------------------------------------------------------------------- the threshold


def ring(scale: float) -> shapely.Polygon:
    """A wooded-looking outline of about 27 km² in degrees, 120 vertices."""
    turn = 2.0 * np.pi * np.arange(120) / 120
    reach = scale * (1.0 + 0.12 * np.sin(5.0 * turn) + 0.05 * np.cos(17.0 * turn))
    return shapely.Polygon(
        np.column_stack([106.33 + reach * np.cos(turn) * 0.0305, 29.52 + reach * np.sin(turn) * 0.0267])
    )


def ellipsoidal_m2(shape: shapely.Polygon) -> float:
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(shape, 1e-5))[0])


def planar_m2(shape: shapely.Polygon) -> float:
    forth = Transformer.from_crs("EPSG:4490", "EPSG:4544", always_xy=True)
    dense = shapely.segmentize(shape, 1e-4)
    return shapely.transform(dense, lambda xy: np.column_stack(forth.transform(xy[:, 0], xy[:, 1]))).area


def scaled_to(wanted_m2: float, measure: Any) -> shapely.Polygon:
    scale = 1.0
    for _ in range(6):
        scale *= math.sqrt(wanted_m2 / measure(ring(scale)))
    return ring(scale)


def red_line_row(make_pack: Any, shape: shapely.Polygon) -> dict[str, Any]:
    target = {"quantity": AREA, "value": 27.5, "by": 2025}
    layers = {"red": {"features": [{"id": "R", "nothing": True}], "crs": "EPSG:4490", "accuracy_m": 5.0}}
    folder = one_target(make_pack, target, layers, zone={"planar_crs": "EPSG:4544"}).write()
    red = gpd.GeoDataFrame({"id": ["R"]}, geometry=[shape], crs="EPSG:4490")
    red.to_file(folder / "red.gpkg", driver="GPKG", engine="pyogrio")
    return one(geojw.open_zone(folder))


@pytest.mark.parametrize(
    ("beyond_m2", "status"), [(-2.0, "not_met"), (2.0, "met"), (-300.0, "not_met"), (300.0, "met")]
)
def test_the_red_line_flips_where_the_ellipsoidal_area_crosses(make_pack: Any, beyond_m2: float, status: str) -> None:
    shape = scaled_to(27.5e6 + beyond_m2, ellipsoidal_m2)
    row = red_line_row(make_pack, shape)
    assert row["status"] == status
    assert row["margin"] * 1e6 == pytest.approx(beyond_m2, abs=1.0)
    assert row["value_planar"] > 27.51, "the planar area is on the same side in all four cases"
    assert row["value_planar"] * 1e6 == pytest.approx(planar_m2(shape), abs=3.0)
    assert row["certainty"] == "marginal"


@pytest.mark.parametrize("beyond_m2", [-300.0, 300.0])
def test_the_red_line_does_not_flip_where_the_planar_area_crosses(make_pack: Any, beyond_m2: float) -> None:
    row = red_line_row(make_pack, scaled_to(27.5e6 + beyond_m2, planar_m2))
    assert row["status"] == "not_met"
    assert row["value"] < 27.4902
    assert (row["value_planar"] - 27.5) * beyond_m2 > 0.0


def test_minizone_has_the_red_line_of_its_independent_computation(minizone: Path) -> None:
    row = one(geojw.open_zone(minizone / "pack"), "red-line-area")
    wanted = json.loads((minizone / "expected.json").read_text("utf-8"))["red_line_km2"]
    assert row["value"] == pytest.approx(wanted, rel=2e-9)
    assert (row["status"], row["certainty"]) == ("met", "firm")


# ---------------------------------------------------------------------------------------------- counts and rates


def test_points_are_counted_where_they_surely_are(make_pack: Any) -> None:
    stations = [
        {"id": "A", "point": [0, 0]}, {"id": "B", "point": [9_995, 0]}, {"id": "C", "point": [10_005, 0]},
        {"id": "D", "box": [0, 0, 100, 100], "position": "unknown"},
        {"id": "E", "box": [9_000, 0, 11_000, 100], "position": "unknown"},
    ]  # fmt: skip
    quantity = {"kind": "layer_count", "layer": "stations", "within": "boundary"}
    layers = {"stations": {"geometry": "point", "features": stations, "accuracy_m": 10.0}}
    for threshold, status in ((3.0, "met"), (4.0, "unknown"), (5.0, "not_met")):
        row = one(one_target(make_pack, {"quantity": quantity, "value": threshold, "unit": "座"}, layers).open())
        assert (row["value"], row["value_max"], row["status"]) == (3.0, 4.0, status)
        assert row["worst_case"] == 2.0  # B and C are within 10 m of the outline


PLOTS = [
    {"id": "A", "box": [0, 0, 100, 100], "use": "0701", "state": "clean"},
    {"id": "B", "box": [200, 0, 300, 300], "use": "0801", "state": "listed"},
    {"id": "C", "box": [400, 0, 500, 100], "use": "1001", "state": "listed"},
    {"id": "D", "box": [600, 0, 700, 600], "use": "0701"},
]
RATE = {
    "layer": "plots", "within": "boundary", "of": [{"use": ["07*", "08*"]}], "counts": [{"state": ["clean"]}],
    "formula": {"zh": "甲除以乙", "en": "a over b"}, "formula_verified": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rows", "value", "most", "status"),
    [
        ("area_rate", [0, 1, 2], 25.0, 25.0, "not_met"),  # 1 ha of 4 ha; C is no home
        ("count_rate", [0, 1, 2], 50.0, 50.0, "not_met"),
        ("area_rate", [0], 100.0, 100.0, "met"),
        ("count_rate", [0], 100.0, 100.0, "met"),
        ("area_rate", [0, 3], 100.0 / 7.0, 100.0, "unknown"),  # nobody says what state D is in
        ("count_rate", [0, 3], 50.0, 100.0, "unknown"),
        ("area_rate", [0, 1, 3], 10.0, 70.0, "not_met"),
    ],
)
def test_rates(make_pack: Any, kind: str, rows: list[int], value: float, most: float, status: str) -> None:
    codes = {"use": ["07*", "08*", "10*"], "state": ["clean", "listed"]}
    layers = {"plots": {"features": [PLOTS[row] for row in rows], "codes": codes}}
    target = {"quantity": {"kind": kind, **RATE}, "op": "=", "value": 100.0, "unit": "%"}
    row = one(one_target(make_pack, target, layers).open())
    assert row["value"] == pytest.approx(value, abs=1e-6)
    assert row["status"] == status
    assert (row["value_max"] if most > value else row["value"]) == pytest.approx(most, abs=1e-6)


@pytest.mark.parametrize("kind", ["area_rate", "count_rate"])
def test_a_rate_of_nothing_is_unknown(make_pack: Any, kind: str) -> None:
    codes = {"use": ["07*", "08*", "10*"], "state": ["clean", "listed"]}
    layers = {"plots": {"features": [PLOTS[2]], "codes": codes}}
    target = {"quantity": {"kind": kind, **RATE}, "op": "=", "value": 100.0, "unit": "%"}
    row = one(one_target(make_pack, target, layers).open())
    assert (row["status"], row["reason"]) == ("unknown", "a share of nothing")
    assert math.isnan(row["value"])


# ---------------------------------------------------------------------------------------------- rasters

COVER = {"kind": "cover_share", "layer": "woods", "within": "boundary", "classes": ["forest"], "min_data_share": 0.75}


def woods(*cells: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "raster", "classes": {"forest": [1], "other": [0]}, "cells": list(cells), "origin": [-10_000, 10_000],
        "cell_m": 5_000.0, "accuracy_m": 10.0, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "value", "most", "data", "status"),
    [
        (("1111", "1111", "0000", "0000"), 50.0, math.nan, 1.0, "met"),
        (("1111", "1100", "0000", "0000"), 37.5, math.nan, 1.0, "not_met"),
        (("1111", "1110", "....", "0000"), 43.75, 68.75, 0.75, "met"),  # the covered part suffices
        (("1111", "0000", "....", "0000"), 25.0, 50.0, 0.75, "unknown"),
        (("1000", "0000", "....", "0000"), 6.25, 31.25, 0.75, "not_met"),
        (("1111", "1110", "....", ".000"), 43.75, 75.0, 0.6875, "unknown"),  # too little data, whatever they say
        (("1111", "1110", "0000", "7777"), 43.75, 68.75, 0.75, "met"),  # 7 is of no class
    ],
)
def test_cover(make_pack: Any, cells: Any, value: float, most: float, data: float, status: str) -> None:
    """Cells of 5 km on a zone of 20 km by 20 km."""
    target = {"quantity": COVER, "value": 40.0, "unit": "%"}
    row = one(one_target(make_pack, target, {"woods": woods(*cells)}).open())
    assert (row["value"], row["data_share"], row["status"]) == (value, data, status)
    assert row["value_max"] == most or (math.isnan(most) and math.isnan(row["value_max"]))
    assert row["title"] == "Target (raster estimate)"
    assert "estimate" in row["data"]
    assert ("below the stated 75.0%" in row["reason"]) == (data < 0.75)


def test_the_worst_case_of_cover(make_pack: Any) -> None:
    """200 km² of forest along an edge of 20 km: half a cell + 10 m is 2,510 m, so 50.2 km² of 400 km²."""
    row = one(
        one_target(
            make_pack, {"quantity": COVER, "value": 40.0, "unit": "%"}, {"woods": woods("1111", "1111", "0000", "0000")}
        ).open()
    )
    assert row["worst_case"] == pytest.approx(100.0 * 2.510 * 20.0 / 400.0, rel=1e-3)
    assert row["certainty"] == "marginal"


def test_an_outline_outside_the_raster_is_named(make_pack: Any) -> None:
    layer = woods("11", "11", origin=[200_000, 0])
    found = evaluate(
        one_target(make_pack, {"quantity": COVER, "unit": "%"}, {"woods": layer}).open(), on=DAY, lang="en"
    )
    assert [fault.key for error in found.failed.values() for fault in error.faults] == ["outline_outside"]
    assert found.targets["status"].tolist() == ["unknown"]


# ---------------------------------------------------------------------------------------------- faults of targets


@pytest.mark.parametrize(
    ("quantity", "unit", "key", "where"),
    [
        ({**AREA, "within": "line"}, "km2", "boundary_not_polygon", "quantity.within"),
        ({**AREA, "layer": "line"}, "km2", "measure_of_kind", "quantity.layer"),
        ({**AREA, "layer": "woods"}, "km2", "measure_of_kind", "quantity.layer"),
        ({**COVER, "layer": "red"}, "%", "measure_of_kind", "quantity.layer"),
        ({**COVER, "classes": ["woods"]}, "%", "class_unknown", "quantity.classes"),
        ({**COVER, "min_data_share": "absent"}, "%", "missing_key", "quantity.min_data_share"),
        (AREA, "square miles", "not_one_of", "unit"),
        (SHARE, "km2", "not_one_of", "unit"),
        ({**AREA, "classes": ["forest"]}, "km2", "key_unused", "quantity.classes"),
        ({"kind": "reported", "layer": "red"}, "%", "key_unused", "quantity.layer"),
        ({**AREA, "counts": [{"code": ["9"]}]}, "km2", "value_not_in_codes", "quantity.counts.code"),
    ],
)
def test_faults(make_pack: Any, quantity: dict[str, Any], unit: str, key: str, where: str) -> None:
    layers = {
        "red": {"features": [{"id": "R", "box": [0, 0, 1, 1]}], "codes": {"code": ["1", "2"]}},
        "line": {"geometry": "line", "features": [{"id": "L", "line": [[0, 0], [1, 1]]}]},
        "woods": woods("1"),
    }
    quantity = {name: value for name, value in quantity.items() if value != "absent"}
    with pytest.raises(geojw.PackError) as caught:
        one_target(make_pack, {"quantity": quantity, "unit": unit}, layers).open()
    assert [fault.key for fault in caught.value.faults] == [key]
    assert caught.value.faults[0].where.endswith(where)


def test_a_tolerance_needs_about(make_pack: Any) -> None:
    with pytest.raises(geojw.PackError) as caught:
        make_pack(targets=[{"id": "T", "tolerance": 1.0}]).open()
    assert [fault.key for fault in caught.value.faults] == ["tolerance_of_op"]


# ---------------------------------------------------------------------------------------------- the embedded zone


@pytest.fixture(scope="module")
def gaoxin() -> Any:
    return evaluate(geojw.open_zone("gaoxin"), on=DAY, lang="en")


@pytest.fixture(scope="module")
def files() -> dict[str, gpd.GeoDataFrame]:
    folder = geojw.open_zone("gaoxin").pack.folder
    return {
        name: gpd.read_file(folder / f"{name}.fgb") for name in ("boundary", "red_line", "forest", "towns", "plots")
    }


def km2(shape: shapely.Geometry) -> float:
    return abs(GEOD.geometry_area_perimeter(shapely.segmentize(shape, 0.0005))[0]) / 1e6


def test_the_zone_against_geodesic_areas(gaoxin: Any, files: dict[str, gpd.GeoDataFrame]) -> None:
    """The same figures by geodesics on the delivered degrees, without the analysis CRS."""
    rows = gaoxin.targets.set_index("id")
    edge = files["boundary"].geometry.iloc[0]
    red = shapely.union_all(files["red_line"].geometry.values).intersection(edge)
    assert rows.loc["red-line-area", "value"] == pytest.approx(km2(red), rel=1e-7)
    forest = files["forest"]
    counted = forest[
        forest["code"].isin(["0301", "0302"]) | ((forest["code"] == "0305") & (forest["special_shrub"] == "true"))
    ]
    share = 100.0 * sum(map(km2, counted.geometry)) / km2(edge)
    assert rows.loc["forest-share", "value"] == pytest.approx(share, rel=1e-7)
    plots = files["plots"]
    homes = plots[plots["planned_use"].str.startswith(("07", "08", "1401"))]
    good = homes[homes["status"].isin(["非污染", "移出名录"]) & (homes["survey_state"] == "已评审")]
    area_rate = 100.0 * sum(map(km2, good.geometry)) / sum(map(km2, homes.geometry))
    assert rows.loc["safe-land-use", "value"] == pytest.approx(area_rate, rel=1e-6)
    assert rows.loc["safe-land-use-count", "value"] == pytest.approx(100.0 * len(good) / len(homes), rel=1e-8)


def test_statuses_of_the_zone(gaoxin: Any) -> None:
    rows = gaoxin.targets.set_index("id")
    assert rows["status"].value_counts().to_dict() == {"unknown": 19, "informative": 4, "met": 3}
    assert set(rows.index[rows["status"] == "met"]) == {"red-line-area", "forest-share", "forest-share-raster"}
    assert set(rows.loc[rows["status"] == "met", "certainty"]) == {"marginal"}
    assert set(rows.loc[rows["status"] == "unknown", "reason"]) == {"not reported"}
    measured_rows = rows[rows["value"].notna()]
    assert measured_rows["data"].str.contains("synthetic").all()


def test_towns_and_units_add_up(gaoxin: Any) -> None:
    rows, parts = gaoxin.targets.set_index("id"), gaoxin.divisions
    for layer in ("towns", "units"):
        mine = parts[parts["layer"] == layer].set_index("target_id")
        assert mine.loc["red-line-area", "value"].sum() == pytest.approx(rows.loc["red-line-area", "value"], abs=1e-8)
        for name in ("forest-share", "forest-share-raster"):
            share = mine.loc[name, "area_m2"].sum() / mine.loc[name, "division_area_m2"].sum()
            assert 100.0 * share == pytest.approx(rows.loc[name, "value"], abs=1e-6)


def test_the_shares_by_town_against_geodesic_areas(gaoxin: Any, files: dict[str, gpd.GeoDataFrame]) -> None:
    parts = gaoxin.divisions.set_index(["target_id", "feature_id"])
    forest = files["forest"]
    kept = forest["code"].isin(["0301", "0302"]) | ((forest["code"] == "0305") & (forest["special_shrub"] == "true"))
    grounds = {
        "red-line-area": shapely.union_all(files["red_line"].geometry.values),
        "forest-share": shapely.union_all(forest.geometry[kept].values),
    }
    for town in files["towns"].itertuples():
        for name, ground in grounds.items():
            want = km2(ground.intersection(town.geometry))
            assert parts.loc[(name, town.id), "area_m2"] / 1e6 == pytest.approx(want, rel=1e-6, abs=1e-6), town.id
        assert parts.loc[("forest-share", town.id), "value"] == pytest.approx(
            100.0 * want / km2(town.geometry), rel=2e-6
        )


def test_forest_says_what_it_counts_and_of_what(gaoxin: Any) -> None:
    rows = gaoxin.targets.set_index("id")
    for name, words in (("forest-share", ("0301", "0302", "0305", "0307")), ("forest-share-raster", ("class forest",))):
        assert all(word in rows.loc[name, "note"] for word in words)
        assert "313.5000 km²" in rows.loc[name, "denominator"]
    assert rows.loc["forest-share-raster", "title"].endswith("(raster estimate)")
    assert "estimate" in rows.loc["forest-share-raster", "data"]
    assert "raster" not in rows.loc["forest-share", "title"]


def test_the_raster_agrees_with_the_vector_forest(gaoxin: Any) -> None:
    """Middles of 10 m cells: within 0.05 points of the zone and 0.2 points of each town and unit."""
    rows, parts = gaoxin.targets.set_index("id"), gaoxin.divisions.set_index(["target_id", "feature_id"])["value"]
    assert rows.loc["forest-share-raster", "value"] == pytest.approx(rows.loc["forest-share", "value"], abs=0.05)
    apart = (parts["forest-share-raster"] - parts["forest-share"]).abs()
    assert len(apart) == 26
    assert apart.max() < 0.2
    assert rows.loc["forest-share-raster", "data_share"] == 1.0


# ---------------------------------------------------------------------------------------------- the command


def run(out: Path, *words: str) -> Any:
    return CliRunner().invoke(main, ["targets", "--out", str(out), "--on", "2026-11-22", *words])


FILES = {
    "targets.csv", "targets.json", "divisions.csv", "targets.gpkg", "targets.svg", "targets.png", "map.html",
    "passport.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("first")
    return folder, run(folder / "out", "--lang", "en")


def test_the_command_leaves_a_whole_folder(first_run: tuple[Path, Any]) -> None:
    tmp_path, done = first_run
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    table = pd.read_csv(tmp_path / "out" / "targets.csv", dtype=str, keep_default_na=False)
    assert list(table)[:15] == [
        "id", "title", "value", "op", "threshold", "unit", "margin", "status", "by", "basis", "source", "certainty",
        "value_planar", "denominator", "as_of",
    ]  # fmt: skip
    told = json.loads((tmp_path / "out" / "targets.json").read_text("utf-8"))
    assert [row["id"] for row in told["targets"]] == table["id"].tolist()
    assert told["targets"][table["id"].tolist().index("red-line-area")]["value"] == float(
        table.set_index("id").loc["red-line-area", "value"]
    )
    assert {row["value"] for row in told["targets"] if row["status"] == "unknown"} == {None}
    passport = json.loads((tmp_path / "out" / "passport.json").read_text("utf-8"))
    assert passport["result"] == "targets"
    assert set(passport["layers"]) >= {"red_line", "forest", "forest_raster", "boundary", "plots"}
    for text in (done.output, " ".join(told["notices"]), " ".join(passport["notices"])):
        assert "made-up" in text
    assert "27.9" in done.output
    assert "worst case" in done.output
    counted = gpd.read_file(tmp_path / "out" / "targets.gpkg", layer="counted", engine="pyogrio").set_index("id")
    assert km2(counted.geometry["red-line-area"]) == pytest.approx(27.9, abs=1e-4)
    towns = gpd.read_file(tmp_path / "out" / "targets.gpkg", layer="divisions", engine="pyogrio")
    assert len(towns) == 26
    assert "forest-share" in towns.columns


def test_two_runs_give_the_same_bytes(first_run: tuple[Path, Any], tmp_path: Path) -> None:
    first, again = first_run[0] / "out", tmp_path / "out"
    assert run(again, "--lang", "en").exit_code == 0
    same = FILES - {"targets.gpkg", "passport.json"}
    assert [name for name in same if (first / name).read_bytes() != (again / name).read_bytes()] == []
    a, b = (json.loads((path / "passport.json").read_text("utf-8")) for path in (first, again))
    assert {**a, "run_at": ""} == {**b, "run_at": ""}


def test_a_failed_layer_is_told_first_and_in_the_exit_code(make_pack: Any, tmp_path: Path) -> None:
    folder = one_target(make_pack, {"quantity": AREA}, {"red": {"broken": "missing"}}).write()
    done = run(tmp_path / "out", "--zone", str(folder), "--lang", "en")
    assert done.exit_code == 4
    assert "Layer failed" in done.output
    assert "unknown" in (tmp_path / "out" / "targets.csv").read_text("utf-8-sig")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"broken": "no_crs"}, "states no CRS"),
        ({"broken": "other_crs"}, "as the catalogue says"),
        ({"broken": "turned"}, "turned or upside down"),
        ({"broken": "unplaced"}, "has no place"),
        ({"broken": "two_bands"}, "has 2 bands"),
        ({"broken": "truncated"}, "cannot be read"),
        ({"broken": "missing"}, "was not delivered"),
        ({"origin": [200_000, 0]}, "lies outside the raster"),
    ],
)
def test_a_raster_that_cannot_be_used_is_a_named_error(
    make_pack: Any, broken: dict[str, Any], said: str, tmp_path: Path
) -> None:
    target = {"quantity": COVER, "unit": "%"}
    folder = one_target(make_pack, target, {"woods": woods("11", "11", **broken)}).write()
    done = run(tmp_path / "out", "--zone", str(folder), "--lang", "en")
    assert done.exit_code == 4
    assert said in " ".join(done.output.split())
    (row,) = pd.read_csv(tmp_path / "out" / "targets.csv").to_dict("records")
    assert row["status"] == "unknown"
    assert said in row["reason"]
    assert said in (tmp_path / "out" / "map.html").read_text("utf-8")


def test_too_little_data_is_stated_in_every_output(make_pack: Any, tmp_path: Path) -> None:
    layer = woods("1111", "1110", "....", ".000")
    folder = one_target(make_pack, {"quantity": COVER, "value": 40.0, "unit": "%"}, {"woods": layer}).write()
    done = run(tmp_path / "out", "--zone", str(folder), "--lang", "en")
    said = "data for 68.8% of the outline, below the stated 75.0%"
    (row,) = json.loads((tmp_path / "out" / "targets.json").read_text("utf-8"))["targets"]
    assert (row["status"], row["reason"], row["data_share"]) == ("unknown", said, 0.6875)
    for text in (" ".join(done.output.split()), (tmp_path / "out" / "map.html").read_text("utf-8")):
        assert said in text


def test_a_folder_of_another_result_is_left_alone(tmp_path: Path, minipack: Path, minizone: Path) -> None:
    out = tmp_path / "out"
    words = ["screen", str(minizone / "sites.gpkg"), "--zone", str(minipack), "--no-map", "--out", str(out)]
    assert CliRunner().invoke(main, words).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = run(out, "--zone", str(minipack), "--lang", "en")
    assert done.exit_code == 3
    assert "a result of another kind" in done.output
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_without_a_font_there_is_no_chart_and_it_is_said(
    tmp_path: Path, minipack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Any:
        raise FontError([Fault("font_none", "matplotlib", {"variable": "GEOJW_FONT"})])

    monkeypatch.setattr(fonts, "chinese_typeface", none)
    done = run(tmp_path / "out", "--zone", str(minipack), "--lang", "en")
    assert done.exit_code == 0
    assert "No chart was drawn" in done.output
    assert not (tmp_path / "out" / "targets.png").exists()
    assert "font" in json.loads((tmp_path / "out" / "passport.json").read_text("utf-8"))["no_chart"]
