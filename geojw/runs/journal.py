"""What of a run was finished, so that it can go on after a kill: a line a batch, believed only by bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from geojw.errors import Fault, OutputError

JOURNAL, FILES, LOCK = "journal.jsonl", "files", "lock"
CLAIMS = 100
"""How often a folder that goes away under us is made anew."""

Key = Mapping[str, Any]
"""Whatever the bytes of a result depend on."""


@dataclass(frozen=True)
class Mark:
    """
    Where a file stood when a batch was written.

    Parameters
    ----------
    stop
        Its length in bytes.
    sha256
        Of the bytes that the batch added.
    footer
        What a Parquet file's footer must say of them, in base 64; empty for other files.
    """

    stop: int
    sha256: str
    footer: str = ""


@dataclass(frozen=True)
class Batch:
    """One finished batch: a mark for each file, and what it counted."""

    marks: Mapping[str, Mark]
    counted: Mapping[str, Any]


def added_hash(path: Path, start: int, stop: int) -> str:
    """Give the sha256 of some bytes of a file; of fewer, where it ends before."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        stream.seek(start)
        while start < stop and (block := stream.read(min(1 << 20, stop - start))):
            digest.update(block)
            start += len(block)
    return digest.hexdigest()


class Workplace:
    """
    The hidden folder beside a result in which it is made, held by one run at a time.

    There is one for a result, ``.NAME.partial-run``; a run that was killed leaves it, the next one takes it over. The
    lock is the system's: it goes with the process that holds it, however that ends.

    Parameters
    ----------
    folder
        Where the results go.

    Raises
    ------
    OutputError
        Another run holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder.parent / f".{folder.name}.partial-run"
        self._lock = self._claimed(folder.name)
        self.files = self.path / FILES
        self.journal = Journal(self.path / JOURNAL, self.files)

    def _claimed(self, name: str) -> FileLock:
        for _ in range(CLAIMS):
            self.path.mkdir(mode=0o700, exist_ok=True)
            lock = FileLock(self.path / LOCK)
            try:
                place = self.path.stat().st_ino
                lock.acquire(timeout=0)
                if self.path.stat().st_ino == place and (self.path / LOCK).exists():
                    return lock
            except Timeout:
                break
            except FileNotFoundError:  # a run that ended took the folder away between two of our steps
                continue
            lock.release()
        raise OutputError([Fault("out_busy", name)])

    def clear(self) -> None:
        """Take away what an earlier run left, and begin with an empty folder of files."""
        self.journal.forget()
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
        self.files.mkdir()

    def leave(self, *, keep: bool) -> None:
        """Give the folder up; what it holds stays, or goes."""
        self.journal.close()
        gone = self.path
        if not keep:
            with suppress(OSError):  # the name goes first, so that nobody claims a folder that goes (not on Windows)
                gone = self.path.rename(self.path.with_name(f"{self.path.name}-{os.getpid()}"))
        self._lock.release()
        if not keep:
            shutil.rmtree(gone, ignore_errors=True)


@dataclass(eq=False)
class Journal:
    """
    A file with the key of a run and a line for each finished batch.

    A line counts if it is whole and if every file still holds the bytes that it names; from the first that does not,
    all is forgotten. So nothing has to be forced to the disk while the run goes on: what a power cut loses is measured
    anew.

    Parameters
    ----------
    path
        The journal.
    files
        The folder of the files that its marks name.
    """

    path: Path
    files: Path
    written: int = 0
    _stream: Any = field(default=None, repr=False)

    def read(self) -> tuple[Key | None, list[Batch]]:
        """Give the key and the batches that can be believed, and cut off whatever lies behind them."""
        key: Key | None = None
        batches: list[Batch] = []
        stops: dict[str, int] = {}
        good = 0
        for line in self._lines():
            if key is None:
                key = json.loads(line)
            else:
                batch = _batch(json.loads(line))
                if not self._holds(batch, stops):
                    break
                batches.append(batch)
                stops |= {name: mark.stop for name, mark in batch.marks.items()}
            good += len(line)
        if batches:
            self._cut(self.path, good)
            for path in [path for path in self.files.rglob("*") if path.is_file()]:
                name = path.relative_to(self.files).as_posix()
                if name in stops:
                    self._cut(path, stops[name])
                else:
                    path.unlink()
        self.written = len(batches)
        return key, batches

    def _lines(self) -> Iterator[bytes]:
        """Give the whole lines; one that was being written when the run ended is none."""
        if not self.path.is_file():
            return
        for line in self.path.read_bytes().splitlines(keepends=True):
            try:
                json.loads(line)
            except ValueError:
                return
            if not line.endswith(b"\n"):
                return
            yield line

    def _holds(self, batch: Batch, stops: Mapping[str, int]) -> bool:
        for name, mark in batch.marks.items():
            path, start = self.files / name, stops.get(name, 0)
            if not path.is_file() or path.stat().st_size < mark.stop:
                return False
            if added_hash(path, start, mark.stop) != mark.sha256:
                return False
        return True

    @staticmethod
    def _cut(path: Path, stop: int) -> None:
        with path.open("r+b") as stream:
            stream.truncate(stop)

    def begin(self, key: Key) -> None:
        """Begin a new one."""
        self.forget()
        self._write(key)

    def add(self, marks: Mapping[str, Mark], counted: Mapping[str, Any]) -> None:
        """Say that a batch is finished: its bytes are in the files."""
        rows = {name: [mark.stop, mark.sha256, mark.footer] for name, mark in marks.items()}
        self._write({"marks": rows, "counted": counted})
        self.written += 1

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._stream is None:
            self._stream = self.path.open("ab")
        self._stream.write(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def forget(self) -> None:
        """Take the journal away: what it told counts no longer."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.written = 0


def _batch(row: Mapping[str, Any]) -> Batch:
    return Batch({name: Mark(*cells) for name, cells in row["marks"].items()}, row["counted"])


def changed(old: Key, new: Key) -> Sequence[str]:
    """
    Name what differs between two keys.

    Examples
    --------
    >>> changed({"day": 1, "sites": [2]}, {"day": 1, "sites": [3]})
    ['sites']
    """
    plain = json.loads(json.dumps(new))
    return sorted(name for name in {*old, *plain} if old.get(name) != plain.get(name))
