"""A whole run, from files to a folder of results: what the command line does, without its words."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from geojw.decide import screening
from geojw.decide.screening import Screening
from geojw.decide.slivers import SLIVER_SHARE
from geojw.decide.verdicts import VERDICTS
from geojw.errors import Fault, LayerError, OutputError
from geojw.intake.site_files import SiteFiles
from geojw.intake.sites import Sites, place
from geojw.law import notices
from geojw.law.catalogue import Audience
from geojw.law.effects import EFFECTS
from geojw.law.pack import Pack
from geojw.measure.index import default_workers
from geojw.runs import report, tables
from geojw.runs.ahead import read_layers, read_whole, uncollected
from geojw.runs.folder import PASSPORT
from geojw.runs.inspection import offset_warnings
from geojw.runs.journal import Key
from geojw.runs.tally import REMARKS_KEPT, Tally, fault_of, strictest
from geojw.texts import say
from geojw.zone import Zone

AUDIENCE: Audience = "internal"
Progress = Callable[[str, int, int], None]
"""Told the phase, how much is done and of how much."""

MAP_LIMIT = 20_000


@dataclass(frozen=True)
class Options:
    """
    What a run is asked for.

    Parameters
    ----------
    day
        The day whose rules count.
    out
        Folder of the results.
    lang
        ``zh`` or ``en``.
    format
        ``csv`` or ``parquet``.
    map_limit
        Above so many sites there is no map, and the file of geometries holds only sites that are not clear.
    all_geometry
        All geometries all the same.
    with_map
        Whether a map is drawn at all.
    workers, batch
        Threads, and sites measured at a time; they change no result.
    resume
        Go on with what an interrupted run of the same inputs left.
    """

    day: date
    out: Path
    lang: str = "zh"
    format: tables.Format = "csv"
    map_limit: int = MAP_LIMIT
    all_geometry: bool = False
    with_map: bool = True
    workers: int | None = None
    batch: int = screening.BATCH
    resume: bool = False


@dataclass(eq=False)
class Summary:
    """What a run did, gathered batch by batch; what the terminal, the map and the passport say of it."""

    zone: Zone
    options: Options
    read: int
    screened: int = 0
    rejected: pd.DataFrame = field(default_factory=screening.none_rejected)
    verdicts: Counter[str] = field(default_factory=Counter)
    at_most: Counter[str] = field(default_factory=Counter)
    failed: dict[str, LayerError] = field(default_factory=dict)
    remarks: list[Fault] = field(default_factory=list)
    notes: list[tuple[str, str, str, str]] = field(default_factory=list)
    lifted: int = 0
    worst: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(VERDICTS)))
    resumed: int = 0
    said: list[Fault] = field(default_factory=list)

    @property
    def pack(self) -> Pack:
        """The zone pack."""
        return self.zone.pack

    @property
    def large(self) -> bool:
        """Whether there are too many sites for a map."""
        return self.read > self.options.map_limit

    @property
    def with_map(self) -> bool:
        """Whether a map is drawn."""
        return self.options.with_map and not self.large

    @property
    def in_batches(self) -> bool:
        """Whether there are several batches and no map: then a run can be gone on with after a kill."""
        return self.read > self.options.batch and not self.with_map

    def add(self, tally: Tally) -> None:
        """Take in one batch."""
        self.screened += tally.screened
        rejected = pd.DataFrame(tally.rejected, columns=list(screening.REJECTED), dtype=object)
        self.rejected = _joined(self.rejected, rejected).iloc[:REMARKS_KEPT]
        self.verdicts.update(tally.verdicts)
        self.at_most.update(tally.at_most)
        self.lifted += tally.lifted
        self.failed.update({name: LayerError(map(fault_of, faults)) for name, faults in tally.failed.items()})
        new = [fault for fault in map(fault_of, tally.remarks) if fault not in self.remarks]
        self.remarks += new[: max(REMARKS_KEPT - len(self.remarks), 0)]
        self.notes += [tuple(note) for note in tally.notes]  # type: ignore[misc]
        self.worst = strictest(_joined(self.worst, pd.DataFrame(tally.worst, columns=list(VERDICTS))))

    def not_below(self, effect: str) -> int:
        """Count the sites that may be as strict as `effect` or stricter."""
        return sum(self.at_most[word] for word in EFFECTS[EFFECTS.index(effect) :])

    @property
    def layers_used(self) -> list[str]:
        """Layers of the rules in force."""
        return self.pack.layers_in_force(self.options.day)

    def notices(self) -> list[str]:
        """Give what every output must say, the failed layers first."""
        lang, pack, day = self.options.lang, self.pack, self.options.day
        out = [say("notice.failed", lang, layer=error.text(lang).replace("\n", "; ")) for error in self.failed.values()]
        if pack.zone.notice is not None:
            out.append(pack.zone.notice.in_(lang))
        out += notices.of_layers(pack, {name: self._statuses(name) for name in self.layers_used}, day, lang)
        unchecked = sum(rule.basis.in_force_checked is None for rule in pack.in_force(day))
        if unchecked:
            out.append(say("notice.force_unchecked", lang, count=unchecked))
        if self.lifted:
            out.append(say("notice.lifted", lang, count=self.lifted))
        if self.notes:
            out.append(say("notice.fallback", lang, count=len(self.notes)))
        if self.large and not self.options.all_geometry:
            out.append(say("notice.no_map", lang, limit=f"{self.options.map_limit:,}"))
        expires = report.expiry(day, pack.zone.validity_days)
        return [*out, say("notice.expires", lang, day=expires)] if expires else out

    def _statuses(self, name: str) -> set[str]:
        data = self.zone.layers_read().get(name)
        own = set() if data is None else {str(word) for word in data.status}
        return own | {self.pack.layers[name].status}

    def _layer_record(self, name: str) -> dict[str, object]:
        row = self.pack.layers[name]
        return {
            "path": row.path,
            "sha256": self.zone.hashes.get(name),
            "status": row.status,
            "date": row.source.date.isoformat(),
            "version": row.source.version,
            "failed": self.failed[name].text("en") if name in self.failed else None,
            "repairs": [fault.text("en") for fault in self.zone.repairs.get(name, [])],
        }

    def passport(self, files: SiteFiles) -> dict[str, object]:
        """Give what is needed to run it again and compare."""
        pack, zone, day = self.pack, self.pack.zone, self.options.day
        layers = {name: self._layer_record(name) for name in sorted({*self.layers_used, *self.zone.hashes})}
        return {
            "note": say("passport.note", self.options.lang),
            "run_at": report.now(),
            "day": day.isoformat(),
            "expires": report.expiry(day, zone.validity_days),
            "audience": AUDIENCE,
            "notices": self.notices(),
            "versions": report.versions(),
            "zone": {"id": zone.id, "title": {"zh": zone.title.zh, "en": zone.title.en}, "files": dict(pack.hashes)},
            "analysis_crs": self.zone.analysis.crs.to_wkt(),
            "tolerances": {
                "sliver_m2": zone.sliver_m2, "sliver_m": zone.sliver_m, "sliver_share": SLIVER_SHARE,
                "site_accuracy_m": zone.site_accuracy_m,
            },
            "layers": layers,
            "rules_in_force": [rule.id for rule in pack.in_force(day)],
            "sites": [
                {
                    "file": f.path.name, "sha256": f.sha256, "files": dict(f.hashes), "format": f.said.format,
                    "table": f.said.table, "encoding": f.said.encoding.name, "crs": f.crs.to_string(),
                    "rows": len(f),
                }
                for f in files.files
            ],
            "counts": {
                "read": self.read, "screened": self.screened, "rejected": self.read - self.screened,
                "verdicts": dict(sorted(self.verdicts.items())),
            },
            "options": {"lang": self.options.lang, "format": self.options.format},
            "remarks": [fault.text("en") for fault in self.remarks],
            "fallbacks": [list(note) for note in self.notes],
        }  # fmt: skip


def _joined(one: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    full = [frame for frame in (one, more) if len(frame)]
    return pd.concat(full, ignore_index=True) if full else one


def key_of(files: SiteFiles, summary: Summary) -> Key:
    """Give whatever the bytes of a result depend on, to know whether what an earlier run left is of this one."""
    zone, options = summary.zone, summary.options
    layers = {name: _layer_key(zone, name) for name in sorted({*summary.layers_used, *zone.hashes})}
    asked = {name: str(value) for name, value in vars(options).items() if name not in ("out", "resume", "workers")}
    return {
        "versions": {**report.versions(), "pyarrow": version("pyarrow"), "pandas": version("pandas")},
        "sites": [[file.path.name, dict(file.hashes), file.said.table, file.crs.to_string()] for file in files.files],
        "way": files.asked.key(),
        "zone": dict(zone.pack.hashes),
        "layers": layers,
        "options": asked,
    }


def _layer_key(zone: Zone, name: str) -> list[str | None]:
    try:
        read_whole(zone, name)
    except LayerError as error:
        return [zone.hashes.get(name), error.text("en")]
    return [zone.hashes.get(name), None]


def run(files: SiteFiles, zone: Zone, options: Options, progress: Progress) -> Summary:
    """
    Screen files of sites and write the results.

    Parameters
    ----------
    files
        The sites.
    zone
        The zone.
    options
        What is asked for.
    progress
        Told how far it is.

    Returns
    -------
    Summary
        Counts, failed layers and remarks; the tables are in the folder.

    Raises
    ------
    OutputError
        The folder cannot be written; then nothing of the run is left in it.
    """
    check_out(files, options)
    summary = Summary(zone, options, len(files), remarks=list(files.remarks))
    with report.Output(options.out, zone.analysis, options.format, keep=options.resume) as output:
        parts = list(_screened(files, summary, output, progress))
        page = None
        if summary.with_map:
            progress("drawing", summary.screened, summary.read)
            page = _page(parts, summary)
        progress("writing", summary.screened, summary.read)
        if page is not None:
            output.add_page(page)
        output.publish(summary.passport(files))
    return summary


def check_out(files: SiteFiles, options: Options) -> None:
    """Refuse to write over the sites themselves."""
    own = [file.path for file in files.files if file.path.resolve().parent == options.out.resolve()]
    overwritten = [path.name for path in own if path.name in (*report.PRODUCTS, PASSPORT)]
    if overwritten:
        raise OutputError([Fault("out_is_input", str(options.out), {"files": ", ".join(overwritten)})])


def _begun(files: SiteFiles, summary: Summary, output: report.Output) -> None:
    """Take in what an interrupted run of the same inputs finished."""
    if summary.in_batches:
        read_layers(summary.zone, summary.layers_used)
    counted, said = output.resume(key_of(files, summary) if summary.in_batches else None)
    summary.said += [] if said is None else [said]
    for row in counted:
        summary.add(Tally(**row))
    summary.resumed = len(counted)


def _screened(files: SiteFiles, summary: Summary, output: report.Output, progress: Progress) -> Iterator[Screening]:
    """Screen batch by batch, the next being read and the last put into tables and written; give what a map needs."""
    zone, options = summary.zone, summary.options
    only = summary.large and not options.all_geometry
    _begun(files, summary, output)
    batches = iter(files.batches(options.batch, range(summary.resumed)))

    def read() -> Sites | None:
        sites = next(batches, None)
        if sites is None:
            if summary.in_batches:  # layers are read; done while the last batches are measured and written
                suspected.extend(offset_warnings(files, zone, zone.layers_read(), options.lang))
            return None
        return place(sites, zone.analysis, zone.pack.site_columns)

    def finish(measured: list[screening.Measured], placed: Sites) -> tuple[Screening | None, Tally]:
        part = measured.pop().tabled()
        tally = Tally.of(part, placed.remarks, large=summary.large)
        counted = tally.plain() if summary.in_batches else None
        output.add(part, zone.layers_read(), only_not_clear=only, degrees=placed.degrees, counted=counted)
        return part if summary.with_map else None, tally  # what no map needs is let go

    def finished() -> Iterator[Screening]:
        for last in behind:
            part, tally = last.result()
            summary.add(tally)
            yield from [] if part is None else [part]
        behind.clear()

    suspected: list[Fault] = []
    behind: list[Future[tuple[Screening | None, Tally]]] = []
    done, first = summary.screened, True
    with _settled(), ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead = reader.submit(read)
        while (placed := ahead.result()) is not None:
            ahead = reader.submit(read)
            progress("screening", done, summary.read)
            # In a list, from which the writer takes it: of three batches under way only one has all its columns.
            measured = [screening.measured(
                placed.frame, zone, on=options.day, lang=options.lang, workers=options.workers or _free(len(behind)),
                batch=options.batch, many=summary.read >= screening.MANY, rejected=placed.rejected,
            )]  # fmt: skip
            done += len(placed)
            yield from finished()
            behind.append(writer.submit(finish, measured, placed))
            gc.collect()  # frames are held in circles; what is free is not given back, the next batch needs it again
            if first:  # what the first batch loaded stays too
                gc.freeze()
                first = False
        yield from finished()
    if not summary.in_batches:
        suspected = offset_warnings(files, zone, zone.layers_read(), options.lang)
    summary.remarks += suspected


def _free(behind: int) -> int:
    """Count the processors that are free to measure: while batches are written, all but one."""
    return max(default_workers() - behind, 1)


@contextmanager
def _settled() -> Iterator[None]:
    """Switch off the collector of garbage, which would look through all geometries again and again (`gc.collect`)."""
    gc.freeze()  # what is loaded now stays
    try:
        with uncollected():
            yield
    finally:
        gc.unfreeze()


def _page(parts: list[Screening], summary: Summary) -> str:
    """Draw the map of a screening, for the audience `internal`."""
    from geojw.maps.publish import Told, screening_page  # noqa: PLC0415 - folium is loaded only where a map is drawn

    options, lang, pack = summary.options, summary.options.lang, summary.pack
    counts = {"read": summary.read, "screened": summary.screened, "rejected": summary.read - summary.screened}
    facts = {
        say("run.day", lang): options.day.isoformat(),
        say("run.counts_title", lang): say("run.counts", lang, **counts),
        **report.versions(),
    }
    title = say("run.title", lang, zone=pack.zone.title.in_(lang), day=options.day)
    told = Told(options.day, lang, title, summary.notices(), facts, summary.layers_used)
    return screening_page(summary.zone, parts, told).page
