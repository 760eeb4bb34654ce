"""Which encoding a text is in, and how that was found. Bytes decide; labels are held against them."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from geojw.errors import Fault, SitesError

How = Literal["asked", "bom", "label", "bytes", "label_wrong", "ascii", "format"]

GB = "GB18030"
"""It holds all of GBK and GB2312, and decodes them to the same letters."""

CODE_PAGES = {"936": GB, "54936": GB, "gbk": GB, "gb2312": GB, "cp936": GB, "gb18030": GB, "65001": "UTF-8"}
LANGUAGE_DRIVERS = {0x4D: GB, 0x7A: GB, 0x4F: "cp950", 0x78: "cp950"}
"""Byte 29 of a DBF -> encoding."""

CELLS = 100_000
"""Cells with letters beyond ASCII that are looked at."""

COMMON = ((0xB0, 0xD7), (0xA1, 0xFE))
"""GB 2312 level 1, the 3,755 common characters: ranges of the first and second byte."""


@dataclass(frozen=True)
class Encoding:
    """
    An encoding and how it was found.

    Parameters
    ----------
    name
        As Python and GDAL both know it.
    how
        ``asked`` for, by ``bom``, by ``label`` (.cpg, DBF header), from the ``bytes`` alone, from the bytes against a
        ``label_wrong``; ``ascii`` needs none, ``format`` prescribes it.
    label
        What the label says.
    bad
        Cells that it cannot decode.
    """

    name: str
    how: How
    label: str = ""
    bad: int = 0


def decide(cells: Sequence[bytes], asked: str | None, label: str, where: str) -> Encoding:
    """
    Decide on the encoding of some cells.

    Parameters
    ----------
    cells
        Those that are not plain ASCII.
    asked
        What the user says; it holds, and the cells that it cannot decode are counted.
    label
        What the file says of itself, or nothing.
    where
        For faults.

    Returns
    -------
    Encoding
        The one that decodes every cell; if UTF-8 and GB18030 both do, the label's, or the one whose letters are common.

    Raises
    ------
    SitesError
        Nothing decodes all cells, or nobody knows the name asked for.
    """
    known = CODE_PAGES.get(label.strip().casefold().removeprefix("ansi ").removeprefix("oem "), label.strip())
    if asked is not None:
        name = _known(CODE_PAGES.get(asked.casefold(), asked))
        if name is None:
            raise SitesError([Fault("encoding_unknown", where, {"encoding": asked})])
        return Encoding(name, "asked", label, _failures(cells, name))
    if not cells:
        return Encoding("UTF-8", "ascii", label)
    fits = [name for name in ("UTF-8", GB) if _failures(cells, name) == 0]
    named = _known(known) if known else None
    if named in fits and len(fits) == 1:
        return Encoding(named, "label", label)
    if len(fits) == 2:  # noqa: PLR2004 - both: short words may be valid in either
        best = GB if _common_share(cells, GB) > _common_share(cells, "UTF-8") else "UTF-8"
        how: How = "bytes" if named is None else ("label" if named == best else "label_wrong")
        return Encoding(best, how, label)
    if not fits and named is not None and _failures(cells, named) == 0:
        return Encoding(named, "label", label)
    if not fits:
        counts = {name: _failures(cells, name) for name in ("UTF-8", GB)}
        raise SitesError(
            [Fault("encoding_mixed", where, {"cells": len(cells), "utf8": counts["UTF-8"], "gb": counts[GB]})]
        )
    return Encoding(fits[0], "bytes" if named is None else "label_wrong", label)


def decode(data: bytes, asked: str | None, where: str) -> tuple[str, Encoding]:
    """Decode a whole text file; a byte order mark decides, else its lines do."""
    marks = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
    for mark, name in marks:
        if data.startswith(mark) and asked is None:
            try:
                return data.decode(name), Encoding(name.removesuffix("-sig").upper(), "bom")
            except UnicodeDecodeError:
                raise SitesError([Fault("encoding_broken", where, {"encoding": name})]) from None
    found = decide([line for line in data.split(b"\n") if not line.isascii()][:CELLS], asked, "", where)
    if found.bad:
        raise SitesError([Fault("encoding_asked", where, {"encoding": found.name, "cells": found.bad})])
    try:
        return data.decode(found.name), found
    except UnicodeDecodeError:
        raise SitesError([Fault("encoding_broken", where, {"encoding": found.name})]) from None


def of_dbf(path: Path, label: str, asked: str | None) -> Encoding:
    """Decide on the encoding of a DBF's field names and text cells; `label` is what a .cpg says."""
    data = path.read_bytes()
    driver = LANGUAGE_DRIVERS.get(data[29], "") if len(data) > 32 else ""  # noqa: PLR2004 - the DBF header
    return decide(_dbf_cells(data), asked, label or driver, path.name)


def whole_names(path: Path, name: str) -> bytes | None:
    """
    Give a DBF whose field names end with a whole letter, or None if they do already.

    A name has 10 bytes; writers that count bytes cut it within a letter, and no reader can decode the rest.
    """
    data = bytearray(path.read_bytes())
    changed = False
    for at in range(32, min(int.from_bytes(data[8:10], "little"), len(data)) - 31, 32):
        if data[at] == ord("\r"):
            break
        raw = bytes(data[at : at + 11]).partition(b"\0")[0]
        whole = _decoded(raw, name)
        if whole is not None and whole.encode(name) != raw:
            data[at : at + 11] = whole.encode(name).ljust(11, b"\0")
            changed = True
    return bytes(data) if changed else None


def _dbf_cells(data: bytes) -> list[bytes]:
    """Give the field names and text cells of a DBF that are not ASCII, each without a letter that the width cut."""
    count, header, width = (int.from_bytes(data[a:b], "little") for a, b in ((4, 8), (8, 10), (10, 12)))
    names, fields, offset = [], [], 1
    for at in range(32, min(header, len(data)) - 31, 32):
        if data[at] == ord("\r"):
            break
        names.append(data[at : at + 11].partition(b"\0")[0])
        size = data[at + 16]
        if data[at + 11 : at + 12] in b"CM":
            fields.append((offset, size))
        offset += size
    cells = [name for name in names if not name.isascii()]
    rows = min(count, (len(data) - header) // width) if width else 0
    if rows > 0:
        table = np.frombuffer(data, np.uint8, rows * width, header).reshape(rows, width)
        for start, size in fields:
            column = table[:, start : start + size]
            odd = np.flatnonzero((column >= 0x80).any(axis=1))[: CELLS - len(cells)]  # noqa: PLR2004 - beyond ASCII
            cells += [column[row].tobytes().rstrip(b" \0") for row in odd]
    return cells


def _known(name: str) -> str | None:
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    return {"utf-8": "UTF-8", "gb18030": GB, "gbk": GB, "gb2312": GB}.get(found, found)


def _failures(cells: Sequence[bytes], name: str) -> int:
    return sum(_decoded(cell, name) is None for cell in cells)


def _decoded(cell: bytes, name: str) -> str | None:
    """Decode one cell; a last letter that the width of its field cut counts as whole."""
    try:
        return cell.decode(name)
    except UnicodeDecodeError as problem:
        if len(cell) - problem.start >= 4 or problem.start == 0:  # noqa: PLR2004 - the longest letter has 4 bytes
            return None
        try:
            return cell[: problem.start].decode(name) if _is_cut(cell[problem.start :], name) else None
        except UnicodeDecodeError:
            return None


def _is_cut(tail: bytes, name: str) -> bool:
    """Whether some bytes are the beginning of a letter, and no more."""
    try:
        return codecs.getincrementaldecoder(name)().decode(tail) == ""
    except UnicodeDecodeError:
        return False


def _common_share(cells: Sequence[bytes], name: str) -> float:
    """Give the share of common Chinese characters in what an encoding makes of the cells."""
    text = "".join(_decoded(cell, name) or "" for cell in cells)
    far = [letter for letter in text if ord(letter) > 0x7F]  # noqa: PLR2004 - beyond ASCII
    return sum(map(_is_common, far)) / max(len(far), 1)


def _is_common(letter: str) -> bool:
    try:
        raw = letter.encode("gb2312")
    except UnicodeEncodeError:
        return False
    (low, high), (least, most) = COMMON
    return low <= raw[0] <= high and least <= raw[1] <= most
