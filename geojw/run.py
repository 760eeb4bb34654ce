"""Floor 7: a whole run, from files to a folder of results: what the command line does, without its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd

from geojw import notices, report, screening
from geojw.access_list import EFFECTS
from geojw.catalogue import Audience
from geojw.errors import Fault, LayerError, OutputError
from geojw.folder import PASSPORT
from geojw.inspection import offset_warnings
from geojw.intake import SiteFiles, Sites, place
from geojw.pack import Pack
from geojw.screening import Screening
from geojw.slivers import SLIVER_SHARE
from geojw.texts import say
from geojw.zone import Zone

AUDIENCE: Audience = "internal"
Progress = Callable[[str, int, int], None]
"""Told the phase, how much is done and of how much."""

MAP_LIMIT = 20_000
REMARKS_KEPT = 1_000


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
    """

    day: date
    out: Path
    lang: str = "zh"
    format: report.Format = "csv"
    map_limit: int = MAP_LIMIT
    all_geometry: bool = False
    with_map: bool = True
    workers: int | None = None
    batch: int = screening.BATCH


@dataclass(eq=False)
class Summary:
    """What a run did, gathered batch by batch; what the terminal, the map and the passport say of it."""

    zone: Zone
    options: Options
    read: int
    screened: int = 0
    rejected: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(screening.REJECTED)))
    verdicts: Counter[str] = field(default_factory=Counter)
    at_most: Counter[str] = field(default_factory=Counter)
    failed: dict[str, LayerError] = field(default_factory=dict)
    remarks: list[Fault] = field(default_factory=list)
    notes: list[tuple[str, str, str, str]] = field(default_factory=list)
    lifted: int = 0
    worst: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def pack(self) -> Pack:
        """The zone pack."""
        return self.zone.pack

    @property
    def large(self) -> bool:
        """Whether there are too many sites for a map."""
        return self.read > self.options.map_limit

    def add(self, part: Screening, remarks: tuple[Fault, ...]) -> None:
        """Take in one batch."""
        self.screened += len(part.verdicts)
        self.rejected = pd.concat([self.rejected, part.rejected], ignore_index=True).iloc[:REMARKS_KEPT]
        self.verdicts.update(part.verdicts["verdict"])
        self.at_most.update(part.verdicts["at_most"])
        self.lifted += int((part.coded_findings["outcome"] == "lifted").sum())
        self.failed.update(part.failed)
        new = [fault for fault in remarks if fault not in self.remarks]
        self.remarks += new[: max(REMARKS_KEPT - len(self.remarks), 0)]
        self.notes += part.notes
        shown = part.verdicts if not self.large else part.verdicts[part.verdicts["verdict"] != "clear"]
        rank = {word: i for i, word in enumerate(("prohibit", "undetermined", *EFFECTS[-2::-1]))}
        worst = pd.concat([self.worst, shown])
        self.worst = worst.sort_values(
            ["verdict", "site_id"], key=lambda c: c.map(rank) if c.name == "verdict" else c
        ).iloc[:50]

    def not_below(self, effect: str) -> int:
        """Count the sites that may be as strict as `effect` or stricter."""
        return sum(self.at_most[word] for word in EFFECTS[EFFECTS.index(effect) :])

    @property
    def layers_used(self) -> list[str]:
        """Layers of the rules in force."""
        return sorted({rule.layer for rule in self.pack.in_force(self.options.day)})

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
                    "rows": len(f.ids),
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
    own = [file.path for file in files.files if file.path.resolve().parent == options.out.resolve()]
    overwritten = [path.name for path in own if path.name in (*report.PRODUCTS, PASSPORT)]
    if overwritten:
        raise OutputError([Fault("out_is_input", str(options.out), {"files": ", ".join(overwritten)})])
    summary = Summary(zone, options, len(files), remarks=list(files.remarks))
    parts: list[Screening] = []
    with report.Output(options.out, zone.analysis, options.format) as output:
        for part, remarks in _screened(files, zone, options, summary, output, progress):
            summary.add(part, remarks)
            if options.with_map and not summary.large:
                parts.append(part)
        summary.remarks += offset_warnings(files, zone, zone.layers_read(), options.lang)
        page = None
        if options.with_map and not summary.large:
            progress("drawing", summary.screened, summary.read)
            page = _page(parts, summary)
        progress("writing", summary.screened, summary.read)
        if page is not None:
            output.add_page(page)
        output.publish(summary.passport(files))
    return summary


def _screened(
    files: SiteFiles, zone: Zone, options: Options, summary: Summary, output: report.Output, progress: Progress
) -> Iterator[tuple[Screening, tuple[Fault, ...]]]:
    """Screen batch by batch; the next is read and the last is written meanwhile."""
    batches = iter(files.batches(options.batch))
    only = summary.large and not options.all_geometry

    def read() -> Sites | None:
        sites = next(batches, None)
        return None if sites is None else place(sites, zone.analysis, zone.pack.site_columns)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead, behind = reader.submit(read), writer.submit(lambda: None)
        while (placed := ahead.result()) is not None:
            ahead = reader.submit(read)
            progress("screening", summary.screened, summary.read)
            part = screening.screen(
                placed.frame, zone, on=options.day, lang=options.lang, workers=options.workers,
                batch=options.batch, many=summary.read >= screening.MANY, rejected=placed.rejected,
            )  # fmt: skip
            behind.result()
            behind = writer.submit(output.add, part, zone.layers_read(), only_not_clear=only)
            yield part, placed.remarks
        behind.result()


def _page(parts: list[Screening], summary: Summary) -> str:
    """Draw the map of a screening, for the audience `internal`."""
    from geojw.publish import Told, screening_page  # noqa: PLC0415 - folium is loaded only where a map is drawn

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
