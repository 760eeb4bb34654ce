"""
The tables of cases in ``cases/``: what a planner can read, computed by hand, held against the program.

One file for each point of DESIGN.md, "How a rule is evaluated", and one each for "Faults" and "Attributes".
A file says what holds for all its cases (``zone``, ``layers``, ``rules``); a case says what the situation is, may
change some of that, draws its site in metres east and north of the zone's centre, and states the result:

- ``expect.RULE = "clear"`` or a table of what the rule's finding must say; ``"no row"``: the rule does not govern the
  site. Only rules named here, or in ``also``, are in the pack.
- ``verdict``: what the verdict must say. ``overlaps``: the rows of that table. ``stopping``, ``repaired``: the faults
  that ``geojw check`` must find.
- A ``value`` or ``margin`` of ``"none"`` is missing. Of texts (``remedy``, ``reason``, ``claimed``, ``data``,
  ``basis``), the words given must be there; ``""`` means that there are none.
"""

from __future__ import annotations

import tomllib
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import geojw

CASES = Path(__file__).resolve().parent / "cases"
DAY = date(2026, 11, 22)
APART = {"m2": 2e-4, "m": 2e-3, "share": 2e-9, "": 0.0}
UNIT = {
    "overlap_m2": "m2",
    "overlap_m": "m",
    "distance_m": "m",
    "overlap_share": "share",
    "overlap_point": "",
    "cover_share": "share",
}
DIGITS = {
    "overlap_m2": 4,
    "overlap_m": 3,
    "overlap_point": 3,
    "overlap_share": 9,
    "cover_share": 9,
    "distance_m": 3,
    "": 3,
}
SENTENCES = ("remedy", "reason", "claimed", "data", "basis", "says")
KEYS = {
    "id", "zh", "en", "on", "zone", "layers", "rules", "also", "site", "expect", "verdict", "overlaps", "stopping",
    "repaired",
}  # fmt: skip
POINTS = {f"{n:02d}" for n in range(1, 13)}


def read_cases() -> list[Any]:
    """Read every table of cases, each case with what holds for its file."""
    out = []
    for path in sorted(CASES.glob("*.toml")):
        table = tomllib.loads(path.read_text("utf-8"))
        for case in table.get("case", []):
            whole = {key: table.get(key, {}) for key in ("zone", "layers", "rules")}
            out.append(pytest.param({**case, "file": whole}, id=f"{path.stem}:{case['id']}"))
    return out


def rows_with(base: dict[str, dict[str, Any]], change: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Give the file's rows with a case's changes."""
    names = dict.fromkeys([*base, *change])
    return {name: {**base.get(name, {}), **change.get(name, {})} for name in names}


def pack_of(case: dict[str, Any]) -> dict[str, Any]:
    """Give the tables of the zone pack that a case needs."""
    rules = rows_with(case["file"]["rules"], case.get("rules", {}))
    rules = {name: rules[name] for name in [*case["expect"], *case.get("also", [])]}
    layers = rows_with(case["file"]["layers"], case.get("layers", {}))
    needed = {rule["layer"] for rule in rules.values()}
    needed |= {layers[name].get("coverage", "unlimited") for name in needed} - {"unlimited"}
    return {
        "zone": {**case["file"]["zone"], **case.get("zone", {})},
        "layers": {name: row for name, row in layers.items() if name in needed},
        "rules": [{"id": name, **rule} for name, rule in rules.items()],
    }


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory, new_pack: Any) -> Any:
    """Open the zone of a case; cases whose zone packs are equal share one, which is quicker."""
    opened: dict[str, Any] = {}

    def zone_of(case: dict[str, Any]) -> Any:
        tables = pack_of(deepcopy(case))
        key = repr(tables)
        if key not in opened:
            opened[key] = new_pack(tmp_path_factory.mktemp("case") / "pack", **tables).open()
        return opened[key]

    return zone_of


@pytest.mark.parametrize("case", read_cases())
def test_case(case: dict[str, Any], zones: Any, rows_to_frame: Any) -> None:
    """The finding, the verdict, the overlaps and the faults are those worked out by hand."""
    assert set(case) - {"file"} <= KEYS
    zone = zones(case)
    site = case["site"]
    result = geojw.screen(rows_to_frame([site]), zone, on=case.get("on", DAY), lang="en", workers=1)
    findings = {row["rule_id"]: row for row in result.findings.to_dict("records")}
    said = {name: {"outcome": want} if isinstance(want, str) else want for name, want in case["expect"].items()}
    governing = {name for name, want in said.items() if want["outcome"] != "no row"}
    assert set(findings) - set(case.get("also", [])) == governing
    for name in governing:
        assert_row(findings[name], said[name], f"{case['id']}, {name}")
    (verdict,) = result.verdicts.to_dict("records")
    assert_row(verdict, case.get("verdict", {}), case["id"])
    assert_overlaps(result.overlaps, case)
    assert_faults(zone, case)
    assert_written(result.findings)


def assert_row(row: dict[str, Any], want: dict[str, Any], where: str) -> None:
    """Hold what a case states against a row."""
    for key, value in want.items():
        got = row[key]
        here = f"{where}: {key} is {got!r}, not {value!r} ({row})"
        if value == "none":
            assert pd.isna(got), here
        elif key == "could_become":
            assert set(got.split(";")) == set(value.split(";")), here
        elif key in SENTENCES:
            words = [value] if isinstance(value, str) else value
            assert all(word in got and (word or not got) for word in words), here
        elif isinstance(value, float):
            unit = row.get("margin_unit") if key == "margin" else UNIT.get(row.get("measure", key), "m2")
            assert got == pytest.approx(value, abs=APART[str(unit)], rel=0), here
        else:
            assert got == value, here


def assert_overlaps(table: pd.DataFrame, case: dict[str, Any]) -> None:
    """Hold the rows of overlaps that a case states against the table."""
    if "overlaps" not in case:
        return
    rows = table.to_dict("records")
    assert [row["feature_id"] for row in rows] == [want["feature_id"] for want in case["overlaps"]]
    for row, want in zip(rows, case["overlaps"], strict=True):
        for key, value in want.items():
            if value == "none":
                assert pd.isna(row[key])
            elif isinstance(value, float):
                assert row[key] == pytest.approx(value, abs=2e-9 if key == "overlap_share" else 2e-3, rel=0)
            else:
                assert row[key] == value


def assert_faults(zone: Any, case: dict[str, Any]) -> None:
    """Hold the faults of the data against what `geojw check` finds; what a case does not name must not be there."""
    if "stopping" in case or "repaired" in case:
        stopping, repaired = zone.faults()
        assert sorted(fault.key for fault in stopping) == sorted(case.get("stopping", []))
        assert sorted(fault.key for fault in repaired) == sorted(case.get("repaired", []))


def assert_written(findings: pd.DataFrame) -> None:
    """Whatever the case: figures are rounded as they are written, and no share is above 1."""
    for row in findings.to_dict("records"):
        if not pd.isna(row["value"]):
            assert row["value"] == round(row["value"], DIGITS[row["measure"]])
            assert row["value"] <= 1.0 or row["measure"] != "overlap_share"
        assert "-0.0" not in (str(float(row["value"])), str(float(row["margin"])))


# ---------------------------------------------------------------------------------------------- point 5, the table


def measure_table() -> dict[str, Any]:
    """Read the table of measures."""
    return tomllib.loads((CASES / "05-measures.toml").read_text("utf-8"))


def name_of(row: dict[str, str]) -> str:
    return f"{row['site']} site, {row['layer']} layer, {row['test']}"


@pytest.mark.parametrize("row", [pytest.param(row, id=name_of(row)) for row in measure_table()["row"]])
def test_measure(row: dict[str, Any], make_pack: Any, rows_to_frame: Any) -> None:
    """What is taken of a site of one kind against a layer of one kind, within the feature and far from it."""
    table = measure_table()
    rule = {"id": "r", "layer": row["layer"], "test": row["test"], "where": row.get("where", {})}
    pack = make_pack(layers={row["layer"]: table["layers"][row["layer"]]}, rules=[rule])
    places = table["sites"][row["site"]]
    sites = rows_to_frame({"site_id": place, **shape} for place, shape in places.items())
    found = geojw.screen(sites, pack.open(), on=DAY, lang="en", workers=1).findings.set_index("site_id")
    assert found["outcome"].to_dict() == {"inside": row["inside"], "outside": row["outside"]}
    if row["taken"]:
        assert set(found["measure"]) == {row["taken"]}
        assert found.loc["inside", "value"] == pytest.approx(row["value"], abs=1e-9)
    assert row.get("remedy", "") in found.loc["inside", "remedy"]


def test_measures_are_complete() -> None:
    """Every pair of site kind, layer kind and measure has a row; area tests with and without a limit."""
    there = {(row["site"], row["layer"], row["test"].split()[0]) for row in measure_table()["row"]}
    measures = ("overlap_m2", "overlap_m", "overlap_point", "overlap_share", "distance_m")
    kinds = ("polygon", "line", "point")
    vectors = {(site, layer, measure) for site in kinds for layer in kinds for measure in measures}
    assert there == vectors | {(site, "raster", "cover_share") for site in kinds}


@pytest.mark.parametrize(("kind", "test"), [("vector", "cover_share > 0.5"), ("raster", "overlap_m2 > 0")])
def test_measure_of_another_kind_of_layer(kind: str, test: str, make_pack: Any) -> None:
    """A cover share of a vector layer, and an overlap with a raster, are faults of the zone pack."""
    layer = {"kind": kind, "path": "x.tif", "classes": {"forest": [1]}} if kind == "raster" else {"kind": kind}
    pack = make_pack(layers={"l": layer}, rules=[{"id": "r", "layer": "l", "test": test}])
    with pytest.raises(geojw.PackError) as caught:
        pack.open()
    assert [fault.key for fault in caught.value.faults] == ["measure_of_kind"]


@pytest.mark.parametrize(
    ("where", "faults"),
    [
        ({}, ["class_wanted"]),
        ({"code": ["1"]}, ["class_wanted"]),
        ({"class": ["forest"], "code": ["1"]}, ["class_wanted"]),
        ({"class": ["woods"]}, ["class_unknown"]),
        ({"class": ["forest", "1"]}, ["class_unknown"]),
    ],
)
def test_a_rule_on_a_raster_names_declared_classes(where: dict[str, Any], faults: list[str], make_pack: Any) -> None:
    """A class that the catalogue does not declare, or no class at all, is a fault of the zone pack."""
    layer = {"kind": "raster", "classes": {"forest": [1], "other": [0]}}
    rule = {"id": "r", "layer": "l", "test": "cover_share > 0.5", "where": where}
    with pytest.raises(geojw.PackError) as caught:
        make_pack(layers={"l": layer}, rules=[rule]).open()
    assert [fault.key for fault in caught.value.faults] == faults


def measures_page() -> str:
    """Give the table of measures as it stands in docs/zone-pack.md."""
    head = ["| site | layer | test | measure taken | inside | elsewhere |", "|---|---|---|---|---|---|"]
    lines = [
        f"| {row['site']} | {row['layer']} | `{row['test']}` | {'`' + row['taken'] + '`' if row['taken'] else '—'} "
        f"| {row['inside']} | {row['outside']} |"
        for row in measure_table()["row"]
    ]
    return "\n".join([*head, *lines]) + "\n"


def test_documentation_has_the_table_of_measures() -> None:
    """docs/zone-pack.md shows every row of the table."""
    page = (CASES.parents[1] / "docs" / "zone-pack.md").read_text("utf-8")
    assert [line for line in measures_page().splitlines() if line not in page] == []


# ---------------------------------------------------------------------------------------------- the tables


def test_every_point_has_its_file() -> None:
    """Twelve points, faults and attributes: no file is missing."""
    names = {path.stem for path in CASES.glob("*.toml")}
    assert {name[:2] for name in names} >= POINTS
    assert {"faults", "attributes"} <= names


def test_a_planner_can_read_each_case() -> None:
    """Every case says in both languages what the situation is, and no two have one name."""
    for path in CASES.glob("*.toml"):
        cases = tomllib.loads(path.read_text("utf-8")).get("case", [])
        assert len({case["id"] for case in cases}) == len(cases), path.name
        assert all(case["zh"].strip() and case["en"].strip() for case in cases), path.name
