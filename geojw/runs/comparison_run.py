"""A comparison, from two versions to a folder of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

import geopandas as gpd
import numpy as np
import pyogrio

from geojw.intake.sites import Sites
from geojw.runs import report
from geojw.runs.comparison import TABLES, Comparison, compare
from geojw.runs.folder import ResultFolder
from geojw.runs.tables import write_csv
from geojw.runs.target_run import AUDIENCE, WORLD, add_page, target_notices
from geojw.texts import say
from geojw.zone import Zone

SUFFIX = {"polygon": "", "line": "_lines", "point": "_points"}


class ComparisonFolder(ResultFolder):
    """The results of `geojw compare`."""

    result: ClassVar[str] = "comparison"
    products: ClassVar[tuple[str, ...]] = (
        "layers.csv", *(f"{name}.csv" for name in TABLES), "targets.csv", "verdicts.csv", "findings.csv",
        "rejected.csv", "changes.gpkg", "map.html",
    )  # fmt: skip


@dataclass(eq=False)
class ComparisonSummary:
    """
    What a run did.

    Parameters
    ----------
    old, new
        The versions.
    found
        What differs.
    lang
        ``zh`` or ``en``.
    no_map
        Why no map was drawn.
    """

    old: Zone
    new: Zone
    found: Comparison
    lang: str
    no_map: str | None = None

    @property
    def title(self) -> str:
        """Heading of the output."""
        zone = self.new.pack.zone.title.in_(self.lang)
        return say("compare.title", self.lang, zone=zone, day=self.found.day)

    def notices(self) -> list[str]:
        """Give what every output must say, of both versions."""
        failed = [error.text(self.lang).replace("\n", "; ") for error in self.found.failed.values()]
        out = [say("notice.failed_versions", self.lang, layer=text) for text in failed]
        for zone, evaluation in zip((self.old, self.new), self.found.evaluations, strict=True):
            out += target_notices(zone, evaluation, self.lang)
        return list(dict.fromkeys(out))

    def passport(self) -> dict[str, object]:
        """Give what is needed to run it again and compare."""
        return {
            "note": say("passport.note", self.lang), "run_at": report.now(), "day": self.found.day.isoformat(),
            "audience": AUDIENCE, "notices": self.notices(), "versions": report.versions(),
            "old": _version(self.old), "new": _version(self.new), "options": {"lang": self.lang},
            "analysis_crs": self.new.analysis.crs.to_wkt(),
            "counts": {
                "layers": report.counted(list(self.found.layers["change"])), "sites": self.found.screened,
                "rejected": len(self.found.rejected),
                "sites_changed": report.counted(list(self.found.verdicts["change"])),
            },
            "failed": {name: error.text("en") for name, error in self.found.failed.items()}, "no_map": self.no_map,
        }  # fmt: skip


def _version(zone: Zone) -> dict[str, object]:
    pack = zone.pack
    layers = {name: {"path": pack.layers[name].path, "sha256": digest} for name, digest in sorted(zone.hashes.items())}
    return {"id": pack.zone.id, "files": dict(pack.hashes), "layers": layers}


def run_comparison(
    old: Zone, new: Zone, *, day: date, out: Path, lang: str, sites: Sites | None = None, with_map: bool = True
) -> ComparisonSummary:
    """
    Compare two versions and write the results.

    Parameters
    ----------
    old, new
        From `comparison.versions_of`.
    day
        The day.
    out
        Folder of the results.
    lang
        ``zh`` or ``en``.
    sites
        Screened against both.
    with_map
        Draw ``map.html`` too.

    Returns
    -------
    ComparisonSummary
        The tables are in the folder.

    Raises
    ------
    OutputError
        The folder cannot be written; then nothing of the run is left in it.
    """
    with ComparisonFolder(out) as folder:
        found = compare(old, new, on=day, lang=lang, sites=sites)
        summary = ComparisonSummary(old, new, found, lang)
        tables = {"layers": found.layers, "targets": found.targets} | {name: getattr(found, name) for name in TABLES}
        if sites is not None:
            tables |= {"verdicts": found.verdicts, "findings": found.findings, "rejected": found.rejected}
        for name, frame in tables.items():
            write_csv(folder.work / f"{name}.csv", frame)
        frames = map_layers(new, found)
        for change, frame in frames.items():
            pyogrio.write_dataframe(frame, folder.work / "changes.gpkg", layer=change, driver="GPKG")
        if with_map:
            summary.no_map = add_page(folder.work, lambda: _page(summary, frames), lang)
        folder.publish(summary.passport())
    return summary


def _page(summary: ComparisonSummary, frames: Mapping[str, gpd.GeoDataFrame]) -> str:
    from geojw.maps.publish import Told  # noqa: PLC0415
    from geojw.runs.comparison_maps import comparison_page  # noqa: PLC0415 - folium is loaded only where a map is drawn

    new, found, lang = summary.new, summary.found, summary.lang
    layers = [name for name in dict.fromkeys(found.shapes["layer"]) if name in new.pack.layers]
    if found.screened is not None:
        layers += [rule.layer for rule in new.pack.in_force(found.day)]
    counts = found.layers["change"].value_counts().sort_index()
    text = ", ".join(f"{say(f'compare.change.{word}', lang)} {count}" for word, count in counts.items())
    told = Told(found.day, lang, summary.title, summary.notices(), {say("page.layers", lang): text}, layers)
    return comparison_page(new, found, frames, told).page


def map_layers(new: Zone, found: Comparison) -> dict[str, gpd.GeoDataFrame]:
    """
    Give what was added and removed, in EPSG:4490, a row a layer.

    Parameters
    ----------
    new
        The new version.
    found
        What differs.

    Returns
    -------
    dict
        ``added``, ``removed``: areas; ``added_lines``, ``added_points`` and so on. Without rows there is no such layer.
    """
    out = {}
    for (kind, change), rows in found.shapes.groupby(["kind", "change"]):
        shapes = new.analysis.to_geographic(np.asarray(rows.geometry.values, dtype=object))
        columns = rows.drop(columns=["kind", "geometry"]).dropna(axis="columns", how="all")
        out[f"{change}{SUFFIX[kind]}"] = gpd.GeoDataFrame(columns, geometry=shapes, crs=WORLD)
    return out
