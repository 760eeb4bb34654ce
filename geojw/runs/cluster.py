"""A run on a Dask cluster: the batches of `run`, measured by workers that write whole parts of the tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from geojw.decide import screening
from geojw.errors import ClusterError, Fault
from geojw.intake.site_files import Cut, SiteFiles
from geojw.intake.sites import place
from geojw.law.pack import load_pack
from geojw.runs import report
from geojw.runs.ahead import read_layers
from geojw.runs.inspection import offset_warnings
from geojw.runs.run import Options, Progress, Summary, check_out, key_of
from geojw.runs.tally import Tally, fault_of, told
from geojw.zone import Zone

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2
"""Batches that wait for each thread of the workers."""

_ZONES: dict[str, Zone] = {}
_LOADING = Lock()
_SCREENING = Lock()
"""A zone screens for one thread of a worker at a time: two must not use what GEOS has prepared."""


@dataclass(frozen=True)
class Job:
    """
    What every task of a run is told.

    Parameters
    ----------
    pack
        The folder of the zone pack, the same on every node.
    hashes, layers
        The sha256 of its texts and of the layers, as the client sees them.
    names
        The layers of the rules in force.
    files, scratch
        The run's folder, which every node must see, and a place beside it for parts that are not whole.
    options
        What is asked for.
    many, only_not_clear
        As the size of the whole run decides.
    large
        Whether there are too many sites for all of them to be shown.
    """

    pack: str
    hashes: Mapping[str, str]
    layers: Mapping[str, str]
    names: Sequence[str]
    files: Path
    scratch: Path
    options: Options
    many: bool
    only_not_clear: bool
    large: bool


def screen_part(job: Job, number: int, cut: Cut) -> dict[str, Any]:
    """
    Screen one batch and write its part of every table: all of it or nothing.

    The same batch gives the same bytes, so a task may be done again, also by another worker while the first still goes
    on.

    Parameters
    ----------
    job
        The run.
    number
        Of the batch.
    cut
        As delivered: reading is work for the nodes too.

    Returns
    -------
    dict
        ``marks`` and ``counted`` of the journal, or ``faults`` for which this node cannot serve.
    """
    zone = zone_of(job)
    if differs := _differing(job, zone):
        return {"faults": [told(fault) for fault in differs]}
    placed = place(cut.read(), zone.analysis, zone.pack.site_columns)
    with _SCREENING:
        part = screening.screen(
            placed.frame, zone, on=job.options.day, lang=job.options.lang, workers=job.options.workers or 1,
            batch=job.options.batch, many=job.many, rejected=placed.rejected,
        )  # fmt: skip
    own = job.scratch / f"{number:06}-{uuid4().hex}"
    own.mkdir(parents=True)
    tables = report.Part(own, zone.analysis)
    try:
        tables.add(part, zone.layers_read(), only_not_clear=job.only_not_clear, degrees=placed.degrees)
        marks = {f"{name}/{number:06}.parquet": mark for name, mark in tables.finished().items()}
        for name in marks:
            target = job.files / name
            target.parent.mkdir(exist_ok=True)
            (own / target.parent.name).replace(target)
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return {"marks": marks, "counted": Tally.of(part, placed.remarks, large=job.large).plain()}


def zone_of(job: Job) -> Zone:
    """Give the zone with its layers read and indexed, once in each worker process."""
    key = repr((job.pack, sorted(job.hashes.items()), sorted(job.layers.items()), job.options.day))
    with _LOADING:
        if key not in _ZONES:
            _ZONES.clear()
            zone = Zone(load_pack(Path(job.pack)))
            read_layers(zone, job.names)
            _ZONES[key] = zone
        return _ZONES[key]


def _differing(job: Job, zone: Zone) -> list[Fault]:
    """Name what of this node is not what the client has."""
    texts = {name for name in {*job.hashes, *zone.pack.hashes} if job.hashes.get(name) != zone.pack.hashes.get(name)}
    layers = {name for name in {*job.layers, *zone.hashes} if job.layers.get(name) != zone.hashes.get(name)}
    faults = [Fault("cluster_differs", name, {}) for name in sorted(texts | layers)]
    return faults if job.files.is_dir() else [*faults, Fault("cluster_folder", job.files.name)]


@contextmanager
def connected(scheduler: str | None) -> Iterator[Client]:
    """Connect to a scheduler, or start one with a worker for each core of this machine, seen by nobody else."""
    try:
        import distributed  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ClusterError([Fault("cluster_absent", "--engine dask")]) from None
    from dask import config  # noqa: PLC0415

    # A batch travels inside its task, so that whatever happens to a worker it can be handed out again.
    with config.set({"distributed.admin.large-graph-warning-threshold": "10GB"}):
        if scheduler is not None:
            try:
                client = distributed.Client(scheduler)
            except (OSError, ValueError) as error:
                where = {"error": type(error).__name__}
                raise ClusterError([Fault("cluster_unreachable", scheduler, where)]) from None
            with client:
                yield client
            return
        with (
            distributed.LocalCluster(threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as here,
            distributed.Client(here) as client,
        ):
            yield client


def run(files: SiteFiles, zone: Zone, options: Options, progress: Progress, scheduler: str | None = None) -> Summary:
    """
    Screen files of sites on a Dask cluster; the tables are folders of Parquet parts, a part a batch.

    Parameters
    ----------
    files, zone, options, progress
        As in `run.run`; there is no map.
    scheduler
        Address of a scheduler; by default one is started on this machine.

    Returns
    -------
    Summary
        As of `run.run`.

    Raises
    ------
    ClusterError
        Dask is not installed or not reached, a node has other data, or workers keep dying.
    OutputError
        The folder cannot be written.
    """
    check_out(files, options)
    summary = Summary(zone, options, len(files), remarks=list(files.remarks))
    with (
        report.Output(options.out, zone.analysis, "parquet", keep=options.resume, parts=True) as output,
        connected(scheduler) as client,
    ):
        read_layers(zone, summary.layers_used)
        rows: dict[int, Mapping[str, Any]] = dict(_finished(output, files, summary))
        job = _job(zone, summary, output)
        for number, done in _answers(client, job, files, rows):
            if "faults" in done:
                raise ClusterError(map(fault_of, done["faults"]))
            row = {"number": number, **done["counted"]}
            output.place.journal.add(done["marks"], row)
            rows[number] = row
            progress("screening", sum(row["screened"] for row in rows.values()), summary.read)
        for _, counted in sorted(rows.items()):
            summary.add(Tally(**{name: value for name, value in counted.items() if name != "number"}))
        summary.remarks += offset_warnings(files, zone, zone.layers_read(), options.lang)
        progress("writing", summary.screened, summary.read)
        output.publish(summary.passport(files))
    return summary


def _finished(output: report.Output, files: SiteFiles, summary: Summary) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the batches that an interrupted run of the same inputs finished, by number."""
    counted, said = output.resume({"engine": "dask", **key_of(files, summary)})
    summary.said += [] if said is None else [said]
    summary.resumed = len(counted)
    yield from ((row["number"], row) for row in counted)


def _job(zone: Zone, summary: Summary, output: report.Output) -> Job:
    options = summary.options
    return Job(
        pack=str(zone.pack.folder.resolve()),
        hashes=dict(zone.pack.hashes),
        layers=dict(zone.hashes),
        names=summary.layers_used,
        files=output.work.resolve(),
        scratch=(output.place.path / "scratch").resolve(),
        options=options,
        many=summary.read >= screening.MANY,
        only_not_clear=summary.large and not options.all_geometry,
        large=summary.large,
    )


def _answers(
    client: Client, job: Job, files: SiteFiles, rows: Mapping[int, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Hand out the batches, some ahead of the workers, and give the answers as they come."""
    from distributed import KilledWorker, as_completed  # noqa: PLC0415 - an extra

    numbers: dict[Future[Any], int] = {}
    batches = iter(files.cuts(job.options.batch, frozenset(rows)))
    left = (number for number in range(max(-(-len(files) // job.options.batch), 1)) if number not in frozenset(rows))
    waiting = as_completed()

    def submit() -> None:
        cut = next(batches, None)
        if cut is not None:
            files.forget()
            number = next(left)
            future = client.submit(screen_part, job, number, cut, pure=False, key=f"screen-{uuid4().hex}")
            numbers[future] = number
            waiting.add(future)

    for _ in range(AHEAD * max(sum(client.nthreads().values()), 1)):
        submit()
    for future in waiting:
        try:
            answer = future.result()
        except KilledWorker:
            raise ClusterError([Fault("cluster_killed", "--engine dask")]) from None
        yield numbers.pop(future), answer
        submit()
