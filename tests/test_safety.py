"""Files come from strangers: what they could reach and grow to is checked before a reader sees them."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from samples import SAMPLES, kml_text, shapefile, write, xlsx_table

import geojw
from geojw.intake import quarantine, safety
from geojw.intake.quarantine import Reader
from geojw.intake.safety import Limits
from geojw.intake.site_files import read_sites


def keys_of(path: str | Path, **asked: Any) -> list[str]:
    with pytest.raises(geojw.SitesError) as caught:
        read_sites(path, **asked)
    assert all(fault.text(lang) for fault in caught.value.faults for lang in ("zh", "en"))
    return [fault.key for fault in caught.value.faults]


def zip_of(path: Path, entries: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("path", [
    "/vsicurl/http://example.org/s.gpkg", "/vsizip/s.zip", "http://example.org/s.geojson", "s3://bucket/s.gpkg",
    "\\vsimem\\x.shp", "ftp://example.org/s.shp"])  # fmt: skip
def test_addresses_and_virtual_paths(path: str) -> None:
    assert keys_of(path) == ["path_virtual"]


def test_a_name_that_looks_like_a_connection(tmp_path: Path) -> None:
    """A file of this machine is read whatever its name means to GDAL, and one that is not there is not looked for."""
    path = SAMPLES["gpkg"](tmp_path).rename(tmp_path / "PG:dbname=x!y?z#1.gpkg")
    assert len(read_sites(path)) == 2
    assert keys_of("PG:dbname=x") == ["file_missing"]
    assert keys_of("GPKG:/etc/passwd:x") in (["file_missing"], ["path_virtual"])


def test_only_the_drivers_that_are_needed() -> None:
    """GDAL's other drivers are not there: no VRT, no network, none that reads files by reference."""
    with Reader() as reader:
        process = reader._started(60.0)
        assert process.more_drivers(60.0) == []
    with_more = quarantine._Process(safety.Path(os.curdir).resolve(), "GML")
    try:
        assert {"OGR_VRT", "WFS", "CSV", "GDALG"} <= set(with_more.more_drivers(60.0))
    finally:
        with_more.stop()


def test_drivers_that_a_later_gdal_may_bring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the list of drivers to leave out does not know is left out at the second start."""
    monkeypatch.setattr(quarantine, "SKIPPED", quarantine.SKIPPED.replace("OGR_VRT,", ""))
    with Reader() as reader:
        assert len(read_sites(SAMPLES["gpkg"](tmp_path), reader=reader)) == 2
        assert "OGR_VRT" in reader._skipped.split(",")


@pytest.mark.parametrize("text", [
    "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>/etc/x</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
    json.dumps({"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read /etc/passwd"})])  # fmt: skip
@pytest.mark.parametrize("suffix", [".geojson", ".kml", ".dxf", ".gpkg", ".csv", ".txt", ".shp", ".fgb", ".zip"])
def test_references_to_other_files(text: str, suffix: str, tmp_path: Path) -> None:
    """A file that points GDAL at others is none of our formats under any name."""
    path = tmp_path / f"s{suffix}"
    path.write_text(text)
    assert len(keys_of(path, crs="EPSG:4490")) == 1


# ---------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("name", ["../s.gpkg", "a/../../s.gpkg", "/etc/s.gpkg", "C:/s.gpkg", "..\\s.gpkg", "\\s.gpkg"])
@pytest.mark.parametrize("suffix", [".zip", ".kmz"])
def test_entries_that_lead_outside(name: str, suffix: str, tmp_path: Path) -> None:
    """Nothing is unpacked, wherever the entry leads."""
    folder = tmp_path / "in"
    folder.mkdir()
    path = zip_of(folder / f"s{suffix}", {name: b"x", "doc.kml": kml_text().encode()})
    assert keys_of(path) == ["zip_outside"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in", path.name]


def test_entry_that_is_a_link(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("s.gpkg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert keys_of(tmp_path / "s.zip") == ["zip_outside"]


def test_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "ENTRIES", 3)
    path = zip_of(tmp_path / "s.zip", {f"{n}.kml": b"x" for n in range(4)})
    with pytest.raises(geojw.SitesError) as caught:
        safety.unpack(path, tmp_path, Limits())
    assert [fault.key for fault in caught.value.faults] == ["zip_entries"]


def test_bombs(tmp_path: Path) -> None:
    """By its ratio, by its size, and by two entries of one name; all before anything is unpacked."""
    path = zip_of(tmp_path / "s.zip", {"s.kml": bytes(20_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert keys_of(path) == ["zip_ratio"]
    assert keys_of(path, limits=Limits(file_mb=10.0)) == ["file_large", "zip_ratio"]
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("s.kml", "a")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("s.kml", "b")
    assert keys_of(tmp_path / "t.zip") == ["zip_twice"]
    assert keys_of(zip_of(tmp_path / "u.zip", {"s.kml": b"a", "S.KML": b"b"})) == ["zip_twice"]


def test_entry_that_is_longer_than_it_says(tmp_path: Path) -> None:
    """The directory of an archive lies about a size: no more than that is unpacked."""
    path = zip_of(tmp_path / "s.zip", {"s.kml": bytes(3_000_000)}, compression=zipfile.ZIP_DEFLATED)
    data = path.read_bytes().replace(struct.pack("<I", 3_000_000), struct.pack("<I", 100))
    path.write_bytes(data)
    assert keys_of(path)[0] in ("zip_broken", "unreadable")


def test_passwords_and_strange_packing(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "s.zip", {"s.kml": b"x" * 100})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(bytes(data))
    assert keys_of(path) == ["zip_encrypted"]
    assert keys_of(zip_of(tmp_path / "t.zip", {"s.kml": b"x" * 100}, compression=zipfile.ZIP_LZMA)) == ["zip_method"]


def test_archive_without_sites(tmp_path: Path) -> None:
    assert keys_of(zip_of(tmp_path / "s.zip", {"readme.md": b"x", "__MACOSX/s.kml": b"y"})) == ["zip_nothing"]
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("s.kml", kml_text())
    assert keys_of(zip_of(tmp_path / "t.zip", {"inner.zip": inner.getvalue()})) == ["zip_nothing"]


# ---------------------------------------------------------------------------------------------- contents


BOMB = '<!DOCTYPE k [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE k [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("declared", [BOMB, FILE, "<!DOCTYPE kml>"])
@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
def test_entities(declared: str, code: str, tmp_path: Path) -> None:
    """No document type in a KML, in whatever encoding it hides; a KMZ is the same."""
    head, _, rest = kml_text().partition("?>")
    text = (head.replace("UTF-8", code) + "?>" + declared + rest.replace("化工厂", "&a;")).encode(code)
    (tmp_path / "s.kml").write_bytes(text)
    assert keys_of(tmp_path / "s.kml") == ["xml_doctype"]
    assert keys_of(zip_of(tmp_path / "s.kmz", {"doc.kml": text})) == ["xml_doctype"]


def test_macros(tmp_path: Path) -> None:
    assert keys_of(xlsx_table(tmp_path, extra={"xl/vbaProject.bin": b"x"}), crs="EPSG:4490") == ["workbook_macros"]
    path = xlsx_table(tmp_path, kind="sheet.macroEnabled")
    assert keys_of(path, crs="EPSG:4490") == ["workbook_macros"]


def test_virtual_tables_of_a_database(tmp_path: Path) -> None:
    """SQLite's virtual tables can read other files: a GeoPackage with one is not opened."""
    path = write(tmp_path / "s.gpkg")
    base = sqlite3.connect(path)
    base.execute("PRAGMA writable_schema = ON")
    base.execute(
        "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES "
        "('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING VirtualOGR(''/etc/passwd'')')"
    )
    base.commit()
    base.close()
    assert keys_of(path) == ["table_virtual"]


def test_links_in_a_filegdb(tmp_path: Path) -> None:
    path = SAMPLES["gdb"](tmp_path)
    (path / "a00000099.gdbtable").symlink_to("/etc/passwd")
    assert keys_of(path) == ["gdb_links"]


def test_nested_shapes(tmp_path: Path) -> None:
    """Shapes nested until a parser dies end the reader, not us; the next file is read."""
    deep = "GEOMETRYCOLLECTION(" * 200_000 + "POINT(1 1)" + ")" * 200_000
    (tmp_path / "s.csv").write_text(f"id;wkt\nA;{deep}\n")
    with Reader() as reader:
        try:
            sites = read_sites(tmp_path / "s.csv", reader=reader, crs="EPSG:4490")
        except geojw.SitesError as error:
            assert [fault.key for fault in error.faults] == ["reader_died"]  # noqa: PT017 - either is right
        else:
            assert len(sites) == 1
        assert len(read_sites(SAMPLES["gpkg"](tmp_path), reader=reader)) == 2


def test_a_reader_that_dies_is_named(tmp_path: Path) -> None:
    """Whatever ends the process, the file has a named error and the next one is read."""
    path = SAMPLES["gpkg"](tmp_path)
    with Reader() as reader:
        process = reader._started(60.0)
        process._process.kill()
        process._process.wait()
        with pytest.raises(geojw.SitesError) as caught:
            read_sites(path, reader=reader)
        assert [fault.key for fault in caught.value.faults] == ["reader_died"]
        assert len(read_sites(path, reader=reader)) == 2


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The reader's folder is empty between files (what is mapped stays readable), and gone in the end."""
    with Reader() as reader:
        sites = read_sites(shapefile(tmp_path), reader=reader)
        if os.name == "posix":
            assert [p.name for p in reader.folder.iterdir() if p.stat().st_size] == []
        folder = reader.folder
    assert len(sites.frame) == 2
    del reader
    assert not folder.exists()
