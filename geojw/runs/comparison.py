"""Two versions of a zone or of one layer: what was added and removed, and what that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw.decide.screening import REJECTED, Screening
from geojw.decide.targets import Evaluation, evaluate
from geojw.errors import Fault, LayerError, PackError
from geojw.intake.sites import Sites
from geojw.law.access_list import text_of
from geojw.law.catalogue import Layer
from geojw.measure.index import Bools, Shapes
from geojw.runs.changes import AREAS, COUNTS, COVERS, LENGTHS, NOTHING, Change, Division, cover_rows
from geojw.zone import Zone, open_zone, screen

LAYERS = ("layer", "title", "change", "old_sha256", "new_sha256", "reason")
TARGETS = (
    "id", "title", "op", "threshold", "unit", "value_old", "value_new", "change", "margin_old", "margin_new",
    "status_old", "status_new", "certainty_old", "certainty_new",
)  # fmt: skip
VERDICTS = (
    "site_id", "name", "change", "verdict_old", "verdict_new", "rules", "at_least_old", "at_least_new", "at_most_old",
    "at_most_new", "certainty_old", "certainty_new",
)  # fmt: skip
FINDINGS = (
    "site_id", "rule_id", "layer", "outcome_old", "outcome_new", "effect_old", "effect_new", "measure", "value_old",
    "value_new", "says",
)  # fmt: skip
TABLES: Mapping[str, tuple[str, ...]] = {"areas": AREAS, "lengths": LENGTHS, "counts": COUNTS, "covers": COVERS}
MEASURED = {"polygon": "areas", "line": "lengths", "point": "counts"}
SIZES = {"area_m2": "m2", "area_mu": "mu", "length_m": "m", "count": "count"}
SHAPE_KEYS = ("layer", "kind", "change", *SIZES)


@dataclass(frozen=True, eq=False)
class Comparison:
    """
    What differs between two versions.

    Parameters
    ----------
    layers
        `LAYERS`: each layer ``same`` (the same bytes), ``same_areas`` or ``same_places`` (other bytes, the same areas,
        lines or points), ``changed``, ``added``, ``removed`` or ``failed``.
    areas, lengths, counts
        `changes.AREAS`, `changes.LENGTHS`, `changes.COUNTS`: every layer of which areas, lines or points were added or
        removed, whole (`division` empty) and by town and unit.
    covers
        `changes.COVERS`: what the classes of every raster that is not the same cover, before and after.
    shapes
        `SHAPE_KEYS`: what was added and what removed, in the analysis CRS.
    targets
        `TARGETS`: before and after, all of them.
    verdicts
        `VERDICTS`: the sites whose verdict, range or certainty changes, and the rules that changed it.
    findings
        `FINDINGS`: every finding of those sites that changes.
    rejected
        Rows of the sites that could not be screened, with the reason in words.
    failed
        Layer -> why one of its versions could not be used.
    evaluations
        Where the old and the new version stand.
    screened
        How many sites were screened twice; None without sites.
    day
        The day whose rules count.
    after
        What the new version says of all sites.
    """

    layers: pd.DataFrame
    areas: pd.DataFrame
    lengths: pd.DataFrame
    counts: pd.DataFrame
    covers: pd.DataFrame
    shapes: gpd.GeoDataFrame
    targets: pd.DataFrame
    verdicts: pd.DataFrame
    findings: pd.DataFrame
    rejected: pd.DataFrame
    failed: Mapping[str, LayerError]
    evaluations: tuple[Evaluation, Evaluation]
    screened: int | None
    day: date
    after: Screening | None = None


def versions_of(old: str, new: str, zone: str, layer: str | None) -> tuple[Zone, Zone]:
    """
    Open what is to be compared.

    Parameters
    ----------
    old, new
        Names or folders of zones; with `layer`, two files.
    zone
        The zone that the layer belongs to.
    layer
        Which layer the files are versions of.

    Returns
    -------
    old, new : Zone
        Both in the analysis CRS of the new one.

    Raises
    ------
    PackError
        A zone cannot be used, or is no zone, or there is no such layer.
    """
    if layer is None:
        files = [name for name in (old, new) if Path(name).is_file()]
        if files:
            raise PackError([Fault("compare_layer", Path(name).name) for name in files])
        before, after = open_zone(old), open_zone(new)
        centre = after.pack.zone.centre
        return Zone(replace(before.pack, zone=replace(before.pack.zone, centre=centre))), after
    pack = open_zone(zone).pack
    if layer not in pack.layers:
        raise PackError([Fault("unknown_layer", "--layer", {"layer": layer})])
    return _with_file(Path(old), zone, layer), _with_file(Path(new), zone, layer)


def _with_file(path: Path, zone: str, layer: str) -> Zone:
    """Give a zone with one layer read from another file."""
    pack = open_zone(zone).pack
    row = pack.layers[layer]
    own = replace(row, path=path.name, source=replace(row.source, sha256=None))
    return Zone(replace(pack, layers={**pack.layers, layer: own}), {layer: path})


def compare(old: Zone, new: Zone, *, on: date, lang: str, sites: Sites | None = None) -> Comparison:
    """
    Compare two versions.

    Parameters
    ----------
    old, new
        From `versions_of`: in one analysis CRS.
    on
        The day.
    lang
        ``zh`` or ``en``.
    sites
        Screened against both.

    Returns
    -------
    Comparison
        Tables sorted by layer, target, site.
    """
    work = _Comparing(old, new, lang)
    layers = pd.DataFrame([work.layer(name) for name in work.names], columns=list(LAYERS))
    before_after = evaluate(old, on=on, lang=lang), evaluate(new, on=on, lang=lang)
    targets = _targets(*(one.targets.set_index("id") for one in before_after))
    verdicts, findings, rejected = (pd.DataFrame(columns=list(names)) for names in (VERDICTS, FINDINGS, REJECTED))
    after: Screening | None = None
    if sites is not None:
        before, after = (screen(sites, zone, on=on, lang=lang) for zone in (old, new))
        findings = _findings(before, after)
        verdicts = _verdicts(before, after, findings)
        findings = findings[findings["site_id"].isin(verdicts["site_id"])].reset_index(drop=True)
        rejected = after.rejected
        work.failed = {**before.failed, **after.failed, **work.failed}
    count = None if sites is None else len(sites) - len(rejected)
    return Comparison(
        layers=layers, areas=work.table("areas"), lengths=work.table("lengths"), counts=work.table("counts"),
        covers=work.table("covers"), shapes=work.shapes(), targets=targets, verdicts=verdicts, findings=findings,
        rejected=rejected, failed=dict(sorted(work.failed.items())), evaluations=before_after, screened=count, day=on,
        after=after,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- layers


class _Comparing:
    """The comparing of layers: towns and control units are those of the new version."""

    def __init__(self, old: Zone, new: Zone, lang: str) -> None:
        self.old, self.new, self.lang = old, new, lang
        self.names = sorted({*old.pack.layers, *new.pack.layers})
        self.failed: dict[str, LayerError] = {}
        self.rows: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}
        self.drawn: list[dict[str, object]] = []
        self.divisions = self._divisions()

    def _divisions(self) -> dict[str, Division]:
        out = {}
        for name in self.new.pack.zone.divisions:
            try:
                data = self.new.layer(name)
            except LayerError as error:
                self.failed[name] = error
                continue
            label = self.new.pack.layers[name].label
            features = data.index.features
            titles = [text_of(v) for v in features[label]] if label in features.columns else [""] * len(features)
            out[name] = Division([*map(str, features.index)], titles, Shapes.of(data.index.geometries))
        return out

    def table(self, name: str) -> pd.DataFrame:
        """Give a table of what was measured."""
        return pd.DataFrame(self.rows[name], columns=list(TABLES[name]))

    def shapes(self) -> gpd.GeoDataFrame:
        """Give what was added and removed."""
        keys = {key: [row[key] for row in self.drawn] for key in SHAPE_KEYS}
        geometry = gpd.GeoSeries([row["geometry"] for row in self.drawn], crs=self.new.analysis.crs)
        return gpd.GeoDataFrame(keys, geometry=geometry)

    def layer(self, name: str) -> dict[str, object]:
        """Compare one layer and measure what changed."""
        rows = [zone.pack.layers.get(name) for zone in (self.old, self.new)]
        titled = next(row for row in reversed(rows) if row is not None)
        told: dict[str, object] = {"layer": name, "title": titled.title.in_(self.lang), "reason": ""}
        try:
            change, hashes = self._compared(name, rows, titled)
        except LayerError as error:
            self.failed[name] = error
            return {**told, "change": "failed", "reason": error.text(self.lang).replace("\n", "; ")}
        return {**told, "change": change, "old_sha256": hashes[0], "new_sha256": hashes[1]}

    def _compared(self, name: str, rows: Sequence[Layer | None], titled: Layer) -> tuple[str, list[str]]:
        alike = [row if row and (row.kind, row.geometry) == (titled.kind, titled.geometry) else None for row in rows]
        versions = list(zip((self.old, self.new), alike, strict=True))
        kind = titled.geometry or titled.kind
        if kind == "raster":
            old, new = (None if row is None else zone.raster(name).raster for zone, row in versions)
        else:
            unions = [NOTHING[kind] if row is None else self._union(zone, name) for zone, row in versions]
        hashes = [zone.hashes.get(name, "") for zone in (self.old, self.new)]
        if None in rows:
            change = "added" if rows[0] is None else "removed"
        elif hashes[0] == hashes[1]:
            return "same", hashes
        else:
            change = "changed"
        if kind == "raster":
            self.rows["covers"] += cover_rows(name, old, new, self._outline(), self.divisions)
        elif not self._measured(name, Change.between(kind, *unions)) and change == "changed":
            change = "same_areas" if kind == "polygon" else "same_places"
        return change, hashes

    @staticmethod
    def _union(zone: Zone, name: str) -> shapely.Geometry:
        """Read a layer; give the union of the features whose place is known."""
        data = zone.layer(name)
        return data.index.select(~data.adrift & ~data.unplaced).union

    def _outline(self) -> shapely.Geometry:
        return self._union(self.new, self.new.pack.zone.boundary)

    def _measured(self, name: str, change: Change) -> bool:
        """Measure what was added and removed, whole and by division; say whether there was anything."""
        if change.is_none:
            return False
        whole, *_ = rows = list(change.rows(name, self.divisions))
        self.rows[MEASURED[change.kind]] += rows
        for word, shape in (("added", change.added), ("removed", change.removed)):
            if not shapely.is_empty(shape):
                sizes = {key: whole.get(f"{word}_{unit}") for key, unit in SIZES.items()}
                self.drawn.append({"layer": name, "kind": change.kind, "change": word, **sizes, "geometry": shape})
        return True


# ---------------------------------------------------------------------------------------------- what it changes


def _targets(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Put the targets before and after side by side; one that only a version has is blank in the other."""
    rows = before.merge(after, on="id", how="outer", suffixes=("_old", "_new")).sort_index()
    out = pd.DataFrame(index=rows.index)
    for column in ("title", "op", "threshold", "unit"):
        out[column] = rows[f"{column}_new"].where(rows[f"{column}_new"].notna(), rows[f"{column}_old"])
    for column in ("value", "margin", "status", "certainty"):
        out[f"{column}_old"], out[f"{column}_new"] = rows[f"{column}_old"], rows[f"{column}_new"]
    for column in ("status_old", "status_new", "certainty_old", "certainty_new"):
        out[column] = out[column].fillna("")
    out["change"] = (out["value_new"] - out["value_old"]).round(10) + 0.0
    return out.rename_axis("id").reset_index()[list(TARGETS)]


def _pairs(before: pd.DataFrame, after: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return before.merge(after, on=keys, how="outer", suffixes=("_old", "_new")).sort_values(keys, ignore_index=True)


def _findings(before: Screening, after: Screening) -> pd.DataFrame:
    """Find what rules say otherwise; a rule that governs a site in one version only is blank in the other."""
    rows = _pairs(before.findings, after.findings, ["site_id", "rule_id"])
    for column in ("layer", "measure", "says"):
        rows[column] = rows[f"{column}_new"].where(rows[f"{column}_new"].notna(), rows[f"{column}_old"])
    for column in ("outcome", "effect", "certainty"):
        for side in ("old", "new"):
            rows[f"{column}_{side}"] = rows[f"{column}_{side}"].fillna("")
    same = np.ones(len(rows), dtype=bool)
    for column in ("outcome", "effect", "certainty"):
        same &= (rows[f"{column}_old"] == rows[f"{column}_new"]).to_numpy()
    return rows.loc[~same, [*FINDINGS]].reset_index(drop=True)


def _verdicts(before: Screening, after: Screening, findings: pd.DataFrame) -> pd.DataFrame:
    """Give the sites whose answer changes, and the rules that changed it."""
    rows = _pairs(before.verdicts, after.verdicts, ["site_id"])

    def differs(*columns: str) -> Bools:
        return np.asarray(np.any([rows[f"{c}_old"] != rows[f"{c}_new"] for c in columns], axis=0), dtype=bool)

    verdict, span, sure = differs("verdict"), differs("at_least", "at_most"), differs("certainty")
    rows["change"] = np.select([verdict, span, sure], ["verdict", "range", "certainty"], "")
    rows["name"] = rows["name_new"]
    changed = findings.groupby("site_id")["rule_id"].agg(list).to_dict()
    rows["rules"] = [
        _deciding(changed.get(site, []), old, new)
        for site, old, new in zip(rows["site_id"], rows["decided_by_old"], rows["decided_by_new"], strict=True)
    ]
    return rows.loc[rows["change"] != "", list(VERDICTS)].reset_index(drop=True)


def _deciding(changed: list[str], old: str, new: str) -> str:
    """Name the rules that say otherwise and carry the verdict before or after; without one, all that say otherwise."""
    carrying = {*old.split(";"), *new.split(";")}
    return ";".join(sorted({rule for rule in changed if rule in carrying} or set(changed)))
