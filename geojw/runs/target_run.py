"""A run of targets, from a zone to a folder of results: what the command line does, without its words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio

from geojw.decide.targets import Evaluation, evaluate
from geojw.errors import FontError, OutputError
from geojw.figures import charts
from geojw.law import notices
from geojw.runs import report, tables
from geojw.runs.folder import ResultFolder
from geojw.texts import say
from geojw.zone import Zone

WORLD = "EPSG:4490"
AUDIENCE = "internal"
CHARTS = ("targets.svg", "targets.png")


class TargetFolder(ResultFolder):
    """The results of `geojw targets`."""

    result: ClassVar[str] = "targets"
    products: ClassVar[tuple[str, ...]] = (
        "targets.csv", "targets.json", "divisions.csv", "targets.gpkg", *CHARTS, "map.html",
    )  # fmt: skip


@dataclass(eq=False)
class TargetSummary:
    """
    What a run did; what the terminal, the chart and the passport say of it.

    Parameters
    ----------
    zone
        The zone.
    evaluation
        Where it stands.
    lang
        ``zh`` or ``en``.
    no_chart, no_map
        Why no chart, or no map, was drawn.
    """

    zone: Zone
    evaluation: Evaluation
    lang: str
    no_chart: str | None = None
    no_map: str | None = None

    @property
    def title(self) -> str:
        """Heading of every output."""
        zone = self.zone.pack.zone.title.in_(self.lang)
        return say("chart.title", self.lang, zone=zone, day=self.evaluation.day)

    def notices(self) -> list[str]:
        """Give what every output must say, the failed layers first."""
        return target_notices(self.zone, self.evaluation, self.lang)

    def passport(self) -> dict[str, object]:
        """Give what is needed to run it again and compare."""
        pack, found = self.zone.pack, self.evaluation
        return {
            "note": say("passport.note", self.lang), "run_at": report.now(), "day": found.day.isoformat(),
            "expires": report.expiry(found.day, pack.zone.validity_days), "audience": AUDIENCE,
            "notices": self.notices(), "versions": report.versions(),
            "zone": {"id": pack.zone.id, "title": {"zh": pack.zone.title.zh, "en": pack.zone.title.en},
                     "files": dict(pack.hashes)},
            "analysis_crs": self.zone.analysis.crs.to_wkt(), "tolerances": {"sliver_m2": pack.zone.sliver_m2},
            "layers": {name: self._layer(name) for name in sorted({*layers_asked(self.zone), *found.failed})},
            "counts": {"targets": len(found.targets), "status": report.counted(list(found.targets["status"]))},
            "options": {"lang": self.lang}, "no_chart": self.no_chart, "no_map": self.no_map,
        }  # fmt: skip

    def _layer(self, name: str) -> dict[str, object]:
        row, failed = self.zone.pack.layers[name], self.evaluation.failed
        return {
            "path": row.path, "sha256": self.zone.hashes.get(name), "status": row.status,
            "date": row.source.date.isoformat(), "version": row.source.version,
            "failed": failed[name].text("en") if name in failed else None,
            "repairs": [fault.text("en") for fault in self.zone.repairs.get(name, [])],
        }  # fmt: skip


def layers_asked(zone: Zone) -> list[str]:
    """Give the layers that a zone's targets and divisions need."""
    pack = zone.pack
    quantities = [target.quantity for target in pack.targets if target.quantity.layer is not None]
    places = {str(quantity.within) for quantity in quantities}
    return sorted({str(quantity.layer) for quantity in quantities} | places | {*pack.zone.divisions})


def target_notices(zone: Zone, found: Evaluation, lang: str) -> list[str]:
    """Give what every output about a zone's targets must say."""
    pack, read = zone.pack, zone.layers_read()
    failed = [error.text(lang).replace("\n", "; ") for error in found.failed.values()]
    out = [say("notice.failed_targets", lang, layer=text) for text in failed]
    if pack.zone.notice is not None:
        out.append(pack.zone.notice.in_(lang))
    own = {name: read[name].statuses if name in read else frozenset[str]() for name in layers_asked(zone)}
    out += notices.of_layers(pack, {name: {*own[name], pack.layers[name].status} for name in own}, found.day, lang)
    reported = {target.id for target in pack.targets if target.quantity.kind == "reported"}
    words = found.targets.set_index("id")["data"].str.split(";").explode()
    if (words[words.index.isin(reported)] == "synthetic").any():
        out.append(say("notice.synthetic_reports", lang))
    for word in ("estimate", "formula_unverified", "force_unchecked"):
        if (count := int((words == word).sum())) > 0:
            out.append(say(f"notice.targets_{word}", lang, count=count))
    expires = report.expiry(found.day, pack.zone.validity_days)
    return [*out, say("notice.expires", lang, day=expires)] if expires else out


def run_targets(zone: Zone, *, day: date, out: Path, lang: str, with_map: bool = True) -> TargetSummary:
    """
    Measure a zone's targets and write the results.

    Parameters
    ----------
    zone
        The zone.
    day
        The day.
    out
        Folder of the results.
    lang
        ``zh`` or ``en``.
    with_map
        Draw ``map.html`` too.

    Returns
    -------
    TargetSummary
        The tables are in the folder.

    Raises
    ------
    OutputError
        The folder cannot be written; then nothing of the run is left in it.
    """
    with TargetFolder(out) as folder:
        summary = TargetSummary(zone, evaluate(zone, on=day, lang=lang), lang)
        found = summary.evaluation
        tables.write_csv(folder.work / "targets.csv", found.targets)
        tables.write_csv(folder.work / "divisions.csv", found.divisions)
        (folder.work / "targets.json").write_text(_json(summary), "utf-8")
        frames = map_layers(zone, found)
        for name, frame in frames.items():
            pyogrio.write_dataframe(frame, folder.work / "targets.gpkg", layer=name, driver="GPKG")
        try:
            paths = [folder.work / name for name in CHARTS]
            charts.draw(found.targets, paths, title=summary.title, notices=summary.notices(), lang=lang)
        except FontError as error:
            summary.no_chart = say("chart.none", lang, why=error.text(lang))
        if with_map:
            summary.no_map = add_page(folder.work, lambda: _page(summary, frames), lang)
        folder.publish(summary.passport())
    return summary


def _page(summary: TargetSummary, frames: Mapping[str, gpd.GeoDataFrame]) -> str:
    from geojw.maps.publish import Told  # noqa: PLC0415
    from geojw.runs.target_maps import targets_page  # noqa: PLC0415 - folium is loaded only where a map is drawn

    found, lang = summary.evaluation, summary.lang
    counts = report.counted(list(found.targets["status"]))
    facts = {say("page.targets", lang): ", ".join(f"{say(f'target.status.{k}', lang)} {n}" for k, n in counts.items())}
    told = Told(found.day, lang, summary.title, summary.notices(), facts, layers_asked(summary.zone))
    return targets_page(summary.zone, found, frames, told).page


def add_page(work: Path, draw: Callable[[], str], lang: str) -> str | None:
    """
    Draw a page into a folder of results.

    Parameters
    ----------
    work
        The folder.
    draw
        Draws the page.
    lang
        ``zh`` or ``en``.

    Returns
    -------
    str or None
        Why there is none: tables are not lost because a map is too heavy.
    """
    try:
        page = draw()
    except OutputError as error:
        return say("page.none", lang, why=error.text(lang).replace("\n", "; "))
    (work / "map.html").write_text(page, "utf-8", newline="\n")
    return None


def _json(summary: TargetSummary) -> str:
    """Write the targets for programs: numbers are numbers, what is not known is null."""
    found = summary.evaluation
    rows = found.targets.astype(object).where(found.targets.notna(), None).to_dict("records")
    divisions = found.divisions.astype(object).where(found.divisions.notna(), None).to_dict("records")
    whole = {
        "zone": summary.zone.pack.zone.id, "title": summary.title, "day": found.day.isoformat(),
        "notices": summary.notices(), "targets": rows, "divisions": divisions,
    }  # fmt: skip
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def map_layers(zone: Zone, found: Evaluation) -> dict[str, gpd.GeoDataFrame]:
    """
    Give what a map can show of targets, in EPSG:4490.

    Parameters
    ----------
    zone
        The zone.
    found
        Where it stands.

    Returns
    -------
    dict
        ``counted``: the areas that count, a row a measured target, with its row of the table. ``divisions``: towns and
        control units, with a column for each measured target. A layer without rows is left out.
    """
    world = zone.analysis.to_geographic
    table = found.targets.set_index("id")
    shapes = world(np.asarray(found.counted.geometry.values, dtype=object))
    counted = gpd.GeoDataFrame(table.loc[found.counted.index], geometry=shapes, crs=WORLD).reset_index()
    keys = ["layer", "feature_id", "name"]
    rows = found.divisions.set_index([*keys, "target_id"])["value"].unstack().reset_index()  # noqa: PD010 - no sums
    rows.columns.name = None
    frame = gpd.GeoDataFrame(rows, geometry=_division_shapes(zone, rows), crs=WORLD)
    return {name: layer for name, layer in (("counted", counted), ("divisions", frame)) if len(layer)}


def _division_shapes(zone: Zone, rows: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    out = np.full(len(rows), None, dtype=object)
    for name, group in rows.groupby("layer"):
        index = zone.layer(str(name)).index
        out[group.index] = index.geometries[index.features.index.get_indexer(group["feature_id"])]
    return zone.analysis.to_geographic(out)
