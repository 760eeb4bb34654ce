"""The same screening on a Dask cluster: two workers of one thread each, on this machine and seen by nobody else."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import geojw
from geojw.cli import main
from geojw.errors import ClusterError
from geojw.intake.site_files import SiteFiles
from geojw.runs import cluster
from geojw.runs.ahead import read_layers
from geojw.runs.report import COLUMNS
from geojw.runs.run import Options, Summary
from geojw.runs.run import run as run_here

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'geojw[dask]'")

DAY = date(2026, 11, 22)
BATCH = 10
TABLES = (*COLUMNS, "result_sites", "result_overlaps")
BY = ["site_id", "rule_id", "layer", "feature_id", "source", "row"]


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """Two processes of one thread each."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as here:
        yield here


@pytest.fixture(scope="module")
def alone(minizone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process gives."""
    out = tmp_path_factory.mktemp("alone") / "out"
    run_here(SiteFiles(minizone / "sites.gpkg"), geojw.open_zone(minizone / "pack"), asked(out), told)
    return out


def asked(out: Path, **more: Any) -> Options:
    return Options(DAY, out, lang="en", format="parquet", with_map=False, batch=BATCH, **more)


def told(_: str, __: int, ___: int) -> None:
    """Nobody watches."""


def on_cluster(minizone: Path, out: Path, workers: Any, progress: Any = told, **more: Any) -> Summary:
    files, zone = SiteFiles(minizone / "sites.gpkg"), geojw.open_zone(minizone / "pack")
    return cluster.run(files, zone, asked(out, **more), progress, workers.scheduler_address)


def sorted_bytes(path: Path) -> str:
    """Give a checksum of a table's rows and schema once sorted, however many files hold it."""
    table = pq.read_table(path)
    plain = pa.table({name: _plain(table[name]) for name in table.column_names})
    by = [(name, "ascending") for name in BY if name in plain.column_names]
    rows = plain.sort_by(by).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return hashlib.sha256(bytes(sink.getvalue())).hexdigest() + str(table.schema)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def same_tables(one: Path, two: Path) -> None:
    for name in TABLES:
        assert sorted_bytes(one / f"{name}.parquet") == sorted_bytes(two / f"{name}.parquet"), name


def test_the_same_tables(minizone: Path, tmp_path: Path, workers: Any, alone: Path) -> None:
    """Byte for byte after sorting; each table a folder of parts; the same counts, notices and layers."""
    summary = on_cluster(minizone, tmp_path / "out", workers)
    same_tables(alone, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    parts = sorted(path.name for path in (tmp_path / "out" / "findings.parquet").iterdir())
    assert parts == [f"{number:06}.parquet" for number in range(-(-summary.read // BATCH))]
    one, two = (passport(folder) for folder in (alone, tmp_path / "out"))
    assert one == two


def passport(folder: Path) -> dict[str, Any]:
    import json  # noqa: PLC0415 - only here

    text: dict[str, Any] = json.loads((folder / "passport.json").read_text("utf-8"))
    return {name: value for name, value in text.items() if name != "run_at"}


def test_both_workers_work_and_load_the_zone_once(minizone: Path, tmp_path: Path, workers: Any) -> None:
    """The index is made once in each process, whatever the number of batches."""
    with distributed.Client(workers) as client:
        client.run(_count_loads)
        on_cluster(minizone, tmp_path / "out", workers)
        on_cluster(minizone, tmp_path / "again", workers)
        loads = client.run(_loads)
    assert 1 <= sum(loads.values()) <= 2
    assert set(loads.values()) <= {0, 1}


def _count_loads() -> None:
    from geojw.runs import cluster as there  # noqa: PLC0415 - in the worker

    there._ZONES.clear()
    there.loads = []  # type: ignore[attr-defined]
    real = there.load_pack

    def counting(folder: Path) -> Any:
        there.loads.append(folder)  # type: ignore[attr-defined]
        return real(folder)

    there.load_pack = counting


def _loads() -> int:
    from geojw.runs import cluster as there  # noqa: PLC0415

    return len(there.loads)  # type: ignore[attr-defined]


def test_a_worker_of_several_threads(minizone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads share one zone, so it screens one batch at a time."""
    screen, inside, most = cluster.screening.screen, [], []

    def watched(*args: Any, **kwargs: Any) -> Any:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)  # time enough for another thread to come in
        try:
            return screen(*args, **kwargs)
        finally:
            inside.pop()

    monkeypatch.setattr(cluster.screening, "screen", watched)
    files, zone = SiteFiles(minizone / "sites.gpkg"), geojw.open_zone(minizone / "pack")
    made = tmp_path / "made"
    made.mkdir()
    names = sorted({rule.layer for rule in zone.pack.in_force(DAY)})
    read_layers(zone, names)
    job = cluster.Job(
        str(zone.pack.folder), dict(zone.pack.hashes), dict(zone.hashes), names, made, tmp_path / "scratch",
        asked(tmp_path / "out"), many=False, only_not_clear=False, large=False,
    )  # fmt: skip
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda one: cluster.screen_part(job, *one), enumerate(files.cuts(BATCH))))
    assert all("marks" in answer for answer in answers)
    assert len(most) == len(answers) > 1
    assert max(most) == 1


def test_killed_worker(minizone: Path, tmp_path: Path, workers: Any, alone: Path) -> None:
    """A worker that is killed while it works loses nothing."""
    killed: list[int] = []
    pids = [worker.process.pid for worker in workers.workers.values()]

    def kill(phase: str, _: int, __: int) -> None:
        if phase == "screening" and not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    on_cluster(minizone, tmp_path / "out", workers, kill)
    assert killed
    same_tables(alone, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_client_stopped_and_resumed(minizone: Path, tmp_path: Path, workers: Any, alone: Path) -> None:
    """What workers finished is kept when the client is stopped; --resume hands out only the rest."""

    def stops(_: str, done: int, __: int) -> None:
        if done >= 3 * BATCH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_cluster(minizone, tmp_path / "out", workers, stops, resume=True)
    assert not (tmp_path / "out").exists()
    summary = on_cluster(minizone, tmp_path / "out", workers, resume=True)
    assert summary.resumed >= 3
    same_tables(alone, tmp_path / "out")
    assert passport(alone) == passport(tmp_path / "out")


def test_over_an_older_result(minizone: Path, tmp_path: Path, workers: Any, alone: Path) -> None:
    """Tables of parts take the place of tables of one file, and the other way round."""
    run_here(SiteFiles(minizone / "sites.gpkg"), geojw.open_zone(minizone / "pack"), asked(tmp_path / "out"), told)
    on_cluster(minizone, tmp_path / "out", workers)
    same_tables(alone, tmp_path / "out")
    assert (tmp_path / "out" / "verdicts.parquet").is_dir()
    on_cluster(minizone, tmp_path / "out", workers)
    same_tables(alone, tmp_path / "out")
    run_here(SiteFiles(minizone / "sites.gpkg"), geojw.open_zone(minizone / "pack"), asked(tmp_path / "out"), told)
    assert (tmp_path / "out" / "verdicts.parquet").is_file()
    same_tables(alone, tmp_path / "out")


def test_a_node_with_other_data(minipack: Path, minizone: Path, tmp_path: Path, workers: Any) -> None:
    """A pack that differs on a worker is refused by name, and nothing is written."""
    zone = geojw.open_zone(minipack)
    with (minipack / "access_list.toml").open("a") as stream:
        stream.write("\n# changed after the client read it\n")
    with pytest.raises(ClusterError) as caught:
        cluster.run(SiteFiles(minizone / "sites.gpkg"), zone, asked(tmp_path / "out"), told, workers.scheduler_address)
    assert "access_list.toml: is not the same on a worker" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def words(minizone: Path, out: Path, *more: str) -> list[str]:
    return [
        "screen", str(minizone / "sites.gpkg"), "--zone", str(minizone / "pack"), "--out", str(out), "--on", str(DAY),
        "--lang", "en", "--engine", "dask", *more,
    ]  # fmt: skip


def test_command_line(minizone: Path, tmp_path: Path, workers: Any) -> None:
    """--engine dask --scheduler ADDRESS."""
    done = CliRunner().invoke(main, words(minizone, tmp_path / "out", "--scheduler", workers.scheduler_address))
    assert done.exit_code in (0, 1), done.output
    assert (tmp_path / "out" / "verdicts.parquet" / "000000.parquet").is_file()
    assert not (tmp_path / "out" / "map.html").exists()


def test_without_dask(minizone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra: one sentence that says how to get it, and nothing written."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = CliRunner().invoke(main, words(minizone, tmp_path / "out"))
    assert done.exit_code == 3
    assert "pip install 'geojw[dask]'" in done.output
    assert list(tmp_path.iterdir()) == []


def test_csv_is_refused(minizone: Path, tmp_path: Path) -> None:
    """A cluster writes Parquet; who asks for CSV is told so."""
    done = CliRunner().invoke(main, words(minizone, tmp_path / "out", "--format", "csv"))
    assert done.exit_code == 2
    assert "writes Parquet only" in done.output


def test_scheduler_that_is_not_there(minizone: Path, tmp_path: Path) -> None:
    """One sentence, no traceback."""
    from dask import config  # noqa: PLC0415

    with config.set({"distributed.comm.timeouts.connect": "1s"}):
        done = CliRunner().invoke(main, words(minizone, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9"))
    assert done.exit_code == 3, done.output
    assert "the scheduler is not reached" in done.output
    assert list(tmp_path.iterdir()) == []
