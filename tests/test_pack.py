"""Zone packs that cannot be used, and layers whose data cannot: every fault is found, named and told at once."""

from __future__ import annotations

import re
import string
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import geojw
from geojw.cli import main
from geojw.errors import Fault
from geojw.law.pack import load_pack
from geojw.texts import LANGS, catalogue

DAY = date(2026, 11, 22)
AREA = {"area": {"features": [{"id": "A", "box": [0, 0, 100, 100], "status": "listed"}]}}
RULE = {"id": "R", "layer": "area"}
FILES = ("zone.toml", "catalogue.toml", "access_list.toml", "targets.toml")


def kind_of(fault: Fault) -> str:
    """What kind of fault it is; a wrong value has a text for each type that was expected."""
    typed = fault.key.startswith("value_") and fault.key != "value_not_in_codes"
    return "wrong_value" if typed else fault.key


def faults_of(folder: Path) -> list[Fault]:
    """Give the faults that keep a zone pack from being used."""
    with pytest.raises(geojw.PackError) as caught:
        load_pack(folder)
    return list(caught.value.faults)


def keys_of(folder: Path) -> list[tuple[str, str]]:
    """Give each fault's key and place, sorted."""
    return sorted((kind_of(fault), fault.where) for fault in faults_of(folder))


@pytest.fixture
def sound(make_pack: Any) -> Any:
    """A zone pack without a fault: a layer, a rule and a target."""
    return make_pack(
        layers=AREA,
        rules=[RULE],
        targets=[{"id": "T", "quantity": {"kind": "layer_area", "layer": "area", "within": "boundary"}}],
    )


def layer_of(pack: Any, **keys: Any) -> None:
    pack.layers["area"] = {**pack.layers["area"], **keys}


def rule_of(pack: Any, **keys: Any) -> None:
    pack.rules = [{**pack.rules[0], **keys}]


# ---------------------------------------------------------------------------------------------- sound packs


def test_minizone_loads_unchanged(minizone: Path) -> None:
    """The example is the schema's reference."""
    pack = load_pack(minizone / "pack")
    assert (len(pack.layers), len(pack.rules), len(pack.targets)) == (5, 10, 1)
    assert {rule.id for rule in pack.rules} - {rule.id for rule in pack.in_force(DAY)} == {"OLD-1", "FUT-1", "OFF-1"}
    assert geojw.open_zone(minizone / "pack").faults() == ([], [])


def test_sound_pack(sound: Any) -> None:
    """What the other tests break is sound to begin with."""
    assert sound.open().faults() == ([], [])


def test_every_key_of_the_documentation(make_pack: Any) -> None:
    """All optional keys of docs/zone-pack.md together."""
    words = {"zh": "说明", "en": "note"}
    attribute = {
        "title": words,
        "type": "code",
        "scheme": "S",
        "scheme_column": "scheme",
        "codes": ["26*"],
        "digits": 4,
        "column": "code",
    }
    zone = {
        "sliver_m": 0.2,
        "planar_crs": "EPSG:4544",
        "validity_days": 90,
        "notice": words,
        "sample_sites": "s.gpkg",
        "attributes": {"industry": attribute},
    }
    source = {
        "publisher": "p",
        "date": date(2024, 1, 1),
        "licence": "CC0-1.0",
        "version": "1",
        "url": "https://example.org",
        "note": words,
    }
    layer = {
        **AREA["area"],
        "may_be_empty": True,
        "min_features": 1,
        "codes": {"status": ["listed", "other*"]},
        "label": "id",
        "audience_columns": {"public": ["id"], "department": []},
        "source": source,
        "encoding": "UTF-8",
        "table": "area",
        "paint": {"colour": "#AABBCC", "opacity": 1, "weight": 2, "dash": "6 3", "hatch": True},
    }
    rule = {
        **RULE,
        "where": {"status": ["listed"]},
        "applies": {"industry": ["26*"], "is_new": [True]},
        "unless": {"activity": ["x"]},
        "effect": "approval",
        "in_force": {"start": date(2020, 1, 1), "until": date(2030, 1, 1)},
        "enabled": True,
        "proofs": [{"key": "opinion", "says": words, "if_false": "prohibit"}],
    }
    target = {"id": "T", "by": 2025, "departments": ["a", "b"], "op": "about"}
    zone_ = make_pack(zone=zone, layers={"area": layer}, rules=[rule], targets=[target]).open()
    assert zone_.faults() == ([], [])


def test_whole_numbers_are_numbers(sound: Any) -> None:
    """A whole number may stand where a number is wanted."""
    sound.zone = {"sliver_m2": 1, "site_accuracy_m": 0, "centre": [106, 30]}
    assert load_pack(sound.write()).zone.sliver_m2 == 1.0


# ---------------------------------------------------------------------------------------------- one fault each


def zone_with(**keys: Any) -> Any:
    return lambda pack: pack.zone.update(keys)


def layer_with(**keys: Any) -> Any:
    return lambda pack: layer_of(pack, **keys)


def rule_with(**keys: Any) -> Any:
    return lambda pack: rule_of(pack, **keys)


def target_with(**keys: Any) -> Any:
    return lambda pack: pack.targets.__setitem__(0, {**pack.targets[0], **keys})


WORDS = {"zh": "甲", "en": "a"}
GOOD_BASIS = {"title": "t", "article": "1", "url": "", "verified": True}
SOURCE = {"publisher": "p", "date": date(2024, 1, 1), "licence": "l"}

# Name of the case, what is broken, the fault's key, words of its place, words of its English text.
ONE_FAULT: list[tuple[str, Any, str, str, str]] = [
    # zone.toml
    (
        "zone: unknown key, near",
        zone_with(slivr_m2=1.0),
        "unknown_key_near",
        "zone.toml, slivr_m2",
        "did you mean sliver_m2",
    ),
    ("zone: unknown key", zone_with(qqqqq=1), "unknown_key", "zone.toml, qqqqq", "boundary"),
    ("zone: missing id", zone_with(id="absent"), "missing_key", "zone.toml, id", "add it"),
    ("zone: missing sliver", zone_with(sliver_m2="absent"), "missing_key", "zone.toml, sliver_m2", "add it"),
    ("zone: missing boundary", zone_with(boundary="absent"), "missing_key", "zone.toml, boundary", "add it"),
    ("zone: text for number", zone_with(sliver_m2="1.0"), "wrong_value", "zone.toml, sliver_m2", "'1.0'"),
    ("zone: boolean for number", zone_with(sliver_m2=True), "wrong_value", "zone.toml, sliver_m2", "True"),
    ("zone: negative sliver", zone_with(sliver_m2=-1.0), "wrong_value", "zone.toml, sliver_m2", "-1.0"),
    ("zone: negative accuracy", zone_with(site_accuracy_m=-1.0), "wrong_value", "zone.toml, site_accuracy_m", "-1.0"),
    ("zone: no number", zone_with(sliver_m2=float("nan")), "wrong_value", "zone.toml, sliver_m2", "nan"),
    ("zone: infinite", zone_with(site_accuracy_m=float("inf")), "wrong_value", "zone.toml, site_accuracy_m", "inf"),
    ("zone: title in one language", zone_with(title={"zh": "甲"}), "missing_key", "zone.toml, title.en", "add it"),
    ("zone: title a text", zone_with(title="甲"), "wrong_value", "zone.toml, title", "'甲'"),
    ("zone: centre of one number", zone_with(centre=[106.3]), "missing_key", "zone.toml, centre", "add it"),
    ("zone: centre swapped", zone_with(centre=[29.5, 106.3]), "centre_range", "zone.toml, centre", "in that order"),
    ("zone: unknown boundary", zone_with(boundary="border"), "unknown_layer", "zone.toml, boundary", "border"),
    ("zone: days of validity", zone_with(validity_days=1.5), "wrong_value", "zone.toml, validity_days", "1.5"),
    ("zone: planar CRS", zone_with(planar_crs="EPSG:999999"), "crs_unreadable", "zone.toml", "EPSG:999999"),
    ("attribute: type", zone_with(attributes={"a": {"type": "number"}}), "not_one_of", "attributes.a.type", "number"),
    (
        "attribute: unknown key",
        zone_with(attributes={"a": {"tpye": "code"}}),
        "unknown_key_near",
        "attributes.a.tpye",
        "mean type",
    ),
    (
        "attribute: scheme alone",
        zone_with(attributes={"a": {"scheme": "S"}}),
        "scheme_pair",
        "attributes.a",
        "go together",
    ),
    (
        "attribute: scheme column alone",
        zone_with(attributes={"a": {"scheme_column": "S"}}),
        "scheme_pair",
        "attributes.a",
        "go",
    ),
    # catalogue.toml
    (
        "layer: unknown key, near",
        layer_with(acuracy_m=1.0),
        "unknown_key_near",
        "layers.area, acuracy_m",
        "mean accuracy_m",
    ),
    (
        "layer: unknown key of paint",
        layer_with(paint={"colour": "#000000", "color": "x"}),
        "unknown_key_near",
        "paint.color",
        "colour",
    ),
    (
        "layer: unknown key of source",
        layer_with(source={**SOURCE, "publsher": "x"}),
        "unknown_key_near",
        "source.publsher",
        "publisher",
    ),
    ("layer: missing coverage", layer_with(coverage="absent"), "missing_key", "layers.area, coverage", "add it"),
    (
        "layer: missing licence",
        layer_with(source={"publisher": "p", "date": date(2024, 1, 1)}),
        "missing_key",
        "source.licence",
        "",
    ),
    ("layer: missing geometry", layer_with(geometry="absent"), "missing_key", "layers.area, geometry", "add it"),
    ("layer: missing id column", layer_with(id="absent"), "missing_key", "layers.area, id", "add it"),
    ("layer: text for number", layer_with(accuracy_m="5"), "wrong_value", "layers.area, accuracy_m", "'5'"),
    ("layer: number for boolean", layer_with(may_be_empty=1), "wrong_value", "layers.area, may_be_empty", "1"),
    ("layer: text for boolean", layer_with(may_be_empty="true"), "wrong_value", "layers.area, may_be_empty", "'true'"),
    (
        "layer: date as text",
        layer_with(source={**SOURCE, "date": "2024-01-01"}),
        "wrong_value",
        "source.date",
        "'2024-01-01'",
    ),
    (
        "layer: time for date",
        layer_with(source={**SOURCE, "date": datetime(2024, 1, 1, 9, tzinfo=UTC)}),
        "wrong_value",
        "source.date",
        "9",
    ),
    ("layer: number for text", layer_with(path=5), "wrong_value", "layers.area, path", "5"),
    ("layer: text for list", layer_with(codes={"status": "listed"}), "wrong_value", "codes.status", "listed"),
    ("layer: status", layer_with(status="offical"), "not_one_of", "layers.area, status", "official"),
    ("layer: audience", layer_with(audience="everybody"), "not_one_of", "layers.area, audience", "internal"),
    (
        "layer: audience of columns",
        layer_with(audience_columns={"pubic": []}),
        "not_one_of",
        "audience_columns",
        "public",
    ),
    (
        "layer: release",
        layer_with(release=[{"audience": "public", "approver": "局", "date": date(2026, 1, 1), "reviewed": "1"}]),
        "unknown_key_near",
        "release.0.reviewed",
        "review",
    ),
    (
        "layer: release by nobody",
        layer_with(release=[{"audience": "public", "date": date(2026, 1, 1)}]),
        "missing_key",
        "release.0.approver",
        "approver",
    ),
    ("layer: kind", layer_with(kind="table"), "not_one_of", "layers.area, kind", "vector"),
    ("layer: geometry", layer_with(geometry="area"), "not_one_of", "layers.area, geometry", "polygon"),
    ("layer: colour", layer_with(paint={"colour": "red"}), "wrong_value", "paint.colour", "red"),
    ("layer: opacity", layer_with(paint={"colour": "#000000", "opacity": 2}), "wrong_value", "paint.opacity", "2"),
    ("layer: checksum", layer_with(source={**SOURCE, "sha256": "abc"}), "wrong_value", "source.sha256", "abc"),
    ("layer: unknown coverage", layer_with(coverage="nowhere"), "unknown_layer", "layers.area, coverage", "nowhere"),
    ("layer: covers itself", layer_with(coverage="area"), "bad_coverage", "layers.area, coverage", "unlimited"),
    ("layer: CRS", layer_with(crs="EPSG:999999"), "crs_unreadable", "layers.area", "EPSG:999999"),
    ("layer: path up", layer_with(path="../area.gpkg"), "path_outside", "layers.area, path", "inside"),
    ("layer: path up within", layer_with(path="data/../../area.gpkg"), "path_outside", "layers.area, path", "inside"),
    ("layer: absolute path", layer_with(path="/data/area.gpkg"), "path_outside", "layers.area, path", "inside"),
    ("layer: path of a drive", layer_with(path="C:\\area.gpkg"), "path_outside", "layers.area, path", "inside"),
    # access_list.toml
    (
        "rule: unknown key, near",
        rule_with(efect="approval"),
        "unknown_key_near",
        "rule 1 (R), efect",
        "did you mean effect",
    ),
    ("rule: unknown key", rule_with(zzzz=1), "unknown_key", "rule 1 (R), zzzz", "applies"),
    (
        "rule: unknown key of basis",
        rule_with(basis={**GOOD_BASIS, "verifed": True}),
        "unknown_key_near",
        "basis.verifed",
        "verified",
    ),
    (
        "rule: unknown key of dates",
        rule_with(in_force={"start": date(2020, 1, 1), "untill": date(2030, 1, 1)}),
        "unknown_key_near",
        "in_force.untill",
        "mean until",
    ),
    (
        "rule: unknown key of a proof",
        rule_with(proofs=[{"key": "k", "says": WORDS, "if_false": "prohibit", "if_flase": "x"}]),
        "unknown_key_near",
        "proofs.0.if_flase",
        "if_false",
    ),
    ("rule: missing layer", rule_with(layer="absent"), "missing_key", "rule 1 (R), layer", "add it"),
    ("rule: missing start", rule_with(in_force={}), "missing_key", "rule 1 (R), in_force.start", "add it"),
    (
        "rule: missing verified",
        rule_with(basis={"title": "t", "article": "1", "url": ""}),
        "missing_key",
        "basis.verified",
        "add",
    ),
    ("rule: says in one language", rule_with(says={"en": "x"}), "missing_key", "rule 1 (R), says.zh", "add it"),
    (
        "rule: text for boolean",
        rule_with(basis={**GOOD_BASIS, "verified": "yes"}),
        "wrong_value",
        "basis.verified",
        "'yes'",
    ),
    ("rule: number for boolean", rule_with(enabled=1), "wrong_value", "rule 1 (R), enabled", "1"),
    (
        "rule: start as text",
        rule_with(in_force={"start": "2020-01-01"}),
        "wrong_value",
        "in_force.start",
        "'2020-01-01'",
    ),
    (
        "rule: text for number",
        rule_with(test={"measure": "distance_m", "op": "<=", "value": "3000"}),
        "wrong_value",
        "test.value",
        "3000",
    ),
    ("rule: negative limit", rule_with(test="distance_m <= -1"), "wrong_value", "test.value", "-1.0"),
    ("rule: measure", rule_with(test="overlap_ha > 1"), "not_one_of", "test.measure", "overlap_m2"),
    ("rule: == refused", rule_with(test="overlap_m2 == 0"), "not_one_of", "test.op", ">="),
    ("rule: != refused", rule_with(test="overlap_m2 != 0"), "not_one_of", "test.op", ">="),
    ("rule: effect", rule_with(effect="forbid"), "not_one_of", "rule 1 (R), effect", "prohibit"),
    ("rule: clear is no effect", rule_with(effect="clear"), "not_one_of", "rule 1 (R), effect", "inform"),
    ("rule: level", rule_with(level="provincial"), "not_one_of", "rule 1 (R), level", "municipal"),
    ("rule: dimension", rule_with(dimension="space"), "not_one_of", "rule 1 (R), dimension", "spatial"),
    (
        "rule: effect of a proof",
        rule_with(proofs=[{"key": "k", "says": WORDS, "if_false": "no"}]),
        "not_one_of",
        "proofs.0.if_false",
        "no",
    ),
    ("rule: where a text", rule_with(where={"status": "listed"}), "wrong_value", "where.status", "listed"),
    ("rule: nothing to match", rule_with(applies={"activity": []}), "wrong_value", "applies.activity", "[]"),
    ("rule: unknown layer", rule_with(layer="aera"), "unknown_layer", "rule R, layer", "aera"),
    (
        "rule: until before start",
        rule_with(in_force={"start": date(2024, 1, 1), "until": date(2023, 1, 1)}),
        "until_before_start",
        "rule R, in_force",
        "dates",
    ),
    (
        "rule: until is start",
        rule_with(in_force={"start": date(2024, 1, 1), "until": date(2024, 1, 1)}),
        "until_before_start",
        "rule R, in_force",
        "dates",
    ),
    ("rule: disabled without reason", rule_with(enabled=False), "disabled_without_reason", "rule R", "reason"),
    (
        "rule: not verified",
        rule_with(basis={**GOOD_BASIS, "verified": False}),
        "unverified_enabled",
        "rule R",
        "not be enabled",
    ),
    (
        "rule: exception that nothing governs",
        rule_with(unless={"activity": ["patrol"]}),
        "unless_on_prohibit",
        "rule R, unless",
        "area",
    ),
    # targets.toml
    ("target: unknown key", target_with(vlaue=1.0), "unknown_key_near", "target 1 (T), vlaue", "value"),
    ("target: missing unit", target_with(unit="absent"), "missing_key", "target 1 (T), unit", "add it"),
    ("target: op", target_with(op=">"), "not_one_of", "target 1 (T), op", "about"),
    ("target: text for number", target_with(value="27.5"), "wrong_value", "target 1 (T), value", "27.5"),
    ("target: kind", target_with(quantity={"kind": "area"}), "not_one_of", "quantity.kind", "layer_area"),
    (
        "target: missing within",
        target_with(quantity={"kind": "layer_share", "layer": "area"}, unit="%"),
        "missing_key",
        "quantity.within",
        "add",
    ),
    (
        "target: unknown layer",
        target_with(quantity={"kind": "layer_area", "layer": "x", "within": "boundary"}),
        "unknown_layer",
        "quantity.layer",
        "x",
    ),
]


@pytest.mark.parametrize(("spoil", "key", "place", "words"), [pytest.param(*row[1:], id=row[0]) for row in ONE_FAULT])
def test_one_fault(spoil: Any, key: str, place: str, words: str, sound: Any) -> None:
    """A single mistake gives a single fault, in its place, with words that help."""
    spoil(sound)
    faults = faults_of(sound.write())
    assert [kind_of(fault) for fault in faults] == [key], [fault.text("en") for fault in faults]
    assert place in faults[0].where
    assert words in faults[0].text("en")
    assert re.search(r"[\u4e00-\u9fff]", faults[0].text("zh"))


def test_boundary_must_be_polygons(sound: Any) -> None:
    """The zone's outline is an area."""
    sound.layers["boundary"] = {"geometry": "line", "features": [{"id": "Z", "line": [[0, 0], [1, 1]]}]}
    sound.targets = []
    assert keys_of(sound.write()) == [("boundary_not_polygon", "zone.toml, boundary")]


@pytest.mark.parametrize("change", [{"geometry": "line", "features": []}, {"coverage": "boundary"}])
def test_coverage_must_be_unlimited_polygons(change: dict[str, Any], sound: Any) -> None:
    """A coverage of lines, or one that is limited itself, holds nothing."""
    sound.layers["known"] = {"features": [{"id": "K", "box": [0, 0, 1, 1]}], **change}
    layer_of(sound, coverage="known")
    assert keys_of(sound.write()) == [("bad_coverage", "catalogue.toml, layers.area, coverage")]


def test_raster_without_classes(sound: Any) -> None:
    """A raster needs the cell values that count."""
    layer_of(sound, kind="raster", path="f.tif")
    rule_of(sound, test="cover_share > 0.3")
    sound.targets = []
    assert keys_of(sound.write()) == [("missing_key", "catalogue.toml, layers.area, classes")]


def test_list_item_of_a_wrong_type(sound: Any) -> None:
    """A number among the values of a rule is named once, in its place."""
    rule_of(sound, where={"status": ["listed", 3]})
    assert keys_of(sound.write()) == [("wrong_value", "access_list.toml, rule 1 (R), where.status.1")]


def test_value_of_neither_type(sound: Any) -> None:
    """A value of applies is text or boolean: a number is named once."""
    rule_of(sound, applies={"industry": [26]})
    (fault,) = faults_of(sound.write())
    assert kind_of(fault) == "wrong_value"
    assert "applies.industry.0" in fault.where


# ---------------------------------------------------------------------------------------------- ids


def test_duplicate_rule(sound: Any) -> None:
    """The second row is named, and the first that it repeats."""
    sound.rules = [RULE, {**RULE, "id": "S"}, RULE]
    (fault,) = faults_of(sound.write())
    assert (kind_of(fault), fault.where) == ("duplicate_id", "access_list.toml, rule 3 (R)")
    assert "row 1" in fault.text("en")


def test_duplicate_target(sound: Any) -> None:
    """Targets have ids too."""
    sound.targets *= 2
    assert keys_of(sound.write()) == [("duplicate_id", "targets.toml, target 2 (T)")]


def test_rows_without_id_are_not_duplicates(sound: Any) -> None:
    """Two rules without an id lack a key each; nothing is repeated."""
    sound.rules = [{**RULE, "id": "absent"}, {**RULE, "id": "absent"}]
    assert [key for key, _ in keys_of(sound.write())] == ["missing_key", "missing_key"]


@pytest.mark.parametrize("bad", [["a"], {"a": 1}, 5])
def test_id_of_a_wrong_type(bad: object, sound: Any) -> None:
    """An id that is no text is a fault, not a crash."""
    rule_of(sound, id=bad)
    assert [key for key, _ in keys_of(sound.write())] == ["wrong_value"]


# ---------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", FILES)
def test_missing_file(name: str, sound: Any) -> None:
    """Each of the four files must be there."""
    folder = sound.write()
    (folder / name).unlink()
    assert ("file_missing", name) in keys_of(folder)


@pytest.mark.parametrize("name", FILES)
def test_duplicate_toml_key(name: str, sound: Any) -> None:
    """A key written twice is no TOML; the line is named."""
    folder = sound.write()
    sound.text(name, "a = 1\na = 2\n" + (folder / name).read_text("utf-8"))
    (fault,) = [fault for fault in faults_of(folder) if kind_of(fault) == "not_toml"]
    assert fault.where == name
    assert "line 2" in fault.text("en")
    assert str(folder) not in fault.text("en")


def test_duplicate_layer(sound: Any) -> None:
    """Two tables of one layer are no TOML."""
    sound.write()
    sound.append("catalogue.toml", '\n[layers.area]\nkind = "vector"\n')
    assert ("not_toml", "catalogue.toml") in keys_of(sound.folder)


def test_not_utf8(sound: Any) -> None:
    """A file saved as GBK is named, not a crash."""
    folder = sound.write()
    (folder / "zone.toml").write_bytes('title = "片区"'.encode("gbk"))
    assert ("not_toml", "zone.toml") in keys_of(folder)


def test_byte_order_mark(sound: Any) -> None:
    """A file saved by a Windows editor with a byte order mark is read, or named: never a crash."""
    folder = sound.write()
    (folder / "zone.toml").write_bytes(b"\xef\xbb\xbf" + (folder / "zone.toml").read_bytes())
    try:
        assert load_pack(folder).zone.id == "test"
    except geojw.PackError as error:
        assert [fault.where for fault in error.faults] == ["zone.toml"]  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("access_list.toml", '[rule]\nid = "R"\n', "not_rows"),
        ("targets.toml", "target = 5\n", "not_rows"),
        ("access_list.toml", "rules = []\n", "unknown_key"),
        ("catalogue.toml", "layer = 5\n", "unknown_key"),
        ("catalogue.toml", "", "not_tables"),
        ("catalogue.toml", "layers = 5\n", "not_tables"),
    ],
)
def test_wrong_table(name: str, text: str, key: str, sound: Any) -> None:
    """A file whose tables have another name or shape."""
    sound.rules, sound.targets = [], []
    sound.write()
    sound.text(name, text)
    assert key in [fault for fault, where in keys_of(sound.folder) if where.startswith(name)]


def test_rule_that_is_no_table(sound: Any) -> None:
    """A rule that is a number is a fault, not a crash."""
    sound.write()
    sound.text("access_list.toml", "rule = [5]\n")
    assert [kind_of(fault) for fault in faults_of(sound.folder)] == ["wrong_value"]


def test_layer_that_is_no_table(sound: Any) -> None:
    """A layer that is a text is a fault, not a crash."""
    sound.write()
    sound.text("catalogue.toml", 'layers = { boundary = "b.gpkg", area = "a.gpkg" }\n')
    assert [kind_of(fault) for fault in faults_of(sound.folder)] == ["wrong_value", "wrong_value"]


def test_no_such_folder(tmp_path: Path) -> None:
    """A folder that is not there."""
    assert [kind_of(fault) for fault in faults_of(tmp_path / "none")] == ["pack_missing"]
    with pytest.raises(geojw.PackError) as caught:
        geojw.open_zone("atlantis")
    assert [kind_of(fault) for fault in caught.value.faults] == ["zone_unknown"]
    assert "gaoxin" in caught.value.text("en")


# ---------------------------------------------------------------------------------------------- codes and exceptions


@pytest.mark.parametrize(
    ("value", "codes", "good"),
    [
        ("listed", ["listed"], True),
        ("lsited", ["listed"], False),
        ("26*", ["26*", "30*"], True),
        ("2611", ["26*"], True),
        ("2*", ["26*"], True),
        ("27*", ["26*"], False),
        ("261*", ["26*"], True),
        ("26", ["2611"], False),
        ("", ["listed"], False),
    ],
)
def test_values_within_codes(*, value: str, codes: list[str], good: bool, sound: Any) -> None:
    """A rule's value that the declared codes do not know would never match: a fault, in where, applies and unless."""
    sound.layers["area"]["features"] = [{"id": "A", "box": [0, 0, 1, 1], "status": "x"}]
    layer_of(sound, codes={"status": codes})
    sound.zone = {"attributes": {"use": {"codes": codes}}}
    rule_of(sound, effect="approval", where={"status": [value]}, applies={"use": [value]}, unless={"use": [value]})
    if good:
        load_pack(sound.write())
        return
    at = "access_list.toml, rule R, "
    parts = ("applies.use", "unless.use", "where.status")
    assert keys_of(sound.write()) == [("value_not_in_codes", at + part) for part in parts]


GOVERNS = {"id": "G", "layer": "area", "effect": "approval", "applies": {"activity": ["patrol"]}}
LIFTED = {**RULE, "unless": {"activity": ["patrol"]}}
EARLY = {"start": date(2020, 1, 1)}


@pytest.mark.parametrize(
    ("change", "good"),
    [
        pytest.param({}, True, id="governs the lifted case"),
        pytest.param({"applies": {}}, True, id="governs every case"),
        pytest.param({"applies": {"activity": ["patrol", "road"]}}, True, id="governs more cases"),
        pytest.param({"effect": "condition"}, True, id="a weaker effect is enough"),
        pytest.param({"in_force": EARLY}, True, id="starts earlier"),
        pytest.param({"test": "overlap_m2 >= 0"}, True, id="a wider test"),
        pytest.param({"applies": {"activity": ["road"]}}, False, id="governs another case"),
        pytest.param({"applies": {"activity": ["patrol"], "nature": ["new"]}}, False, id="governs some of the cases"),
        pytest.param({"layer": "other"}, False, id="on another layer"),
        pytest.param({"enabled": False, "reason": "r"}, False, id="disabled"),
        pytest.param({"in_force": {"start": date(2025, 1, 1)}}, False, id="starts later"),
        pytest.param({"in_force": {"start": date(2020, 1, 1), "until": date(2030, 1, 1)}}, False, id="ends"),
        pytest.param({"where": {"status": ["listed"]}}, False, id="on some of the features"),
        pytest.param({"unless": {"activity": ["patrol"]}}, False, id="lifted by the same exception"),
        pytest.param({"unless": {"activity": ["patrol", "road"]}}, False, id="lifted by a wider exception"),
        pytest.param({"test": "overlap_m2 > 10000"}, False, id="only where far more is taken"),
        pytest.param({"test": "distance_m > 50"}, False, id="only where the site is far"),
    ],
)
def test_lifted_prohibition_must_be_governed(*, change: dict[str, Any], good: bool, sound: Any) -> None:
    """An exception to a prohibition needs another enabled rule on the layer that governs the whole lifted case."""
    sound.layers["other"] = {"features": [{"id": "O", "box": [0, 0, 1, 1], "status": "listed"}]}
    sound.rules = [LIFTED, {**GOVERNS, **change}]
    if good:
        load_pack(sound.write())
    else:
        assert keys_of(sound.write()) == [("unless_on_prohibit", "access_list.toml, rule R, unless")]


def test_two_prohibitions_do_not_govern_each_other(sound: Any) -> None:
    """The same exception on both lifts both."""
    sound.rules = [LIFTED, {**LIFTED, "id": "S"}]
    assert [key for key, _ in keys_of(sound.write())] == ["unless_on_prohibit", "unless_on_prohibit"]


# ---------------------------------------------------------------------------------------------- all at once


def test_faults_of_all_files_at_once(sound: Any) -> None:
    """Mistakes in all four files come in one error, each in its place."""
    sound.zone = {"slivr_m2": 1.0, "boundary": "border"}
    layer_of(sound, accuracy_m="5", coverage="nowhere")
    sound.rules = [
        {**RULE, "effect": "forbid", "efect": "x"},
        {**RULE, "id": "S", "layer": "aera"},
        {**RULE, "id": "S"},
    ]
    sound.targets = [{**sound.targets[0], "op": ">", "value": "1"}]
    found = keys_of(sound.write())
    assert {(key, where.split(",")[0]) for key, where in found} >= {
        ("unknown_key_near", "zone.toml"),
        ("wrong_value", "catalogue.toml"),
        ("not_one_of", "access_list.toml"),
        ("unknown_key_near", "access_list.toml"),
        ("unknown_layer", "access_list.toml"),
        ("duplicate_id", "access_list.toml"),
        ("not_one_of", "targets.toml"),
        ("wrong_value", "targets.toml"),
    }


def test_a_broken_file_hides_no_other_fault(sound: Any) -> None:
    """A file that is no TOML is named together with the faults of the other files, and makes no false ones."""
    sound.zone = {"slivr_m2": 1.0}
    rule_of(sound, effect="forbid")
    sound.write()
    sound.append("catalogue.toml", "= broken\n")
    assert [(key, where.split(",")[0]) for key, where in keys_of(sound.folder)] == [
        ("not_one_of", "access_list.toml"),
        ("not_toml", "catalogue.toml"),
        ("unknown_key_near", "zone.toml"),
    ]


def test_faults_of_a_bad_row_do_not_multiply(sound: Any) -> None:
    """A layer that cannot be read is not also called unknown by the rules on it."""
    layer_of(sound, accuracy_m="5")
    assert [key for key, _ in keys_of(sound.write())] == ["wrong_value"]


def test_command_line_tells_all_faults(sound: Any) -> None:
    """`geojw check` and `screen` print every fault, a line each, in both languages, and exit 3."""
    sound.zone = {"slivr_m2": 1.0}
    layer_of(sound, accuracy_m="5")
    rule_of(sound, effect="forbid")
    folder = sound.write()
    for lang, words in (("zh", "是否应为 sliver_m2"), ("en", "did you mean sliver_m2")):
        done = CliRunner().invoke(main, ["check", "--zone", str(folder), "--lang", lang])
        assert done.exit_code == 3
        told = " ".join(done.output.split())
        assert words in told
        assert all(name in told for name in ("zone.toml", "catalogue.toml", "access_list.toml"))
        assert "Traceback" not in told


# ---------------------------------------------------------------------------------------------- texts


def test_every_fault_formats_in_both_languages() -> None:
    """Each fault's texts ask for the same fields in both languages, and can be filled in."""
    for key, words in catalogue().items():
        fields = {lang: {name for _, name, _, _ in string.Formatter().parse(words[lang]) if name} for lang in LANGS}
        assert fields["zh"] == fields["en"], key
        assert all(words[lang].format(**dict.fromkeys(fields[lang], "x")) for lang in LANGS), key


def test_every_fault_raised_has_its_texts() -> None:
    """Each key of a `Fault(...)` in the code is in the catalogue, and no text of a fault is left over."""
    package = Path(geojw.__file__).parent
    code = "\n".join(path.read_text("utf-8") for path in sorted(package.rglob("*.py")))
    raised = set(re.findall(r'Fault\(\s*"([a-z0-9_]+)"', code))
    there = {key.removeprefix("fault.") for key in catalogue() if key.startswith("fault.")}
    assert raised - there == set()
    spoken = {key for key in there if f'"{key}"' in code or f'fault.{key}"' in code or key.startswith("value_")}
    assert there - spoken == set()


def test_every_fault_says_what_to_do() -> None:
    """Texts are sentences in their language: Chinese in zh, none in en but the two words that the law wants on maps."""
    for key, words in catalogue().items():
        assert re.search(r"[\u4e00-\u9fff]", words["zh"]) or not re.search(
            r"[A-Za-z]{4}", re.sub(r"{\w+}", "", words["en"])
        ), key
        assert not re.search(r"[\u4e00-\u9fff]", re.sub("审图号|未经审图", "", words["en"])), key


# ---------------------------------------------------------------------------------------------- data of layers

FEATURES = AREA["area"]["features"]
SITE = {"box": [500, 0, 510, 10]}
BOW = {"id": "W", "polygon": [[0, 0], [100, 100], [100, 0], [0, 100]]}


def check(folder: Path, lang: str = "en") -> tuple[int, str]:
    """Run `geojw check`."""
    done = CliRunner().invoke(main, ["check", "--zone", str(folder), "--lang", lang])
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


LAYER_FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("missing", {"broken": "missing"}, "layer_missing", "area.gpkg"),
    ("truncated", {"broken": "truncated"}, "unreadable", "area.gpkg"),
    ("checksum", {"broken": "wrong_checksum"}, "checksum", "000000000000"),
    ("other CRS", {"broken": "other_crs"}, "crs_differs", "China Geodetic"),
    ("no CRS", {"broken": "no_crs"}, "crs_absent", "area.shp"),
    ("no id column", {"id": "code"}, "id_column", "columns: id, status"),
    ("too few", {"min_features": 2}, "too_few", "1"),
    ("empty", {"features": []}, "layer_empty", "may_be_empty"),
    ("wrong kind", {"features": [*FEATURES, {"id": "L", "line": [[0, 0], [1, 1]]}]}, "wrong_kind", "L"),
    (
        "collection",
        {"features": [{"id": "G", "wkt": "GEOMETRYCOLLECTION(POINT(0 0), POLYGON((0 0, 1 0, 1 1, 0 0)))"}]},
        "wrong_kind",
        "G",
    ),
    ("unknown table", {"table": "forest"}, "table_unknown", "tables: area"),
]


@pytest.mark.parametrize(("change", "key", "words"), [pytest.param(*row[1:], id=row[0]) for row in LAYER_FAULTS])
def test_layer_fault(change: dict[str, Any], key: str, words: str, sound: Any, rows_to_frame: Any) -> None:
    """A layer that cannot be used: named by check (exit 4), source_failed in a run, never clear."""
    layer_of(sound, **change)
    zone = sound.open()
    stopping, _ = zone.faults()
    assert [kind_of(fault) for fault in stopping] == [key]
    assert words in stopping[0].text("en")
    code, told = check(sound.folder)
    assert code == 4
    assert stopping[0].text("en").split(" (")[0][:60] in " ".join(told.split())
    result = geojw.screen(rows_to_frame([SITE]), zone, on=DAY, lang="en")
    assert list(result.findings["outcome"]) == ["source_failed"]
    assert list(result.verdicts["at_most"]) == ["prohibit"]
    assert set(result.failed) == {"area"}


def test_garbage_is_unreadable(sound: Any) -> None:
    """A file that is no vector file at all."""
    sound.write()
    (sound.folder / "area.gpkg").write_bytes(b"\x00\x01garbage" * 999)
    stopping, _ = geojw.open_zone(sound.folder).faults()
    assert [kind_of(fault) for fault in stopping] == ["unreadable"]
    assert str(sound.folder) not in stopping[0].text("en")


def test_half_a_file_is_unreadable(sound: Any) -> None:
    """A GeoPackage whose end did not arrive: readable head, missing rows."""
    layer_of(sound, features=[{"id": f"F{n}", "circle": [n * 10, 0, 4, 400]} for n in range(60)])
    sound.write()
    path = sound.folder / "area.gpkg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stopping, _ = geojw.open_zone(sound.folder).faults()
    assert [kind_of(fault) for fault in stopping] == ["unreadable"]


def test_no_crs_in_a_geopackage(sound: Any, rows_to_file: Any) -> None:
    """A GeoPackage that states "undefined" is a layer without a CRS, and does not stop the run."""
    sound.write()
    (sound.folder / "area.gpkg").unlink()
    rows_to_file(sound.folder / "area.gpkg", FEATURES, crs=None, kind="Polygon")
    zone = geojw.open_zone(sound.folder)
    stopping, _ = zone.faults()
    assert [kind_of(fault) for fault in stopping] in (["crs_absent"], ["crs_differs"])


def test_two_layers_fail(sound: Any) -> None:
    """Every failed layer is named, not only the first."""
    sound.layers["b"] = {"features": [], "broken": "missing"}
    layer_of(sound, broken="truncated")
    stopping, _ = sound.open().faults()
    assert [kind_of(fault) for fault in stopping] == ["unreadable", "layer_missing"]
    code, told = check(sound.folder)
    assert code == 4
    assert "area.gpkg" in told
    assert "b.gpkg" in told


def test_a_layer_with_two_faults(sound: Any) -> None:
    """Both faults of one layer are named."""
    layer_of(sound, id="code", broken="other_crs")
    stopping, _ = sound.open().faults()
    assert sorted(kind_of(fault) for fault in stopping) == ["crs_differs", "id_column"]


def test_several_tables(sound: Any, rows_to_file: Any) -> None:
    """A file with several tables needs to be told which one; told, it is read."""
    sound.write()
    rows_to_file(sound.folder / "area.gpkg", FEATURES, table="second", append=True)
    stopping, _ = geojw.open_zone(sound.folder).faults()
    assert [kind_of(fault) for fault in stopping] == ["several_tables"]
    assert "area, second" in stopping[0].text("en")
    folder = sound.folder
    text = (folder / "catalogue.toml").read_text("utf-8").replace('"area.gpkg"', '"area.gpkg"\n"table" = "second"')
    sound.text("catalogue.toml", text)
    assert geojw.open_zone(folder).faults() == ([], [])


def test_right_checksum(sound: Any) -> None:
    """The right checksum is accepted."""
    import hashlib  # noqa: PLC0415

    sound.write()
    digest = hashlib.sha256((sound.folder / "area.gpkg").read_bytes()).hexdigest()
    text = (sound.folder / "catalogue.toml").read_text("utf-8")
    head, tail = text.split("[layers.area]")
    sound.text(
        "catalogue.toml", head + "[layers.area]" + tail.replace('"licence"', f'"sha256" = "{digest}", "licence"', 1)
    )
    assert geojw.open_zone(sound.folder).faults() == ([], [])


def test_empty_as_declared(sound: Any) -> None:
    """No features and may_be_empty: nothing to tell, check exits 0."""
    layer_of(sound, features=[], may_be_empty=True)
    assert sound.open().faults() == ([], [])
    assert check(sound.folder)[0] == 0


def test_where_column_and_value(sound: Any) -> None:
    """A where column that is not there, and a value that is nowhere, are found by check."""
    sound.rules = [{**RULE, "where": {"stauts": ["listed"]}}, {**RULE, "id": "S", "where": {"status": ["gone"]}}]
    stopping, _ = sound.open().faults()
    assert [(kind_of(fault), fault.fields["rule"]) for fault in stopping] == [
        ("where_column", "R"),
        ("where_value", "S"),
    ]
    assert check(sound.folder)[0] == 4


FEATURE_FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("self-crossing", {"features": [BOW]}, "repaired", "changed by 5000 m²"),
    ("no geometry", {"features": [*FEATURES, {"id": "N", "nothing": True}]}, "unplaced", "area.gpkg, N"),
    ("empty geometry", {"features": [*FEATURES, {"id": "N", "wkt": "POLYGON EMPTY"}]}, "unplaced", "area.gpkg, N"),
    ("id twice", {"features": [*FEATURES, {"id": "A", "box": [200, 0, 300, 100]}]}, "feature_id_twice", "A (row 2)"),
    ("id missing", {"features": [*FEATURES, {"box": [200, 0, 300, 100]}]}, "feature_id_missing", "row 2"),
    (
        "geometry twice",
        {"features": [*FEATURES, {"id": "B", "box": [0, 0, 100, 100]}]},
        "geometry_twice",
        "area.gpkg, B",
    ),
    ("code unknown", {"codes": {"status": ["other"]}}, "code_unknown", "status = listed"),
]


@pytest.mark.parametrize(("change", "key", "words"), [pytest.param(*row[1:], id=row[0]) for row in FEATURE_FAULTS])
def test_feature_fault(change: dict[str, Any], key: str, words: str, sound: Any) -> None:
    """A fault of a feature is named and dealt with; the layer is used, the file untouched, check exits 0."""
    layer_of(sound, **change)
    zone = sound.open()
    before = (sound.folder / "area.gpkg").read_bytes()
    stopping, repaired = zone.faults()
    assert stopping == []
    assert [kind_of(fault) for fault in repaired] == [key]
    assert words in repaired[0].text("en")
    code, told = check(sound.folder)
    assert code == 0
    assert words in " ".join(told.split())
    assert (sound.folder / "area.gpkg").read_bytes() == before


def test_not_finite_coordinates(sound: Any) -> None:
    """A feature with a coordinate that is no number is nowhere known to be."""
    layer_of(sound, features=[*FEATURES, {"id": "N", "polygon": [[0, 0], [1, 0], [1, float("nan")]]}])
    stopping, repaired = sound.open().faults()
    assert stopping == []
    assert "unplaced" in [kind_of(fault) for fault in repaired]


def test_check_lists_idle_rules(minizone: Path) -> None:
    """Rules not in force or disabled are listed by check with the reason."""
    code, told = check(minizone / "pack")
    assert code == 0
    for name, why in (
        ("OLD-1", "expired on 2024-10-20"),
        ("FUT-1", "in force from 2099-01-01"),
        ("OFF-1", "not verified"),
    ):
        (line,) = [line for line in told.splitlines() if name in line and why in line]
        assert line
    code, told = check(minizone / "pack", "zh")
    assert "未启用：not verified" in told


FAR = 60_000
PART: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("sound", [*FEATURES, {"id": "F", "box": [FAR, 0, FAR + 9, 9], "status": "listed"}], {}),
    ("no geometry", [*FEATURES, {"id": "F", "nothing": True, "status": "listed"}], {}),
    ("wrong kind", [*FEATURES, {"id": "F", "line": [[FAR, 0], [FAR + 9, 9]], "status": "listed"}], {}),
    ("id twice, far one first", [{"id": "A", "box": [FAR, 0, FAR + 9, 9], "status": "listed"}, *FEATURES], {}),
    ("id missing, far one first", [{"id": None, "box": [FAR, 0, FAR + 9, 9]}, {**FEATURES[0], "id": None}], {}),
    (
        "value far away",
        [{**FEATURES[0], "status": "x"}, {"id": "F", "box": [FAR, 0, FAR + 9, 9], "status": "listed"}],
        {},
    ),
    ("value nowhere", [{**FEATURES[0], "status": "x"}, {"id": "F", "box": [FAR, 0, FAR + 9, 9], "status": "y"}], {}),
    ("kept nowhere", [{**FEATURES[0], "status": "x"}], {"codes": {"status": ["x", "listed"]}}),
    ("too few", FEATURES, {"min_features": 2}),
    ("nothing near", [{"id": "F", "box": [FAR, 0, FAR + 9, 9], "status": "listed"}], {}),
]


@pytest.mark.parametrize(("features", "change"), [pytest.param(*row[1:], id=row[0]) for row in PART])
def test_layer_read_in_part(
    features: list[dict[str, Any]],
    change: dict[str, Any],
    make_pack: Any,
    rows_to_frame: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layer of many features, read around the sites only, gives what reading it whole gives."""
    rules = [
        {**RULE, "where": {"status": ["listed"]}},
        {**RULE, "id": "N", "test": "distance_m <= 500", "where": {"status": ["listed"]}},
    ]
    folder = make_pack(layers={"area": {"features": features, **change}}, rules=rules).write()
    sites = [{"site_id": "I", "box": [10, 10, 20, 20]}, {"site_id": "O", "box": [700, 0, 710, 10]}]
    whole = geojw.screen(rows_to_frame(sites), geojw.open_zone(folder), on=DAY, lang="en")
    reads: list[object] = []
    read = geojw.zone.read_layer

    def counted(*given: Any) -> Any:
        reads.append(given)
        return read(*given)

    monkeypatch.setattr("geojw.zone.read_layer", counted)
    monkeypatch.setattr("geojw.intake.layer_files.WINDOW_FEATURES", 1)
    part = geojw.screen(rows_to_frame(sites), geojw.open_zone(folder), on=DAY, lang="en")
    for table in ("findings", "verdicts", "overlaps"):
        one, other = getattr(whole, table), getattr(part, table)
        pd.testing.assert_frame_equal(one, other, check_dtype=False)
    assert {name: error.text("en") for name, error in whole.failed.items()} == {
        name: error.text("en") for name, error in part.failed.items()
    }
    assert len(reads) <= 8, "the layer is read over and over"
