"""The table in which every file of sites is delivered: attributes, WKB, and why a row is useless."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyarrow import ipc

from geojw.errors import Fault, SitesError
from geojw.intake.encoding import Encoding
from geojw.intake.safety import Limits

GEOMETRY, REASON, X, Y = "_geojw_geometry", "_geojw_reason", "_geojw_x", "_geojw_y"
"""Our own columns of a delivered table, the last ones: WKB, why a row is useless, and its first position."""

RESERVED = frozenset({"geometry", "_source", "_row", "_reason", "_added_accuracy_m", GEOMETRY, REASON, X, Y})
ROWS = 65_536
LONG_WKB = 4_096
"""Bytes from which nesting could be deep enough to matter: such shapes are parsed here, where a crash is harmless."""

_CURVES = frozenset({8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
"""WKB types, less their thousands, that have arcs or surfaces: GDAL makes plain ones of them."""

WGS84 = "OGC:CRS84"
"""What GeoJSON, KML and GeoParquet mean when they say nothing: longitude and latitude, WGS 84."""

UTF8 = Encoding("UTF-8", "format")
Batches = Iterable[pa.RecordBatch | pa.Table]


@dataclass(frozen=True)
class Delivery:
    """
    What a file says of itself, once read.

    Parameters
    ----------
    format
        A word of `FORMATS`, with the archive it came in.
    table
        Which table, folder, sheet or member was read.
    encoding
        Of its texts.
    crs, crs_how
        What it states, and where: ``prj``, ``file``, ``declared``, ``format``, ``header``, ``wkt`` or ``""``.
    rows
        Features.
    remarks
        What was decided or noticed.
    header
        What a boundary-point text says of its coordinates.
    hashes
        File -> sha256 of what was read.
    """

    format: str
    table: str
    encoding: Encoding
    crs: str | None = None
    crs_how: str = ""
    rows: int = 0
    remarks: tuple[Fault, ...] = ()
    header: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """One file to read: where it is, how it is called, what the user says of it, and who is told of its features."""

    path: Path
    name: str
    table: str | None
    encoding: str | None
    limits: Limits
    folder: Path
    told: Callable[[int], None]

    def check_features(self, count: int) -> None:
        """Hold the number of features against the limit."""
        if count > self.limits.features:
            many = {"got": count, "most": self.limits.features}
            raise SitesError([Fault("features_many", self.name, many)])


def as_table(batches: Batches) -> pa.Table:
    """Put batches together."""
    parts = [pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part for part in batches]
    empty = pa.table({GEOMETRY: pa.array([], pa.large_binary())})
    return pa.concat_tables(parts, promote_options="permissive") if parts else empty


# ---------------------------------------------------------------------------------------------- written


def write(batches: Batches, target: Path, check: Callable[[int], None]) -> int:
    """Write rows with our columns at the end; every text is valid UTF-8, every type a plain one."""
    rows, writer, schema = 0, None, None
    try:
        for batch in batches:
            table = _finished(batch)
            rows += len(table)
            check(rows)
            if writer is None:
                schema = table.schema
                writer = ipc.new_file(target, schema)
            writer.write_table(table.cast(schema) if table.schema != schema else table, ROWS)
        if writer is None:
            writer = ipc.new_file(target, _finished(pa.table({GEOMETRY: pa.array([], pa.large_binary())})).schema)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _finished(batch: pa.RecordBatch | pa.Table) -> pa.Table:
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    wkb = table[GEOMETRY].combine_chunks().cast(pa.large_binary())
    reasons = table[REASON] if REASON in table.column_names else _blank(len(table))
    columns: dict[str, pa.Array] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in (GEOMETRY, REASON):
            continue
        own = name + "_" if name in RESERVED else name
        while own in columns:
            own += "_"
        columns[own] = _plain_column(column)
    xy = _first_positions(wkb)
    wkb = _parsed_if_long(wkb)
    return pa.table(columns | {GEOMETRY: wkb, REASON: reasons, X: xy[0], Y: xy[1]})


def _blank(n: int) -> pa.Array:
    """Give so many empty texts; as `_numbers`, made of bytes, for Arrow would load pandas to look at a Python value."""
    return pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(bytes(4 * (n + 1))), pa.py_buffer(b"")])


def _numbers(values: np.ndarray[Any, Any]) -> pa.Array:
    return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Give a column of lists, structures or bytes as text, and text as sound UTF-8."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            cells = column.cast(pa.large_binary()).to_pylist()
            return pa.array([c if c is None else c.decode("utf-8", "replace") for c in cells], pa.string())
        return column
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column
    return pa.array([c if c is None else _as_text(c) for c in column.to_pylist()], pa.string())


def _as_text(value: Any) -> str:  # noqa: ANN401 - whatever Arrow holds
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)


def _heads(wkb: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give the bytes of all shapes, where each begins, and its plain type (0 where there is none)."""
    wkb = wkb.cast(pa.large_binary())
    if not len(wkb):
        return np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64)
    offsets = _offsets(wkb)
    data = np.frombuffer(wkb.buffers()[2] or b"", np.uint8)
    begin, size = offsets[:-1], np.diff(offsets)
    sound = size >= 9  # noqa: PLR2004 - the shortest head
    at = np.where(sound, begin, 0)
    if len(data) < 9:  # noqa: PLR2004
        return data, begin, np.zeros(len(wkb), np.int64)
    code = sum(data[at + 1 + k].astype(np.int64) << (8 * k) for k in range(4))
    plain = np.where(sound & (data[at] == 1), (code & 0x0FFFFFFF) % 1000, 0)
    return data, begin, plain


def _offsets(wkb: pa.LargeBinaryArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give where the bytes of each shape begin, and the end."""
    return np.frombuffer(wkb.buffers()[1] or bytes(8), np.int64)[wkb.offset : wkb.offset + len(wkb) + 1]


def has_curves(wkb: pa.Array) -> bool:
    """Whether some shape has arcs or surfaces, which GEOS does not know."""
    kinds = _heads(wkb)[2]
    if np.isin(kinds, list(_CURVES)).any():
        return True
    collections = np.flatnonzero(kinds == 7)  # noqa: PLR2004 - a collection may hold curves
    try:
        for row in collections:
            shapely.from_wkb(wkb[int(row)].as_py(), on_invalid="ignore")
    except NotImplementedError:
        return True
    return False


def _first_positions(wkb: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Read the first position of each shape from its bytes; NaN where there is none."""
    data, begin, kinds = _heads(wkb)
    xy = np.full((len(wkb), 2), np.nan)
    ends = np.append(begin[1:], len(data)) if len(begin) else begin
    for kind, skip in {1: 5, 2: 9, 3: 13, 4: 14, 5: 18, 6: 22}.items():
        rows = np.flatnonzero((kinds == kind) & (ends - begin >= skip + 16))
        if rows.size:
            at = begin[rows, None] + skip + np.arange(16)
            xy[rows] = data[at].copy().view(np.float64)
    return _numbers(xy[:, 0]), _numbers(xy[:, 1])


def _parsed_if_long(wkb: pa.Array) -> pa.Array:
    """Parse long shapes once here: what is nested until the parser dies must not reach the user's process."""
    rows = np.flatnonzero(np.diff(_offsets(wkb)) > LONG_WKB)
    if rows.size:
        shapely.from_wkb(wkb.take(pa.array(rows)).to_numpy(zero_copy_only=False), on_invalid="ignore")
    return wkb
