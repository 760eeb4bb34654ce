"""Floor 13: a comparison, from two versions to a folder of results."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

import geopandas as gpd
import numpy as np
import pyogrio

from geojw import report
from geojw.comparison import Comparison, compare
from geojw.folder import ResultFolder
from geojw.intake import Sites
from geojw.tables import write_csv
from geojw.target_run import AUDIENCE, WORLD, target_notices
from geojw.texts import say
from geojw.zone import Zone


class ComparisonFolder(ResultFolder):
    """The results of `geojw compare`."""

    result: ClassVar[str] = "comparison"
    products: ClassVar[tuple[str, ...]] = (
        "layers.csv", "areas.csv", "targets.csv", "verdicts.csv", "findings.csv", "rejected.csv",
        "changes.gpkg",
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
    """

    old: Zone
    new: Zone
    found: Comparison
    lang: str

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
            "failed": {name: error.text("en") for name, error in self.found.failed.items()},
        }  # fmt: skip


def _version(zone: Zone) -> dict[str, object]:
    pack = zone.pack
    layers = {name: {"path": pack.layers[name].path, "sha256": digest} for name, digest in sorted(zone.hashes.items())}
    return {"id": pack.zone.id, "files": dict(pack.hashes), "layers": layers}


def run_comparison(
    old: Zone, new: Zone, *, day: date, out: Path, lang: str, sites: Sites | None = None
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
        tables = {"layers": found.layers, "areas": found.areas, "targets": found.targets}
        if sites is not None:
            tables |= {"verdicts": found.verdicts, "findings": found.findings, "rejected": found.rejected}
        for name, frame in tables.items():
            write_csv(folder.work / f"{name}.csv", frame)
        for change, frame in map_layers(new, found).items():
            pyogrio.write_dataframe(frame, folder.work / "changes.gpkg", layer=change, driver="GPKG")
        folder.publish(summary.passport())
    return summary


def map_layers(new: Zone, found: Comparison) -> dict[str, gpd.GeoDataFrame]:
    """Give what was ``added`` and ``removed``, in EPSG:4490, a row a layer; without rows there is no such layer."""
    out = {}
    for change in ("added", "removed"):
        rows = found.shapes[found.shapes["change"] == change]
        shapes = new.analysis.to_geographic(np.asarray(rows.geometry.values, dtype=object))
        if len(rows):
            out[change] = gpd.GeoDataFrame(rows.drop(columns="geometry"), geometry=shapes, crs=WORLD)
    return out
