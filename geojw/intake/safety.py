"""Files come from strangers. What is checked before any reader sees a byte, and how archives are unpacked."""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
import zipfile
import zlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from geojw.errors import Fault, SitesError

MB = 1_000_000
ENTRIES = 10_000
"""Files that an archive may hold."""

RATIO, RATIO_FROM = 250.0, 10 * MB
"""How often its packed size an entry may unpack to, once it is larger than some megabytes (blank columns pack well)."""

DATASETS = frozenset(
    {".shp", ".gpkg", ".geojson", ".json", ".kml", ".dxf", ".csv", ".xlsx", ".txt", ".parquet", ".geoparquet", ".fgb"}
)
COMPANIONS = frozenset({".shx", ".dbf", ".prj", ".cpg", ".gpkg-wal"})
"""What is unpacked of an archive beside its data sets; all else stays inside."""

BROKEN_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, KeyError, EOFError, OSError, ValueError,
)  # fmt: skip
"""What the library raises for an archive that it cannot unpack."""

_GDB_FILE = re.compile(r"a[0-9a-f]{8}\.[0-9a-z_]{1,40}|gdb|timestamps", re.IGNORECASE)
_VIRTUAL = re.compile(r"\s*create\s+virtual\s+table\s.*?\susing\s+[\"'`\[]?(\w+)", re.IGNORECASE | re.DOTALL)
_LINK = 0xA
"""The kind of a symbolic link among the attributes of an entry that Unix packed."""

_HARMLESS_MODULES = frozenset({"rtree", "fts3", "fts4", "fts5"})


@dataclass(frozen=True)
class Limits:
    """
    How large a file of sites may be.

    Parameters
    ----------
    file_mb
        Megabytes of a file, of a FileGDB folder, and of an archive once unpacked.
    features
        Features of a file.
    vertices
        Vertices of one site.
    seconds
        How long one file may take to read.
    """

    file_mb: float = 2_000.0
    features: int = 5_000_000
    vertices: int = 500_000
    seconds: float = 600.0


@dataclass(frozen=True)
class Member:
    """One data set of an archive: its name there, and where it was unpacked to."""

    name: str
    path: Path


def local_file(path: str | Path) -> Path:
    """
    Give a path that names a file or FileGDB folder of this machine and nothing else.

    Raises
    ------
    SitesError
        It is an address, a virtual path of the reader, or is not there.
    """
    text = str(path).replace("\\", "/")
    if text.startswith("/vsi") or re.match(r"[A-Za-z][\w+.-]+:/", text):
        raise SitesError([Fault("path_virtual", PurePosixPath(text).name or text)])
    found = Path(path)
    if not found.exists():
        raise SitesError([Fault("file_missing", found.name)])
    if not (found.is_file() or (found.is_dir() and found.suffix.lower() == ".gdb")):
        raise SitesError([Fault("not_a_file", found.name)])
    return found.resolve()


def parts_of(path: Path) -> list[Path]:
    """Give the files that one data set consists of: a Shapefile with its companions, a GeoPackage with its journal."""
    if path.is_dir():
        return sorted(part for part in path.iterdir() if part.is_file())
    if path.suffix.lower() == ".shp":
        beside = (".shp", ".shx", ".dbf", ".prj", ".cpg")
        return sorted(p for p in path.parent.iterdir() if p.stem == path.stem and p.suffix.lower() in beside)
    journal = path.with_name(path.name + "-wal")
    return [path, journal] if path.suffix.lower() == ".gpkg" and journal.exists() else [path]


def hashes_of(path: Path) -> dict[str, str]:
    """Give the sha256 of each file of a data set; the files of a folder count as one."""
    if path.is_dir():
        return {path.name: file_hash(path)}
    return {part.name: file_hash(part) for part in parts_of(path)}


def file_hash(path: Path) -> str:
    """Give the sha256 of a file, or of the files of a folder in the order of their names."""
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if part.is_file():
            if path.is_dir():
                digest.update(part.relative_to(path).as_posix().encode())
            with part.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def check_size(path: Path, limits: Limits) -> None:
    """Hold a file or FileGDB folder against the limit of size; a folder must hold plain files."""
    if path.is_dir() and any(part.is_symlink() or part.is_dir() for part in path.iterdir()):
        raise SitesError([Fault("gdb_links", path.name)])
    size = sum(part.stat().st_size for part in parts_of(path))
    if size > limits.file_mb * MB:
        raise SitesError([Fault("file_large", path.name, {"size": f"{size / MB:.0f}", "most": f"{limits.file_mb:g}"})])


# ---------------------------------------------------------------------------------------------- archives


def unpack(path: Path, folder: Path, limits: Limits) -> list[Member]:
    """
    Unpack the data sets of an archive under names of our own.

    Parameters
    ----------
    path
        A zip or KMZ.
    folder
        Where to, empty.
    limits
        Held before anything is unpacked.

    Returns
    -------
    list of Member
        By name; parts of one Shapefile or FileGDB are one data set.

    Raises
    ------
    SitesError
        It is broken or encrypted, leads outside, or would grow beyond the limits.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked(archive, path.name, limits)
            stems: dict[tuple[str, str], str] = {}
            out = []
            for name, entry in sorted(entries.items()):
                target = _target(PurePosixPath(name), stems)
                if target is None:
                    continue
                there = folder / target
                there.parent.mkdir(exist_ok=True)
                if there.exists():  # two entries that differ in case only: neither may win unseen
                    raise SitesError([Fault("zip_twice", path.name, {"entry": name})])
                with archive.open(entry) as packed, there.open("wb") as plain:
                    shutil.copyfileobj(packed, plain, 1 << 20)
                if there.parent != folder:
                    gdb = next(parent for parent in PurePosixPath(name).parents if parent.suffix.lower() == ".gdb")
                    out.append(Member(gdb.as_posix(), there.parent))
                elif there.suffix in DATASETS:
                    out.append(Member(name, there))
    except BROKEN_ARCHIVE as problem:
        raise SitesError([Fault("zip_broken", path.name, {"error": short(problem)})]) from None
    return list(dict.fromkeys(out))


def _checked(archive: zipfile.ZipFile, where: str, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """Hold the whole directory of an archive against traversal, bombs and passwords."""
    infos = archive.infolist()
    named = {_entry_name(info): info for info in infos if not info.filename.endswith("/")}
    total = sum(info.file_size for info in infos)
    faults = []
    if len(infos) > ENTRIES:
        faults.append(Fault("zip_entries", where, {"got": len(infos), "most": ENTRIES}))
    if total > limits.file_mb * MB:
        faults.append(Fault("file_large", where, {"size": f"{total / MB:.0f}", "most": f"{limits.file_mb:g}"}))
    faults += [Fault("zip_twice", where, {"entry": n}) for n, k in Counter(map(_entry_name, infos)).items() if k > 1]
    for name, info in named.items():
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
            faults.append(Fault("zip_outside", where, {"entry": name[:80]}))
        if (info.external_attr >> 28) == _LINK:
            faults.append(Fault("zip_outside", where, {"entry": name[:80]}))
        if info.flag_bits & 1:
            faults.append(Fault("zip_encrypted", where, {"entry": name[:80]}))
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            faults.append(Fault("zip_method", where, {"entry": name[:80]}))
        if info.file_size > RATIO_FROM and info.file_size > RATIO * max(info.compress_size, 1):
            faults.append(Fault("zip_ratio", where, {"entry": name[:80], "most": f"{RATIO:g}"}))
    if faults:
        raise SitesError(faults[:20])
    return named


def _entry_name(info: zipfile.ZipInfo) -> str:
    """Give an entry's name; without the flag of UTF-8 it is in the code page of the office that packed it."""
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "gb18030"):
            try:
                name = raw.decode(encoding)
            except UnicodeDecodeError:
                continue
            break
    return name.replace("\\", "/")


def _target(name: PurePosixPath, stems: dict[tuple[str, str], str]) -> str | None:
    """Choose the name on disk: a number for the stem, the suffix in small letters; None for what is not needed."""
    if "__MACOSX" in name.parts or name.name.startswith("."):
        return None
    folders = [parent for parent in name.parents if parent.suffix.lower() == ".gdb"]
    if folders:
        gdb = stems.setdefault((folders[0].as_posix(), ".gdb"), f"t{len(stems)}.gdb")
        return f"{gdb}/{name.name}" if _GDB_FILE.fullmatch(name.name) and name.parent == folders[0] else None
    suffix = name.suffix.lower()
    if suffix not in DATASETS | COMPANIONS:
        return None
    stem = stems.setdefault((name.parent.as_posix(), name.stem.casefold()), f"t{len(stems)}")
    return stem + suffix


# ---------------------------------------------------------------------------------------------- contents


def check_xml(path: Path) -> Counter[str]:
    """
    Parse a whole XML file without entities and count its elements by name.

    Raises
    ------
    SitesError
        It is not well-formed, or declares a document type (the way to entities that read files or grow without end).
    """
    counts: Counter[str] = Counter()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise SitesError([Fault("xml_doctype", path.name)])

    def start(name: str, _: object) -> None:
        counts[name.rpartition(":")[2]] += 1

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, LookupError, ValueError) as problem:
        raise SitesError([Fault("unreadable", path.name, {"error": short(problem)})]) from None
    return counts


def check_sqlite(path: Path) -> None:
    """
    Hold a GeoPackage against virtual tables, through which SQLite would read other files.

    Raises
    ------
    SitesError
        It has one, or is no sound database.
    """
    journal = path.with_name(path.name + "-wal").exists()
    mode = "ro" if journal else "ro&immutable=1"  # immutable leaves no journal beside the file, and reads none
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True)) as base:
            texts = [str(sql) for (sql,) in base.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    except (sqlite3.Error, UnicodeDecodeError) as problem:
        raise SitesError([Fault("unreadable", path.name, {"error": short(problem)})]) from None
    for text in texts:
        found = _VIRTUAL.match(text)
        if found and found[1].lower() not in _HARMLESS_MODULES:
            raise SitesError([Fault("table_virtual", path.name, {"module": found[1][:40]})])


def check_workbook(path: Path, limits: Limits) -> None:
    """
    Hold an XLSX against macros and the rules of archives.

    Raises
    ------
    SitesError
        It has macros, or is no sound workbook.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = _checked(archive, path.name, limits)
            kinds = archive.read("[Content_Types].xml")
    except BROKEN_ARCHIVE as problem:
        raise SitesError([Fault("unreadable", path.name, {"error": short(problem)})]) from None
    if b"macroEnabled" in kinds or any("vbaproject" in name.lower() for name in names):
        raise SitesError([Fault("workbook_macros", path.name)])


def short(problem: BaseException) -> str:
    """Give a reader's message without the path of the machine."""
    return " ".join(part for part in str(problem).split() if "/" not in part and "\\" not in part)[:160]
