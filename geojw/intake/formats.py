"""Every format that offices exchange, opened into one table. Runs in the reader's own process."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import shapely
from pyogrio.errors import CRSError as FileCRSError
from pyogrio.errors import DataLayerError, DataSourceError

from geojw.errors import Fault, SitesError
from geojw.intake import encoding, safety, text_tables, vectors
from geojw.intake.delivery import GEOMETRY, REASON, ROWS, UTF8, WGS84, Ask, Batches, Delivery, write
from geojw.intake.encoding import Encoding
from geojw.intake.safety import Limits, Member, short

READ_ERRORS = (
    DataSourceError, DataLayerError, FileCRSError, UnicodeDecodeError, pa.ArrowException, NotImplementedError, OSError,
    MemoryError,
)  # fmt: skip
"""What the readers raise for a file that they cannot read."""

FORMATS = {
    ".shp": "Shapefile", ".gpkg": "GeoPackage", ".geojson": "GeoJSON", ".json": "GeoJSON", ".gdb": "FileGDB",
    ".kml": "KML", ".dxf": "DXF", ".csv": "CSV", ".xlsx": "XLSX", ".txt": "TXT", ".parquet": "GeoParquet",
    ".geoparquet": "GeoParquet", ".fgb": "FlatGeobuf", ".zip": "ZIP", ".kmz": "KMZ",
}  # fmt: skip
_TEXTS = (".txt", ".csv", ".xlsx", ".json")
"""Members of an archive that may be something beside the sites: a note, a list."""

_HEADS = {
    ".gpkg": b"SQLite format 3\0", ".fgb": b"fgb\x03", ".shp": b"\0\0\x27\x0a", ".parquet": b"PAR1",
    ".geoparquet": b"PAR1", ".xlsx": b"PK", ".zip": b"PK", ".kmz": b"PK",
}  # fmt: skip


def deliver(
    path: Path, table: str | None, asked: str | None, limits: Limits, folder: Path, target: Path,
    told: Callable[[int], None],
) -> Delivery:  # fmt: skip
    """
    Read one file of sites into an Arrow file.

    Parameters
    ----------
    path
        The file, or the folder of a FileGDB.
    table
        Which table, or which member of an archive.
    asked
        The encoding that the user states.
    limits
        What is too large.
    folder
        An empty folder to work in.
    target
        The Arrow file to write.
    told
        Told how many features there are to be read.

    Returns
    -------
    Delivery
        What was found; the rows are in `target`.

    Raises
    ------
    SitesError
        With the reasons why it is not read.
    """
    path = safety.local_file(path)
    safety.check_size(path, limits)
    hashes = safety.hashes_of(path)
    ask = Ask(_plainly_named(path, folder), path.name, table, asked, limits, folder, told)
    suffix = path.suffix.lower()
    _check_head(path, suffix)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found, batches = _from_archive(ask) if suffix in (".zip", ".kmz") else _OPENERS[suffix](ask)
            rows = write(batches, target, ask.check_features)
        except READ_ERRORS as problem:
            raise SitesError([Fault("unreadable", ask.name, {"error": short(problem)})]) from None
    said = tuple(dict.fromkeys(short(warning.message) for warning in caught if isinstance(warning.message, Warning)))
    if safety.hashes_of(path) != hashes:
        raise SitesError([Fault("file_changing", ask.name)])
    remarks = found.remarks + tuple(Fault("reader_says", ask.name, {"text": text}) for text in said[:20])
    return replace(found, rows=rows, remarks=remarks, hashes=hashes)


def _plainly_named(path: Path, folder: Path) -> Path:
    """Give a path without the marks by which the reader would look into archives; what has them is linked or copied."""
    if not set("!?#") & set(str(path)):
        return path
    target = folder / "named"
    target.mkdir()
    if path.is_dir():
        return Path(shutil.copytree(path, target / "sites.gdb"))
    for part in safety.parts_of(path):
        shutil.copyfile(part, target / ("sites" + part.name.removeprefix(path.stem).lower()))
    return target / ("sites" + path.suffix.lower())


def _check_head(path: Path, suffix: str) -> None:
    """Refuse formats that are not taken, and files whose first bytes are not those of their suffix."""
    if suffix not in FORMATS:
        raise SitesError([Fault("format_unknown", path.name, {"known": " ".join(sorted(FORMATS))})])
    if path.is_file() and (head := _HEADS.get(suffix)):
        with path.open("rb") as stream:
            if stream.read(len(head)) != head:
                raise SitesError([Fault("format_differs", path.name, {"format": FORMATS[suffix]})])


def _from_archive(ask: Ask) -> tuple[Delivery, Batches]:
    """Open one data set of a zip or KMZ; `--layer` names the member, or member/table."""
    folder = ask.folder / "unpacked"
    folder.mkdir()
    members = safety.unpack(ask.path, folder, ask.limits)
    member, table = _member(members, ask)
    suffix = member.path.suffix.lower()
    _check_head(member.path, suffix)
    inner = replace(ask, path=member.path, name=f"{ask.name}/{member.name}", table=table)
    found, batches = _OPENERS[suffix](inner)
    several = len(members) > 1
    named = f"{member.name}/{found.table}" if found.table and several else (found.table or member.name)
    outer = FORMATS[ask.path.suffix.lower()]
    left = ", ".join(one.name for one in members[:20] if one is not member)
    remarks = (*found.remarks, Fault("members_left", ask.name, {"names": left})) if left else found.remarks
    kind = outer if outer == "KMZ" else f"{outer} + {found.format}"
    return replace(found, format=kind, table=named, remarks=remarks), batches


def _member(members: Sequence[Member], ask: Ask) -> tuple[Member, str | None]:
    """Choose a member and its table: the one asked for, or the only one that is more than a text or table beside it."""
    if not members:
        raise SitesError([Fault("zip_nothing", ask.name, {"known": " ".join(sorted(safety.DATASETS))})])
    known = {"known": ", ".join(member.name for member in members[:20])}
    if ask.table is None:
        maps = [one for one in members if one.path.suffix not in _TEXTS] or list(members)
        if len(maps) > 1:
            raise SitesError([Fault("several_members", ask.name, known)])
        return maps[0], None
    for names in ((lambda one: {one.name}), _names_of):
        fits = [(one, name) for one in members for name in names(one) if f"{ask.table}/".startswith(f"{name}/")]
        if len({one.name for one, _ in fits}) > 1:
            raise SitesError([Fault("several_members", ask.name, known)])
        if fits:
            member, name = max(fits, key=lambda fit: len(fit[1]))
            return member, ask.table.removeprefix(name).removeprefix("/") or None
    if len(members) == 1:
        return members[0], ask.table
    raise SitesError([Fault("table_unknown", ask.name, {"table": ask.table, **known})])


def _names_of(member: Member) -> set[str]:
    path = Path(member.name)
    return {member.name, path.name, path.stem}


# ---------------------------------------------------------------------------------------------- not by GDAL


def _csv(ask: Ask) -> tuple[Delivery, Batches]:
    text, found = encoding.decode(ask.path.read_bytes(), ask.encoding, ask.name)
    header, rows, reasons = text_tables.read_csv(text, ask.name)
    return _shaped(replace(ask, table=None), "CSV", found, header, rows, reasons)


def _xlsx(ask: Ask) -> tuple[Delivery, Batches]:
    safety.check_workbook(ask.path, ask.limits)
    sheet, header, rows, reasons = text_tables.read_workbook(ask.path, ask.table, ask.name)
    return _shaped(replace(ask, table=sheet), "XLSX", UTF8, header, rows, reasons)


_WAYS = {"wkt": "table_wkt", "points": "table_points", "vertices": "table_vertices"}


def _shaped(
    ask: Ask, kind: str, found: Encoding, header: Sequence[str], rows: Sequence[Sequence[text_tables.Cell]],
    reasons: Sequence[str],
) -> tuple[Delivery, Batches]:  # fmt: skip
    ask.check_features(len(rows))
    shaped = text_tables.shape_rows(header, rows, reasons, ask.name)
    if shaped.way == "none":
        raise SitesError([Fault("table_no_geometry", ask.name, {"known": ", ".join(header)[:200]})])
    remarks = (*shaped.remarks, Fault(_WAYS[shaped.way], ask.name))
    delivery = Delivery(kind, ask.table or "", found, shaped.crs, "wkt" if shaped.crs else "", remarks=remarks)
    names = [name for name in shaped.columns if name not in (GEOMETRY, REASON)]
    columns = [_column(shaped.columns[name]) for name in names]
    wkb = pa.array(shapely.to_wkb(shaped.geometry), pa.large_binary())
    return delivery, [
        pa.table([*columns, wkb, pa.array(shaped.reasons, pa.string())], names=[*names, GEOMETRY, REASON])
    ]


def _column(cells: Sequence[text_tables.Cell]) -> pa.Array:
    """Give a column its type: numbers or truth values if all are, else text."""
    kinds = {type(cell) for cell in cells if cell not in (None, "")}
    if kinds in ({float}, {bool}):
        return pa.array([None if cell == "" else cell for cell in cells])
    return pa.array([cell if cell is None else _text(cell) for cell in cells], pa.string())


def _text(cell: text_tables.Cell) -> str:
    return f"{cell:.0f}" if isinstance(cell, float) and cell.is_integer() else str(cell)


def _txt(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a text: boundary points, else a table."""
    from geojw.intake import boundary_points  # noqa: PLC0415 - loaded only for texts

    data = ask.path.read_bytes()
    if not boundary_points.sniff(data):
        return _csv(ask)
    text, found = encoding.decode(data, ask.encoding, ask.name)
    plots = boundary_points.read_plots(text, ask.name)
    ask.check_features(len(plots.frame))
    table = pa.Table.from_pandas(plots.frame, preserve_index=False)
    table = table.append_column(GEOMETRY, pa.array(shapely.to_wkb(plots.geometries), pa.large_binary()))
    table = table.append_column(REASON, pa.array([_reason(fault) for fault in plots.reasons], pa.string()))
    return Delivery("TXT", "", found, None, "header", remarks=plots.remarks, header=dict(plots.header)), [table]


def _reason(fault: Fault | None) -> str:
    """Give a fault as a cell of the delivered table."""
    if fault is None:
        return ""
    fields = {name: str(value) for name, value in fault.fields.items()}
    return json.dumps({"key": fault.key, "where": fault.where, "fields": fields})


def _parquet(ask: Ask) -> tuple[Delivery, Batches]:
    """Open a GeoParquet: WKB columns as they stream, native ones by geopandas."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - loaded only for GeoParquet

    file = pq.ParquetFile(ask.path)
    ask.check_features(file.metadata.num_rows)
    try:
        said = json.loads((file.schema_arrow.metadata or {}).get(b"geo", b"null"))
        column = said["columns"][name := said["primary_column"]]
        stated, coded = column.get("crs", WGS84), column.get("encoding")
        covering = {path[0] for path in column.get("covering", {}).get("bbox", {}).values()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise SitesError([Fault("no_geometry", ask.name)]) from None
    if name not in file.schema_arrow.names:
        raise SitesError([Fault("no_geometry", ask.name)])
    crs = stated if isinstance(stated, str) or stated is None else json.dumps(stated)
    how = "format" if "crs" not in column else ("file" if crs else "")
    delivery = Delivery("GeoParquet", "", UTF8, crs, how)
    if coded != "WKB":
        return delivery, _native_parquet(ask, name)
    kept = [c for c in file.schema_arrow.names if c not in covering]
    return delivery, (
        batch.rename_columns([GEOMETRY if c == name else c for c in batch.schema.names])
        for batch in file.iter_batches(ROWS, columns=kept)
    )


def _native_parquet(ask: Ask, name: str) -> Iterator[pa.Table]:
    import geopandas as gpd  # noqa: PLC0415 - slow to load, and seldom needed

    try:
        frame = gpd.read_parquet(ask.path)
    except (ValueError, TypeError, KeyError) as problem:
        raise SitesError([Fault("unreadable", ask.name, {"error": short(problem)})]) from None
    table = pa.Table.from_pandas(frame.drop(columns=[name]), preserve_index=False)
    yield table.append_column(GEOMETRY, pa.array(frame[name].to_wkb().tolist(), pa.large_binary()))


_OPENERS: dict[str, Callable[[Ask], tuple[Delivery, Batches]]] = {
    ".shp": vectors.shapefile, ".gpkg": vectors.geopackage, ".geojson": vectors.geojson, ".json": vectors.geojson,
    ".gdb": vectors.filegdb, ".kml": vectors.kml, ".dxf": vectors.dxf, ".fgb": vectors.flatgeobuf, ".csv": _csv,
    ".xlsx": _xlsx, ".txt": _txt, ".parquet": _parquet, ".geoparquet": _parquet,
}  # fmt: skip
