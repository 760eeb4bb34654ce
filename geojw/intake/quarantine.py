"""
A process of its own for reading files that come from strangers.

GDAL, expat and GEOS parse hostile bytes there: a crash, a hang or a greedy file ends that process, never the user's.
It has the drivers of `vectors.DRIVERS` only, works in a folder of its own, and hands over an Arrow file that is mapped,
not copied.
"""

from __future__ import annotations

import json
import mmap
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from geojw.errors import Fault, SitesError
from geojw.intake.safety import Limits, local_file

if TYPE_CHECKING:  # the process is started before anything that is slow to load
    import pyarrow as pa

    from geojw.intake.delivery import Delivery
    from geojw.measure.pieces import Ints

MEMORY_MB = 8_000
"""Address space of the reader, where the system can hold it to one."""

SKIPPED = (
    "PCIDSK,PDS4,VICAR,PDF,MBTiles,EEDA,OGCAPI,GDALG,MapInfo File,LVBAG,S57,DGN,OGR_VRT,CSV,GML,GPX,KML,"
    "GeoJSONSeq,ESRIJSON,TopoJSON,OGR_GMT,SQLite,WAsP,GeoRSS,VFK,PGDUMP,OSM,GPSBabel,OGR_PDS,WFS,OAPIF,EDIGEO,"
    "Idrisi,ODS,XLSX,Elasticsearch,Carto,AmigoCloud,SXF,Selafin,JML,PLSCENES,CSW,VDV,MVT,NGW,MapML,GTFS,"
    "PMTiles,JSONFG,MiraMonVector,ADBC,AVCBin,AVCE00,AIVector,HTTP,MEM"
)
"""Drivers that GDAL must not load; should a build know more, the reader is started again without those too."""

_START = "import sys; sys.path[:] = sys.argv[1].split(chr(31)); from geojw.intake.quarantine import serve; serve()"


@dataclass(frozen=True, eq=False)
class Delivered:
    """A file as the reader gave it: what it says of itself, and its rows, mapped from disk."""

    said: Delivery
    table: pa.Table
    mapped: mmap.mmap

    def take(self, rows: Ints) -> pa.Table:
        """Take sorted rows, piece by piece, so that of a long file only a piece is in memory at a time."""
        import pyarrow as pa  # noqa: PLC0415 - as above

        parts, start = [], 0
        for batch in self.table.to_batches():
            own = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
            if len(own):
                parts.append(batch.take(pa.array(own, pa.int64())))
                self.forget()
            start += batch.num_rows
        return pa.Table.from_batches(parts, schema=self.table.schema)

    def forget(self) -> None:
        """Let go of the memory of rows that were read; they come back from the disk if they are asked for again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)


STARTING_S = 60.0
"""How long the process may take to start, whatever a file may take."""


class Reader:
    """The reading process; started at once, so that it loads while the caller does, and again if a file ends it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="geojw-"))
        self._tidy = weakref.finalize(self, _tidy, self.folder)  # the last to run: what came later ends first
        self._skipped = SKIPPED
        self._count = 0
        self._lock = threading.Lock()
        self._ahead: dict[tuple[object, ...], Future[Delivered]] = {}
        self._process: _Process | None = _Process(self.folder, self._skipped)

    def begin(
        self, path: Path, limits: Limits, table: str | None, encoding: str | None, told: Callable[[int], None]
    ) -> None:
        """
        Read one file while the caller does something else; `read` then gives it, or says what is wrong with it.

        Parameters
        ----------
        path, limits, table, encoding
            As for `read`.
        told
            Told how many features the file says that it has, before they are read, where its format says so.
        """
        with suppress(SitesError):  # which is said when it is to be read
            path = local_file(path)
            future = self._ahead[path, limits, table, encoding] = Future()

            def read() -> None:
                try:
                    future.set_result(self._locked(path, limits, table, encoding, told))
                except BaseException as problem:  # noqa: BLE001 - raised where it is waited for
                    future.set_exception(problem)

            threading.Thread(target=read, name=f"reading-{path.name}", daemon=True).start()

    def read(self, path: Path, limits: Limits, table: str | None = None, encoding: str | None = None) -> Delivered:
        """
        Read one file.

        Parameters
        ----------
        path
            Of this machine.
        limits
            What is too large or too slow.
        table
            Which table or member of an archive.
        encoding
            As the user states it.

        Raises
        ------
        SitesError
            With the reasons why it is not read; also where the reading process died or took too long.
        """
        begun = self._ahead.pop((path, limits, table, encoding), None)
        return self._locked(path, limits, table, encoding) if begun is None else begun.result()

    def _locked(self, *asked: Any) -> Delivered:  # noqa: ANN401 - as `_read` has them
        with self._lock:
            return self._read(*asked)

    def _read(
        self, path: Path, limits: Limits, table: str | None, encoding: str | None,
        told: Callable[[int], None] | None = None,
    ) -> Delivered:  # fmt: skip
        self._count += 1
        work, target = self.folder / f"work{self._count}", self.folder / f"{self._count}.arrow"
        work.mkdir()
        asked = {
            "path": str(path), "table": table, "encoding": encoding, "limits": asdict(limits), "folder": str(work),
            "target": str(target),
        }  # fmt: skip
        try:
            answer = self._started(limits.seconds).ask(asked, limits.seconds, path.name, told)
        except SitesError:
            self.stop()
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if "faults" in answer:
            target.unlink(missing_ok=True)
            raise SitesError([_fault(one) for one in answer["faults"]])
        import pyarrow as pa  # noqa: PLC0415 - see above

        with target.open("rb") as source:
            mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
        rows = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()
        if os.name == "posix":  # what is mapped stays readable
            target.unlink()
        return Delivered(_delivery(answer), rows, mapped)

    def _started(self, seconds: float) -> _Process:
        for _ in range(2):
            if self._process is None:
                self._process = _Process(self.folder, self._skipped)
            more = self._process.more_drivers(max(seconds, STARTING_S))
            if not more:
                return self._process
            self._skipped = ",".join([self._skipped, *more])
            self.stop()
        raise SitesError([Fault("reader_drivers", "GDAL", {"drivers": ", ".join(more)})])

    def stop(self) -> None:
        """End the process; the next file starts another."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _tidy(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


_shared: dict[int, Reader] = {}


def shared_reader() -> Reader:
    """Give the reader of this process; a fork has its own."""
    if os.getpid() not in _shared:
        _shared[os.getpid()] = Reader()
    return _shared[os.getpid()]


class _Process:
    """One life of the reading process: questions and answers are lines of JSON."""

    def __init__(self, folder: Path, skipped: str) -> None:
        place = str(Path(__file__).resolve().parents[2])
        paths = chr(31).join([place, *(p for p in sys.path if p and p != place)])
        self._errors = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by stop()
        environment = {**os.environ, "GDAL_SKIP": skipped, "PYTHONUTF8": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-I", "-c", _START, paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, cwd=folder, env=environment,
        )  # fmt: skip
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_pump, args=(self._process.stdout, self._answers), daemon=True).start()
        self._hello: dict[str, Any] | None = None
        self._end = weakref.finalize(self, _end, self._process, self._errors)

    def more_drivers(self, seconds: float) -> list[str]:
        """Give the drivers that the process can use but should not; none, once it is as it should be."""
        if self._hello is None:
            self._hello = self._answer(seconds, "GDAL")
        return list(self._hello["drivers"])

    def ask(
        self, question: dict[str, Any], seconds: float, name: str, told: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Put one question and wait for the answer; hand on what is told before."""
        stream = self._process.stdin
        try:
            if stream is not None:
                stream.write(json.dumps(question).encode() + b"\n")
                stream.flush()
        except OSError:
            raise self._died(name) from None
        while "features" in (answer := self._answer(seconds, name)):
            if told is not None:
                told(answer["features"])
        return answer

    def _answer(self, seconds: float, name: str) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise SitesError([Fault("reader_slow", name, {"seconds": f"{seconds:g}"})]) from None
        if not line:
            raise self._died(name)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self, name: str) -> SitesError:
        code = self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2][:160]
        last = signal.Signals(-code).name if code < 0 else last
        return SitesError([Fault("reader_died", name, {"code": code, "error": last})])

    def stop(self) -> None:
        """End it now."""
        self._end()


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        if stream is not None:
            try:
                stream.close()
            except OSError:  # a pipe whose other end is gone
                continue


def _pump(stream: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Hand on lines, and an empty one at the end: pipes cannot be waited for with a limit on every system."""
    try:
        for line in stream:
            answers.put(line)
    except (OSError, ValueError):  # closed while waiting
        pass
    answers.put(b"")


def _fault(said: dict[str, Any]) -> Fault:
    return Fault(said["key"], said["where"], said["fields"])


def _told(faults: tuple[Fault, ...]) -> list[dict[str, Any]]:
    return [{"key": f.key, "where": f.where, "fields": {k: str(v) for k, v in f.fields.items()}} for f in faults]


def _delivery(said: dict[str, Any]) -> Delivery:
    from geojw.intake.delivery import Delivery  # noqa: PLC0415 - see above
    from geojw.intake.encoding import Encoding  # noqa: PLC0415

    remarks = tuple(_fault(one) for one in said.pop("remarks"))
    return Delivery(**said | {"encoding": Encoding(**said["encoding"]), "remarks": remarks})


# ---------------------------------------------------------------------------------------------- in the process


def serve() -> None:
    """Answer questions until there are no more; whatever else is printed goes to the log."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _confine()
    slow = ("pandas", "geopandas")  # pyogrio would load them, which takes longer than all else, for what is not used
    sys.modules.update(dict.fromkeys(slow))  # type: ignore[arg-type]
    import pyogrio  # noqa: PLC0415 - after the environment of GDAL is set

    for name in slow:
        del sys.modules[name]
    from geojw.intake import formats, vectors  # noqa: PLC0415

    _say(out, {"drivers": sorted(set(pyogrio.list_drivers()) - vectors.DRIVERS)})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            said = formats.deliver(
                Path(asked["path"]), asked["table"], asked["encoding"], Limits(**asked["limits"]),
                Path(asked["folder"]), Path(asked["target"]), lambda count: _say(out, {"features": count}),
            )  # fmt: skip
        except SitesError as error:
            _say(out, {"faults": _told(error.faults)})
        else:
            _say(out, asdict(said) | {"remarks": _told(said.remarks)})


def _say(out: IO[bytes], answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer).encode() + b"\n")
    out.flush()


def _confine() -> None:
    """Limit memory and leave no core file, where the system can."""
    if os.name == "posix":
        import resource  # noqa: PLC0415 - POSIX only

        for kind, most in ((resource.RLIMIT_AS, MEMORY_MB * 1_000_000), (resource.RLIMIT_CORE, 0)):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
