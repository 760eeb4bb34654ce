"""A zone's figure shows its audience what the page shows it, no more; and refuses where the page refuses."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from conftest import write_rows
from matplotlib import image

import geojw
from geojw.cli import main
from geojw.errors import OutputError
from geojw.figures import figure as figures
from geojw.figures import mapface, plates
from geojw.figures.plates import Print
from geojw.intake.site_files import SiteFiles
from geojw.law.catalogue import Audience
from geojw.maps.publish import Asked, Edition
from geojw.texts import LANGS

DAY = date(2026, 11, 22)
QUICK = Print(("png",), dpi=60)
SEEN: dict[Audience, set[str]] = {
    "public": {"boundary", "station"},
    "department": {"boundary", "station", "plots"},
    "internal": {"boundary", "station", "plots", "secret"},
}
SECRETS = ("SECRET-PHONE", "SECRET-PLOT", "SECRET-LAYER", "图层secret", "图层plots", "保密单位")
LAYERS: dict[str, Any] = {
    "station": {
        "geometry": "point", "label": "name", "audience_columns": {"public": ["name"], "department": ["name"]},
        "features": [{"id": "P", "point": [1000.123, 777.456], "name": "虎口站", "phone": "SECRET-PHONE"}],
    },
    "plots": {
        "audience": "department", "status": "synthetic", "label": "name", "paint": {"colour": "#7b3fa0", "names": True},
        "audience_columns": {"department": ["name"]},
        "source": {"publisher": "保密单位", "date": DAY, "licence": "x"},
        "features": [
            {"id": "Q", "box": [-7000.5, -5000.5, -2000.5, 5000.5], "name": "SECRET-PLOT", "phone": "SECRET-PHONE"}
        ],
    },
    "secret": {
        "audience": "internal", "paint": {"colour": "#7b3fa0", "names": True}, "label": "name",
        "features": [{"id": "X", "box": [2000.5, -5000.5, 7000.5, -500.5], "name": "SECRET-LAYER"}],
    },
}  # fmt: skip
RULES = [{"id": "NEAR", "layer": "station", "effect": "supervise", "test": "distance_m <= 2000"}]


@pytest.fixture
def zone(make_pack: Any) -> geojw.Zone:
    return make_pack(layers=LAYERS, rules=RULES).open()


def asked(audience: Audience, **more: Any) -> Asked:
    return Asked(DAY, audience, **{"draft": audience == "public", **more})


def words_on(drawing: figures.Drawing) -> str:
    return "\n".join(text.get_text() for text in drawing.figure.axes[0].texts)


@pytest.mark.parametrize("audience", ["public", "department", "internal"])
def test_a_figure_shows_the_layers_of_its_audience(zone: geojw.Zone, audience: Audience) -> None:
    drawing = plates.draw_plate(zone, asked(audience), QUICK)
    assert {entry.key for entry in drawing.legend if entry.kind == "layer"} == SEEN[audience]
    assert {entry.number for entry in drawing.legend if entry.kind == "ring"} == {2_000.0}
    assert "虎口站" in words_on(drawing)
    assert ("SECRET-PLOT" in words_on(drawing)) == (audience != "public")
    assert ("SECRET-LAYER" in words_on(drawing)) == (audience == "internal")
    assert "SECRET-PHONE" not in words_on(drawing)


def test_nothing_that_the_public_may_not_see_is_in_a_public_file(zone: geojw.Zone) -> None:
    drawing = plates.draw_plate(zone, asked("public"), QUICK)
    svg = drawing.write("svg").decode()
    assert "虎口站" in svg
    for secret in SECRETS:
        assert secret not in words_on(drawing) + svg
        assert secret.encode() not in drawing.write("png") + drawing.write("pdf")


def test_no_vertex_of_the_source_is_drawn_for_the_public(zone: geojw.Zone) -> None:
    layers = {layer.id: layer for layer in plates.content_of(zone, asked("public")).layers}
    assert set(layers) == SEEN["public"]
    published = {layer.id: layer.frame for layer in Edition(zone, asked("public")).layers()}
    for one in mapface.planar([*layers.values()], zone.analysis):
        assert layers[one.layer.id].frame.equals(published[one.layer.id])
        source = shapely.get_coordinates(zone.layer(one.layer.id).index.geometries)
        drawn = shapely.get_coordinates(one.shapes)
        nearest = np.hypot(*(drawn[:, None, :] - source[None, :, :]).transpose(2, 0, 1)).min()
        assert nearest > 0.01, one.layer.id


@pytest.mark.parametrize("lang", LANGS)
def test_a_public_figure_needs_its_review_number_or_is_stamped(zone: geojw.Zone, lang: str) -> None:
    with pytest.raises(OutputError, match="--draft"):
        plates.draw_plate(zone, asked("public", draft=False, lang=lang), QUICK)
    draft = words_on(plates.draw_plate(zone, asked("public", lang=lang), QUICK))
    assert draft.count("未经审图") > 5
    number = words_on(plates.draw_plate(zone, asked("public", draft=False, review="渝S(2026)001号", lang=lang), QUICK))
    assert "渝S(2026)001号" in number
    assert "未经审图" not in number


def test_a_figure_of_synthetic_data_says_so(zone: geojw.Zone) -> None:
    assert "合成" not in words_on(plates.draw_plate(zone, asked("public"), QUICK))
    told = words_on(plates.draw_plate(zone, asked("department"), QUICK))
    assert "未经审图·合成数据·不得公开发布" in told
    assert "含合成（虚构）数据：图层plots" in told


def test_layers_with_rules_that_are_not_shown_are_named(make_pack: Any) -> None:
    rules = [*RULES, {"id": "BAN", "layer": "secret", "test": "overlap_m2 > 0"}]
    hidden = {
        **LAYERS,
        "extra": {"paint": {"colour": "#123456", "shown": False}, "features": [{"id": "E", "box": [0, 0, 9, 9]}]},
    }
    drawing = plates.draw_plate(make_pack(layers=hidden, rules=rules).open(), asked("public"), QUICK)
    told = "".join(words_on(drawing).split())
    assert "图上没有不等于不存在：图层secret" in told
    assert "为清晰起见未绘出：图层extra" in told
    assert "extra" not in {entry.key for entry in drawing.legend}


def test_sites_are_shown_with_the_verdicts_of_the_audience(make_pack: Any, tmp_path: Path) -> None:
    rules = [*RULES, {"id": "BAN", "layer": "secret", "test": "overlap_m2 > 0"}]
    zone = make_pack(layers=LAYERS, rules=rules).open()
    rows = [
        {"site_id": "A", "name": "甲厂", "box": [3_000, -2_000, 3_100, -1_900]},
        {"site_id": "B", "name": "乙厂", "box": [900, 700, 1_000, 800]},
        {"site_id": "C", "name": "丙厂", "box": [-8_000, 7_000, -7_900, 7_100]},
    ]
    write_rows(tmp_path / "sites.gpkg", rows)
    files = SiteFiles(tmp_path / "sites.gpkg")
    for audience in ("internal", "public"):
        drawing = plates.draw_plate(zone, asked(audience), replace(QUICK, dpi=100), files)
        told, _ = Edition(zone, asked(audience)).screened(files)
        listed = {entry.text: entry.key for entry in drawing.legend if entry.kind == "site"}
        assert listed == dict(zip(told["name"], told["verdict"], strict=True))
        assert [entry.number for entry in drawing.legend if entry.kind == "site"] == [1, 2, 3]
        assert listed["甲厂"] == ("prohibit" if audience == "internal" else "undetermined")
    assert drawing.write("png") == plates.draw_plate(zone, asked("public"), replace(QUICK, dpi=100), files).write("png")


def test_a_zone_whose_outline_failed_is_drawn_with_what_there_is(make_pack: Any) -> None:
    pack = make_pack(layers={**LAYERS, "boundary": {"broken": "missing", "features": []}})
    drawing = plates.draw_plate(pack.open(), asked("internal"), QUICK)
    assert {entry.key for entry in drawing.legend if entry.kind == "layer"} == SEEN["internal"] - {"boundary"}
    assert "图层不可用" in words_on(drawing)


def test_the_command_writes_the_formats_asked_for_and_no_page(make_pack: Any, tmp_path: Path) -> None:
    folder, out = make_pack(layers=LAYERS, rules=RULES).write(), tmp_path / "out"
    words = ["map", "--zone", str(folder), "--out", str(out), "--on", "2026-11-22", "--size", "160x120", "--dpi", "127"]
    told = CliRunner().invoke(main, [*words, "--png", "--pdf", "--svg", "--audience", "department"])
    assert told.exit_code == 0, told.output
    assert {path.name for path in out.iterdir()} == {f"map-department.{form}" for form in figures.FORMATS}
    assert image.imread(out / "map-department.png").shape[:2] == (600, 800)
    first = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}
    assert CliRunner().invoke(main, [*words, "--png", "--pdf", "--svg", "--audience", "department"]).exit_code == 0
    assert first == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}
    assert CliRunner().invoke(main, [*words, "--png", "--landscape", "--portrait"]).exit_code == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--size", "A9"], "A9"),
        (["--audience", "public"], "审图号"),
        (["--size", "A2", "--dpi", "1200"], "dpi"),
        (["--size", "60x60"], "60×60"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_written(
    make_pack: Any, tmp_path: Path, more: list[str], says: str
) -> None:
    folder, out = make_pack(layers=LAYERS).write(), tmp_path / "out"
    told = CliRunner().invoke(main, ["map", "--zone", str(folder), "--out", str(out), "--png", *more])
    assert told.exit_code == 3
    assert says in told.output
    assert not out.exists()


def test_without_a_font_the_command_says_how_to_get_one(
    make_pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOJW_FONT", str(tmp_path / "none.ttf"))
    folder = make_pack(layers=LAYERS).write()
    told = CliRunner().invoke(main, ["map", "--zone", str(folder), "--out", str(tmp_path / "out"), "--png"])
    assert told.exit_code == 3
    assert "GEOJW_FONT" in told.output
    assert "Traceback" not in told.output


def test_a_folder_that_cannot_be_written_is_said(make_pack: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    folder = make_pack(layers=LAYERS).write()
    told = CliRunner().invoke(
        main, ["map", "--zone", str(folder), "--out", str(tmp_path / "out"), "--png", "--dpi", "60"]
    )
    assert told.exit_code == 3
    assert "--out" in told.output
