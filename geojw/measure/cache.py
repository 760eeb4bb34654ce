"""
What is dear to make of a layer, kept on disk between runs.

An entry's name is the hash of everything it depends on: the layer's geometries, the parameters, the versions of the
libraries and the source of geojw itself; so nothing stale is ever taken. An entry carries its own name and checksum:
one that is cut or changed is made anew. It holds plain numbers and WKB, nothing that runs when it is read. Whatever
goes wrong with the disk, results are the same; only a debug note of the logger ``geojw.measure.cache`` tells.

Compiled code is kept by numba, beside the modules as Python keeps theirs or, where nobody may write there, here; in a
folder of its own for each state of the source, because numba itself asks only whether the file of a function changed,
not those of the functions that it calls.

The environment variable ``GEOJW_CACHE`` names another folder, or is ``off``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from geojw.measure.geodesy import Geometries

Arrays = tuple[NDArray[Any], ...]

MOST_BYTES = 1_000_000_000
"""Size of all entries together; what was not used for longest goes first."""

WORTH_S = 0.1
"""What was made faster is not kept: reading 10 MB, checking them and building the shapes takes about as long."""

WORTH_VERTICES = 10_000
"""Layers of fewer vertices are not even looked up."""

LEFT_BEHIND_S = 3600.0
"""A half-written file so old belongs to no run any more."""

MAGIC = b"geojw cache 1\n"
OWN = re.compile(r"[a-z]+-[0-9a-f]{64}\.(entry|[a-z0-9_]+\.part)")
"""Names of the cache's own files: no other is ever touched."""

OWN_CODE = re.compile(r"geojw-code-[0-9a-f]{16}")
"""Names of folders of compiled code."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contents:
    """
    What the cache holds.

    Parameters
    ----------
    folder
        Where it is; None if there is none.
    entries
        How many.
    size_bytes
        How much they take.
    """

    folder: Path | None
    entries: int
    size_bytes: int


def remembered(what: str, depends_on: Iterable[object], make: Callable[[], Arrays]) -> Arrays:
    """
    Give what was made once, from the disk, or make it and keep it.

    Parameters
    ----------
    what
        A word for it.
    depends_on
        Everything else that decides the result: digests, numbers, texts, arrays of numbers.
    make
        Makes arrays of numbers and of geometries (of type object, none missing).

    Returns
    -------
    tuple of ndarray
        The same to the last bit, whether made or read.
    """
    folder = _folder()
    if folder is None:
        return make()
    name = _name(what, depends_on)
    path = folder / f"{name}.entry"
    if (found := _read(path, name)) is not None:
        return found
    started = time.perf_counter()
    made = make()
    if time.perf_counter() - started >= WORTH_S:
        _write(path, name, made)
    return made


def digest_of(geometries: Geometries) -> str:
    """
    Give the hash of geometries in their order, to the last bit of every coordinate.

    Examples
    --------
    >>> here, there = shapely.points([[0.0, 0.0], [0.0, 1.0]])
    >>> digest_of([here, there]) == digest_of([there, here]), digest_of([here, None]) == digest_of([None, here])
    (False, False)
    """
    wkb = shapely.to_wkb(geometries, byte_order=1)
    sizes = np.array([-1 if one is None else len(one) for one in wkb], dtype=np.int64)
    return hashlib.sha256(sizes.tobytes() + b"".join(one for one in wkb if one is not None)).hexdigest()


def code_folder() -> Path | None:
    """
    Give the folder for code compiled from the source as it is, made if need be; None if there is no place for one.

    In what ``NUMBA_CACHE_DIR`` names, or else beside the modules, or else in the cache. What was compiled beside the
    modules from another state of the source is removed.
    """
    if not (source := _source()):
        return None
    name = f"geojw-code-{source[:16]}"
    asked, beside = os.environ.get("NUMBA_CACHE_DIR"), Path(__file__).parent / "__pycache__"
    for place in [Path(asked)] if asked else [beside, _folder()]:
        if place is None or not _may_write(place / name):
            continue
        for other in place.iterdir() if place == beside else ():
            if OWN_CODE.fullmatch(other.name) and other.name != name:
                _remove(other)
        return place / name
    return None


def contents() -> Contents:
    """Count the entries."""
    held = [one for one in _held(_place()) if one.path.suffix != ".part"]
    return Contents(_place(), len(held), sum(one.size_bytes for one in held))


def clear() -> Contents:
    """Remove the cache's own files, nothing else, and give what was removed."""
    gone = [one.size_bytes for one in _held(_place()) if _remove(one.path)]
    return Contents(_place(), len(gone), sum(gone))


# ---------------------------------------------------------------------------------------------- where, by what name


def _place() -> Path | None:
    """Give where the cache is or would be; None if it is turned off."""
    asked = os.environ.get("GEOJW_CACHE", "")
    if asked.strip().lower() == "off":
        return None
    if asked:
        return Path(asked).expanduser()
    from platformdirs import user_cache_path  # noqa: PLC0415 - only where something is kept

    return user_cache_path("geojw", appauthor=False)


def _folder() -> Path | None:
    """Give the folder, made if need be, if entries in it can be trusted."""
    folder = _place()
    if folder is None or not _code():
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        anyones = os.name == "posix" and bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError as problem:
        _log.debug("no cache: %s", problem)
        return None
    if anyones:  # what a stranger can write could be a wrong figure with a good checksum
        _log.debug("no cache: anyone may write to %s", folder)
        return None
    return folder


def _may_write(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(folder)  # the time of its last use
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as problem:
        _log.debug("no compiled code in %s: %s", folder, problem)
        return False


def _source() -> str:
    """Give the hash of all that is compiled, or makes entries; empty where there is no source."""
    known, sources = hashlib.sha256(), sorted(Path(__file__).parent.glob("*.py"))
    for path in sources:
        _take_in(known, path.name, path.read_bytes())
    return known.hexdigest() if sources else ""


@cache
def _code() -> str:
    """Give the hash of geojw's own source and of the libraries that make entries; empty where there is no source."""
    if not (source := _source()):
        return ""
    known = hashlib.sha256()
    _take_in(known, source, version("geojw"), np.__version__, shapely.__version__, shapely.geos_version_string)
    return known.hexdigest()


def _name(what: str, depends_on: Iterable[object]) -> str:
    known = hashlib.sha256()
    _take_in(known, what, _code(), *depends_on)
    return f"{what}-{known.hexdigest()}"


def _take_in(known: hashlib._Hash, *values: object) -> None:
    """Hash values with their kind and length: none can run into the next."""
    for value in values:
        if isinstance(value, np.ndarray):
            kind, content = f"{value.dtype.str}{value.shape}", np.ascontiguousarray(value).tobytes()
        elif isinstance(value, bytes):
            kind, content = "bytes", value
        else:
            kind, content = type(value).__name__, repr(value).encode()
        known.update(f"{kind}:{len(content)}:".encode() + content)


# ---------------------------------------------------------------------------------------------- reading and writing


def _read(path: Path, name: str) -> Arrays | None:
    """Read an entry; None if there is none, or none that is whole."""
    try:
        content = path.read_bytes()
        os.utime(path)  # the time of its last use
    except FileNotFoundError:
        return None
    except OSError as problem:
        _log.debug("%s cannot be read: %s", path.name, problem)
        return None
    head = MAGIC + name.encode()
    body = memoryview(content)[len(head) + 32 :]
    if not content.startswith(head) or content[len(head) : len(head) + 32] != hashlib.sha256(body).digest():
        _log.debug("%s is not whole and is made anew", path.name)
        return None
    return _unpacked(BytesIO(body))


def _write(path: Path, name: str, made: Arrays) -> None:
    """Write an entry beside and rename it: nobody sees half of one, whoever writes or is killed."""
    body = _packed(made)
    if len(body) > MOST_BYTES:
        return
    part = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{name}.", suffix=".part", delete=False) as file:
            part = Path(file.name)
            file.write(MAGIC + name.encode() + hashlib.sha256(body).digest())
            file.write(body)
        part.replace(path)
    except OSError as problem:  # no room, no right: the result is there all the same
        _log.debug("%s is not kept: %s", path.name, problem)
        if part is not None:
            _remove(part)
        return
    _bound(path.parent)


def _packed(arrays: Arrays) -> bytes:
    """Write arrays one after another: geometries as the sizes of their WKB and the WKB."""
    out = BytesIO()
    shapes = [array.dtype == object for array in arrays]
    np.save(out, np.array(shapes), allow_pickle=False)
    for array, geometric in zip(arrays, shapes, strict=True):
        if geometric:
            wkb = shapely.to_wkb(array, byte_order=1)
            np.save(out, np.array([len(one) for one in wkb], dtype=np.int64), allow_pickle=False)
            np.save(out, np.frombuffer(b"".join(wkb), dtype=np.uint8), allow_pickle=False)
        else:
            np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _unpacked(file: BytesIO) -> Arrays:
    out = []
    for geometric in np.load(file, allow_pickle=False):
        array = np.load(file, allow_pickle=False)
        if geometric:
            content = np.load(file, allow_pickle=False).tobytes()
            ends = np.concatenate([[0], np.cumsum(array)]).tolist()
            wkb = np.array([content[a:b] for a, b in pairwise(ends)], dtype=object)
            array = np.asarray(shapely.from_wkb(wkb), dtype=object)
        out.append(array)
    return tuple(out)


class _Held(NamedTuple):
    """A file of the cache's own, or a folder of compiled code."""

    path: Path
    size_bytes: int
    used: float


def _held(folder: Path | None) -> list[_Held]:
    """List what is the cache's own, whatever else lies in the folder."""
    found = []
    try:
        paths = sorted(folder.iterdir()) if folder is not None else []
    except OSError:
        return []
    for path in paths:
        try:
            status = path.lstat()
            if OWN.fullmatch(path.name) and stat.S_ISREG(status.st_mode):
                found.append(_Held(path, status.st_size, status.st_mtime))
            elif OWN_CODE.fullmatch(path.name) and stat.S_ISDIR(status.st_mode):
                size = sum(one.lstat().st_size for one in path.rglob("*"))
                found.append(_Held(path, size, status.st_mtime))
        except OSError:  # another run has removed it
            continue
    return found


def _bound(folder: Path) -> None:
    """Remove what was not used for longest until all fits, and what killed runs have left half-written."""
    size, now = 0, time.time()
    for one in sorted(_held(folder), key=lambda one: one.used, reverse=True):
        part = one.path.suffix == ".part"
        if (now - one.used > LEFT_BEHIND_S) if part else (size + one.size_bytes > MOST_BYTES):
            _remove(one.path)
        else:
            size += one.size_bytes


def _remove(path: Path) -> bool:
    """Remove a file or a folder, and tell whether it is gone."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as problem:
        _log.debug("%s stays: %s", path.name, problem)
        return False
    return True
