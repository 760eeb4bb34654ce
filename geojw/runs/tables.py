"""Tables on disk, appended to batch by batch, that a run can go on with where an earlier one ended."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyproj import CRS

from geojw.runs.journal import Mark, added_hash

Format = Literal["csv", "parquet"]

NUMBERS = {
    "value", "limit", "margin", "area_m2", "area_ha", "area_mu", "length_m", "area_planar_m2", "overlap_m2",
    "overlap_share", "distance_m", "overlap_m", "threshold", "value_planar", "worst_case", "value_max", "data_share",
    "division_area_m2", "old_m2", "new_m2", "added_m2", "removed_m2", "change_m2", "added_mu", "removed_mu",
    "change_mu", "value_old", "value_new", "margin_old", "margin_new",
}  # fmt: skip
SHARED = {
    "says",
    "basis",
    "claimed",
    "data",
    "remedy",
    "rule_id",
    "layer",
    "outcome",
    "effect",
    "measure",
    "op",
}
"""Texts that repeat: dictionary-coded in Parquet."""

UNIQUE = {"site_id", "name", "feature_id", "feature_ids", "geometry"}
"""Columns that a dictionary makes no smaller. Neither does packing coordinates: shapes are written as they are."""

MAGIC = b"PAR1"
ZEROS = pa.py_buffer(bytes(1 << 22))
BUFFER = 1 << 22
"""Arrow has to wait for Python each time that it hands bytes over."""
CHUNK_BYTES = 1 << 30
"""Most bytes of shapes in one piece of a column: 32 bits count them."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def word_of(value: object) -> str:
    """Give a cell as a table writes it."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return "" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 - NaN


class Table:
    """One table, appended to batch by batch."""

    def __init__(self, path: Path, columns: Sequence[str], kind: Format, crs: str | None = None) -> None:
        self.path, self.columns, self.kind, self.crs = path, list(columns), kind, crs
        self.stops = [0]
        self._footer: pq.FileMetaData | None = None
        self._last = b""

    def add(self, frame: pd.DataFrame, shapes: pa.LargeBinaryArray | None = None) -> None:
        """Append rows, with shapes (WKB) where they have some."""
        frame = frame.reindex(columns=self.columns)
        first = self.stops[-1] == 0
        if self.kind == "csv":
            _plain(frame).to_csv(
                self.path, mode="a", header=first, index=False, lineterminator="\n",
                encoding="utf-8-sig" if first else "utf-8",
            )  # fmt: skip
            self.stops.append(self.path.stat().st_size)
            return
        schema = self._schema(with_shapes=shapes is not None)
        arrays = [self._array(frame[column], schema.field(column).type) for column in self.columns]
        if shapes is not None:
            arrays.append(pa.chunked_array(_chunks(shapes), pa.binary()))
        with self.path.open("ab") as stream:
            self._end_with(append_rows(stream, pa.Table.from_arrays(arrays, schema=schema)))
            self.stops.append(stream.tell())

    def mark(self) -> Mark:
        """Say where the file stands."""
        added = added_hash(self.path, self.stops[-2], self.stops[-1])
        return Mark(self.stops[-1], added, base64.b64encode(self._last).decode())

    def _end_with(self, footer: pq.FileMetaData) -> None:
        """Take in what the footer must say of a batch; one for all, since each brings its schema."""
        self._last = _footer(footer)
        if self._footer is None:
            self._footer = footer
        else:
            self._footer.append_row_groups(footer)

    def restore(self, marks: Sequence[Mark]) -> None:
        """Go on with a file that stands where the last of its marks says."""
        self.stops = [0, *(mark.stop for mark in marks)]
        for mark in marks:
            if mark.footer:
                self._end_with(pq.read_metadata(pa.BufferReader(base64.b64decode(mark.footer))))

    def _schema(self, *, with_shapes: bool) -> pa.Schema:
        words = pa.dictionary(pa.int32(), pa.string())
        fields = [
            pa.field(
                c,
                pa.float64()
                if c in NUMBERS
                else words
                if c in SHARED
                else pa.bool_()
                if c == "sliver"
                else pa.string(),
            )
            for c in self.columns
        ]
        if not with_shapes:
            return pa.schema(fields)
        geo = {
            "version": "1.1.0", "primary_column": "geometry",
            "columns": {"geometry": {"encoding": "WKB", "geometry_types": [], "crs": CRS(self.crs).to_json_dict()}},
        }  # fmt: skip
        return pa.schema(
            [*fields, pa.field("geometry", pa.binary())], metadata={"geo": json.dumps(geo, sort_keys=True)}
        )

    @staticmethod
    def _array(cells: pd.Series, kind: pa.DataType) -> pa.Array:
        if pa.types.is_floating(kind):
            return pa.array(cells.to_numpy(dtype=float), kind, from_pandas=True)
        if pa.types.is_boolean(kind):
            return pa.array(cells.to_numpy(dtype=bool), kind)
        if isinstance(cells.dtype, pd.CategoricalDtype) and not cells.isna().any():
            words = pa.array([word_of(value) for value in cells.cat.categories], pa.string())
            coded = pa.DictionaryArray.from_arrays(pa.array(cells.cat.codes.to_numpy(), pa.int32()), words)
            return coded if pa.types.is_dictionary(kind) else coded.dictionary_decode()
        if isinstance(cells.dtype, pd.StringDtype) and not cells.isna().any():
            texts = pa.array(cells.array, pa.string())
            return texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts
        codes, unique = pd.factorize(cells, use_na_sentinel=False)
        words = pa.array([word_of(value) for value in unique], pa.string())
        texts = words.take(pa.array(codes))  # two cells may be one word: the dictionary is made anew
        return texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts

    def close(self) -> None:
        """Finish the file: a footer of all its row groups; an empty one still has its header."""
        if self._footer is not None:
            with self.path.open("ab") as stream:
                stream.write(_footer(self._footer)[len(MAGIC) :])
            self._footer = None


def _chunks(shapes: pa.LargeBinaryArray) -> list[pa.BinaryArray]:
    """Cut shapes into pieces of at most so many bytes, as the files' columns have them."""
    if shapes.nbytes <= CHUNK_BYTES or len(shapes) < 2:  # noqa: PLR2004 - one cannot be cut
        return [shapes.cast(pa.binary())]
    half = len(shapes) // 2
    return [*_chunks(shapes[:half]), *_chunks(shapes[half:])]


class _Tail:
    """
    The end of a file, to a Parquet writer that believes it began the file.

    The writer counts the bytes that it hands over, and says by that count where its columns are; so it is handed the
    length of what is there already, as zeros that go nowhere, and its words come out right.
    """

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.silent = stream, stream.tell() > 0

    def write(self, block: pa.Buffer | bytes) -> int:
        return len(block) if self.silent else self.stream.write(block)

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""


def append_rows(stream: BinaryIO, table: pa.Table) -> pq.FileMetaData:
    """
    Append a row group to a file of row groups that has no footer yet.

    Parameters
    ----------
    stream
        The file, opened to append.
    table
        The rows.

    Returns
    -------
    FileMetaData
        What the footer must say of them, with their place in the file.
    """
    start = stream.tell()
    footers: list[pq.FileMetaData] = []
    tail = _Tail(stream)
    sink = pa.BufferedOutputStream(pa.PythonFile(tail, "w"), BUFFER)
    words = [field.name for field in table.schema if not pa.types.is_floating(field.type) and field.name not in UNIQUE]
    packed = {field.name: "none" if pa.types.is_binary(field.type) else "snappy" for field in table.schema}
    writer = pq.ParquetWriter(
        sink, table.schema, metadata_collector=footers, use_dictionary=words, compression=packed,
        write_statistics=[name for name, how in packed.items() if how != "none"],
    )  # fmt: skip
    for begin in range(len(MAGIC), start, len(ZEROS)):
        sink.write(ZEROS.slice(0, min(len(ZEROS), start - begin)))
    sink.flush()
    tail.silent = False
    writer.write_table(table, row_group_size=max(len(table), 1))
    sink.flush()
    tail.silent = True  # the footer is written once, when all rows are there
    writer.close()
    return footers[0]


def _footer(said: pq.FileMetaData) -> bytes:
    out = pa.BufferOutputStream()
    said.write_metadata_file(out)
    return bytes(out.getvalue())


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a whole table as the others are written: UTF-8 with BOM, formulas made harmless."""
    Table(path, list(frame.columns), "csv").add(frame)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Make cells that a spreadsheet shows as they are: a text that looks like a formula gets an apostrophe."""
    out = frame.copy()
    for column in out.columns:
        if column in NUMBERS:
            continue
        codes, unique = pd.factorize(out[column], use_na_sentinel=False)
        safe = np.array([_unformula(word_of(value)) for value in unique], dtype=object)
        out[column] = safe[codes] if len(safe) else out[column]
    return out


def _unformula(text: str) -> str:
    """
    Neutralise a spreadsheet formula.

    Examples
    --------
    >>> _unformula("=1+1"), _unformula("项目")
    ("'=1+1", '项目')
    """
    return "'" + text if text.startswith(_FORMULA) else text
