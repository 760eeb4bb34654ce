"""The command line as its users meet it: exit codes, files, words, and what happens when things go wrong."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import geopandas as gpd
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
from click.testing import CliRunner

import geojw
from geojw.cli import main
from geojw.zone import today

DAY = "2026-11-22"
TABLES = ("verdicts", "findings", "overlaps", "rejected")
FILES = {"verdicts.csv", "findings.csv", "overlaps.csv", "rejected.csv", "result.gpkg", "passport.json"}
FIRST = {
    "verdicts": "site_id, name, verdict, certainty, decided_by, area_m2, hits, unknown, at_least, at_most, "
    "could_become, lifted, area_ha, area_mu, length_m",
    "findings": "site_id, rule_id, layer, outcome, effect, measure, value, op, limit, margin, certainty, feature_ids, "
    "basis, says, margin_unit, sliver, remedy",
    "overlaps": "site_id, layer, feature_id, overlap_m2, overlap_share, distance_m, rules",
    "rejected": "source, row, site_id, reason",
}
LAYERS = {
    "west": {"features": [{"id": "W", "box": [-5000, -5000, 0, 5000], "status": "listed"}]},
    "station": {"geometry": "point", "features": [{"id": "P", "point": [1000, 0]}]},
}
RULES = [
    {"id": "BAN", "layer": "west", "test": "overlap_m2 > 0"},
    {"id": "NEAR", "layer": "station", "effect": "supervise", "test": "distance_m <= 100"},
]
INSIDE = {"site_id": "A", "name": "甲厂", "box": [-60, 0, -10, 100]}
CLEAR = {"site_id": "B", "name": "乙厂", "box": [200, 0, 300, 100]}
NEAR = {"site_id": "C", "name": "丙厂", "box": [950, 10, 990, 100]}
LOST = {"site_id": "D", "name": "丁厂", "nothing": True}


class Desk:
    """A folder with a zone pack and a file of sites, and the command line at work on them."""

    def __init__(self, folder: Path, pack: Any, write: Any) -> None:
        self.folder, self.pack, self.write = folder, pack, write
        self.zone: Path = pack.write()
        self.out = folder / "out"
        self.sites([INSIDE, CLEAR, NEAR])

    def sites(self, rows: list[dict[str, Any]], name: str = "sites.gpkg", **options: Any) -> Path:
        """Write the file of sites anew."""
        self.file = self.folder / name
        self.file.unlink(missing_ok=True)
        self.write(self.file, rows, **options)
        return self.file

    def run(self, *words: object, sites: Any = None, out: Path | None = None, on: str = DAY, lang: str = "en") -> Any:
        """Run `geojw screen`."""
        paths = [str(path) for path in (sites or [self.file])]
        words = tuple(str(word) for word in words)
        options = [
            "--zone",
            str(self.zone),
            "--out",
            str(out or self.out),
            "--on",
            on,
            "--lang",
            lang,
            "--workers",
            "1",
        ]
        done = CliRunner().invoke(main, ["screen", *paths, *options, *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        assert "Traceback" not in done.output
        return done

    def plain(self, *words: object, **options: Any) -> Any:
        """Run it without a map, which takes time."""
        return self.run("--no-map", *words, **options)

    def table(self, name: str, out: Path | None = None) -> list[dict[str, str]]:
        """Read a table as text."""
        text = ((out or self.out) / f"{name}.csv").read_text("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text)))

    def passport(self, out: Path | None = None) -> dict[str, Any]:
        """Read the passport."""
        loaded: dict[str, Any] = json.loads(((out or self.out) / "passport.json").read_text("utf-8"))
        return loaded

    def left(self) -> set[str]:
        """Give the names of all that is in the folder, hidden ones too."""
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def desk(tmp_path: Path, make_pack: Any, rows_to_file: Any) -> Desk:
    """A desk with three sites: prohibited, clear, supervised."""
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk", make_pack(layers=LAYERS, rules=RULES), rows_to_file)


def content(folder: Path) -> dict[str, str]:
    """Give the checksum of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


# ---------------------------------------------------------------------------------------------- exit codes


def test_done(desk: Desk) -> None:
    """0: done."""
    assert desk.plain().exit_code == 0
    assert [row["verdict"] for row in desk.table("verdicts")] == ["prohibit", "clear", "supervise"]


def test_rows_rejected(desk: Desk) -> None:
    """1: done, but some sites were rejected."""
    desk.sites([INSIDE, LOST])
    assert desk.plain().exit_code == 1
    assert [(row["site_id"], row["row"]) for row in desk.table("rejected")] == [("D", "2")]
    assert "has no geometry" in desk.table("rejected")[0]["reason"]


def test_layer_failed(desk: Desk) -> None:
    """4: done, but a layer failed; it is named first."""
    (desk.zone / "station.gpkg").unlink()
    done = desk.plain()
    assert done.exit_code == 4
    notices = [line for line in done.output.splitlines() if line.startswith("!")]
    assert "Layer failed: station.gpkg" in notices[0]
    assert "station.gpkg" in desk.passport()["notices"][0]
    assert [row["verdict"] for row in desk.table("verdicts")] == ["prohibit", "undetermined", "undetermined"]


@pytest.mark.parametrize(("effect", "code"), [("prohibit", 10), ("approval", 10), ("supervise", 10), ("inform", 10)])
def test_fail_on(effect: str, code: int, desk: Desk) -> None:
    """10: some site may be that strict or stricter; the results are written all the same."""
    assert desk.plain("--fail-on", effect).exit_code == code
    assert desk.left() >= {"out"}
    assert {path.name for path in desk.out.iterdir()} == FILES


def test_fail_on_not_met(desk: Desk) -> None:
    """No site is that strict: 0."""
    desk.sites([CLEAR, NEAR])
    assert desk.plain("--fail-on", "condition").exit_code == 0
    assert desk.plain("--fail-on", "supervise").exit_code == 10


def test_fail_on_counts_what_may_be(desk: Desk) -> None:
    """A site that may be prohibited because a layer failed counts."""
    desk.sites([CLEAR])
    (desk.zone / "west.gpkg").unlink()
    assert desk.plain("--fail-on", "prohibit").exit_code == 10


def test_order_of_exit_codes(desk: Desk) -> None:
    """10 before 4 before 1; 3 before all."""
    desk.sites([INSIDE, LOST])
    (desk.zone / "station.gpkg").unlink()
    assert desk.plain("--fail-on", "prohibit").exit_code == 10
    assert desk.plain().exit_code == 4
    assert desk.plain("--fail-on", "prohibit", sites=[desk.file, "gone.shp"]).exit_code == 3


USAGE: list[tuple[str, list[str]]] = [
    ("no sites", ["screen"]),
    ("unknown command", ["scren"]),
    ("unknown option", ["screen", "x.gpkg", "--fast"]),
    ("bad date", ["screen", "x.gpkg", "--on", "22.11.2026"]),
    ("impossible date", ["screen", "x.gpkg", "--on", "2026-02-30"]),
    ("unknown effect", ["screen", "x.gpkg", "--fail-on", "forbid"]),
    ("clear is no effect", ["screen", "x.gpkg", "--fail-on", "clear"]),
    ("unknown language", ["screen", "x.gpkg", "--lang", "de"]),
    ("unknown format", ["screen", "x.gpkg", "--format", "xls"]),
    ("no workers", ["screen", "x.gpkg", "--workers", "0"]),
    ("no batch", ["screen", "x.gpkg", "--batch", "0"]),
    ("negative limit", ["screen", "x.gpkg", "--map-limit", "-1"]),
]


@pytest.mark.parametrize("words", [pytest.param(row[1], id=row[0]) for row in USAGE])
def test_wrong_usage(words: list[str]) -> None:
    """2: wrong usage, one sentence, no traceback."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert "Error" in done.output


def test_bad_date_says_how(desk: Desk) -> None:
    """The sentence shows how a date is written, in both languages."""
    done = desk.plain(on="22.11.2026")
    assert "write it like 2026-11-22" in " ".join(done.output.split())
    assert "请写成 2026-11-22" in " ".join(done.output.split())


UNUSABLE: list[tuple[str, list[str], str]] = [
    ("missing file", ["gone.shp"], "gone.shp: the file does not exist"),
    ("unknown zone", ["{sites}", "--zone", "atlantis"], "there is no such zone; embedded ones: gaoxin"),
    ("zone folder without files", ["{sites}", "--zone", "{folder}"], "zone.toml: the file does not exist"),
    ("unknown id column", ["{sites}", "--id", "kode"], "there is no column kode"),
    ("unknown table", ["{sites}", "--layer", "two"], "there is no table two"),
    ("out is a file", ["{sites}", "--out", "{sites}"], "is a file, not a folder"),
    ("out below a file", ["{sites}", "--out", "{sites}/out"], "cannot be written"),
]


@pytest.mark.parametrize(("words", "sentence"), [pytest.param(*row[1:], id=row[0]) for row in UNUSABLE])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_unusable(words: list[str], sentence: str, lang: str, desk: Desk) -> None:
    """3: an input cannot be used: one sentence, no traceback, nothing written."""
    words = [word.format(sites=desk.file, folder=desk.folder) for word in words]
    options = [] if "--zone" in words else ["--zone", str(desk.zone)]
    if "--out" not in words:
        options += ["--out", str(desk.out)]
    before = desk.left()
    done = CliRunner().invoke(main, ["screen", *words, *options, "--lang", lang])
    assert done.exit_code == 3
    told = " ".join(done.output.split())
    assert (sentence in told) == (lang == "en")
    assert ("无法继续" in told) == (lang == "zh")
    assert "Traceback" not in told
    assert len(done.output.splitlines()) <= 6
    assert desk.left() == before


def test_faults_of_zone_and_sites_at_once(desk: Desk) -> None:
    """The faults of the zone pack and of the sites come together."""
    (desk.zone / "targets.toml").unlink()
    done = desk.plain(sites=["gone.shp"])
    assert done.exit_code == 3
    assert "targets.toml" in done.output
    assert "gone.shp" in done.output


def test_zone_that_cannot_be_used_writes_nothing(desk: Desk) -> None:
    """A fault of the zone pack: exit 3 and not even a folder."""
    desk.pack.append("access_list.toml", "\n[[rule]]\nid = 5\n")
    assert desk.plain().exit_code == 3
    assert "out" not in desk.left()


# ---------------------------------------------------------------------------------------------- files


def test_files_and_columns(desk: Desk) -> None:
    """Exactly the files of DESIGN, each with its first columns in order, in UTF-8 with one byte order mark."""
    assert desk.run().exit_code == 0
    assert {path.name for path in desk.out.iterdir()} == {*FILES, "map.html"}
    for name in TABLES:
        raw = (desk.out / f"{name}.csv").read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        assert raw.count(b"\xef\xbb\xbf") == 1
        head = raw.decode("utf-8-sig").splitlines()[0].split(",")
        assert ", ".join(head).startswith(FIRST[name])


def test_tables_say_what_was_found(desk: Desk) -> None:
    """One row a site, one a finding, one an overlap; sorted."""
    desk.plain()
    assert [(row["site_id"], row["name"], row["area_m2"], row["area_mu"]) for row in desk.table("verdicts")] == [
        ("A", "甲厂", "5000.0", "7.5"),
        ("B", "乙厂", "10000.0", "15.0"),
        ("C", "丙厂", "3600.0", "5.4"),
    ]
    found = desk.table("findings")
    assert [(row["site_id"], row["rule_id"], row["outcome"]) for row in found] == [
        ("A", "BAN", "hit"),
        ("A", "NEAR", "clear"),
        ("B", "BAN", "clear"),
        ("B", "NEAR", "clear"),
        ("C", "BAN", "clear"),
        ("C", "NEAR", "hit"),
    ]
    overlaps = desk.table("overlaps")
    assert [(row["site_id"], row["layer"], row["feature_id"], row["rules"]) for row in overlaps] == [
        ("A", "station", "P", "NEAR"),
        ("A", "west", "W", "BAN"),
        ("B", "station", "P", "NEAR"),
        ("C", "station", "P", "NEAR"),
    ]
    assert overlaps[1]["overlap_m2"] == "5000.0"
    assert overlaps[1]["distance_m"] == ""
    assert overlaps[0]["overlap_m2"] == ""


def test_geopackage(desk: Desk) -> None:
    """result.gpkg has the sites and the overlaps with their shapes, in CGCS2000 degrees."""
    desk.plain()
    path = desk.out / "result.gpkg"
    assert sorted(str(name) for name, _ in pyogrio.list_layers(path)) == ["overlaps", "sites"]
    sites = gpd.read_file(path, layer="sites")
    assert sites.crs.to_epsg() == 4490
    assert list(sites["site_id"]) == ["A", "B", "C"]
    assert list(sites["verdict"]) == ["prohibit", "clear", "supervise"]
    assert sites.geometry.is_valid.all()
    overlaps = gpd.read_file(path, layer="overlaps")
    assert list(overlaps["feature_id"]) == ["W"]
    assert overlaps.to_crs(geojw.measure.geodesy.AnalysisCRS(106.33, 29.52).crs).area.iloc[0] == pytest.approx(
        5000, rel=1e-5
    )


def test_parquet(desk: Desk) -> None:
    """--format parquet: tables that pyarrow reads and geometries that geopandas reads; no CSV, no GeoPackage."""
    desk.sites([{**INSIDE, "name": "=1+1"}, CLEAR, NEAR])
    assert desk.plain("--format", "parquet").exit_code == 0
    names = {
        *(f"{name}.parquet" for name in TABLES),
        "result_sites.parquet",
        "result_overlaps.parquet",
        "passport.json",
    }
    assert {path.name for path in desk.out.iterdir()} == names
    for name in TABLES:
        table = pq.read_table(desk.out / f"{name}.parquet")
        assert ", ".join(table.column_names).startswith(FIRST[name])
    findings = pq.read_table(desk.out / "findings.parquet")
    for name in ("says", "basis"):
        assert "dictionary" in str(findings.schema.field(name).type)
    assert str(findings.schema.field("value").type) == "double"
    assert str(findings.schema.field("sliver").type) == "bool"
    assert findings.column("outcome").to_pylist() == ["hit", "clear", "clear", "clear", "clear", "hit"]
    sites = gpd.read_parquet(desk.out / "result_sites.parquet")
    assert sites.crs.to_epsg() == 4490
    assert list(sites["site_id"]) == ["A", "B", "C"]
    assert list(sites["name"]) == ["=1+1", "乙厂", "丙厂"]
    assert sites.geometry.is_valid.all()
    overlaps = gpd.read_parquet(desk.out / "result_overlaps.parquet")
    assert list(overlaps["feature_id"]) == ["W"]
    assert len(gpd.read_file(desk.file)) == len(sites)


def test_parquet_and_csv_agree(desk: Desk) -> None:
    """Both formats say the same."""
    desk.plain()
    desk.plain("--format", "parquet", out=desk.folder / "p")
    for name in TABLES:
        rows = pq.read_table(desk.folder / "p" / f"{name}.parquet").to_pandas().astype(object)
        plain = pd.read_csv(desk.out / f"{name}.csv", keep_default_na=False, dtype=str)
        assert list(rows.columns) == list(plain.columns)
        assert len(rows) == len(plain)
        for column in ("site_id", "rule_id", "says", "remedy", "verdict", "reason"):
            if column in rows:
                assert list(rows[column]) == list(plain[column]), column


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_nothing_to_screen(kind: str, desk: Desk) -> None:
    """Only rejected rows: all files are there, the tables empty but for their heads."""
    desk.sites([LOST])
    assert desk.run("--format", kind).exit_code == 1
    names = {f"{name}.{kind}" for name in TABLES}
    assert {path.name for path in desk.out.iterdir()} >= {*names, "passport.json", "map.html"}
    if kind == "csv":
        assert desk.table("verdicts") == []
        assert len(desk.table("rejected")) == 1
    else:
        assert pq.read_table(desk.out / "verdicts.parquet").num_rows == 0
        assert len(gpd.read_parquet(desk.out / "result_sites.parquet")) == 0


def test_no_rules_in_force(desk: Desk) -> None:
    """On a day before all rules every site is clear, and the tables are there."""
    assert desk.run(on="1999-01-01").exit_code == 0
    assert {row["verdict"] for row in desk.table("verdicts")} == {"clear"}
    assert desk.table("findings") == desk.table("overlaps") == []


# ---------------------------------------------------------------------------------------------- hostile text

FORMULAS = ["=1+1", "+1", "-1", "@x", "\tx", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_neutralised(text: str, desk: Desk) -> None:
    """A spreadsheet must not run a site's name, id or claim."""
    desk.sites(
        [
            {"site_id": text, "name": text, "box": [-60, 0, -10, 100]},
            {"site_id": text + "2", "name": text, "nothing": True},
        ]
    )
    desk.plain()
    for name in TABLES:
        raw = (desk.out / f"{name}.csv").read_text("utf-8-sig")
        for row in csv.reader(io.StringIO(raw)):
            for cell in row:
                assert not cell.startswith(("=", "+", "@", "\t")), cell
                assert not cell.startswith("-") or re.fullmatch(r"-[\d.]+(e-?\d+)?", cell), cell
    clean = text.strip()
    assert desk.table("verdicts")[0]["name"] == ("'" if clean.startswith(tuple("=+-@")) else "") + clean


def test_negative_figures_stay_figures(desk: Desk) -> None:
    """A margin below 0 is a number, not a formula."""
    desk.plain()
    assert desk.table("findings")[0]["margin"] == "-5000.0"


LONG = "长" * 10_000
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "bidi": "abc\u202etxt.exe\u202c\u2066x\u2069",
    "long": LONG,
    "markup": "[red]x[/red]",
    "markup end": "[/]",
    "link": "[link=https://example.org]x[/link]",
    "newline": 'a\nb,c"d',
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "emoji": ":smile: 😀",
    "backslash": "\\[bold]",
    "quote": "'; DROP TABLE sites; --",
    "zero width": "a\u200bb",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text(text: str, desk: Desk) -> None:
    """Whatever a name holds, it is kept in the tables and harmless on the terminal."""
    desk.sites([{**INSIDE, "name": text, "activity": text}, CLEAR])
    done = desk.plain()
    assert done.exit_code == 0
    name = desk.table("verdicts")[0]["name"]
    assert name == text.strip()
    assert "\x1b" not in done.output
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\u200e\u200f]", done.output)
    assert len(done.output.splitlines()) < 100


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "[bold]", "[/nothing]"])
def test_markup_is_printed_as_text(text: str, desk: Desk) -> None:
    """Brackets of a site's name or id come out as they are."""
    desk.sites([{"site_id": text, "name": text, "box": [-60, 0, -10, 100]}])
    done = desk.plain()
    assert done.exit_code == 0
    assert "".join(done.output.split()).count(text) >= 1


def test_markup_in_a_zone_pack(tmp_path: Path, make_pack: Any, rows_to_file: Any) -> None:
    """Brackets of a zone's title, a rule's id or a notice come out as they are, in screen and in check."""
    rules = [
        {**RULES[0], "id": "BAN[/x]", "says": {"zh": "禁[/x]", "en": "ban[/x]"}},
        {**RULES[0], "id": "OFF[/x]", "enabled": False, "reason": "not [/y] read"},
    ]
    zone = {"title": {"zh": "片[/z]", "en": "zone[/z]"}, "notice": {"zh": "注[/n]", "en": "note[/n]"}}
    desk = Desk(tmp_path, make_pack("p", layers=LAYERS, rules=rules, zone=zone), rows_to_file)
    done = desk.plain()
    assert done.exit_code == 0
    told = "".join(done.output.split())
    assert "zone[/z]" in told
    assert "note[/n]" in told
    assert "BAN[/x]" in told
    done = CliRunner().invoke(main, ["check", "--zone", str(desk.zone), "--lang", "en"])
    assert done.exit_code == 0, repr(done.exception)
    told = "".join(done.output.split())
    assert "zone[/z]" in told
    assert "not[/y]read" in told


def test_hostile_ids_in_the_rejected(desk: Desk) -> None:
    """Rejected rows are told as text too."""
    desk.sites([{"site_id": "[/]", "nothing": True}, {"site_id": "\x1b[31m", "nothing": True}, CLEAR])
    done = desk.plain()
    assert done.exit_code == 1
    assert "\x1b" not in done.output


def test_hostile_text_on_the_map(desk: Desk) -> None:
    """A name cannot end the page's script."""
    desk.sites([{**INSIDE, "name": "</script><script>alert(1)</script><!--"}])
    assert desk.run().exit_code == 0
    page = (desk.out / "map.html").read_text("utf-8")
    assert "<script>alert(1)" not in page


# ---------------------------------------------------------------------------------------------- words


def test_languages(desk: Desk) -> None:
    """--lang decides the language of tables and terminal."""
    english = desk.plain(lang="en").output
    assert "prohibited" in english
    assert "read 3, screened 3, rejected 0" in english
    assert "remove the overlapping 5,000 m²" in desk.table("findings")[0]["remedy"]
    assert desk.table("findings")[0]["says"] == "rule BAN"
    assert desk.table("verdicts")[0]["verdict_text"] == "prohibited"
    chinese = desk.plain(lang="zh").output
    assert "禁止" in chinese
    assert "读入 3，判定 3，退回 0" in chinese
    assert desk.table("findings")[0]["says"] == "规则 BAN"
    assert not re.search(r"[\u4e00-\u9fff]", english.replace("甲厂", "").replace("乙厂", "").replace("丙厂", ""))


def test_words_of_machines_do_not_depend_on_the_language(desk: Desk) -> None:
    """Verdicts, outcomes and figures are the same in both."""
    desk.plain(lang="en")
    one = desk.table("verdicts"), desk.table("findings")
    desk.plain(lang="zh")
    two = desk.table("verdicts"), desk.table("findings")
    texts = {"says", "remedy", "basis", "claimed", "verdict_text"}
    for before, after in zip(one, two, strict=True):
        assert [{k: v for k, v in row.items() if k not in texts} for row in before] == [
            {k: v for k, v in row.items() if k not in texts} for row in after
        ]


def test_quiet(desk: Desk) -> None:
    """--quiet prints nothing, and writes all the same."""
    desk.sites([INSIDE, LOST])
    done = desk.plain("--quiet", "--fail-on", "prohibit")
    assert done.output == ""
    assert done.exit_code == 10
    assert {path.name for path in desk.out.iterdir()} == FILES


def test_decisions_of_intake_are_said(desk: Desk) -> None:
    """Made ids and repairs are told on the terminal and in the passport."""
    bow = {"name": "x", "polygon": [[-100, 0], [0, 100], [0, 0], [-100, 100]]}
    desk.sites([bow])
    told = " ".join(desk.plain().output.split())
    assert "they are made of the file's name and the row" in told
    assert "changed by 5000 m²" in told
    assert len(desk.passport()["remarks"]) == 2


def test_notices(tmp_path: Path, make_pack: Any, rows_to_file: Any) -> None:
    """What every output must say: the zone's notice, synthetic data, unchecked force, newer layers, expiry."""
    layers = {
        **LAYERS,
        "west": {**LAYERS["west"], "status": "synthetic"},
        "station": {**LAYERS["station"], "status": "open"},
    }
    layers["west"]["source"] = {"publisher": "p", "date": date(2027, 1, 1), "licence": "l"}
    basis = {"title": "t", "article": "1", "url": "", "verified": True}
    zone = {"notice": {"zh": "演示", "en": "Demonstration"}, "validity_days": 90}
    pack = make_pack("p", layers=layers, rules=[{**rule, "basis": basis} for rule in RULES], zone=zone)
    desk = Desk(tmp_path, pack, rows_to_file)
    told = " ".join(desk.run().output.split())
    page = (desk.out / "map.html").read_text("utf-8")
    notices = " ".join(desk.passport()["notices"])
    for words in (
        "Demonstration",
        "synthetic (made-up) data: west",
        "nobody verified: station",
        "after the day 2026-11-22: west",
        "clauses of 2 rules was not checked",
        "expires on 2027-02-20",
    ):
        assert words in told
        assert words in notices
        assert words in page
    assert {row["data"] for row in desk.table("findings")} == {
        "force_unchecked;newer_than_day;synthetic",
        "force_unchecked",
    }
    assert "synthetic" in desk.table("verdicts")[0]["data"]


def test_long_notice_is_not_cut(tmp_path: Path, make_pack: Any, rows_to_file: Any) -> None:
    """A zone's notice is shown whole, however long."""
    words = [f"word{n}" for n in range(300)]
    pack = make_pack("p", layers=LAYERS, rules=RULES, zone={"notice": {"zh": "注" * 900, "en": " ".join(words)}})
    told = Desk(tmp_path, pack, rows_to_file).plain().output.split()
    assert [word for word in told if word.startswith("word")] == words


def test_passport(desk: Desk) -> None:
    """The passport has what a second run needs."""
    desk.plain()
    passport = desk.passport()
    assert passport["day"] == DAY
    assert passport["counts"]["read"] == 3
    assert passport["counts"]["verdicts"] == {"clear": 1, "prohibit": 1, "supervise": 1}
    assert passport["sites"][0]["sha256"] == hashlib.sha256(desk.file.read_bytes()).hexdigest()
    for name in ("west", "station"):
        assert (
            passport["layers"][name]["sha256"] == hashlib.sha256((desk.zone / f"{name}.gpkg").read_bytes()).hexdigest()
        )
    for name, digest in passport["zone"]["files"].items():
        assert digest == hashlib.sha256((desk.zone / name).read_bytes()).hexdigest()
    assert set(passport["versions"]) >= {"geojw", "geos", "proj", "gdal"}
    assert "Lambert Azimuthal Equal Area" in passport["analysis_crs"]
    assert passport["tolerances"]["sliver_m2"] == 1.0
    assert passport["rules_in_force"] == ["BAN", "NEAR"]
    assert str(desk.folder) not in json.dumps(passport)


# ---------------------------------------------------------------------------------------------- options


def test_day_changes_the_rules(tmp_path: Path, make_pack: Any, rows_to_file: Any) -> None:
    """--on another day gives that day's rules."""
    rules = [
        {**RULES[0], "id": "OLD", "in_force": {"start": date(2020, 1, 1), "until": date(2025, 1, 1)}},
        {**RULES[0], "id": "NEW", "in_force": {"start": date(2025, 1, 1)}},
        {**RULES[0], "id": "OFF", "enabled": False, "reason": "r"},
    ]
    desk = Desk(tmp_path, make_pack("p", layers=LAYERS, rules=rules), rows_to_file)
    for on, names in (("2024-12-31", {"OLD"}), ("2025-01-01", {"NEW"}), ("2019-12-31", set())):
        assert desk.plain(on=on).exit_code == 0
        assert {row["rule_id"] for row in desk.table("findings")} == names
        assert desk.passport()["rules_in_force"] == sorted(names)
        assert desk.passport()["day"] == on


def test_today_is_the_day_in_china(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 16:30 in Greenwich it is the next day in Shanghai."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 11, 21, 16, 30, tzinfo=ZoneInfo("UTC")).astimezone(tz)

    monkeypatch.setattr("geojw.zone.datetime", Clock)
    assert today() == date(2026, 11, 22)


def test_map_limit(desk: Desk) -> None:
    """Above --map-limit: no map, only sites that are not clear in result; the run says so."""
    done = desk.run("--map-limit", 2)
    assert done.exit_code == 0
    assert {path.name for path in desk.out.iterdir()} == FILES
    assert "More than 2 sites" in " ".join(done.output.split())
    assert list(gpd.read_file(desk.out / "result.gpkg", layer="sites")["site_id"]) == ["A", "C"]
    assert len(desk.table("verdicts")) == 3
    assert desk.run("--map-limit", 3).exit_code == 0
    assert (desk.out / "map.html").exists()
    assert len(gpd.read_file(desk.out / "result.gpkg", layer="sites")) == 3


def test_all_geometry(desk: Desk) -> None:
    """--all-geometry writes the clear sites too."""
    assert desk.run("--map-limit", 2, "--all-geometry").exit_code == 0
    assert len(gpd.read_file(desk.out / "result.gpkg", layer="sites")) == 3
    assert not (desk.out / "map.html").exists()


def test_no_map(desk: Desk) -> None:
    """--no-map: all but the map, with all geometries."""
    desk.plain()
    assert {path.name for path in desk.out.iterdir()} == FILES
    assert len(gpd.read_file(desk.out / "result.gpkg", layer="sites")) == 3


def test_id_layer_crs(desk: Desk) -> None:
    """--id, --layer and --crs."""
    file = desk.sites([{"code": "X1", "box": [-60, 0, -10, 100]}], table="one")
    desk.write(file, [{"code": "X2", "box": [-60, 0, -10, 100]}], table="two", append=True)
    assert desk.plain("--layer", "two", "--id", "code").exit_code == 0
    assert [row["site_id"] for row in desk.table("verdicts")] == ["X2"]
    shape = {"site_id": "G", "wkt": "POLYGON((106.3 29.5, 106.301 29.5, 106.301 29.501, 106.3 29.501, 106.3 29.5))"}
    desk.sites([shape], name="bare.shp", crs=None, kind="Polygon")
    assert desk.plain().exit_code == 3
    assert desk.plain("--crs", "EPSG:4490").exit_code == 0
    assert [row["verdict"] for row in desk.table("verdicts")] == ["prohibit"]


def test_several_files(desk: Desk) -> None:
    """Several files are one set of sites."""
    first = desk.sites([INSIDE, CLEAR], name="a.gpkg")
    second = desk.sites([NEAR, {**CLEAR, "name": "again"}], name="b.gpkg")
    assert desk.plain(sites=[first, second]).exit_code == 1
    assert [row["site_id"] for row in desk.table("verdicts")] == ["A", "C"]
    assert [(row["source"], row["site_id"]) for row in desk.table("rejected")] == [("a.gpkg", "B"), ("b.gpkg", "B")]
    counts = desk.passport()["counts"]
    assert counts["read"] == counts["screened"] + counts["rejected"] == 4


def test_column_names_cut_by_a_shapefile(tmp_path: Path, make_pack: Any, rows_to_file: Any) -> None:
    """A Shapefile cuts names at 10 bytes: the attribute is found, or the run says which column it may be."""
    rule = {**RULES[0], "applies": {"activity_type": ["factory"]}}
    desk = Desk(tmp_path, make_pack("p", layers=LAYERS, rules=[rule]), rows_to_file)
    desk.sites([{**INSIDE, "activity_type": "factory"}], name="s.shp", kind="Polygon")
    done = desk.plain()
    (row,) = desk.table("findings")
    assert row["outcome"] == "hit" or "activity_t " in done.output


# ---------------------------------------------------------------------------------------------- same inputs, same bytes


def same_but_time(one: Path, two: Path) -> None:
    """Hold that two results have the same bytes, but for the time stamp and the GeoPackage's own."""
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    for path in one.iterdir():
        first, second = path.read_bytes(), (two / path.name).read_bytes()
        if path.name == "passport.json":
            first, second = (re.sub(rb'"run_at": "[^"]*"', b"", text) for text in (first, second))
            assert first != path.read_bytes()
        if path.suffix != ".gpkg":
            assert first == second, path.name


def minizone_run(minizone: Path, out: Path, *words: str) -> Path:
    """Screen the example quietly, without a map."""
    words = ("--zone", str(minizone / "pack"), "--out", str(out), "--on", DAY, "-q", "--no-map", *words)
    assert CliRunner().invoke(main, ["screen", str(minizone / "sites.gpkg"), *words]).exit_code == 0
    return out


def test_same_bytes(minizone: Path, tmp_path: Path) -> None:
    """The same inputs give the same bytes, whatever the batch and the workers."""
    whole = minizone_run(minizone, tmp_path / "whole", "--workers", "1")
    same_but_time(whole, minizone_run(minizone, tmp_path / "parts", "--batch", "31", "--workers", "2"))


def test_same_rows_of_parquet(minizone: Path, tmp_path: Path) -> None:
    """Row groups of Parquet follow the batches, the rows do not change."""
    whole = minizone_run(minizone, tmp_path / "whole", "--format", "parquet")
    parts = minizone_run(minizone, tmp_path / "parts", "--format", "parquet", "--batch", "40")
    for name in TABLES:
        pd.testing.assert_frame_equal(
            pd.read_parquet(whole / f"{name}.parquet").astype(object),
            pd.read_parquet(parts / f"{name}.parquet").astype(object),
        )


def test_same_bytes_of_a_second_run(desk: Desk) -> None:
    """A second run gives the same bytes, map included."""
    for kind in ("csv", "parquet"):
        one, two = desk.folder / f"{kind}1", desk.folder / f"{kind}2"
        desk.run("--format", kind, out=one)
        desk.run("--format", kind, out=two)
        same_but_time(one, two)


def test_order_of_files_means_nothing(desk: Desk) -> None:
    """Files in another order give the same tables."""
    files = [desk.sites([INSIDE, LOST], name="a.gpkg"), desk.sites([NEAR, CLEAR], name="b.gpkg")]
    one, two = desk.folder / "one", desk.folder / "two"
    desk.plain(sites=files, out=one)
    desk.plain(sites=files[::-1], out=two)
    for name in TABLES:
        assert (one / f"{name}.csv").read_bytes() == (two / f"{name}.csv").read_bytes()


# ---------------------------------------------------------------------------------------------- reruns


def test_rerun_removes_what_is_stale(desk: Desk) -> None:
    """A new run in an old folder takes away what it does not write, and leaves what is not its own."""
    desk.run()
    (desk.out / "notes.txt").write_text("mine", "utf-8")
    desk.plain()
    assert {path.name for path in desk.out.iterdir()} == {*FILES, "notes.txt"}
    desk.plain("--format", "parquet")
    assert not list(desk.out.glob("*.csv"))
    assert not (desk.out / "result.gpkg").exists()
    assert (desk.out / "notes.txt").read_text("utf-8") == "mine"


def test_rerun_with_other_sites(desk: Desk) -> None:
    """Nothing of the older run's sites is left."""
    desk.plain()
    desk.sites([NEAR])
    desk.plain()
    assert [row["site_id"] for row in desk.table("verdicts")] == ["C"]
    assert list(gpd.read_file(desk.out / "result.gpkg", layer="sites")["site_id"]) == ["C"]


def test_files_of_the_user_are_not_taken_for_an_old_result(desk: Desk) -> None:
    """A folder that is no result (no passport) may hold a map.html of the user's own: not removed silently."""
    desk.out.mkdir()
    (desk.out / "map.html").write_text("mine", "utf-8")
    done = desk.plain()
    assert (desk.out / "map.html").read_text("utf-8") == "mine" or done.exit_code == 3


def test_own_input_is_not_overwritten(desk: Desk) -> None:
    """Sites that lie in the folder of results under a result's name are not overwritten."""
    desk.plain()
    source = desk.out / "result.gpkg"
    before = source.read_bytes()
    done = desk.plain("--layer", "sites", sites=[source])
    assert source.read_bytes() == before
    assert done.exit_code == 3


# ---------------------------------------------------------------------------------------------- interruptions


def stop_with(error: BaseException) -> Any:
    def stop(*_: object, **__: object) -> None:
        raise error

    return stop


FULL = OSError(28, "No space left on device")
PLACES = {
    "first table": "geojw.runs.report._Table.add",
    "geometries": "geojw.runs.report.Output._write_shapes",
    "screening": "geojw.decide.screening.measured",
    "map": "geojw.runs.run._page",
    "publish": "geojw.runs.report.Output.publish",
}


NO_MAP_BUT: dict[str, tuple[str, ...]] = {PLACES["map"]: ()}
STOPS = [
    pytest.param(place, error, id=f"{name}, {word}")
    for name, place in PLACES.items()
    for word, error in (("interrupted", KeyboardInterrupt()), ("disk full", FULL))
    if (name, word) not in {("screening", "disk full"), ("map", "disk full")}
]


@pytest.mark.parametrize(("place", "error"), STOPS)
def test_stopped_in_a_new_folder(place: str, error: BaseException, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped before the end: no folder, no half file, one sentence."""
    before = desk.left()
    monkeypatch.setattr(place, stop_with(error))
    done = desk.run(*NO_MAP_BUT.get(place, ("--no-map",)))
    assert done.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 3)
    assert desk.left() == before
    assert ("Interrupted" if done.exit_code == 130 else "No space left") in done.output


@pytest.mark.parametrize(("place", "error"), STOPS)
def test_stopped_over_an_older_result(
    place: str, error: BaseException, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before anything is put into place: the older result stays whole."""
    desk.plain()
    before, old = desk.left(), content(desk.out)
    desk.sites([NEAR])
    monkeypatch.setattr(place, stop_with(error))
    assert desk.run(*NO_MAP_BUT.get(place, ("--no-map",))).exit_code in (3, 130)
    assert desk.left() == before
    assert content(desk.out) == old


@pytest.mark.parametrize(("after", "error"), [(0, FULL), (2, KeyboardInterrupt()), (4, FULL)])
def test_stopped_while_files_are_put_into_place(
    after: int, error: BaseException, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped amid the exchange: the older result is whole or has lost its passport, and the next run repairs it."""
    desk.plain()
    before, old = desk.left(), content(desk.out)
    desk.sites([NEAR])
    replace, done_so_far = Path.replace, []

    def stops(self: Path, target: Path) -> Path:
        if len(done_so_far) == after:
            raise error
        done_so_far.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stops)
    done = desk.plain()
    monkeypatch.undo()
    assert len(done_so_far) == after
    assert done.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 3)
    assert desk.left() == before
    assert (content(desk.out) == old) == (after == 0)
    assert (desk.out / "passport.json").exists() == (after == 0)
    assert desk.plain().exit_code == 0
    assert {path.name for path in desk.out.iterdir()} == FILES
    assert [row["site_id"] for row in desk.table("verdicts")] == ["C"]


def test_a_writer_that_cannot_be_closed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the last bytes are flushed: one sentence, and nothing half is left."""
    before = desk.left()
    monkeypatch.setattr("geojw.runs.report._Table.close", stop_with(FULL))
    assert desk.plain("--format", "parquet").exit_code == 3
    assert desk.left() == before


def test_out_that_cannot_be_written(desk: Desk) -> None:
    """A folder without permission (not for root, who may write anywhere)."""
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    desk.folder.chmod(0o555)
    try:
        assert desk.plain().exit_code == 3
    finally:
        desk.folder.chmod(0o755)


# ---------------------------------------------------------------------------------------------- real processes

PROGRAM = [sys.executable, "-c", "from geojw.cli import main; main()"]
ROOT = str(Path(geojw.__file__).resolve().parents[1])


def process(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program in a process of its own, elsewhere."""
    env = {**os.environ, "PYTHONPATH": ROOT, **environment}
    return subprocess.run([*PROGRAM, *map(str, words)], cwd=cwd, env=env, capture_output=True, check=False, timeout=60)


def test_another_working_directory(desk: Desk, tmp_path: Path) -> None:
    """Relative paths are those of the user; names may be Chinese and have spaces."""
    place = tmp_path / "别处 2"
    place.mkdir()
    desk.sites([INSIDE, CLEAR]).rename(place / "项目 (1).gpkg")
    desk.zone.rename(place / "资料包")
    done = process(
        "screen", "项目 (1).gpkg", "--zone", "资料包", "--out", "结果 一/甲", "--on", DAY, "--no-map", cwd=place
    )
    assert done.returncode == 0, done.stderr.decode()
    assert {path.name for path in (place / "结果 一" / "甲").iterdir()} == FILES
    assert done.stderr == b""
    assert {path.name for path in place.iterdir()} == {"项目 (1).gpkg", "资料包", "结果 一"}


def test_embedded_zone_from_elsewhere(tmp_path: Path) -> None:
    """The embedded zone is found from anywhere, and its name is no folder of the user's."""
    done = process("check", "--lang", "en", cwd=tmp_path)
    assert done.returncode in (0, 4)
    assert b"usable" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_terminal_of_another_encoding(lang: str, desk: Desk) -> None:
    """A Chinese Windows terminal (GBK), and a pipe: no character of ours or of a name makes it crash."""
    bow = {"site_id": "W", "name": "😀 厂", "polygon": [[-100, 0], [0, 100], [0, 0], [-100, 100]]}
    desk.sites([bow, LOST])
    words = ("screen", desk.file, "--zone", desk.zone, "--out", desk.out, "--no-map", "--lang", lang, "--on", DAY)
    done = process(*words, cwd=desk.folder, PYTHONIOENCODING="gbk", PYTHONUTF8="0")
    assert b"Traceback" not in done.stderr, done.stderr.decode("gbk")[-500:]
    assert done.returncode == 1


def test_output_into_a_closed_pipe(desk: Desk) -> None:
    """`geojw screen ... | head -1`: no traceback."""
    words = ["screen", desk.file, "--zone", desk.zone, "--out", desk.out, "--no-map", "--on", DAY]
    env = {**os.environ, "PYTHONPATH": ROOT}
    with subprocess.Popen(
        [*PROGRAM, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=desk.folder
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        told = running.stderr.read()
        running.wait(timeout=60)
    assert b"Traceback" not in told, told.decode()[-500:]


LINGERS = """
import sys, time
from pathlib import Path
from geojw.cli import main
from geojw.decide import screening

real, calls = screening.measured, []

def measured(*args, **kwargs):
    calls.append(None)
    if len(calls) == 3:
        Path(sys.argv[1]).touch()
        time.sleep(60)
    return real(*args, **kwargs)

screening.measured = measured
main(sys.argv[2:])
"""
"""Says when it has come to the third batch, and waits there: a run of a few sites may be over in no time."""


def test_interrupt_of_a_process(minizone: Path, tmp_path: Path) -> None:
    """Ctrl-C while it works: exit 130 and nothing left behind."""
    folder, there = tmp_path / "folder", tmp_path / "there"
    folder.mkdir()
    words = ["screen", minizone / "sites.gpkg", "--zone", minizone / "pack", "--out", folder / "out", "--on", DAY]
    env = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-c", LINGERS, str(there), *map(str, words), "--batch", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=folder) as running:
        for _ in range(1_200):
            if there.exists() or running.poll() is not None:
                break
            time.sleep(0.05)
        assert list(folder.glob(".out.partial-*"))
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130, told.decode()
    assert list(folder.iterdir()) == []
    assert b"Traceback" not in told


def test_version_and_help(tmp_path: Path) -> None:
    """Help in both languages."""
    done = process("screen", "--help", cwd=tmp_path)
    assert done.returncode == 0
    text = done.stdout.decode()
    assert "判定" in text
    assert "--fail-on" in text


@pytest.mark.parametrize(
    "words", [("--help",), ("screen", "--format", "parquet", "--no-map")], ids=lambda words: words[0]
)
def test_a_cold_start_loads_only_what_it_uses(words: tuple[str, ...], minizone: Path, tmp_path: Path) -> None:
    """Of one site without its map, no writer of GeoPackages, rasters, pages, figures, workbooks; no compiler."""
    sites = [str(minizone / "sites.gpkg"), "--zone", str(minizone / "pack"), "-q"] if words[0] == "screen" else []
    code = (
        "import sys; from geojw.cli import main; main([*sys.argv[1:]], standalone_mode=False)\n"
        "dear = 'fiona rasterio exactextract folium branca jinja2 numba llvmlite matplotlib openpyxl'.split()\n"
    )
    code = code.replace("main([", "\ntry: main([").replace("False)\n", "False)\nexcept SystemExit: pass\n")
    code += "print('loaded:', *[name for name in dear if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *words, *sites], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1].strip() == "loaded:"


def test_reading_a_geopackage_needs_no_pandas(minizone: Path, tmp_path: Path) -> None:
    """In the reading process, which would load it for nothing: pyogrio asks for it, and Arrow to look at any value."""
    code = """if True:
        import sys
        sys.modules.update(pandas=None, geopandas=None)
        import pyogrio
        del sys.modules["pandas"], sys.modules["geopandas"]
        from pathlib import Path
        from geojw.intake import formats
        from geojw.intake.safety import Limits
        told = []
        path, work = Path(sys.argv[1]), Path(sys.argv[2])
        said = formats.deliver(path, None, None, Limits(), work, work / "t.arrow", told.append)
        print(said.rows > 0, told == [said.rows], "pandas" in sys.modules)
    """
    words = [sys.executable, "-c", code, str(minizone / "sites.gpkg"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["True", "True", "False"]
