"""Sites in: every row is kept or rejected with its reason, whatever the file; the file itself is never touched."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geojw
from geojw.decide.batch import Columns
from geojw.decide.screening import screen
from geojw.intake.site_files import SiteFiles, read_sites
from geojw.intake.sites import place, sites_of
from geojw.law.access_list import FALSE, FEW, TRUE, match_sites
from geojw.law.catalogue import Attribute
from geojw.measure.geodesy import AnalysisCRS

CENTRE = (106.33, 29.52)
ANALYSIS = AnalysisCRS(*CENTRE)
PLANE = ANALYSIS.crs.to_wkt()
DAY = date(2026, 11, 22)
SQUARE = {"site_id": "S", "box": [10, 10, 110, 110]}


def in_degrees(shape: Any) -> Any:
    """Bring a shape of the analysis CRS to longitude and latitude."""
    return ANALYSIS.to_geographic(np.array([shape], dtype=object))[0]


def digest(path: Path) -> dict[str, str]:
    """Give the checksum of every file of a folder."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(path.iterdir())}


def placed(*paths: Path, **options: Any) -> Any:
    """Read and place sites, and hold that nothing was lost."""
    before = digest(paths[0].parent)
    sites = read_sites(*paths, **options)
    out = place(sites, ANALYSIS)
    assert len(SiteFiles(*paths, **options)) == len(out) + len(out.rejected)
    assert out.frame.index.is_unique
    assert shapely.is_valid(out.frame.geometry.values).all()
    assert digest(paths[0].parent) == before
    return out


def reasons(sites: Any) -> dict[str, str]:
    """Give site id -> key of the reason for the rejected rows."""
    return {row.site_id: row.reason.key for row in sites.rejected.itertuples()}


@pytest.fixture
def write(tmp_path: Path, rows_to_file: Any) -> Any:
    """Write rows in the analysis CRS, or with `crs`, to a file in a folder of its own."""

    def make(name: str, rows: list[dict[str, Any]], **options: Any) -> Path:
        folder = tmp_path / "sites"
        folder.mkdir(exist_ok=True)
        rows_to_file(folder / name, rows, **options)
        return folder / name

    return make


@pytest.fixture
def zone(make_pack: Any) -> Any:
    """A zone with one rule: the left half of the plane is prohibited."""
    area = {"features": [{"id": "A", "box": [-5000, -5000, 0, 5000]}]}
    return make_pack(layers={"area": area}, rules=[{"id": "R", "layer": "area"}]).open()


def read_key(path: Path, **options: Any) -> list[str]:
    """Give the keys of the faults for which a file cannot be used."""
    with pytest.raises(geojw.GeojwError) as caught:
        read_sites(path, **options)
    return [fault.key for fault in caught.value.faults]


# ---------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "fgb"])
def test_formats(suffix: str, write: Any) -> None:
    """The same sites come out of each format."""
    rows = [{"site_id": f"S{n}", "name": f"项目{n}", "box": [n * 200, 0, n * 200 + 100, 100]} for n in (2, 0, 1)]
    sites = placed(write(f"s.{suffix}", rows, kind="Polygon"))
    assert list(sites.frame.index) == ["S0", "S1", "S2"]
    assert list(sites.frame["name"]) == ["项目0", "项目1", "项目2"]
    assert sites.frame.geometry.area.to_numpy() == pytest.approx(10_000, abs=1e-6)
    assert sites.frame.crs == ANALYSIS.crs
    assert reasons(sites) == {}


def test_geojson(write: Any) -> None:
    """GeoJSON is in degrees, WGS 84, which stands for CGCS2000 to a few decimetres."""
    shape = in_degrees(shapely.box(10, 10, 110, 110))
    path = write("s.geojson", [{"site_id": "S", "wkt": shape.wkt}], crs="EPSG:4326")
    sites = placed(path)
    assert sites.frame.geometry.area.iloc[0] == pytest.approx(10_000, rel=1e-6)
    assert sites.frame.geometry.iloc[0].hausdorff_distance(shapely.box(10, 10, 110, 110)) < 0.005


def test_shapefile_in_gbk(write: Any) -> None:
    """A Shapefile in GBK with a .cpg: names are read."""
    path = write("s.shp", [{"XMBH": "甲-1", "XMMC": "化工厂", "box": [0, 0, 10, 10]}], kind="Polygon", encoding="GBK")
    sites = placed(path)
    assert list(sites.frame.index) == ["甲-1"]
    assert list(sites.frame["name"]) == ["化工厂"]


def test_upper_case_suffix(write: Any) -> None:
    """A Shapefile named in capitals."""
    path = write("s.shp", [SQUARE], kind="Polygon")
    for file in list(path.parent.iterdir()):
        file.rename(file.with_name(file.name.upper()))
    assert list(placed(path.with_name("S.SHP")).frame.index) == ["S"]


def test_lines_and_points(write: Any) -> None:
    """All kinds of sites in one file."""
    rows = [{"site_id": "L", "line": [[0, 0], [10, 0]]}, {"site_id": "P", "point": [5, 5]}, SQUARE,
            {"site_id": "M", "points": [[1, 1], [2, 2]]}]  # fmt: skip
    sites = placed(write("s.gpkg", rows))
    assert dict(zip(sites.frame.index, shapely.get_dimensions(sites.frame.geometry.values), strict=True)) == {
        "L": 1, "M": 0, "P": 0, "S": 2,
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("column", "cells", "ids"),
    [
        ("site_id", ["B", "A"], ["A", "B"]),
        ("SITE_ID", ["B", "A"], ["A", "B"]),
        ("项目编号", ["B", "A"], ["A", "B"]),
        ("DKBH", ["B", "A"], ["A", "B"]),
        ("id", ["B", "A"], ["A", "B"]),
        ("site_id", [" B ", "A"], ["A", "B"]),
        ("site_id", [10, 9], ["10", "9"]),
        ("site_id", [2.0, 1.5], ["1.5", "2"]),
        ("site_id", ["0123", "123"], ["0123", "123"]),
    ],
)
def test_ids(column: str, cells: list[Any], ids: list[str], write: Any) -> None:
    """Ids are text, trimmed, sorted as text; a number has no point."""
    rows = [{column: cell, "box": [n * 20, 0, n * 20 + 10, 10]} for n, cell in enumerate(cells)]
    sites = placed(write("s.gpkg", rows))
    assert list(sites.frame.index) == ids
    assert reasons(sites) == {}
    assert not [fault for fault in sites.remarks if fault.key == "own_ids"]


def test_better_alias_wins(write: Any) -> None:
    """`site_id` comes before `id`."""
    sites = placed(write("s.gpkg", [{"id": "no", "site_id": "yes", "box": [0, 0, 10, 10]}]))
    assert list(sites.frame.index) == ["yes"]


def test_id_column_asked_for(write: Any) -> None:
    """`--id` names the column."""
    sites = placed(write("s.gpkg", [{"site_id": "no", "code": "yes", "box": [0, 0, 10, 10]}]), id_column="code")
    assert list(sites.frame.index) == ["yes"]


def test_unknown_id_column(write: Any) -> None:
    """An id column that is not there: the columns that are there are named."""
    path = write("s.gpkg", [{"code": "yes", "box": [0, 0, 10, 10]}])
    with pytest.raises(geojw.SitesError) as caught:
        read_sites(path, id_column="kode")
    (fault,) = caught.value.faults
    assert fault.key == "site_id_column"
    assert "columns: code" in fault.text("en")
    assert "s.gpkg" in fault.text("zh")


def test_no_id_column(write: Any) -> None:
    """Without a column of ids they are made of the file's name and the row, and that is said."""
    sites = placed(write("厂区.gpkg", [{"kind": "a", "box": [n * 20, 0, n * 20 + 10, 10]} for n in range(3)]))
    assert list(sites.frame.index) == ["厂区-1", "厂区-2", "厂区-3"]
    assert [fault.key for fault in sites.remarks] == ["own_ids"]
    assert "厂区.gpkg" in sites.remarks[0].text("zh")


def test_one_id_missing(write: Any) -> None:
    """A row whose id is blank is called by file and row; it is not lost."""
    rows = [
        {"site_id": "A", "box": [0, 0, 10, 10]},
        {"site_id": None, "box": [20, 0, 30, 10]},
        {"site_id": "/", "box": [40, 0, 50, 10]},
    ]
    assert list(placed(write("s.gpkg", rows)).frame.index) == ["A", "s-2", "s-3"]


def test_long_numbers_beside_a_missing_one(tmp_path: Path) -> None:
    """Numbers that a float would round stay two ids, whichever rows are read together."""
    ids = pd.array([9_007_199_254_740_993, 9_007_199_254_740_992, None], dtype="Int64")
    boxes = [shapely.box(n * 20, 0, n * 20 + 10, 10) for n in range(3)]
    gpd.GeoDataFrame({"site_id": ids}, geometry=boxes, crs=PLANE).to_parquet(tmp_path / "s.parquet")
    expected = ["9007199254740992", "9007199254740993", "s-3"]
    assert list(placed(tmp_path / "s.parquet").frame.index) == expected
    for size in (1, 2):
        parts = SiteFiles(tmp_path / "s.parquet").batches(size)
        assert [name for part in parts for name in part.frame.index] == expected


def test_duplicate_ids(write: Any) -> None:
    """All rows of a repeated id are rejected: none may win by standing first."""
    rows = [{"site_id": name, "box": [n * 20, 0, n * 20 + 10, 10]} for n, name in enumerate("ABACA")]
    sites = placed(write("s.gpkg", rows))
    assert list(sites.frame.index) == ["B", "C"]
    assert sites.rejected[["source", "row", "site_id"]].to_numpy().tolist() == [
        ["s.gpkg", 1, "A"], ["s.gpkg", 3, "A"], ["s.gpkg", 5, "A"],
    ]  # fmt: skip
    assert set(reasons(sites).values()) == {"site_id_twice"}


@pytest.mark.parametrize("pair", [("A", " A "), ("7", 7.0)])
def test_duplicate_once_read_as_text(pair: tuple[Any, Any], write: Any) -> None:
    """Ids that differ in spaces only, or a number and its text in two files, are one id."""
    first = write("a.gpkg", [{"site_id": pair[0], "box": [0, 0, 10, 10]}])
    second = write("b.gpkg", [{"site_id": pair[1], "box": [20, 0, 30, 10]}])
    sites = placed(first, second)
    assert len(sites) == 0
    assert len(sites.rejected) == 2


def test_duplicate_across_files(write: Any) -> None:
    """An id in two files is rejected in both."""
    first = write("a.gpkg", [{"site_id": "A", "box": [0, 0, 10, 10]}, {"site_id": "B", "box": [0, 0, 10, 10]}])
    second = write("b.gpkg", [{"site_id": "A", "box": [20, 0, 30, 10]}])
    sites = placed(first, second)
    assert list(sites.frame.index) == ["B"]
    assert list(sites.rejected["source"]) == ["a.gpkg", "b.gpkg"]


def test_made_ids_of_two_files_of_one_name(tmp_path: Path, rows_to_file: Any) -> None:
    """Two files of one name in two folders, without ids: no row is taken for another, none is lost."""
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "s.gpkg")
        rows_to_file(paths[-1], [{"kind": folder, "box": [0, 0, 10, 10]}])
    sites = place(read_sites(*paths), ANALYSIS)
    assert len(sites) + len(sites.rejected) == 2


# ---------------------------------------------------------------------------------------------- geometries

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("none", {"nothing": True}, "site_empty"),
    ("empty", {"wkt": "POLYGON EMPTY"}, "site_empty"),
    ("mixed", {"wkt": "GEOMETRYCOLLECTION(POINT(0 0), POLYGON((0 0, 10 0, 10 10, 0 0)))"}, "site_mixed"),
    ("no number", {"polygon": [[0, 0], [10, 0], [10, float("nan")]]}, "site_lost"),
    ("infinite", {"polygon": [[0, 0], [10, 0], [10, float("inf")]]}, "site_lost"),
    ("line of no number", {"line": [[0, 0], [float("nan"), 1]]}, "site_lost"),
    ("collapsed polygon", {"polygon": [[0, 0], [10, 0], [20, 0]]}, "site_lost"),
    ("polygon of one point", {"polygon": [[0, 0], [0, 0], [0, 0]]}, "site_lost"),
    ("line of no length", {"line": [[5, 5], [5, 5]]}, "site_lost"),
    ("far away", {"box": [3e6, 0, 3e6 + 100, 100]}, "site_far"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "key"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused(row: dict[str, Any], key: str, write: Any, zone: Any) -> None:
    """A site that cannot be screened is rejected with its reason; the others go on."""
    path = write("s.gpkg", [SQUARE, {"site_id": "X", **row}])
    sites = placed(path)
    assert list(sites.frame.index) == ["S"]
    found = reasons(sites)
    assert set(found) == {"X"}
    assert found["X"] == key or {found["X"], key} <= {"site_lost", "site_without_size"}
    (reason,) = sites.rejected["reason"]
    assert reason.where == "s.gpkg, 2"
    result = geojw.screen(read_sites(path), zone, on=DAY)
    assert list(result.verdicts["site_id"]) == ["S"]
    assert list(result.rejected["site_id"]) == ["X"]


def test_every_row_refused(write: Any, zone: Any) -> None:
    """A file whose rows are all refused gives empty tables, not a crash."""
    path = write("s.gpkg", [{"site_id": "X", "nothing": True}, {"site_id": "Y", "nothing": True}])
    sites = placed(path)
    assert len(sites) == 0
    result = geojw.screen(read_sites(path), zone, on=DAY)
    assert len(result.verdicts) == len(result.findings) == len(result.overlaps) == 0
    assert len(result.rejected) == 2


def test_file_without_rows(tmp_path: Path, zone: Any) -> None:
    """A file without rows: nothing read, nothing rejected."""
    path = tmp_path / "none.gpkg"
    gpd.GeoDataFrame({"site_id": pd.Series([], dtype=str)}, geometry=gpd.GeoSeries([], crs="EPSG:4490")).to_file(path)
    sites = place(read_sites(path), ANALYSIS)
    assert len(sites) == len(sites.rejected) == 0
    assert len(geojw.screen(read_sites(path), zone, on=DAY).verdicts) == 0


def test_self_crossing(write: Any) -> None:
    """A figure of eight is measured on a repaired copy, and the change of area is said."""
    bow = {"site_id": "W", "polygon": [[0, 0], [100, 100], [100, 0], [0, 100]]}
    sites = placed(write("s.gpkg", [SQUARE, bow]))
    assert sites.frame.geometry.loc["W"].area == pytest.approx(5000)
    (remark,) = sites.remarks
    assert remark.key == "repaired"
    assert remark.where == "s.gpkg, 2 (W)"
    assert "5000 m²" in remark.text("en")
    assert "Self-intersection" in remark.text("en")


def test_ring_that_touches_itself(write: Any) -> None:
    """A repair that changes no area is said too."""
    ring = {"site_id": "W", "polygon": [[0, 0], [100, 0], [50, 50], [80, 100], [20, 100], [50, 50]]}
    sites = placed(write("s.gpkg", [ring]))
    assert sites.frame.geometry.loc["W"].area == pytest.approx(2500 + 1500)
    assert "changed by 0 m²" in sites.remarks[0].text("en")


def test_tangle(write: Any) -> None:
    """A shape whose edges all cross each other is no drawing: its repair would not end, so it is rejected."""
    rng = np.random.default_rng(0)
    knot = {"site_id": "K", "polygon": rng.uniform(0, 100, (4000, 2)).tolist()}
    turn = np.linspace(0, 2 * np.pi, 4001)[:-1]
    eight = {"site_id": "E", "polygon": np.column_stack([50 * np.sin(turn), 50 * np.sin(2 * turn)]).tolist()}
    sites = placed(write("s.gpkg", [SQUARE, knot, eight]))
    assert reasons(sites) == {"K": "site_lost"}
    assert list(sites.frame.index) == ["E", "S"]


def test_hole_outside(write: Any) -> None:
    """A hole outside its shell is repaired to what lies inside, and said."""
    shape = {
        "site_id": "W",
        "polygon": [[0, 0], [100, 0], [100, 100], [0, 100]],
        "holes": [[[200, 0], [210, 0], [210, 10], [200, 10]]],
    }
    sites = placed(write("s.gpkg", [shape]))
    assert [fault.key for fault in sites.remarks] == ["repaired"]


def test_height_is_dropped(write: Any) -> None:
    """Heights do not matter and do not disturb."""
    sites = placed(
        write("s.gpkg", [{"site_id": "Z", "wkt": "POLYGON Z((0 0 300, 100 0 310, 100 100 320, 0 100 300, 0 0 300))"}])
    )
    assert not shapely.has_z(sites.frame.geometry.values).any()
    assert sites.frame.geometry.iloc[0].area == pytest.approx(10_000)


def test_height_of_no_number(write: Any) -> None:
    """A height that is no number costs the site nothing."""
    sites = placed(write("s.gpkg", [{"site_id": "Z", "wkt": "POINT Z(5 5 NaN)"}]))
    assert list(sites.frame.index) == ["Z"]


def test_collection_of_one_kind(write: Any) -> None:
    """A collection is told to be separate rows even if its parts are of one kind: never half of it."""
    sites = placed(write("s.gpkg", [{"site_id": "C", "wkt": "GEOMETRYCOLLECTION(POINT(0 0), POINT(9 9))"}]))
    assert len(sites) + len(sites.rejected) == 1


def test_parts_that_overlap(write: Any) -> None:
    """Parts of one site that overlap count once."""
    rows = [
        {
            "site_id": "M",
            "polygons": [[[0, 0], [100, 0], [100, 100], [0, 100]], [[50, 0], [150, 0], [150, 100], [50, 100]]],
        }
    ]
    assert placed(write("s.gpkg", rows)).frame.geometry.iloc[0].area == pytest.approx(15_000)


# ---------------------------------------------------------------------------------------------- CRS


@pytest.mark.parametrize("suffix", ["shp", "gpkg"])
def test_no_crs(suffix: str, write: Any) -> None:
    """A file that states no CRS is not guessed at; told one, it is read."""
    shape = in_degrees(shapely.box(10, 10, 110, 110))
    path = write(f"s.{suffix}", [{"site_id": "S", "wkt": shape.wkt}], crs=None, kind="Polygon")
    assert read_key(path) == ["coords.unstated"]
    sites = placed(path, crs="EPSG:4490")
    assert sites.frame.geometry.area.iloc[0] == pytest.approx(10_000, rel=1e-6)


def test_crs_that_is_none(write: Any) -> None:
    """A CRS that nobody knows is a fault, not a crash."""
    path = write("s.shp", [SQUARE], crs=None, kind="Polygon")
    assert read_key(path, crs="EPSG:999999") == ["crs_unreadable"]


def test_crs_asked_for_wins_and_says_so(write: Any) -> None:
    """`--crs` holds before what a file states, which is remarked; the same CRS is no contradiction."""
    shape = in_degrees(shapely.box(10, 10, 110, 110))
    path = write("s.gpkg", [{"site_id": "S", "wkt": shape.wkt}], crs="EPSG:4544")
    sites = placed(path, crs="EPSG:4490")
    assert sites.frame.geometry.area.iloc[0] == pytest.approx(10_000, rel=1e-6)
    assert [fault.key for fault in sites.remarks] == ["coords.overridden"]
    assert placed(write("t.gpkg", [{"site_id": "S", "wkt": shape.wkt}], crs="EPSG:4490"), crs="EPSG:4490").remarks == ()


@pytest.mark.parametrize("code", ["EPSG:4490", "EPSG:4544", "EPSG:4523", "EPSG:4326", "EPSG:32648", "EPSG:3857"])
def test_areas_are_ellipsoidal(code: str, write: Any) -> None:
    """Whatever the CRS of delivery, the area is the same to the size of the bent edges."""
    shape = gpd.GeoSeries([shapely.box(10, 10, 110, 110)], crs=ANALYSIS.crs).to_crs(code).iloc[0]
    sites = placed(write("s.gpkg", [{"site_id": "S", "wkt": shapely.to_wkt(shape, rounding_precision=12)}], crs=code))
    assert sites.frame.geometry.area.iloc[0] == pytest.approx(10_000, rel=2e-6)


def test_two_crs(write: Any) -> None:
    """Two files in two CRS are one set of sites."""
    first = write("a.gpkg", [SQUARE])
    shape = gpd.GeoSeries([shapely.box(210, 10, 310, 110)], crs=ANALYSIS.crs).to_crs("EPSG:4544").iloc[0]
    second = write("b.gpkg", [{"site_id": "T", "wkt": shapely.to_wkt(shape, rounding_precision=12)}], crs="EPSG:4544")
    for paths in ((first, second), (second, first)):
        sites = placed(*paths)
        assert list(sites.frame.index) == ["S", "T"]
        assert sites.frame.geometry.area.to_numpy() == pytest.approx(10_000, rel=2e-6)
        assert sites.frame.geometry.loc["S"].distance(sites.frame.geometry.loc["T"]) == pytest.approx(100, abs=5e-3)


def test_long_edges_stay_straight_where_they_were_drawn(write: Any) -> None:
    """An edge of 18 km in degrees stays straight in degrees: neighbours with a vertex more on it still touch."""
    south, north, far = (106.25, 29.5), (106.25, 29.6), (106.43, 29.5)
    middle = (106.34, 29.5)
    upper = shapely.Polygon([south, far, (106.43, 29.6), north])
    lower = shapely.Polygon([south, middle, far, (106.43, 29.4), (106.25, 29.4)])
    sites = placed(
        write("s.gpkg", [{"site_id": "L", "wkt": lower.wkt}, {"site_id": "U", "wkt": upper.wkt}], crs="EPSG:4490")
    )
    one, other = sites.frame.geometry
    assert one.intersection(other).area < 1.0
    assert one.area == pytest.approx(
        geojw.measure.geodesy.ellipsoidal_area_m2(shapely.segmentize(lower, 1e-3)), rel=2e-6
    )


def test_several_faults_of_several_files(write: Any, tmp_path: Path) -> None:
    """Every file that cannot be used is named at once."""
    good = write("good.gpkg", [SQUARE])
    bare = write("bare.shp", [SQUARE], crs=None, kind="Polygon")
    junk = tmp_path / "sites" / "junk.gpkg"
    junk.write_bytes(b"junk" * 1000)
    with pytest.raises(geojw.SitesError) as caught:
        read_sites(good, bare, junk, tmp_path / "gone.shp")
    assert [fault.key for fault in caught.value.faults] == ["coords.unstated", "format_differs", "file_missing"]
    assert all(str(tmp_path) not in fault.text("en") for fault in caught.value.faults)


def test_table_without_shapes(tmp_path: Path) -> None:
    """A CSV without a column of geometry: a fault, not a crash."""
    (tmp_path / "s.csv").write_text("site_id,name\nA,b\n", "utf-8")
    assert read_key(tmp_path / "s.csv") == ["table_no_geometry"]


def test_several_tables(write: Any, rows_to_file: Any) -> None:
    """A file with two tables: named, and read when one is chosen."""
    path = write("s.gpkg", [SQUARE], table="one")
    rows_to_file(path, [{"site_id": "T", "box": [0, 0, 10, 10]}], table="two", append=True)
    assert read_key(path) == ["several_tables"]
    assert read_key(path, table="three") == ["table_unknown"]
    assert list(placed(path, table="two").frame.index) == ["T"]


def test_no_files() -> None:
    """No file at all."""
    with pytest.raises(geojw.SitesError):
        SiteFiles()


# ---------------------------------------------------------------------------------------------- attributes


def test_attributes_survive(write: Any) -> None:
    """Columns of all types come through, nulls as nulls."""
    rows = [{"site_id": "A", "code": "0711", "n": 5, "share": 0.5, "flag": True, "box": [0, 0, 10, 10]},
            {"site_id": "B", "code": None, "n": 6, "share": None, "flag": False, "box": [20, 0, 30, 10]}]  # fmt: skip
    frame = placed(write("s.gpkg", rows)).frame
    assert frame.loc["A", "code"] == "0711"
    assert pd.isna(frame.loc["B", "code"])
    assert pd.isna(frame.loc["B", "share"])
    assert [bool(flag) for flag in frame["flag"]] == [True, False]


def test_columns_of_two_files(write: Any) -> None:
    """A column that one file lacks is missing in its rows."""
    first = write("a.gpkg", [{"site_id": "A", "activity": "factory", "box": [0, 0, 10, 10]}])
    second = write("b.gpkg", [{"site_id": "B", "nature": "new", "box": [20, 0, 30, 10]}])
    frame = placed(first, second).frame
    assert frame.loc["A", "activity"] == "factory"
    assert pd.isna(frame.loc["B", "activity"])


@pytest.mark.parametrize(
    "name", ["_row", "_source", "geometry", "index", "site_id", "verdict", "rule_id", "name", "fid_"]
)
def test_column_of_a_name_that_geojw_uses(name: str, write: Any, zone: Any) -> None:
    """A column of the user's that has one of our names breaks nothing."""
    path = write("s.gpkg", [{"key": "A", name: "x", "box": [-50, 0, -10, 10]}])
    result = geojw.screen(read_sites(path, id_column="key"), zone, on=DAY)
    assert list(result.verdicts["site_id"]) == ["A"]
    assert list(result.verdicts["verdict"]) == ["prohibit"]


# ---------------------------------------------------------------------------------------------- batches


@pytest.fixture
def many(write: Any) -> list[Path]:
    """Three files, their ids unsorted, repeated and missing, some shapes useless."""
    names = [f"P{(n * 37) % 50:02d}" for n in range(50)]
    names[11] = names[3]
    names[20] = None
    rows = [{"site_id": name, "n": n, "box": [n * 20 - 500, 0, n * 20 - 490, 10]} for n, name in enumerate(names)]
    rows[30] = {"site_id": "P99", "n": 30, "nothing": True}
    return [write("a.gpkg", rows[:17]), write("b.gpkg", rows[17:19]), write("c.gpkg", rows[19:])]


@pytest.mark.parametrize("size", [1, 7, 16, 49, 50, 1000])
def test_batches(size: int, many: list[Path]) -> None:
    """Batches give the sites that reading whole gives, in order, each batch before the next; nothing is lost."""
    whole = place(read_sites(*many), ANALYSIS)
    files = SiteFiles(*many)
    parts = [place(part, ANALYSIS) for part in files.batches(size)]
    assert all(len(part) + len(part.rejected) <= size for part in parts)
    frame = pd.concat([part.frame for part in parts])
    assert list(frame.index) == list(whole.frame.index) == sorted(whole.frame.index)
    assert list(frame["n"]) == list(whole.frame["n"])
    assert shapely.equals_identical(frame.geometry.values, whole.frame.geometry.values).all()
    rejected = pd.concat([part.rejected for part in parts]).sort_values(["source", "row"])
    columns = ["source", "row", "site_id"]
    assert rejected[columns].to_numpy().tolist() == whole.rejected[columns].to_numpy().tolist()
    assert len(frame) + len(rejected) == len(files) == 50


def test_batches_of_sorted_files(write: Any) -> None:
    """Files that are sorted already are read straight through."""
    path = write("s.gpkg", [{"site_id": f"P{n:02d}", "box": [n * 20, 0, n * 20 + 10, 10]} for n in range(20)])
    parts = list(SiteFiles(path).batches(7))
    assert [len(part) for part in parts] == [7, 7, 6]


def test_batches_change_no_result(many: list[Path], zone: Any) -> None:
    """Batches and reading whole give the same tables."""
    whole = geojw.screen(read_sites(*many), zone, on=DAY)
    parts = [place(part, zone.analysis) for part in SiteFiles(*many).batches(7)]
    results = [screen(part.frame, zone, on=DAY) for part in parts]
    for table in ("verdicts", "findings", "overlaps"):
        joined = pd.concat([getattr(result, table) for result in results], ignore_index=True)
        pd.testing.assert_frame_equal(joined, getattr(whole, table), check_dtype=False)


def test_file_that_changes_while_it_is_read(many: list[Path], rows_to_file: Any) -> None:
    """A file that changes after it was opened: the sites are those of the opening, and so are the checksums."""
    whole = read_sites(*many)
    before = digest(many[0].parent)
    files = SiteFiles(*many)
    many[2].unlink()
    rows_to_file(many[2], [{"site_id": "P00", "n": 0, "box": [0, 0, 10, 10]}])
    (sites,) = files.batches(1000)
    pd.testing.assert_frame_equal(sites.frame, whole.frame)
    assert {name: mark for file in files.files for name, mark in file.hashes.items()} == before


# ---------------------------------------------------------------------------------------------- frames


def test_frame_of_sites(zone: Any, rows_to_frame: Any) -> None:
    """A frame's ids come from site_id, else from its index; what is given is not changed."""
    frame = rows_to_frame([{"site_id": "A", "box": [-50, 0, -10, 10]}, {"site_id": "B", "box": [50, 0, 60, 10]}])
    copy = frame.copy()
    result = geojw.screen(frame, zone, on=DAY)
    assert dict(zip(result.verdicts["site_id"], result.verdicts["verdict"], strict=True)) == {
        "A": "prohibit",
        "B": "clear",
    }
    pd.testing.assert_frame_equal(frame, copy)
    result = geojw.screen(frame.assign(site_id=["X", "X"]), zone, on=DAY)
    assert len(result.verdicts) == 0
    assert list(result.rejected["site_id"]) == ["X", "X"]


def test_frame_without_crs(zone: Any) -> None:
    """A frame that states no CRS is not guessed at."""
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)])
    with pytest.raises(geojw.SitesError) as caught:
        geojw.screen(frame, zone, on=DAY)
    assert [fault.key for fault in caught.value.faults] == ["sites_crs_absent"]


def test_screening_wants_the_analysis_crs(zone: Any) -> None:
    """The inner function takes sites in the zone's own CRS only."""
    frame = gpd.GeoDataFrame(geometry=[shapely.box(106, 29, 106.1, 29.1)], index=["A"], crs="EPSG:4490")
    with pytest.raises(geojw.CRSError):
        screen(frame, zone, on=DAY)


def test_minizone_sites(minizone: Path) -> None:
    """All 90 sites of the example are read; the file is untouched."""
    before = (minizone / "sites.gpkg").read_bytes()
    sites = place(read_sites(minizone / "sites.gpkg"), ANALYSIS)
    assert len(sites) + len(sites.rejected) == 90
    assert len(sites.rejected) == 0
    assert (minizone / "sites.gpkg").read_bytes() == before


# ------------------------------------------------------------------------------ frames, few and many


def frame_of(ids: list[str], shapes: list[shapely.Geometry], **columns: list[object]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"site_id": ids, **columns}, geometry=shapes, crs=4490)


SPOT = shapely.box(106.36, 29.52, 106.361, 29.521)


def test_rows_of_a_frame_that_are_refused_are_named_by_their_number() -> None:
    """Also where some were refused before, and others were put in order; the frame itself stays as it was."""
    bow = shapely.Polygon([(106.36, 29.52), (106.361, 29.521), (106.361, 29.52), (106.36, 29.521)])
    given = frame_of(["b", "twice", "a", "empty", "twice", "bow"], [SPOT, SPOT, SPOT, shapely.Polygon(), SPOT, bow])
    before = given.copy()
    placed = place(sites_of(given), AnalysisCRS(106.36, 29.52))
    assert placed.frame.index.tolist() == ["a", "b", "bow"]
    assert [(row.source, row.row, row.site_id, row.reason.key) for row in placed.rejected.itertuples()] == [
        ("frame", 2, "twice", "site_id_twice"), ("frame", 4, "empty", "site_empty"),
        ("frame", 5, "twice", "site_id_twice"),
    ]  # fmt: skip
    assert [fault.where for fault in placed.remarks] == ["frame, 6 (bow)"]
    one = place(sites_of(given.iloc[[5]]), AnalysisCRS(106.36, 29.52))
    assert [fault.where for fault in one.remarks] == ["frame, 1 (bow)"]
    empty = place(sites_of(given.iloc[[3]]), AnalysisCRS(106.36, 29.52))
    assert empty.rejected[["source", "row", "site_id"]].to_numpy().tolist() == [["frame", 1, "empty"]]
    again = place(sites_of(given.iloc[[0, 3]].assign(_row="7", _source="a file")), AnalysisCRS(106.36, 29.52))
    assert again.rejected[["source", "row", "site_id"]].to_numpy().tolist() == [["frame", 2, "empty"]]
    for some in (placed, one, empty, again):
        assert list(some.frame.columns) == ["site_id", "geometry"]
        assert some.frame.crs.equals(AnalysisCRS(106.36, 29.52).crs)
    assert given.equals(before)
    assert given.crs == before.crs


def test_what_was_placed_is_the_users_to_change() -> None:
    given = frame_of(["a"], [SPOT], name=["old"])
    sites = sites_of(given)
    placed = place(sites, AnalysisCRS(106.36, 29.52))
    placed.frame.loc["a", "name"] = "new"
    placed.frame.loc["a", "geometry"] = shapely.Point(0, 0)
    assert (given["name"].iloc[0], sites.frame["name"].iloc[0]) == ("old", "old")
    assert given.geometry.iloc[0].equals(SPOT)
    assert sites.frame.geometry.iloc[0].equals(SPOT)


CELLS = st.sampled_from([
    "", "/", "26", "2651", "26;30", "3011", " 30 ", "a;", "true", "否", "perhaps", "b", 26, 26.0, 2651.0, 3, True,
    False, None, np.nan, 9007199254740993,
])  # fmt: skip
WANTED = st.sampled_from([("26*",), ("2651", "30*"), ("b", "a"), (True,), (False,), ("true",), ("9007199254740993",)])
SPECS = st.sampled_from([
    Attribute(), Attribute(type="code"), Attribute(type="boolean"), Attribute(type="code", codes=("26*", "30*")),
    Attribute(type="code", digits=4), Attribute(scheme="GB"), Attribute(scheme="GB", scheme_column="said"),
    Attribute(column="other"), Attribute(column="absent"),
])  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(CELLS, CELLS, st.sampled_from(["GB", "", "X"]), st.sampled_from(["GB", ""])), min_size=1, max_size=9
    ),
    st.dictionaries(st.sampled_from(["one", "other"]), WANTED, max_size=2),
    SPECS,
    SPECS,
)
def test_few_sites_are_matched_as_many(
    rows: list[tuple[object, ...]], wanted: dict[str, tuple[str | bool, ...]], one: Attribute, other: Attribute
) -> None:
    """One by one in a frame of their own, and as part of more than are looked at row by row."""
    frame = pd.DataFrame(rows, columns=["one", "other", "one_scheme", "said"], dtype=object)
    frame = gpd.GeoDataFrame(frame, geometry=[shapely.Point(0, 0)] * len(frame), crs=4490)
    again = pd.concat([frame] * FEW, ignore_index=True)
    specs = {"one": one, "other": other}
    answers, missing = match_sites(Columns(again), len(again), wanted, specs)
    for row in range(len(frame)):
        answer, lacks = match_sites(Columns(frame.iloc[[row]]), 1, wanted, specs)
        assert (answer[0], lacks.plain()[0]) == (answers[row], missing.plain()[row])
    few, lacks = match_sites(Columns(frame), len(frame), wanted, specs)
    assert few.tolist() == answers[: len(frame)].tolist()
    assert lacks.plain().tolist() == missing.plain()[: len(frame)].tolist()


@pytest.mark.parametrize("count", [1, 5, FEW + 1])
def test_long_numbers_are_matched_to_the_last_digit(count: int) -> None:
    """Beside a column of fractions too, in which they would lose it; the geometry is no attribute."""
    number, other = 9007199254740993, 9007199254740992
    frame = frame_of(["x"] * count, [SPOT] * count, code=[number] * count, height=[0.5] * count).drop(columns="site_id")
    cells = Columns(frame)
    assert match_sites(cells, count, {"code": (str(number),)}, {})[0].tolist() == [TRUE] * count
    assert match_sites(cells, count, {"code": (str(other),)}, {})[0].tolist() == [FALSE] * count
    assert list(cells) == ["code", "height"]
    assert "geometry" not in cells
