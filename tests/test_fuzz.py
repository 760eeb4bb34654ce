"""Thousands of mutated files of every format: each ends in sites or a named error; nothing is lost or left behind."""

from __future__ import annotations

import json
import random
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from samples import SAMPLES
from samples import asked as asked_of

import geojw
from geojw.intake.quarantine import Reader
from geojw.intake.safety import Limits
from geojw.intake.site_files import SiteFiles
from geojw.intake.sites import place
from geojw.measure.geodesy import AnalysisCRS

ANALYSIS = AnalysisCRS(106.33, 29.52)
CASES, CASES_OF_PARTS = 260, 120
"""Of each sample, and of each that has several files; more than 5,000 together."""

LIMITS = Limits(file_mb=50, features=10_000, vertices=10_000, seconds=20)
FIELDS = (
    b"0", b"-1", b"1e308", b"NaN", b"4294967295", b"\xff\xff\xff\xff", b"\0\0\0\0", b"POLYGON", b"../../x", b"\xe9\xe9",
    b"<!DOCTYPE a>", b'"', b",", b"\n", b"[", b"/vsicurl/", "项".encode(), "项".encode("gb18030"), b"\x7f" * 9,
)  # fmt: skip
"""What is put into a file in place of something else."""


def cases_of(name: str) -> int:
    return CASES_OF_PARTS if name.startswith(("shp", "gdb")) else CASES


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip bytes, cut, swap, repeat or replace parts of a file."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not out:
            return b""
        at, size = rng.randrange(len(out)), rng.randrange(1, 40)
        match rng.randrange(7):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                out[at] = rng.randrange(256)
            case 2:
                del out[at:]
            case 3:
                del out[at : at + size]
            case 4:
                other = rng.randrange(len(out))
                a, b = bytes(out[at : at + size]), bytes(out[other : other + size])
                if len(a) == len(b) == size and abs(at - other) >= size:
                    out[at : at + size], out[other : other + size] = b, a
            case 5:
                out[at : at + size] = bytes(out[at : at + size]) * rng.randrange(2, 5)
            case _:
                field = rng.choice(FIELDS)
                out[at : at + len(field)] = field
    return bytes(out)


def mutants(path: Path, folder: Path, rng: random.Random, cases: int) -> Iterator[Path]:
    """
    Write mutated copies of a file, one over the other.

    Of several parts (.shp, .dbf, ...; the files of a FileGDB) one is mutated; half of the archives are packed anew
    around a mutated part, so that the mutation is reached behind sound checksums.
    """
    siblings = [p for p in path.parent.iterdir() if p.stem == path.stem] if path.suffix == ".shp" else [path]
    parts = sorted(path.iterdir()) if path.is_dir() else siblings
    home = folder / path.name if path.is_dir() else folder
    home.mkdir(parents=True)
    for part in parts:
        (home / part.name).write_bytes(part.read_bytes())
    for _ in range(cases):
        chosen = rng.choice(parts)
        inside = zipfile.is_zipfile(chosen) and rng.random() < 0.5
        (home / chosen.name).write_bytes(repacked(chosen, rng) if inside else mutated(chosen.read_bytes(), rng))
        yield folder / path.name
        (home / chosen.name).write_bytes(chosen.read_bytes())


def repacked(path: Path, rng: random.Random) -> bytes:
    """Mutate one entry of an archive and pack it anew."""
    target = path.with_name("repacked")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        entries = old.infolist()
        chosen = rng.choice(entries)
        for info in entries:
            data = old.read(info)
            new.writestr(info, mutated(data, rng) if info is chosen else data)
    data = target.read_bytes()
    target.unlink()
    return data


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as one:
        yield one


def outcome(path: Path, asked: dict[str, str], reader: Reader) -> str:
    """Read one file to the end; give ``ok`` or the keys of the named faults."""
    try:
        files = SiteFiles(path, reader=reader, limits=LIMITS, **asked)
        parts = [place(sites, ANALYSIS) for sites in files.batches(50)]
    except geojw.GeojwError as error:
        faults = error.faults
    else:
        faults = ()
    if faults:
        texts = [fault.text(lang) for fault in faults for lang in ("zh", "en")]
        assert not any(str(path.parent) in text for text in texts)
        return ";".join(sorted({fault.key for fault in faults}))
    assert len(files) == sum(len(part) + len(part.rejected) for part in parts)
    assert all(np.isfinite(part.frame.geometry.area).all() for part in parts)
    assert all(reason.text("zh") for part in parts for reason in part.rejected["reason"])
    assert all(fault.text("zh") for part in parts for fault in (*files.remarks, *part.remarks))
    count = counted(path)
    assert count is None or count == len(files)
    return "ok"


def counted(path: Path) -> int | None:
    """Count the features of a text format by other means than the reader's, where that can be done simply."""
    if path.suffix == ".geojson":
        document = json.loads(path.read_text("utf-8", "replace"))
        return len(document["features"]) if document["type"] == "FeatureCollection" else 1
    if path.suffix == ".kml":
        return path.read_bytes().count(b"</Placemark>") + path.read_bytes().count(b"<Placemark/>")
    return None


@pytest.mark.parametrize("name", SAMPLES)
def test_mutated(name: str, tmp_path: Path, reader: Reader) -> None:
    """Every mutant of a sample is sites or a named error in its time; most of the ways to an error are seen."""
    source = tmp_path / "source"
    source.mkdir()
    path = SAMPLES[name](source)
    rng = random.Random(f"geojw {name}")
    found: Counter[str] = Counter()
    cases = cases_of(name)
    for mutant in mutants(path, tmp_path / "mutant", rng, cases):
        before = sorted(mutant.parent.rglob("*"))
        found[outcome(mutant, asked_of(name), reader)] += 1
        assert sorted(mutant.parent.rglob("*")) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mutant", "source"]
    assert sum(found.values()) == cases
    assert len(found) > 1
    died = {key: count for key, count in found.items() if "reader_died" in key or "reader_slow" in key}
    assert not died, died


def test_enough_files() -> None:
    assert sum(map(cases_of, SAMPLES)) >= 5_000
