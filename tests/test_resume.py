"""A run that is killed, or that fills the disk, goes on with --resume and ends with the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from filelock import FileLock

import geojw
from geojw.cli import main
from geojw.runs.journal import Journal, Mark, Workplace, added_hash

DAY = "2026-11-22"
ROOT = str(Path(geojw.__file__).resolve().parents[1])
BATCH = 40
CLOCK = "2026-11-22T00:00:00.000Z"
"""What GDAL is told to date a GeoPackage with, so that its bytes can be compared."""

# Ends the process by SIGKILL at the n-th call of a function of the product: before, after, or half way through it.
KILLER = """
import functools, os, signal, sys
import geojw.runs.journal, geojw.runs.report
from geojw.cli import main

place, when, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
module, owner, name = place.split(":")
holder = functools.reduce(getattr, [part for part in owner.split(".") if part], sys.modules[module])
real, calls = getattr(holder, name), [0]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def deadly(self, *args, **kwargs):
    calls[0] += 1
    if calls[0] != count:
        return real(self, *args, **kwargs)
    if when == "half":
        self._stream.write(b'{"counted": {"screened": 4'); self._stream.flush(); die()
    if when == "before":
        die()
    real(self, *args, **kwargs)
    die()

setattr(holder, name, deadly)
main(sys.argv[4:])
"""

MOMENTS = [
    pytest.param("geojw.runs.report:_Table:add", "after", 1, id="first table of the first batch"),
    pytest.param("geojw.runs.report:_Table:add", "after", 10, id="amid the second batch"),
    pytest.param("geojw.runs.report:Output:_add_shapes", "before", 2, id="before the shapes"),
    pytest.param("geojw.runs.journal:Journal:add", "before", 2, id="files written, not in the journal"),
    pytest.param("geojw.runs.journal:Journal:_write", "half", 3, id="half a line of the journal"),
    pytest.param("geojw.runs.journal:Journal:add", "after", 1, id="one batch finished"),
    pytest.param("geojw.runs.journal:Journal:add", "after", 2, id="two batches finished"),
    pytest.param("geojw.runs.report:Output:publish", "before", 1, id="all batches finished"),
    pytest.param("geojw.runs.report:Output:close", "after", 1, id="footers written"),
]


def words(minizone: Path, out: Path, kind: str, *more: str) -> list[str]:
    """Give the command line."""
    return [
        "screen", str(minizone / "sites.gpkg"), "--zone", str(minizone / "pack"), "--out", str(out), "--on", DAY,
        "--no-map", "--batch", str(BATCH), "--format", kind, "--lang", "en", *more,
    ]  # fmt: skip


def run(minizone: Path, out: Path, kind: str = "csv", *more: str) -> Any:
    """Run it in this process."""
    done = CliRunner().invoke(main, words(minizone, out, kind, *more))
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


def content(folder: Path) -> dict[str, str]:
    """Give the checksum of every file, the time of the run left out."""
    texts = {path.name: path.read_bytes() for path in folder.iterdir()}
    texts["passport.json"] = re.sub(rb'"run_at": "[^"]*"', b"", texts["passport.json"])
    return {name: hashlib.sha256(text).hexdigest() for name, text in sorted(texts.items())}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same date in every GeoPackage."""
    monkeypatch.setenv("OGR_CURRENT_DATE", CLOCK)


@pytest.fixture(scope="module")
def whole(minizone: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """What runs that nobody interrupted give."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OGR_CURRENT_DATE", CLOCK)
        folder = tmp_path_factory.mktemp("whole")
        for kind in ("csv", "parquet"):
            assert run(minizone, folder / kind, kind).exit_code in (0, 1)
        yield {kind: content(folder / kind) for kind in ("csv", "parquet")}


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("place", "when", "count"), MOMENTS)
def test_killed(place: str, when: str, count: int, minizone: Path, tmp_path: Path, whole: Any) -> None:
    """kill -9, then --resume: the same bytes, GeoPackage included, and nothing left over."""
    kind = "parquet" if count == 2 or when == "half" else "csv"
    env = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-c", KILLER, place, when, str(count), *words(minizone, tmp_path / "out", kind)]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, check=False, timeout=300)
    assert done.returncode == -9, done.stderr.decode()
    assert left(tmp_path) == {".out.partial-run"}
    again = run(minizone, tmp_path / "out", kind, "--resume")
    assert again.exit_code in (0, 1), again.output
    assert content(tmp_path / "out") == whole[kind]
    assert left(tmp_path) == {"out"}


def interrupted(minizone: Path, out: Path, kind: str, monkeypatch: pytest.MonkeyPatch, batches: int = 2) -> Any:
    """Fill the disk once so many batches are finished."""
    real, calls = Journal.add, []

    def full(self: Journal, *args: Any) -> None:
        if len(calls) == batches:
            raise OSError(28, "No space left on device")
        calls.append(args)
        real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", full)
        return run(minizone, out, kind)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_disk_full(kind: str, minizone: Path, tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: one sentence that says what is kept and how to go on; then the same bytes."""
    done = interrupted(minizone, tmp_path / "out", kind, monkeypatch)
    assert done.exit_code == 3
    told = " ".join(done.output.split())
    assert "No space left on device" in told
    assert "the 2 batches that were finished are kept in .out.partial-run" in told
    assert left(tmp_path) == {".out.partial-run"}
    again = run(minizone, tmp_path / "out", kind, "--resume")
    assert "2 batches were finished" in again.output
    assert content(tmp_path / "out") == whole[kind]
    assert left(tmp_path) == {"out"}


def test_finished_batches_are_not_screened_again(
    minizone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what was not finished is measured."""
    interrupted(minizone, tmp_path / "out", "parquet", monkeypatch)
    real, sizes = geojw.decide.screening.measured, []

    def counting(sites: Any, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(sites))
        return real(sites, *args, **kwargs)

    monkeypatch.setattr(geojw.decide.screening, "measured", counting)
    assert run(minizone, tmp_path / "out", "parquet", "--resume").exit_code in (0, 1)
    total = pq.read_metadata(tmp_path / "out" / "verdicts.parquet").num_rows
    assert 0 < sum(sizes) <= total - 2 * BATCH + 2 * BATCH // 2
    assert len(sizes) == json_lines(total) - 2


def json_lines(total: int) -> int:
    """Give how many batches a run has; some rows are rejected, so `total` is a little less than was read."""
    return -(-(total + 1) // BATCH)


def _extended(path: Path) -> None:
    """Change the bytes of a file but not what is in it."""
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 10301")
    base.close()


STALE = ["layer", "sites", "option", "rule"]


@pytest.mark.parametrize("what", STALE)
def test_stale(what: str, minizone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was finished under other inputs or options is never mixed in: it is named, and all begins anew."""
    desk = tmp_path / "desk"
    shutil.copytree(minizone, desk)
    interrupted(desk, tmp_path / "out", "csv", monkeypatch)
    more, names = [], {"layer": "layers", "sites": "sites", "option": "options", "rule": "zone"}
    if what == "layer":
        row = geojw.open_zone(desk / "pack").pack.rules[0].layer
        _extended(desk / "pack" / geojw.open_zone(desk / "pack").pack.layers[row].path)
    elif what == "sites":
        _extended(desk / "sites.gpkg")
    elif what == "option":
        more = ["--all-geometry"]
    else:
        with (desk / "pack" / "access_list.toml").open("a") as stream:
            stream.write("\n# a comment\n")
    again = run(desk, tmp_path / "out", "csv", "--resume", *more)
    told = " ".join(again.output.split())
    assert "inputs or options have changed" in told
    assert f"({names[what]})" in told
    assert "batches were finished" not in told
    run(desk, tmp_path / "fresh", "csv", *more)
    assert content(tmp_path / "out") == content(tmp_path / "fresh")
    assert left(tmp_path) == {"desk", "out", "fresh"}


def test_without_resume_all_begins_anew(
    minizone: Path, tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --resume nothing that was left is used; the run says so, the passport is the same."""
    interrupted(minizone, tmp_path / "out", "csv", monkeypatch)
    again = run(minizone, tmp_path / "out", "csv")
    assert "without --resume everything was screened anew" in " ".join(again.output.split())
    assert content(tmp_path / "out") == whole["csv"]
    assert left(tmp_path) == {"out"}


@pytest.mark.parametrize("harm", ["shorter", "other bytes", "gone"])
def test_bytes_that_were_lost(
    harm: str, minizone: Path, tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut or a bad disk took bytes of a finished batch: it is measured again."""
    interrupted(minizone, tmp_path / "out", "parquet", monkeypatch)
    path = tmp_path / ".out.partial-run" / "files" / "findings.parquet"
    raw = bytearray(path.read_bytes())
    if harm == "gone":
        path.unlink()
    elif harm == "shorter":
        path.write_bytes(raw[:100])
    else:
        raw[60] ^= 1
        path.write_bytes(raw)
    again = run(minizone, tmp_path / "out", "parquet", "--resume")
    assert again.exit_code in (0, 1)
    assert "batches were finished" not in again.output
    assert content(tmp_path / "out") == whole["parquet"]


def test_ctrl_c_with_resume_keeps_what_is_finished(
    minizone: Path, tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked for --resume may stop and go on; who did not leaves nothing."""
    real, calls = geojw.decide.screening.measured, []

    def stops(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    for more, kept in ((["--resume"], True), ([], False)):
        with monkeypatch.context() as patch:
            calls.clear()
            patch.setattr(geojw.decide.screening, "measured", stops)
            done = run(minizone, tmp_path / "out", "csv", *more)
        assert done.exit_code == 130
        assert (".out.partial-run" in left(tmp_path)) == kept
        assert ("--resume goes on" in done.output) == kept
        if kept:
            assert run(minizone, tmp_path / "out", "csv", "--resume").exit_code in (0, 1)
            assert content(tmp_path / "out") == whole["csv"]
    assert left(tmp_path) == {"out"}


def test_two_runs_at_once(minizone: Path, tmp_path: Path) -> None:
    """The second run into one folder is refused while the first holds it, and harms nothing."""
    first = Workplace(tmp_path / "out")
    first.clear()
    (first.files / "verdicts.csv").write_text("mine", "utf-8")
    done = run(minizone, tmp_path / "out")
    assert done.exit_code == 3
    assert "another run is writing here" in " ".join(done.output.split())
    assert (first.files / "verdicts.csv").read_text("utf-8") == "mine"
    first.leave(keep=False)
    assert list(tmp_path.iterdir()) == []
    assert run(minizone, tmp_path / "out").exit_code in (0, 1)


def test_lock_goes_with_its_process(tmp_path: Path) -> None:
    """A run that was killed holds nothing."""
    code = f"import os; from pathlib import Path; from geojw.runs.journal import Workplace; Workplace(Path({str(tmp_path / 'out')!r})); os.kill(os.getpid(), 9)"  # noqa: E501 - a program
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ROOT}, check=False)
    assert (tmp_path / ".out.partial-run").is_dir()
    Workplace(tmp_path / "out").leave(keep=False)
    assert list(tmp_path.iterdir()) == []


def test_journal_believes_only_whole_lines_and_right_bytes(tmp_path: Path) -> None:
    """Line by line: what is torn or what the files do not hold ends it, and is cut off."""
    files = tmp_path / "files"
    files.mkdir()
    data = files / "a.csv"
    journal = Journal(tmp_path / "journal.jsonl", files)
    journal.begin({"day": 1})
    stops = [0]
    for text in (b"one\n", b"two\n", b"three\n"):
        with data.open("ab") as stream:
            stream.write(text)
        stops.append(data.stat().st_size)
        journal.add({"a.csv": Mark(stops[-1], added_hash(data, stops[-2], stops[-1]))}, {"n": len(text)})
    journal.close()
    whole = journal.path.read_bytes()
    key, batches = Journal(journal.path, files).read()
    assert key == {"day": 1}
    assert [batch.counted["n"] for batch in batches] == [4, 4, 6]
    for cut in range(len(whole)):
        journal.path.write_bytes(whole[:cut])
        data.write_bytes(b"one\ntwo\nthree\nhalf a batch")
        _, some = Journal(journal.path, files).read()
        lines = whole[:cut].count(b"\n")
        assert len(some) == max(lines - 1, 0)
        assert journal.path.read_bytes() == whole[:cut] if not some else whole.startswith(journal.path.read_bytes())
        assert data.stat().st_size == (stops[len(some)] if some else 26)
    journal.path.write_bytes(whole)
    data.write_bytes(b"one\ntwX\nthree\n")
    _, some = Journal(journal.path, files).read()
    assert len(some) == 1
    assert data.read_bytes() == b"one\n"


def test_the_lock_is_the_systems(tmp_path: Path) -> None:
    """A lock file that nobody holds is no obstacle."""
    (tmp_path / ".out.partial-run").mkdir()
    (tmp_path / ".out.partial-run" / "lock").touch()
    place = Workplace(tmp_path / "out")
    other = FileLock(tmp_path / ".out.partial-run" / "lock", is_singleton=False)
    with pytest.raises(TimeoutError):
        other.acquire(timeout=0)
    place.leave(keep=False)
