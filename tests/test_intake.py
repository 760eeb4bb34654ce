"""`geojw intake` and the coordinates at the door, as typed: what a file is, what would be read, what is refused."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import samples
import shapely
from click.testing import CliRunner, Result
from samples import BOXES, IDS, SAMPLES

import geojw
from geojw.cli import main
from geojw.intake.site_files import read_sites
from geojw.intake.transformations import shifted
from geojw.measure.geodesy import AnalysisCRS, ellipsoidal_area_m2
from geojw.runs.inspection import inspect

ANALYSIS = AnalysisCRS(106.33, 29.52)
NAMES = {"industry_code": ["行业代码", "HYDM"]}
BAN = {"features": [{"id": "A", "box": [-5000, -5000, 5000, 5000]}]}
RULE = {"id": "R", "layer": "area", "applies": {"industry_code": ["26*"], "nature": ["新建"]}}


@pytest.fixture
def zone(make_pack: Any) -> Path:
    """A zone of 20 km with one rule that asks for two attributes."""
    pack = make_pack(layers={"area": BAN}, rules=[RULE], zone={"columns": NAMES, "site_accuracy_m": 2.0})
    return Path(pack.write())


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def told(path: Path, zone: Path, *words: object, code: int = 0) -> dict[str, Any]:
    """Run `geojw intake --json` on one file."""
    result = run("intake", path, "--zone", zone, "--json", "--lang", "en", *words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    (one,) = json.loads(result.stdout)
    return dict(one)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format(name: str, zone: Path, tmp_path: Path) -> None:
    """The machine's answer has everything for each format, and the sums agree."""
    folder = tmp_path / "in"
    folder.mkdir()
    asked = [word for key, value in samples.asked(name).items() for word in (f"--{key}", value)]
    said = told(SAMPLES[name](folder), zone, *asked, code=1 if name == "dxf" else 0)
    assert said["usable"]
    assert said["rows"] == said["read"] + said["rejected_count"] == 2 + 2 * (name == "dxf")
    assert said["rejected_count"] == len(said["rejected"])
    assert sum(said["kinds"].values()) == said["rows"]
    point = name.endswith("points")
    assert said["kinds"]["point" if point else "polygon"] == 2
    area = 0.0 if point else sum(map(ellipsoidal_area_m2, BOXES))
    assert said["area_m2"] == pytest.approx(area, rel=1e-4)
    assert said["area_ha"] == pytest.approx(said["area_m2"] / 1e4)
    assert said["area_mu"] == pytest.approx(said["area_m2"] * 15 / 1e4)
    west, south, east, north = shapely.total_bounds(shapely.centroid(BOXES) if point else BOXES)
    assert said["extent"] == pytest.approx([west, south, east, north], abs=2e-8)
    assert said["encoding_how"]
    assert said["crs_how"]
    assert "nature" in said["missing"]
    if name not in ("dxf", "txt") and "utf8" not in name:
        attribute = {row["name"]: row["attribute"] for row in said["fields"]}
        names = "Name" if name in ("kml", "kmz") else "项目名称"
        assert {"项目编号": "site_id", names: "name", "行业代码": "industry_code"}.items() <= attribute.items()


def test_in_the_terminal(zone: Path, tmp_path: Path) -> None:
    """Chinese by default, English on demand; nothing of the machine is shown."""
    path = SAMPLES["shp_gbk_wrong_cpg"](tmp_path)
    result = run("intake", path, "--zone", zone)
    assert result.exit_code == 0
    for word in (
        "Shapefile",
        "GB18030，由内容确定；标注 UTF-8 有误",
        "由 .prj 注明",
        "公顷",
        "亩",
        "行业代码",
        "industry_code",
    ):
        assert word in result.output
    english = run("intake", path, "--zone", zone, "--lang", "en").output
    for word in (
        "the label UTF-8 is wrong",
        "stated by the .prj",
        " ha = ",
        " mu = ",
        "2: 2 would be screened, 0 rejected",
    ):
        assert word in english
    assert str(tmp_path) not in result.output + english


def test_what_is_wrong_with_sites(zone: Path, tmp_path: Path) -> None:
    """Repairs with the area changed, repeated and missing ids, rows that would be rejected: all are named."""
    shapes = [shapely.transform(shape, lambda xy: xy + np.array([106.33, 29.52])) for shape in (
        shapely.Polygon([(0, 0), (0.001, 0.001), (0.001, 0), (0, 0.001)]), shapely.box(0, 0, 0.001, 0.001),
        shapely.box(0.002, 0, 0.003, 0.001), shapely.box(0.004, 0, 0.005, 0.001))]  # fmt: skip
    frame = gpd.GeoDataFrame({"id": ["W", "D", "D", None]}, geometry=shapes, crs="EPSG:4490")
    frame.to_file(tmp_path / "s.gpkg")
    said = told(tmp_path / "s.gpkg", zone, code=1)
    (repair,) = said["repaired"]
    assert (repair["row"], repair["site_id"]) == (1, "W")
    assert repair["changed_m2"] == pytest.approx(ellipsoidal_area_m2(shapes[1]) / 2, rel=1e-3)
    assert said["duplicate_ids"] == ["D"]
    assert said["rows_without_id"] == 1
    assert [(row["row"], row["key"]) for row in said["rejected"]] == [(2, "site_id_twice"), (3, "site_id_twice")]
    assert (said["rows"], said["read"]) == (4, 2)


def test_a_file_that_cannot_be_used(zone: Path, tmp_path: Path) -> None:
    """The reasons and the candidates are given, and the other file is looked at all the same."""
    bare = samples.csv_table(tmp_path, "points")
    result = run("intake", bare, samples.kml(tmp_path), tmp_path / "gone.shp", "--zone", zone, "--json")
    assert result.exit_code == 3
    first, second, third = json.loads(result.stdout)
    assert first["refused"][0]["key"] == "coords.unstated_near"
    assert "EPSG:4490" in " ".join(item["text"] for item in first["refused"])
    assert second["usable"]
    assert [item["key"] for item in third["refused"]] == ["file_missing"]
    assert "不能使用" in run("intake", bare, "--zone", zone).output


def test_stated_and_computed_areas(zone: Path, tmp_path: Path) -> None:
    """The areas that 界址点 state are compared with the computed ones; a wrong one shows."""
    path = samples.boundary_text(tmp_path)
    said = told(path, zone)
    assert [row["agrees"] for row in said["stated_areas"]] == ["planar", "planar"]
    assert said["stated_areas"][0]["ellipsoidal_m2"] == pytest.approx(ellipsoidal_area_m2(BOXES[0]), rel=1e-4)
    path.write_bytes(path.read_bytes().replace(b"\r\n5,1.", b"\r\n5,2.", 1))
    assert [row["agrees"] for row in told(path, zone)["stated_areas"]] == ["neither", "planar"]


# ---------------------------------------------------------------------------------------------- the cleaned file


def tables(path: Path) -> dict[str, pd.DataFrame]:
    return {name: gpd.read_file(path, layer=name) for name in gpd.list_layers(path)["name"]}


def test_cleaned_file(zone: Path, tmp_path: Path) -> None:
    """What is written screens as the original does, and every change is in the log; the original is untouched."""
    folder = tmp_path / "in"
    folder.mkdir()
    shapes = [*BOXES, shapely.Polygon([(106.33, 29.53), (106.331, 29.531), (106.331, 29.53), (106.33, 29.531)]),
              shapely.force_3d(shapely.box(106.34, 29.53, 106.341, 29.531), 300.0), None]  # fmt: skip
    columns = {"编号": [" A ", "B", "W", None, "E"], "HYDM": ["2611", "5930", "26", None, "27"], "nature": ["新建"] * 5}
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490").to_file(folder / "s.gpkg")
    before = (folder / "s.gpkg").read_bytes()
    target = tmp_path / "clean.gpkg"
    result = run("intake", folder / "s.gpkg", "--zone", zone, "--write", target, "--lang", "en")
    assert result.exit_code == 1, result.output
    assert (folder / "s.gpkg").read_bytes() == before
    written = tables(target)
    assert set(written) == {"sites", "rejected", "changes"}
    sites = written["sites"].set_index("site_id")
    assert sorted(sites.index) == ["A", "B", "W", "s-4"]
    assert sites.geometry.is_valid.all()
    assert not sites.geometry.has_z.any()
    assert sites["industry_code"].fillna("?").to_dict() == {"A": "2611", "B": "5930", "W": "26", "s-4": "?"}
    assert written["rejected"][["row", "site_id"]].to_numpy().tolist() == [[5, "E"]]
    log = written["changes"]
    by_row = log[log["row"].notna()]
    assert sorted(zip(by_row["site_id"], by_row["change"], strict=True)) == [
        ("A", "id written as text"), ("W", "geometry repaired"), ("s-4", "heights dropped"), ("s-4", "id made"),
    ]  # fmt: skip
    assert any("HYDM" in text for text in log.loc[log["row"].isna(), "after"])
    place = geojw.open_zone(zone)
    one = geojw.screen(read_sites(folder / "s.gpkg", columns=NAMES), place)
    other = geojw.screen(read_sites(target), place)
    pd.testing.assert_frame_equal(one.verdicts.drop(columns="name"), other.verdicts.drop(columns="name"))
    pd.testing.assert_frame_equal(one.findings, other.findings)


def test_cleaned_file_is_never_written_over(zone: Path, tmp_path: Path) -> None:
    path = SAMPLES["gpkg"](tmp_path)
    before = path.read_bytes()
    for target, key in ((path, "another name"), (tmp_path / "x.shp", ".gpkg"), (tmp_path / "no" / "x.gpkg", "written")):
        result = run("intake", path, "--zone", zone, "--write", target, "--lang", "en")
        assert result.exit_code == 3
        assert key in result.output
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.suffix in (".gpkg", ".shp")] == [path.name]


# ---------------------------------------------------------------------------------------------- coordinates


def screened(path: Path, zone: Path, out: Path, *words: object) -> tuple[int, pd.DataFrame, str]:
    result = run("screen", path, "--zone", zone, "--out", out, "--no-map", "--lang", "en", *words)
    assert "Traceback" not in result.output
    table = out / "verdicts.csv"
    return result.exit_code, pd.read_csv(table) if table.exists() else pd.DataFrame(), result.output


def shifted_boxes(offset: str) -> gpd.GeoDataFrame:
    moved = [shapely.Polygon(shifted(shapely.get_coordinates(box), offset)) for box in BOXES]
    return gpd.GeoDataFrame({"site_id": IDS, "industry_code": ["26", "26"]}, geometry=moved, crs="EPSG:4326")


@pytest.mark.parametrize("offset", ["gcj02", "bd09"])
def test_offsets_of_map_services(offset: str, zone: Path, tmp_path: Path) -> None:
    """`--datum` brings sites back to their place, and its uncertainty makes what lies near a limit marginal."""
    shifted_boxes(offset).to_file(tmp_path / "s.geojson")
    plain = read_sites(tmp_path / "s.geojson").frame
    assert shapely.distance(plain.geometry.iloc[0].centroid, BOXES[1].centroid) > 3e-3
    back = read_sites(tmp_path / "s.geojson", datum=offset).frame
    boxes = dict(zip(IDS, BOXES, strict=True))
    for name, shape in back.geometry.items():
        assert shapely.hausdorff_distance(shape, boxes[str(name)]) < 1e-7
    said = told(tmp_path / "s.geojson", zone, "--datum", offset)
    assert "coords.offset_undone" in [item["key"] for item in said["remarks"]]
    code, verdicts, output = screened(tmp_path / "s.geojson", zone, tmp_path / "o", "--datum", offset)
    assert code == 0
    assert len(verdicts) == 2
    assert "for screening only" in output or "screening" in output


def test_offset_counts_in_the_accuracy(make_pack: Any, tmp_path: Path) -> None:
    """A site 3 m inside is firm as it stands; through an offset known to some metres it is marginal."""
    edge = {"features": [{"id": "A", "box": [-5000, -5000, 3, 5000]}]}
    pack = make_pack(layers={"area": edge}, rules=[{"id": "R", "layer": "area"}], zone={"site_accuracy_m": 0.5}).open()
    box = ANALYSIS.to_geographic(np.array([shapely.box(0, 0, 50, 50)], dtype=object))[0]
    frame = gpd.GeoDataFrame({"site_id": ["S"]}, geometry=[box], crs="EPSG:4490")
    frame.to_file(tmp_path / "true.gpkg")
    moved = shapely.Polygon(shifted(shapely.get_coordinates(box), "gcj02"))
    frame.set_geometry([moved], crs="EPSG:4490").to_file(tmp_path / "moved.gpkg")
    plain = geojw.screen(read_sites(tmp_path / "true.gpkg"), pack)
    undone = geojw.screen(read_sites(tmp_path / "moved.gpkg", datum="gcj02"), pack)
    assert list(plain.verdicts["certainty"]) == ["firm"]
    assert list(undone.verdicts["certainty"]) == ["marginal"]
    target = tmp_path / "clean.gpkg"
    result = run("intake", tmp_path / "moved.gpkg", "--datum", "gcj02", "--write", target, "--zone", pack.pack.folder)
    assert result.exit_code == 0, result.output
    assert list(geojw.screen(read_sites(target), pack).verdicts["certainty"]) == ["marginal"]


def test_swapped_axes(zone: Path, tmp_path: Path) -> None:
    """Longitude and latitude exchanged, north and east exchanged: refused, with the remedy."""
    flipped = [shapely.transform(box, lambda xy: xy[:, ::-1]) for box in BOXES]
    gpd.GeoDataFrame({"id": IDS}, geometry=flipped, crs="EPSG:4490").to_file(tmp_path / "s.gpkg")
    said = told(tmp_path / "s.gpkg", zone, code=3)
    assert [item["key"] for item in said["refused"]] == ["coords.swapped"]
    planes = gpd.GeoSeries(BOXES, crs="EPSG:4490").to_crs("EPSG:4523")
    rows = "\n".join(f"{name},{p.centroid.y},{p.centroid.x}" for name, p in zip(IDS, planes, strict=True))
    (tmp_path / "s.csv").write_text(f"id,x,y\n{rows}\n", "utf-8")
    code, _, output = screened(tmp_path / "s.csv", zone, tmp_path / "o", "--crs", "EPSG:4523")
    assert code == 3
    assert "exchange" in output
    assert not (tmp_path / "o").exists()
    (tmp_path / "s.csv").write_text(f"id,北坐标,东坐标\n{rows}\n", "utf-8")
    code, verdicts, _ = screened(tmp_path / "s.csv", zone, tmp_path / "o", "--crs", "EPSG:4523")
    assert (code, len(verdicts)) == (0, 2)


@pytest.mark.parametrize("code", ["EPSG:4610", "EPSG:2360", "EPSG:4214", "EPSG:2413"])
def test_old_datums_are_refused(code: str, zone: Path, tmp_path: Path) -> None:
    """Xi'an 80 and Beijing 54 need a transformation or control points."""
    gpd.GeoDataFrame({"id": IDS}, geometry=BOXES, crs="EPSG:4490").to_crs(code).to_file(tmp_path / "s.gpkg")
    said = told(tmp_path / "s.gpkg", zone, code=3)
    assert [item["key"] for item in said["refused"]] == ["coords.datum_refused"]


def test_transformation(zone: Path, tmp_path: Path) -> None:
    """Seven parameters bring Xi'an 80 in; without a stated accuracy nothing is firm."""
    gpd.GeoDataFrame({"id": IDS}, geometry=BOXES, crs="EPSG:4610").to_file(tmp_path / "s.gpkg")
    words = ["--transformation", "coordinate_frame,0,0,0,0,0,0,0"]
    said = told(tmp_path / "s.gpkg", zone, *words, "--transformation-accuracy", "0.5")
    assert said["usable"]
    assert said["read"] == 2
    assert "coords.transformed" in [item["key"] for item in said["remarks"]]
    both = told(tmp_path / "s.gpkg", zone, *words, "--datum", "gcj02", code=3)
    assert [item["key"] for item in both["refused"]] == ["coords_ways"]


def test_control_points(zone: Path, tmp_path: Path) -> None:
    """A local grid comes in by three points or more, its residuals are told, and `--crs` says where to."""
    planes = gpd.GeoSeries(BOXES, crs="EPSG:4490").to_crs("EPSG:4523")
    origin = np.array([35_620_000.0, 3_260_000.0])
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    local = [shapely.transform(p, lambda xy: (xy - origin) @ turn.T + [5000.0, 5000.0]) for p in planes]
    frame = gpd.GeoDataFrame({"id": IDS}, geometry=local)
    with pytest.warns(UserWarning, match="crs"):
        frame.to_file(tmp_path / "s.shp")
    corner = shapely.get_coordinates(planes.iloc[0])[:4]
    small = (corner - origin) @ turn.T + [5000.0, 5000.0]
    lines = [
        f"P{k},{a:.4f},{b:.4f},{c:.4f},{d:.4f}" for k, ((a, b), (c, d)) in enumerate(zip(small, corner, strict=True))
    ]
    (tmp_path / "control.csv").write_text("name,x,y,X,Y\n" + "\n".join(lines))
    words = ["--control-points", tmp_path / "control.csv"]
    assert [item["key"] for item in told(tmp_path / "s.shp", zone, *words, code=3)["refused"]] == ["coords_target"]
    said = told(tmp_path / "s.shp", zone, *words, "--crs", "EPSG:4523")
    assert said["area_m2"] == pytest.approx(sum(map(ellipsoidal_area_m2, BOXES)), rel=1e-6)
    (remark,) = [item["text"] for item in said["remarks"] if item["key"] == "coords.control_used"]
    assert "0.000" in remark
    (tmp_path / "control.csv").write_text("name,x,y,X,Y\n" + "\n".join(lines[:2]))
    assert told(tmp_path / "s.shp", zone, *words, "--crs", "EPSG:4523", code=3)["refused"]


def test_suspicion_of_an_offset(make_pack: Any, tmp_path: Path) -> None:
    """Sites that would follow a layer's edges with a map service's offset undone: a warning, and no correction."""
    rng = np.random.default_rng(3)
    plots = [
        shapely.box(x, y, x + rng.uniform(80, 160), y + rng.uniform(80, 160))
        for x, y in rng.uniform(-4000, 4000, (60, 2))
    ]
    rows = [{"id": f"P{n}", "wkt": shape.wkt} for n, shape in enumerate(plots)]
    pack = make_pack(layers={"plots": {"features": rows}}, rules=[{"id": "R", "layer": "plots"}])
    degrees = ANALYSIS.to_geographic(np.array(plots, dtype=object))
    moved = [shapely.Polygon(shifted(shapely.get_coordinates(shape), "gcj02")) for shape in degrees]
    ids = [f"S{n}" for n in range(len(plots))]
    gpd.GeoDataFrame({"site_id": ids}, geometry=moved, crs="EPSG:4490").to_file(tmp_path / "moved.gpkg")
    gpd.GeoDataFrame({"site_id": ids}, geometry=list(degrees), crs="EPSG:4490").to_file(tmp_path / "true.gpkg")
    zone = pack.write()
    warned = [item["key"] for item in told(tmp_path / "moved.gpkg", zone)["remarks"]]
    assert "coords.suspicion" in warned
    assert told(tmp_path / "true.gpkg", zone)["remarks"] == []
    _, verdicts, output = screened(tmp_path / "moved.gpkg", zone, tmp_path / "o")
    assert "GCJ-02" in output
    assert len(verdicts) == 60


def test_library_gives_the_same(zone: Path, tmp_path: Path) -> None:
    """The function behind the command: the same facts, the faults as faults."""
    found = inspect(SAMPLES["kml"](tmp_path), geojw.open_zone(zone), "en")
    assert (found.rows, found.read, found.rejected_count) == (2, 2, 0)
    gone = inspect(tmp_path / "gone.kml", geojw.open_zone(zone), "en")
    assert [fault.key for fault in gone.refused] == ["file_missing"]


def test_passport_names_every_file(zone: Path, tmp_path: Path) -> None:
    """The parts of a Shapefile are hashed each, for the attributes decide as much as the shapes."""
    screened(samples.shapefile(tmp_path), zone, tmp_path / "o")
    passport = json.loads((tmp_path / "o" / "passport.json").read_text("utf-8"))
    (record,) = passport["sites"]
    assert set(record["files"]) == {"项目.shp", "项目.shx", "项目.dbf", "项目.prj"}
    assert (record["format"], record["encoding"]) == ("Shapefile", "GB18030")


def test_limits_as_options(zone: Path, tmp_path: Path) -> None:
    path = SAMPLES["gpkg"](tmp_path)
    for words, key in ((["--max-mb", "0.01"], "file_large"), (["--max-features", "1"], "features_many")):
        assert [item["key"] for item in told(path, zone, *words, code=3)["refused"]] == [key]
    said = told(path, zone, "--max-vertices", "4", code=1)
    assert {row["key"] for row in said["rejected"]} == {"site_vertices"}
    assert sqlite3.connect(path).execute("SELECT count(*) FROM s").fetchone() == (2,)
