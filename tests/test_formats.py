"""Every format that offices exchange gives the same two sites and says how it was read; what is odd is refused."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import samples
import shapely
from samples import BOXES, CODES, IDS, LAT, LON, NAMES, SAMPLES, STEP
from samples import asked as asked_of

import geojw
from geojw.intake import encoding, mapping
from geojw.intake.safety import Limits
from geojw.intake.site_files import SiteFiles, read_sites
from geojw.intake.sites import place
from geojw.measure.geodesy import AnalysisCRS, ellipsoidal_area_m2

ANALYSIS = AnalysisCRS(106.33, 29.52)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def keys_of(path: Path, **asked: Any) -> list[str]:
    with pytest.raises(geojw.SitesError) as caught:
        read_sites(path, **asked)
    assert all(fault.text(lang) for fault in caught.value.faults for lang in ("zh", "en"))
    return [fault.key for fault in caught.value.faults]


def read(path: Path, **asked: Any) -> tuple[SiteFiles, Any]:
    """Read and place a file; nothing is lost, and nothing beside it is written."""
    before = contents(path.parent)
    files = SiteFiles(path, **asked)
    sites = place(next(files.batches(1000)), ANALYSIS)
    assert len(files) == len(sites) + len(sites.rejected)
    assert contents(path.parent) == before
    return files, sites


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format(name: str, tmp_path: Path) -> None:
    """Ids, names, codes, places and areas come through, whatever the format."""
    files, sites = read(SAMPLES[name](tmp_path), **asked_of(name))
    frame = sites.frame
    if name == "dxf":
        assert [str(fault.key) for fault in sites.rejected["reason"]] == ["dxf_open", "dxf_open"]
        assert list(frame["Layer"]) == ["宗地", "宗地"]
    elif name == "txt":
        assert list(frame["name"]) == NAMES
        assert list(frame["land_use_code"]) == ["0601", "0601"]
    else:
        assert list(frame.index) == sorted(IDS)
        assert sorted(frame["name"]) == sorted(NAMES)
        code = "行业代码" if "行业代码" in frame else "行业代"  # a Shapefile keeps ten bytes of a name
        assert dict(zip(frame.index, frame[code].astype(str), strict=True)) == dict(zip(IDS, CODES, strict=True))
    degrees = ANALYSIS.to_geographic(np.asarray(frame.geometry.values, dtype=object))
    if name.endswith("points"):
        assert sorted(round(shape.x, 9) for shape in degrees) == [round(box.centroid.x, 9) for box in BOXES]
        return
    for shape in degrees:
        assert min(shapely.hausdorff_distance(shape, box) for box in BOXES) < 2e-8
        assert ellipsoidal_area_m2(shape) == pytest.approx(ellipsoidal_area_m2(BOXES[0]), rel=1e-4)
    assert len(frame) == 2
    assert files.files[0].said.format


ENCODINGS = {
    "shp_gbk": ("GB18030", "bytes"),
    "shp_gb18030_cpg": ("GB18030", "label"),
    "shp_utf8_cpg": ("UTF-8", "label"),
    "shp_utf8_no_cpg": ("UTF-8", "bytes"),
    "shp_gbk_wrong_cpg": ("GB18030", "label_wrong"),
    "shp_utf8_wrong_cpg": ("UTF-8", "label_wrong"),
    "csv_wkt": ("GB18030", "bytes"),
    "dxf": ("GB18030", "bytes"),
    "txt": ("GB18030", "bytes"),
    "gpkg": ("UTF-8", "format"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_how_the_encoding_was_found(name: str, tmp_path: Path) -> None:
    files = SiteFiles(SAMPLES[name](tmp_path), **asked_of(name))
    found = files.files[0].said.encoding
    assert (found.name, found.how) == ENCODINGS[name]
    wrong = [fault.key for fault in files.remarks if fault.key == "encoding_label"]
    assert wrong == (["encoding_label"] if found.how == "label_wrong" else [])


@pytest.mark.parametrize("word", ["联通", "化工厂", "水", "重庆高新区白市驿镇", "𠮷野家"])
@pytest.mark.parametrize("code", ["gb18030", "utf-8"])
@pytest.mark.parametrize("label", ["", "UTF-8", "GBK", "936", "latin-1"])
def test_encoding_of_short_words(word: str, code: str, label: str) -> None:
    """One word is enough, also the one that is famous for being valid in both, and whatever the label says."""
    found = encoding.decide([word.encode(code)], None, label, "x")
    assert word.encode(code).decode(found.name) == word


def test_encoding_asked_for_and_mixed(tmp_path: Path) -> None:
    """Texts in two encodings are not guessed at; the user's word holds, and what it cannot read is counted."""
    path = samples.shapefile(tmp_path)
    data = path.with_suffix(".dbf").read_bytes()
    odd = "乙".encode("gb18030")
    path.with_suffix(".dbf").write_bytes(data.replace(odd, b"\xff\xff", 1))
    assert keys_of(path) == ["encoding_mixed"]
    files, sites = read(path, encoding="GBK")
    assert [fault.key for fault in files.remarks if fault.key == "encoding_cells"] == ["encoding_cells"]
    assert "化工厂" in list(sites.frame["name"])
    assert keys_of(path, encoding="klingon") == ["encoding_unknown"]


def test_name_cut_in_the_middle_of_a_letter(tmp_path: Path) -> None:
    """A cell that the width of its field cut within a letter does not hide the encoding of the others."""
    path = samples.write(
        tmp_path / "s.shp", {"编号": ["1", "2"], "名称": ["项" * 127, "厂"]}, encoding="UTF-8"
    )  # 381 bytes do not fit into 254
    path.with_suffix(".cpg").unlink()
    files, sites = read(path)
    assert files.files[0].said.encoding.name == "UTF-8"
    assert sites.frame["名称"].iloc[1] == "厂"
    assert sites.frame["名称"].iloc[0].startswith("项" * 80)


def test_shapefile_without_prj(tmp_path: Path) -> None:
    path = samples.shapefile(tmp_path, without=(".prj",))
    assert keys_of(path) == ["coords.unstated"]
    assert len(read(path, crs="EPSG:4490")[1]) == 2


def test_prj_that_says_nothing(tmp_path: Path) -> None:
    path = samples.shapefile(tmp_path)
    path.with_suffix(".prj").write_text("LOCAL NONSENSE")
    assert keys_of(path) == ["coords.unstated"]
    files, _ = read(path, crs="EPSG:4490")
    assert "prj_unreadable" in [fault.key for fault in files.remarks]


def test_crs_that_leads_nowhere(tmp_path: Path) -> None:
    """A .prj that PROJ reads as a CRS but cannot use is refused by name, in every place where it stumbles."""
    path = samples.shapefile(tmp_path)
    text = path.with_suffix(".prj").read_text()
    for old, new in (("298.257", "-1e308"), ("6378137", "0"), ("Greenwich", "\\xff"), ("0.0174532", "1e400")):
        path.with_suffix(".prj").write_text(text.replace(old, new))
        try:
            sites = read_sites(path)
        except geojw.SitesError as error:
            assert error.faults  # noqa: PT017 - either is right
        else:
            assert len(sites) + len(sites.rejected) == 2


def test_shapefile_without_dbf_or_shx(tmp_path: Path) -> None:
    files, sites = read(samples.shapefile(tmp_path, without=(".shx", ".dbf")))
    assert {"dbf_missing", "shx_missing", "own_ids"} <= {fault.key for fault in files.remarks}
    assert list(sites.frame.index) == ["项目-1", "项目-2"]


def test_shapefile_whose_parts_disagree(tmp_path: Path) -> None:
    """A .dbf of fewer rows than shapes would lose sites unseen."""
    path = samples.shapefile(tmp_path)
    data = bytearray(path.with_suffix(".dbf").read_bytes())
    data[4] = 1
    path.with_suffix(".dbf").write_bytes(bytes(data))
    assert keys_of(path) == ["shapefile_counts"]


def test_several_in_a_zip(tmp_path: Path) -> None:
    """Several Shapefiles in one zip: the names are offered, and any way of naming one works."""
    path = samples.zipped(tmp_path, "一期/项目", "二期/项目二")
    with pytest.raises(geojw.SitesError) as caught:
        read_sites(path)
    assert [fault.key for fault in caught.value.faults] == ["several_members"]
    assert "二期/项目二.shp" in caught.value.faults[0].text("zh")
    for name in ("二期/项目二.shp", "项目二.shp", "项目二"):
        files, sites = read(path, table=name)
        assert files.files[0].said.table == "二期/项目二.shp"
        assert len(sites) == 2
    assert keys_of(path, table="三期") == ["table_unknown"]


def test_what_lies_beside_the_sites_in_a_zip(tmp_path: Path) -> None:
    """A note or a list beside one map is no choice, but is said; two members of one name are one."""
    path = samples.zipped(tmp_path, "一期/项目")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("说明.txt", "please read")
    files, sites = read(path)
    assert len(sites) == 2
    (remark,) = [fault for fault in files.remarks if fault.key == "members_left"]
    assert "说明.txt" in remark.text("zh")
    assert keys_of(path, table="说明") == ["table_no_geometry"]
    path = samples.zipped(tmp_path, "一期/项目", "二期/项目")
    assert keys_of(path, table="项目") == ["several_members"]
    assert len(read(path, table="二期/项目.shp")[1]) == 2


def test_several_maps_in_a_kmz(tmp_path: Path) -> None:
    path = SAMPLES["kmz"](tmp_path)
    assert len(read(path, table="内层")[1]) == 1
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("files/b.kml", samples.kml_text())
    assert keys_of(path) == ["several_members"]
    assert len(read(path, table="doc.kml/内层")[1]) == 1


def test_tables_of_a_geopackage(tmp_path: Path) -> None:
    """Tables without geometry, such as a style, are no choice."""
    path = samples.write(tmp_path / "s.gpkg", layer="one")
    pyogrio.write_dataframe(pd.DataFrame({"style": ["x"]}), path, layer="layer_styles", append=True)
    assert len(read(path)[1]) == 2
    samples.write(path, layer="two", append=True)
    assert keys_of(path) == ["several_tables"]
    assert len(read(path, table="two")[1]) == 2


def test_geopackage_that_is_open_in_a_gis(tmp_path: Path) -> None:
    """Rows that stand in the journal only are read, and nothing is written beside the file."""
    path = samples.write(tmp_path / "s.gpkg")
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode=WAL")
    for (trigger,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        base.execute(f'DROP TRIGGER "{trigger}"')
    base.execute("UPDATE s SET 项目名称 = '刚改的' WHERE fid = 1")
    base.commit()
    assert path.with_name("s.gpkg-wal").stat().st_size > 0
    try:
        _, sites = read(path)
    finally:
        base.close()
    assert "刚改的" in list(sites.frame["name"])


def test_folders_of_a_kml(tmp_path: Path) -> None:
    """All folders are read, also inner ones; a column says which; one can be chosen."""
    path = samples.kml(tmp_path)
    _, sites = read(path)
    assert sorted(sites.frame["folder"]) == ["内层", "甲组"]
    assert list(read(path, table="内层")[1].frame["name"]) == [NAMES[1]]
    assert keys_of(path, table="丙组") == ["table_unknown"]


def test_attributes_of_a_kml_keep_their_names(tmp_path: Path) -> None:
    """Two Chinese names of the same length stay two (GDAL alone would make one of them)."""
    text = samples.kml_text().replace(
        '<Data name="行业代码">', '<Data name="建设性质"><value>新建</value></Data><Data name="行业代码">'
    )
    (tmp_path / "s.kml").write_text(text, "utf-8")
    frame = read(tmp_path / "s.kml")[1].frame
    assert list(frame["建设性质"]) == ["新建", "新建"]
    assert sorted(frame["行业代码"]) == sorted(CODES)


def test_links_of_a_kml_are_not_followed(tmp_path: Path) -> None:
    link = "<NetworkLink><Link><href>http://example.org/x.kml</href></Link></NetworkLink></Document>"
    (tmp_path / "s.kml").write_text(samples.kml_text().replace("</Document>", link), "utf-8")
    files, sites = read(tmp_path / "s.kml")
    assert "kml_links" in [fault.key for fault in files.remarks]
    assert len(sites) == 2


@pytest.mark.parametrize(("code", "head"), [
    ("gb18030", "9\n$ACADVER\n1\nAC1015\n9\n$DWGCODEPAGE\n3\nANSI_936\n"), ("utf-8", "9\n$ACADVER\n1\nAC1021\n"),
    ("gb18030", "9\n$ACADVER\n1\nAC1021\n"), ("utf-8", "")])  # fmt: skip
def test_letters_of_a_drawing(code: str, head: str, tmp_path: Path) -> None:
    """The bytes decide, not the version of the drawing; `--layer` names one of its layers."""
    path = samples.dxf(tmp_path, code, head)
    _, sites = read(path, crs="EPSG:4523", table="宗地")
    assert list(sites.frame["Layer"]) == ["宗地", "宗地"]
    assert len(sites.rejected) == 0
    assert keys_of(path, crs="EPSG:4523", table="道路") == ["table_unknown"]


DECLARED = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4490"}}


@pytest.mark.parametrize(("crs", "keys"), [
    (DECLARED, []), ({"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}, []),
    ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::999999"}}, ["crs_unreadable"]),
    ({"type": "name", "properties": {"name": "重庆独立坐标系"}}, ["crs_unreadable"]),
    ({"type": "link", "properties": {"href": "http://example.org/crs"}}, ["json_crs"]), ("EPSG:4490", ["json_crs"]),
    (None, ["coords.unstated"])])  # fmt: skip
def test_declared_crs_of_a_geojson(crs: object, keys: list[str], tmp_path: Path) -> None:
    """One that cannot be resolved is refused; GDAL would take it for WGS 84 without a word."""
    path = samples.geojson(tmp_path, crs)
    if keys:
        assert keys_of(path) == keys
    else:
        assert len(read(path)[1]) == 2


def test_geojson_that_would_lose_features(tmp_path: Path) -> None:
    """Items that are no features are a fault; GDAL would leave them out without a word."""
    path = samples.geojson(tmp_path)
    document = json.loads(path.read_text("utf-8"))
    document["features"].insert(1, {"type": "Feature?"})
    path.write_text(json.dumps(document))
    assert keys_of(path) == ["json_items"]
    document["features"][1] = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Circle", "coordinates": [1, 2]},
    }
    path.write_text(json.dumps(document))
    _, sites = read(path)
    assert len(sites) == 2
    assert len(sites.rejected) == 1
    path.write_text("[1, 2")
    assert keys_of(path) == ["not_json"]
    path.write_text('{"type": "Topology"}')
    assert keys_of(path) == ["json_no_features"]


def test_geojson_in_gbk(tmp_path: Path) -> None:
    path = samples.geojson(tmp_path)
    path.write_bytes(path.read_text("utf-8").encode("gb18030"))
    assert sorted(read(path)[1].frame["name"]) == sorted(NAMES)


def test_curves_are_drawn_out(tmp_path: Path) -> None:
    """An arc of a GeoPackage becomes a line of short edges, not a lost site."""
    path = tmp_path / "s.gpkg"
    samples.write(path, geometry_type="Unknown")
    base = sqlite3.connect(path)
    for (trigger,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        base.execute(f'DROP TRIGGER "{trigger}"')
    (blob,) = base.execute("SELECT geom FROM s WHERE fid = 1").fetchone()
    radius = STEP / 2
    points = [(LON + x * radius, LAT + y * radius) for x, y in ((0, 0), (1, 1), (2, 0), (1, -1), (0, 0))]
    arc = b"\x01" + np.uint32([10, 1]).tobytes() + b"\x01" + np.uint32([8, 5]).tobytes() + np.array(points).tobytes()
    base.execute("UPDATE s SET geom = ? WHERE fid = 1", (b"GP\0\1" + blob[4:8] + arc,))
    base.commit()
    base.close()
    _, sites = read(path)
    circle = ANALYSIS.to_geographic(np.asarray(sites.frame.geometry.values, dtype=object))
    assert max(shape.area for shape in circle) == pytest.approx(STEP**2)
    assert min(shape.area for shape in circle) == pytest.approx(np.pi * radius**2, rel=1e-3)


# ---------------------------------------------------------------------------------------------- tables of text


def table(folder: Path, text: str, suffix: str = ".csv") -> Path:
    (folder / f"t{suffix}").write_text(text, "utf-8")
    return folder / f"t{suffix}"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiters(delimiter: str, tmp_path: Path) -> None:
    assert len(read(samples.csv_table(tmp_path, "points", delimiter=delimiter), crs="EPSG:4490")[1]) == 2


def test_text_with_a_table(tmp_path: Path) -> None:
    path = samples.csv_table(tmp_path, "points", "utf-8", "\t").rename(tmp_path / "t.txt")
    assert len(read(path, crs="EPSG:4490")[1]) == 2


def test_cells_that_cannot_be_read(tmp_path: Path) -> None:
    """Each bad row is rejected with its own reason; a long one, too."""
    text = "id,lon,lat\nA,106.33,29.52\nB,x,29.52\nC,106.33,29.52,more\nD,,\n,,\n"
    _, sites = read(table(tmp_path, text), crs="EPSG:4490")
    assert list(sites.frame.index) == ["A"]
    assert {row.site_id: row.reason.key for row in sites.rejected.itertuples()} == {
        "B": "cell_number", "C": "row_long", "D": "cell_number",
    }  # fmt: skip


def test_wkt_that_cannot_be_read(tmp_path: Path) -> None:
    text = f"id;wkt\nA;{BOXES[0].wkt}\nB;POLYGON((1 2\nC;\nD;POINT(106.33 29.52)\n"
    _, sites = read(table(tmp_path, text), crs="EPSG:4490")
    assert list(sites.frame.index) == ["A", "D"]
    assert {row.site_id: row.reason.key for row in sites.rejected.itertuples()} == {
        "B": "wkt_broken",
        "C": "site_empty",
    }


def test_crs_in_the_wkt(tmp_path: Path) -> None:
    text = f"id;wkt\nA;SRID=4490;{BOXES[0].wkt}\n".replace("SRID=4490;", '"SRID=4490;').replace("))\n", '))"\n')
    files, _ = read(table(tmp_path, text))
    assert files.files[0].crs.to_epsg() == 4490
    both = f"id|wkt\nA|SRID=4490;{BOXES[0].wkt}\nB|SRID=4544;{BOXES[0].wkt}\n"
    assert keys_of(table(tmp_path, both)) == ["wkt_several_crs"]


def test_vertex_lists(tmp_path: Path) -> None:
    """Rings, holes and parts; too few vertices, vertices of nobody, and attributes that disagree."""
    rows = ["编号,圈号,点号,东坐标,北坐标,类"]
    for name, ring, points in (
        ("A", 1, [(0, 0), (9, 0), (9, 9), (0, 9)]), ("A", 2, [(3, 3), (6, 3), (6, 6), (3, 6)]),
        ("B", 1, [(20, 0), (29, 0), (29, 9)]), ("B", 2, [(40, 0), (49, 0), (49, 9), (40, 0)]),
        ("C", 1, [(60, 0), (69, 0), (60, 0)]), ("", 1, [(80, 0), (89, 0), (89, 9)]),
    ):  # fmt: skip
        rows += [
            f"{name},{ring},J{k},{x},{y},{'x' if (name, k) != ('A', 2) else 'y'}" for k, (x, y) in enumerate(points)
        ]
    files, sites = read(table(tmp_path, "\n".join(rows)), crs=ANALYSIS.crs.to_wkt())
    assert dict(sites.frame.geometry.area.round(6)) == {"A": 81.0 - 9.0, "B": 40.5 + 40.5}
    assert {row.site_id: row.reason.key for row in sites.rejected.itertuples()} == {
        "C": "vertices_few", "t-4": "vertices_nameless",
    }  # fmt: skip
    assert "vertices_differ" in [fault.key for fault in files.remarks]


def test_vertices_that_belong_to_nobody(tmp_path: Path) -> None:
    assert keys_of(table(tmp_path, "点号,lon,lat\n1,106,29\n"), crs="EPSG:4490") == ["vertices_ungrouped"]


def test_tables_that_are_none(tmp_path: Path) -> None:
    assert keys_of(table(tmp_path, "")) == ["table_empty"]
    assert keys_of(table(tmp_path, "a,b\n1,2\n")) == ["table_no_geometry"]
    assert keys_of(table(tmp_path, 'a,b\n"1,2\n')) == ["unreadable"]


# ---------------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "parquet", "shp"])
def test_round_trip(suffix: str, tmp_path: Path) -> None:
    """What is written by the common libraries from sites that were read gives the same sites again."""
    frame = read_sites(SAMPLES["shp_gbk"](tmp_path)).frame.drop(columns=["_source", "_row", "_reason", "name"])
    path = tmp_path / f"again.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, encoding="GBK") if suffix == "shp" else frame.to_file(path)
    again = read_sites(path).frame
    assert list(again.index) == list(frame.index)
    assert list(again["项目名称"]) == list(frame["项目名称"])
    assert shapely.equals_exact(again.geometry.values, frame.geometry.values, tolerance=1e-9).all()


def test_boundary_points_round_trip(tmp_path: Path) -> None:
    """界址点坐标 written from sites that were read gives the same sites again."""
    from geojw.intake.boundary_points import write_plots  # noqa: PLC0415 - of this test alone

    sites = read_sites(samples.boundary_text(tmp_path))
    frame = sites.frame.drop(columns=["_source", "_row", "_reason"]).reset_index(drop=True)
    path = tmp_path / "again.txt"
    path.write_bytes(write_plots(frame, sites.frame.crs).encode("gb18030"))
    again = read_sites(path).frame
    assert list(again["name"]) == list(frame["name"])
    assert shapely.hausdorff_distance(again.geometry.values, frame.geometry.values).max() < 1e-3


def test_the_example_of_boundary_points() -> None:
    """The shared example: names and ellipsoidal areas as computed independently."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "examples" / "intake"
    if not folder.is_dir():
        pytest.skip("the example of boundary points is not beside the repository")
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    _, sites = read(folder / expected["file"])
    assert list(sites.frame["name"]) == expected["names"]
    assert sites.frame.geometry.area.to_numpy() == pytest.approx(expected["ellipsoidal_area_m2"], rel=2e-7)


# ---------------------------------------------------------------------------------------------- columns


def test_columns_by_other_names() -> None:
    """A pack's other names are known, in capitals and cut short too; a row that contradicts itself says nothing."""
    wanted = {"industry_code": ("行业代码", "HYDM"), "nature": (), "redline_opinion": ()}
    frame = gpd.GeoDataFrame(
        {"行业代码": ["2611", "", "26"], "hydm": ["2611", "2612", "27"], "redline_op": ["是", None, "否"]},
        geometry=[shapely.Point(1, 1)] * 3, index=["A", "B", "C"], crs="EPSG:4490",
    )  # fmt: skip
    out, remarks = mapping.mapped(frame, wanted)
    assert out["industry_code"].fillna("?").tolist() == ["2611", "2612", "?"]
    assert out["redline_opinion"].tolist()[0] == "是"
    assert "nature" not in out
    assert [fault.key for fault in remarks] == ["column_taken", "column_taken", "column_conflict", "name_cut"]
    assert list(frame.columns) == ["行业代码", "hydm", "redline_op", "geometry"]


def test_columns_of_a_pack_are_checked(make_pack: Any) -> None:
    rule = {"id": "R", "layer": "boundary", "applies": {"kind": ["x"]}}
    pack = make_pack(zone={"columns": {"kind": ["类别"], "color": ["色"], "name": ["类别"]}}, rules=[rule])
    with pytest.raises(geojw.PackError) as caught:
        pack.open()
    assert [fault.key for fault in caught.value.faults] == ["unknown_key", "column_twice"]


def test_screening_knows_other_names(make_pack: Any, tmp_path: Path) -> None:
    """A file with the office's own column names is screened as one with ours."""
    area = {"features": [{"id": "A", "box": [-5000, -5000, 5000, 5000]}]}
    rule = {"id": "R", "layer": "area", "applies": {"industry_code": ["26*"]}}
    names = {"industry_code": ["行业代码", "HYDM"]}
    zone = make_pack(layers={"area": area}, rules=[rule], zone={"columns": names}).open()
    result = geojw.screen(read_sites(SAMPLES["shp_zip"](tmp_path)), zone)
    assert dict(zip(result.verdicts["site_id"], result.verdicts["verdict"], strict=True)) == {
        "甲-1": "prohibit", "乙-2": "clear",
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- limits


def test_limits(tmp_path: Path) -> None:
    path = SAMPLES["gpkg"](tmp_path)
    assert keys_of(path, limits=Limits(file_mb=0.01)) == ["file_large"]
    assert keys_of(path, limits=Limits(features=1)) == ["features_many"]
    _, sites = read(path, limits=Limits(vertices=4))
    assert [fault.key for fault in sites.rejected["reason"]] == ["site_vertices"] * 2


def test_a_file_that_takes_too_long(tmp_path: Path) -> None:
    """The reader is stopped, the next file is read all the same."""
    path = SAMPLES["gpkg"](tmp_path)
    assert keys_of(path, limits=Limits(seconds=0.0)) == ["reader_slow"]
    assert len(read(path)[1]) == 2


def test_formats_that_are_not_taken(tmp_path: Path) -> None:
    for name in ("s.vrt", "s.dwg", "s.rar", "s.xlsm", "s.gml", "s"):
        (tmp_path / name).write_bytes(b"<OGRVRTDataSource/>")
        assert keys_of(tmp_path / name) == ["format_unknown"]
    (tmp_path / "s.gpkg").write_bytes(b"<OGRVRTDataSource><OGRVRTLayer name='x'/></OGRVRTDataSource>")
    assert keys_of(tmp_path / "s.gpkg") == ["format_differs"]
    assert keys_of(tmp_path) == ["not_a_file"]
