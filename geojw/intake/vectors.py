"""The formats that GDAL reads, and what has to be settled before it does, since it guesses in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from pyarrow import compute
from pyogrio import raw

from geojw.errors import Fault, SitesError
from geojw.intake import encoding, safety, text_tables
from geojw.intake.delivery import GEOMETRY, REASON, ROWS, UTF8, WGS84, Ask, Batches, Delivery, as_table, has_curves
from geojw.intake.encoding import Encoding
from geojw.intake.safety import short

DRIVERS = frozenset({"ESRI Shapefile", "GPKG", "GeoJSON", "OpenFileGDB", "LIBKML", "DXF", "FlatGeobuf"})
"""The GDAL drivers that may open a file of sites. None of them reads other files by reference."""


def shapefile(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a Shapefile: encoding by its bytes, a missing .shx made anew on a copy."""
    parts = {part.suffix.lower(): part for part in safety.parts_of(ask.path)}
    path, remarks = ask.path, []
    if ".dbf" not in parts:
        remarks.append(Fault("dbf_missing", ask.name))
    # GDAL would make a .shx beside the user's own file, and already where its suffix is in capitals.
    pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": "NO" if ".shx" in parts else "YES"})
    label = _label(parts[".cpg"]) if ".cpg" in parts else ""
    found = encoding.of_dbf(parts[".dbf"], label, ask.encoding) if ".dbf" in parts else UTF8
    if found.how == "label_wrong":
        remarks.append(Fault("encoding_label", ask.name, {"label": found.label, "encoding": found.name}))
    if found.bad:
        remarks.append(Fault("encoding_cells", ask.name, {"encoding": found.name, "cells": found.bad}))
    names = encoding.whole_names(parts[".dbf"], found.name) if ".dbf" in parts else None
    if ".shx" not in parts or names is not None:
        path = _copied(ask, parts, names)
        remarks += [] if ".shx" in parts else [Fault("shx_missing", ask.name)]
    delivery, batches = _vector(replace(ask, path=path, table=None), "ESRI Shapefile", "Shapefile", found)
    _check_counts(path, parts, ask.name)
    if delivery.crs is None and ".prj" in parts and parts[".prj"].read_bytes().strip():
        remarks.append(Fault("prj_unreadable", ask.name))
    how = "prj" if delivery.crs else ""
    return replace(delivery, table="", crs_how=how, remarks=(*delivery.remarks, *remarks)), batches


def _copied(ask: Ask, parts: dict[str, Path], dbf: bytes | None) -> Path:
    """Copy a Shapefile, so that what has to be mended is not mended in the user's own folder."""
    folder = ask.folder / "shp"
    folder.mkdir()
    for suffix in {".shp", ".shx", ".dbf", ".prj"} & set(parts):
        shutil.copyfile(parts[suffix], folder / f"sites{suffix}")
    if dbf is not None:
        (folder / "sites.dbf").write_bytes(dbf)
    return folder / "sites.shp"


def _label(path: Path) -> str:
    return path.read_bytes()[:64].decode("ascii", "replace").strip()


def _check_counts(path: Path, parts: dict[str, Path], name: str) -> None:
    """Hold the rows of the .dbf against the shapes: what only one of them has would be lost unseen."""
    if ".dbf" not in parts:
        return
    index = next(p for p in path.parent.iterdir() if p.stem == path.stem and p.suffix.lower() == ".shx")
    shapes = max(index.stat().st_size - 100, 0) // 8
    with parts[".dbf"].open("rb") as stream:
        rows = int.from_bytes(stream.read(8)[4:8], "little")
    if rows != shapes:
        raise SitesError([Fault("shapefile_counts", name, {"rows": rows, "shapes": shapes})])


def geopackage(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a GeoPackage; one with an open journal is read as a copy, so that nothing is written beside it."""
    path = ask.path
    with path.open("rb") as stream:
        journaled = 2 in stream.read(20)[18:20]  # noqa: PLR2004 - the write version of SQLite with a journal
    journal = path.with_name(path.name + "-wal")
    if journaled or journal.exists():
        path = ask.folder / "sites.gpkg"
        shutil.copyfile(ask.path, path)
        if journal.exists():
            shutil.copyfile(journal, path.with_name("sites.gpkg-wal"))
    safety.check_sqlite(path)
    return _vector(replace(ask, path=path), "GPKG", "GeoPackage", UTF8)


def geojson(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a GeoJSON; its declared CRS is read here, for GDAL takes one that it cannot resolve for WGS 84."""
    text, found = encoding.decode(ask.path.read_bytes(), ask.encoding, ask.name)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise SitesError([Fault("not_json", ask.name, {"error": short(problem)})]) from None
    crs, how, items = _of_json(document, ask.name)
    path = ask.folder / "sites.geojson"
    path.write_text(text, "utf-8")
    delivery, batches = _vector(replace(ask, path=path, table=None), "GeoJSON", "GeoJSON", found)
    return replace(delivery, table="", crs=crs, crs_how=how), _counted(batches, items, ask.name)


def _of_json(document: object, name: str) -> tuple[str | None, str, int]:
    """Give CRS, where it is stated, and the number of features; what is no feature is a fault, not a loss."""
    if not isinstance(document, dict) or document.get("type") not in ("FeatureCollection", "Feature"):
        raise SitesError([Fault("json_no_features", name)])
    items = document.get("features") if document["type"] == "FeatureCollection" else [document]
    odd = [
        at
        for at, item in enumerate(items if isinstance(items, list) else [None], 1)
        if not isinstance(item, dict) or item.get("type") != "Feature" or not _is_shape(item.get("geometry"))
    ]
    if odd or not isinstance(items, list):
        raise SitesError([Fault("json_items", name, {"rows": ", ".join(map(str, odd[:5])), "count": len(odd)})])
    if "crs" not in document:
        return WGS84, "format", len(items)
    declared = document["crs"]
    if declared is None:
        return None, "", len(items)
    properties = declared.get("properties") if isinstance(declared, dict) else None
    stated = properties.get("name") if isinstance(properties, dict) else None
    if not isinstance(stated, str):
        raise SitesError([Fault("json_crs", name, {"crs": json.dumps(declared)[:80]})])
    return stated, "declared", len(items)


def _is_shape(value: object) -> bool:
    return value is None or (isinstance(value, dict) and isinstance(value.get("type"), str))


def filegdb(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a FileGDB."""
    return _vector(ask, "OpenFileGDB", "FileGDB", UTF8)


def flatgeobuf(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a FlatGeobuf."""
    delivery, batches = _vector(replace(ask, table=None), "FlatGeobuf", "FlatGeobuf", UTF8)
    return replace(delivery, table=""), batches


_KML_NOISE = frozenset(
    {"id", "description", "timestamp", "begin", "end", "altitudeMode", "tessellate", "extrude", "visibility",
     "drawOrder", "icon", "snippet"}
)  # fmt: skip
"""Columns that GDAL gives every KML; those that hold nothing are left out."""

_KML_FIELDS = frozenset({"Data", "SimpleData", "SimpleField"})


def kml(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a KML: all folders, or the one asked for; a column says which."""
    counts = safety.check_xml(ask.path)
    path = ask.folder / "sites.kml"
    fields = _ascii_fields(ask.path, path)
    names = [str(name) for name, _ in pyogrio.list_layers(path)]
    if ask.table is not None:
        text_tables.choose(names, ask.table, ask.name)
    tables = []
    for name in [ask.table] if ask.table is not None else names:
        delivery, batches = _vector(replace(ask, path=path, table=name), "LIBKML", "KML", UTF8)
        table = as_table(batches)
        table = table.rename_columns([fields.get(name, name) for name in table.column_names])
        kept = [c for c in table.column_names if c not in _KML_NOISE or _says(table[c])]
        tables.append(table.select(kept).append_column("folder", pa.array([name] * len(table), pa.string())))
    if not tables:
        raise SitesError([Fault("no_geometry", ask.name)])
    whole = pa.concat_tables(_plain(tables), promote_options="permissive")
    if ask.table is None and len(whole) < counts["Placemark"]:
        lost = {"got": len(whole), "wanted": counts["Placemark"]}
        raise SitesError([Fault("rows_lost", ask.name, lost)])
    links = (Fault("kml_links", ask.name, {"count": counts["NetworkLink"]}),) if counts["NetworkLink"] else ()
    named = ask.table or (", ".join(names) if len(names) > 1 else "")
    return replace(delivery, table=named[:200], crs=WGS84, crs_how="format", remarks=links), [whole]


def _ascii_fields(path: Path, copy: Path) -> dict[str, str]:
    """Write a copy whose extended data have plain names: GDAL makes one of all names of as many Chinese letters."""
    tree = ET.parse(path)  # noqa: S314 - checked before: no document type, no entities
    names: dict[str, str] = {}
    for element in tree.iter():
        if str(element.tag).rpartition("}")[2] in _KML_FIELDS and (name := element.get("name")):
            element.set("name", names.setdefault(name, f"gjw{len(names)}"))
    tree.write(copy, "utf-8", xml_declaration=True)
    return {short: name for name, short in names.items()}


def _says(column: pa.ChunkedArray) -> bool:
    return not set(column.unique().to_pylist()) <= {None, "", -1, 0}


def _plain(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Give columns of one name but of several types as text, so that the folders of a KML fit together."""
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for name, kind in zip(table.column_names, table.schema.types, strict=True):
            kinds.setdefault(name, set()).add(kind)
    mixed = {name for name, types in kinds.items() if len(types) > 1 and name != GEOMETRY}
    out = []
    for table in tables:
        for at, name in enumerate(table.column_names):
            if name in mixed:
                table = table.set_column(at, name, table[name].cast(pa.string()))  # noqa: PLW2901 - built up
        out.append(table)
    return out


def dxf(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a DXF: closed lines become polygons, all else is refused row by row; `--layer` names the drawing's layer."""
    lines = [line.strip() for line in ask.path.read_bytes().split(b"\n") if not line.isascii()]
    found = encoding.decide(lines[: encoding.CELLS], ask.encoding, "", ask.name)
    if found.bad:
        raise SitesError([Fault("encoding_asked", ask.name, {"encoding": found.name, "cells": found.bad})])
    path = ask.folder / "sites.dxf"
    data = ask.path.read_bytes()
    path.write_bytes(data if b"HEADER" in data[:4096] else b"0\nSECTION\n2\nHEADER\n0\nENDSEC\n" + data)  # else GDAL
    # takes no notice of the encoding
    pyogrio.set_gdal_config_options({"DXF_ENCODING": found.name})
    delivery, batches = _vector(replace(ask, path=path, table=None), "DXF", "DXF", found)
    table = as_table(batches)
    layers = [str(name) for name in table["Layer"].unique().to_pylist()] if "Layer" in table.column_names else []
    if ask.table is not None:
        text_tables.choose(layers, ask.table, ask.name)
        table = table.filter(compute.equal(table["Layer"], ask.table))
    shapes = shapely.from_wkb(table[GEOMETRY].to_numpy(), on_invalid="ignore")
    closed = (shapely.get_type_id(shapes) == 1) & shapely.is_closed(shapes) & (shapely.get_num_coordinates(shapes) > 3)  # noqa: PLR2004
    shapes[closed] = [shapely.Polygon(shapely.get_coordinates(line)) for line in shapes[closed]]
    open_ones = shapely.get_dimensions(shapes) != 2  # noqa: PLR2004 - areas
    table = table.set_column(
        table.column_names.index(GEOMETRY), GEOMETRY, pa.array(shapely.to_wkb(shapes), pa.large_binary())
    )
    table = table.append_column(REASON, pa.array(np.where(open_ones, "dxf_open", "").tolist(), pa.string()))
    return replace(delivery, table=ask.table or ", ".join(layers)[:200]), [table]


def _vector(ask: Ask, driver: str, kind: str, found: Encoding) -> tuple[Delivery, Batches]:
    """Open one table by GDAL and give its rows batch by batch."""
    layers = pyogrio.list_layers(ask.path)
    names = [str(name) for name, shape in layers if shape is not None]
    table = text_tables.choose(names, ask.table, ask.name)
    coded = found.name if driver == "ESRI Shapefile" else None
    try:
        info = pyogrio.read_info(ask.path, layer=table, encoding=coded, force_feature_count=True)
    except UnboundLocalError:  # pyogrio stumbles over a CRS that GDAL cannot write down
        raise SitesError([Fault("crs_broken", ask.name)]) from None
    if info["driver"] != driver or info["driver"] not in DRIVERS:
        raise SitesError([Fault("format_differs", ask.name, {"format": kind})])
    count = int(info["features"])
    ask.check_features(count)
    ask.told(count)
    crs = info["crs"]
    if crs is not None and str(crs).startswith("ENGCRS"):  # "undefined" of a GeoPackage
        crs = None if "ndefined" in str(crs) else crs
    delivery = Delivery(kind, table, found, crs, "file" if crs else "")
    return delivery, _counted(_batches(ask.path, table, coded), count, ask.name)


def _batches(path: Path, table: str, coded: str | None) -> Iterator[pa.RecordBatch | pa.Table]:
    """Give the rows as Arrow, or plainly where curves have to be drawn out."""
    done = 0
    options = {"layer": table, "encoding": coded, "datetime_as_string": True}
    with raw.open_arrow(path, use_pyarrow=True, batch_size=ROWS, **options) as (meta, reader):
        name = meta["geometry_name"] or "wkb_geometry"
        for batch in reader:
            renamed = batch.rename_columns([GEOMETRY if c == name else c for c in batch.schema.names])
            if has_curves(renamed.column(GEOMETRY)):
                break
            done += len(batch)
            yield renamed
        else:
            return
    meta, _, wkb, columns = raw.read(path, skip_features=done, **options)
    fields = [pa.array(column.tolist() if column.dtype == object else column) for column in columns]
    yield pa.table([*fields, pa.array(wkb, pa.large_binary())], names=[*map(str, meta["fields"]), GEOMETRY])


def _counted(batches: Batches, wanted: int, name: str) -> Iterator[pa.RecordBatch | pa.Table]:
    """Hold the number of rows that came against the number that the file says it has."""
    got = 0
    for batch in batches:
        got += len(batch)
        yield batch
    if got != wanted:
        raise SitesError([Fault("rows_lost", name, {"got": got, "wanted": wanted})])
