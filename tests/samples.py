"""Small files of every format that offices exchange, each with the same two sites near the zone of the tests."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio.raw
import shapely

LON, LAT, STEP = 106.33, 29.52, 0.001
BOXES = [shapely.box(LON + k * 0.002, LAT, LON + k * 0.002 + STEP, LAT + STEP) for k in (0, 1)]
IDS, NAMES, CODES = ["甲-1", "乙-2"], ["化工厂", "物流园区"], ["2611", "5930"]
ROWS = {"项目编号": IDS, "项目名称": NAMES, "行业代码": CODES}


def write(path: Path, columns: dict[str, list[str]] | None = None, **options: object) -> Path:
    """Write the two sites by GDAL."""
    columns = columns or ROWS
    arrays = [np.array(cells, dtype=object) for cells in columns.values()]
    given = {"crs": "EPSG:4490", "geometry_type": "Polygon", **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no CRS is meant, and names that a Shapefile cuts
        pyogrio.raw.write(path, shapely.to_wkb(np.array(BOXES, dtype=object)), arrays, list(columns), **given)
    return path


def shapefile(folder: Path, encoding: str = "GBK", label: str | None = None, *, without: tuple[str, ...] = ()) -> Path:
    """Write a Shapefile; `label` is put into the .cpg, the suffixes in `without` are taken away."""
    path = write(folder / "项目.shp", encoding=encoding)
    data = bytearray(path.with_suffix(".dbf").read_bytes())
    data[29] = 0  # GDAL writes the code page there too
    path.with_suffix(".dbf").write_bytes(bytes(data))
    if label is None:
        path.with_suffix(".cpg").unlink(missing_ok=True)
    else:
        path.with_suffix(".cpg").write_text(label)
    for suffix in without:
        path.with_suffix(suffix).unlink()
    return path


def zipped(folder: Path, *names: str, encoding: str = "utf-8") -> Path:
    """Zip Shapefiles of these names; `encoding` is that of the names in the archive, as old programs write them."""
    inner = folder / "inner"
    inner.mkdir()
    shapefile(inner)
    target = folder / "sites.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            for part in sorted(inner.iterdir()):
                info = zipfile.ZipInfo(f"{name}{part.suffix}")
                archive.writestr(info, part.read_bytes())
    for part in inner.iterdir():
        part.unlink()
    inner.rmdir()
    if encoding != "utf-8":
        _rename_entries(target, encoding)
    return target


def _rename_entries(path: Path, encoding: str) -> None:
    """Write the names of an archive's entries in an encoding, without the flag of UTF-8."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]

    class Old(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's own
            return self.filename.encode(encoding), self.flag_bits

    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(Old(name), data)


def filegdb(folder: Path) -> Path:
    return write(folder / "s.gdb", driver="OpenFileGDB", layer="sites")


def filegdb_zip(folder: Path) -> Path:
    path = filegdb(folder)
    with zipfile.ZipFile(folder / "gdb.zip", "w") as archive:
        for part in sorted(path.iterdir()):
            archive.write(part, f"数据/s.gdb/{part.name}")
    return folder / "gdb.zip"


KML = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>项目</name>
<Folder><name>甲组</name>{0}</Folder><Folder><name>乙组</name><Folder><name>内层</name>{1}</Folder></Folder></Document></kml>
"""


def kml_text() -> str:
    marks = []
    for box, name, own, code in zip(BOXES, NAMES, IDS, CODES, strict=True):
        ring = " ".join(f"{x!r},{y!r},0" for x, y in box.exterior.coords)
        marks.append(
            f'<Placemark><name>{name}</name><ExtendedData><Data name="项目编号"><value>{own}</value></Data>'
            f'<Data name="行业代码"><value>{code}</value></Data></ExtendedData><Polygon><outerBoundaryIs><LinearRing>'
            f"<coordinates>{ring}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
        )
    return KML.format(*marks)


def kml(folder: Path) -> Path:
    (folder / "s.kml").write_text(kml_text(), "utf-8")
    return folder / "s.kml"


def kmz(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "s.kmz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", kml_text())
    return folder / "s.kmz"


def dxf(
    folder: Path, encoding: str = "gb18030", head: str = "9\n$ACADVER\n1\nAC1015\n9\n$DWGCODEPAGE\n3\nANSI_936\n"
) -> Path:
    """Write a drawing in EPSG:4523: two closed polylines on layer 宗地, and a line and a text that are no plots."""
    planes = gpd.GeoSeries(BOXES, crs="EPSG:4490").to_crs("EPSG:4523")
    text = f"0\nSECTION\n2\nHEADER\n{head}0\nENDSEC\n0\nSECTION\n2\nENTITIES\n"
    for plane in planes:
        points = list(plane.exterior.coords)[:-1]
        text += f"0\nLWPOLYLINE\n8\n宗地\n90\n{len(points)}\n70\n1\n"
        text += "".join(f"10\n{x:.4f}\n20\n{y:.4f}\n" for x, y in points)
    x, y = planes.iloc[0].exterior.coords[0]
    text += f"0\nLINE\n8\n注记\n10\n{x}\n20\n{y}\n11\n{x + 9}\n21\n{y}\n"
    text += f"0\nTEXT\n8\n注记\n10\n{x}\n20\n{y}\n40\n1\n1\n说明\n"
    (folder / "s.dxf").write_bytes((text + "0\nENDSEC\n0\nEOF\n").encode(encoding))
    return folder / "s.dxf"


def table_rows(way: str) -> list[list[object]]:
    """Give the header and rows of a table that holds the sites as ``wkt``, ``points`` or ``vertices``."""
    head: list[object] = list(ROWS)
    attributes = list(zip(IDS, NAMES, CODES, strict=True))
    if way == "wkt":
        return [[*head, "WKT"], *([*row, box.wkt] for row, box in zip(attributes, BOXES, strict=True))]
    if way == "points":
        return [
            [*head, "经度", "纬度"],
            *([*row, box.centroid.x, box.centroid.y] for row, box in zip(attributes, BOXES, strict=True)),
        ]
    lines: list[list[object]] = [[*head, "点号", "经度", "纬度"]]
    for row, box in zip(attributes, BOXES, strict=True):
        lines += [[*row, number, x, y] for number, (x, y) in enumerate(list(box.exterior.coords)[:-1], 1)]
    return lines


def csv_table(folder: Path, way: str = "wkt", encoding: str = "gb18030", delimiter: str = ",") -> Path:
    def cell(value: object) -> str:
        text = str(value)
        return f'"{text}"' if delimiter in text else text

    text = "\r\n".join(delimiter.join(map(cell, row)) for row in table_rows(way)) + "\r\n"
    (folder / f"{way}.csv").write_bytes(text.encode(encoding))
    return folder / f"{way}.csv"


def xlsx_table(folder: Path, way: str = "wkt", *, extra: dict[str, bytes] | None = None, kind: str = "sheet") -> Path:
    """Write a workbook of inline texts, without a library."""
    rows = []
    for number, row in enumerate(table_rows(way), 1):
        cells = []
        for at, value in enumerate(row):
            place = f"{chr(65 + at)}{number}"
            if isinstance(value, int | float):
                cells.append(f'<c r="{place}"><v>{value!r}</v></c>')
            else:
                cells.append(f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>')
        rows.append(f'<row r="{number}">{"".join(cells)}</row>')
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.{kind}.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="项目表" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(rows)}</sheetData></worksheet>',
    }
    path = folder / f"{way}.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return path


def geojson(folder: Path, crs: object = "absent") -> Path:
    features = [
        {"type": "Feature", "properties": dict(zip(ROWS, row, strict=True)), "geometry": shapely.geometry.mapping(box)}
        for row, box in zip(zip(IDS, NAMES, CODES, strict=True), BOXES, strict=True)
    ]
    document: dict[str, object] = {"type": "FeatureCollection", "features": features}
    if crs != "absent":
        document["crs"] = crs
    (folder / "s.geojson").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return folder / "s.geojson"


def geoparquet(folder: Path, **options: object) -> Path:
    frame = gpd.GeoDataFrame(pd.DataFrame(ROWS), geometry=BOXES, crs="EPSG:4490")
    frame.to_parquet(folder / "s.parquet", **options)
    return folder / "s.parquet"


def boundary_text(folder: Path, encoding: str = "gb18030") -> Path:
    """Write 界址点坐标 of the two sites, by hand: x is north, eastings carry the zone."""
    planes = gpd.GeoSeries(BOXES, crs="EPSG:4490").to_crs("EPSG:4523")
    lines = ["[属性描述]", "坐标系=2000国家大地坐标系", "几度分带=3", "投影类型=高斯克吕格", "计量单位=米", "带号=35",
             "精度=0.001", "转换参数=,,,,,,", "[地块坐标]"]  # fmt: skip
    for number, (plane, name) in enumerate(zip(planes, NAMES, strict=True), 1):
        points = list(plane.exterior.coords)
        lines.append(f"{len(points)},{plane.area / 10_000:.4f},{number},{name},面,H48G0050{number},工业用地,0601,@")
        lines += [f"J{at % (len(points) - 1) + 1},1,{y:.3f},{x:.3f}" for at, (x, y) in enumerate(points)]
    (folder / "s.txt").write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
    return folder / "s.txt"


SAMPLES: dict[str, Callable[[Path], Path]] = {
    "shp_gbk": shapefile,
    "shp_gb18030_cpg": lambda folder: shapefile(folder, "GB18030", "GB18030"),
    "shp_utf8_cpg": lambda folder: shapefile(folder, "UTF-8", "UTF-8"),
    "shp_utf8_no_cpg": lambda folder: shapefile(folder, "UTF-8"),
    "shp_gbk_wrong_cpg": lambda folder: shapefile(folder, "GBK", "UTF-8"),
    "shp_utf8_wrong_cpg": lambda folder: shapefile(folder, "UTF-8", "936"),
    "shp_no_shx": lambda folder: shapefile(folder, without=(".shx",)),
    "shp_zip": lambda folder: zipped(folder, "一期/项目"),
    "shp_zip_gbk_names": lambda folder: zipped(folder, "一期/项目", encoding="gb18030"),
    "gpkg": lambda folder: write(folder / "s.gpkg"),
    "geojson": geojson,
    "gdb": filegdb,
    "gdb_zip": filegdb_zip,
    "kml": kml,
    "kmz": kmz,
    "dxf": dxf,
    "csv_wkt": csv_table,
    "csv_points": lambda folder: csv_table(folder, "points"),
    "csv_vertices": lambda folder: csv_table(folder, "vertices"),
    "xlsx_wkt": xlsx_table,
    "xlsx_points": lambda folder: xlsx_table(folder, "points"),
    "xlsx_vertices": lambda folder: xlsx_table(folder, "vertices"),
    "geoparquet": geoparquet,
    "geoparquet_native": lambda folder: geoparquet(folder, geometry_encoding="geoarrow", schema_version="1.1.0"),
    "fgb": lambda folder: write(folder / "s.fgb"),
    "txt": boundary_text,
}
"""Name -> how it is made."""

CRS_OF = {"dxf": "EPSG:4523"}
"""What a sample states nowhere; tables of text are in degrees."""


def asked(name: str) -> dict[str, str]:
    """Give what a user must say of a sample."""
    if name.startswith(("csv", "xlsx")):
        return {"crs": "EPSG:4490"}
    return {"crs": CRS_OF[name]} if name in CRS_OF else {}
