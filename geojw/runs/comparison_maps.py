"""The page that shows what differs between two versions: added and removed, and whose verdict moved."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import pandas as pd

from geojw.maps.editions import NOBODY, Asked, Edition, described, placed_sites
from geojw.maps.mapdata import MapLayer
from geojw.maps.mapsites import FINDING
from geojw.maps.page import Drawn, Face, draw_screening
from geojw.maps.pagetables import PageRow, PageTable
from geojw.maps.publish import Told, extent, page_texts
from geojw.runs.changes import OUTSIDE
from geojw.runs.comparison import MEASURED, Comparison
from geojw.runs.target_tables import answer_of, changed_targets, hectares, place_of
from geojw.texts import say
from geojw.zone import Zone

PAINTS: Mapping[str, Mapping[str, object]] = {
    "added": {"colour": "#0063a8", "opacity": 0.35, "weight": 2.0, "dash": None, "hatch": True},
    "removed": {"colour": "#c04a00", "opacity": 0.35, "weight": 2.0, "dash": "7 4", "hatch": "cross"},
}
"""Apart in colour, in pattern and in outline; the two hues are told apart by the colour-blind."""

QUIET = 0.15
"""Layers behind what was added and removed are filled no stronger, and without a pattern."""

TOWNS: Mapping[str, object] = {"colour": "#5a5a5a", "opacity": 0.03, "weight": 1.0, "dash": "4 4", "hatch": False}
LEAST = 0.005
"""What is less than half the last digit that is shown is not told on the page; the tables have it."""

UNIT = {"areas": "mu", "lengths": "m", "counts": "count"}
"""In what changes are told on the map and in the page's tables."""


def comparison_page(new: Zone, found: Comparison, frames: Mapping[str, gpd.GeoDataFrame], told: Told) -> Drawn:
    """
    Draw the page of a comparison, for the audience ``internal``.

    Parameters
    ----------
    new
        The new version.
    found
        What differs.
    frames
        From `comparison_run.map_layers`.
    told
        What the run says of itself; the layers are those that changed, then those of the rules if sites were screened.

    Returns
    -------
    Drawn
        The page.

    Raises
    ------
    OutputError
        There is more than a page can hold.
    """
    work = _Page(new, found, frames, told)
    edition = Edition(new, Asked(day=told.day, lang=told.lang))
    published = edition.as_read([new.pack.zone.boundary, *told.layers])
    behind = edition.in_order([edition.drawn(layer, published) for layer in published])
    sites, findings = work.sites()
    face = Face(
        centre=new.pack.zone.centre, rules=edition.rules(published) if found.screened is not None else (),
        absent=work.absent(), tables=work.tables(), findings_file="findings.csv",
    )  # fmt: skip
    return draw_screening(
        sites, findings, work.layers(behind), title=told.title, notices=told.notices,
        facts={**told.facts, **edition.facts(published)}, lang=told.lang, texts=page_texts(told.lang),
        bounds=extent(new, sites), face=face,
    )  # fmt: skip


@dataclass(eq=False)
class _Page:
    """What a page of a comparison shows."""

    new: Zone
    found: Comparison
    frames: Mapping[str, gpd.GeoDataFrame]
    told: Told

    def __post_init__(self) -> None:
        self.lang = self.told.lang
        self.titles = dict(zip(self.found.layers["layer"], self.found.layers["title"], strict=True))
        self.changed = list(dict.fromkeys(self.found.shapes["layer"]))

    # -- layers -----------------------------------------------------------------------------------

    def layers(self, behind: Sequence[MapLayer]) -> list[MapLayer]:
        """Give what was added and removed of each layer with its new version and by town, then all else."""
        out = []
        for name in self.changed:
            group = say("page.change", self.lang, layer=self.titles[name])
            mine = [*self._shapes(name), *(_quiet(layer) for layer in behind if layer.id == name), *self._towns(name)]
            out += [replace(layer, group=group) for layer in mine]
        rest = [layer for layer in behind if layer.id not in self.changed]
        return [*out, *(replace(layer, shown=layer.zone) for layer in rest)]

    def _shapes(self, name: str) -> Iterator[MapLayer]:
        """Give what was added and what was removed, each part to be chosen by itself."""
        for key, frame in self.frames.items():
            change = key.split("_")[0]
            for _, row in frame[frame["layer"] == name].iterrows():
                parts = gpd.GeoSeries([row.geometry], crs=frame.crs).explode(ignore_index=True)
                title = say(f"page.{change}", self.lang, layer=self.titles[name])
                label = say("column.name", self.lang)
                cells = {label: [title] * len(parts), say("page.size_of_all", self.lang): self._size(row)}
                paint = {**PAINTS[change], "hatch": PAINTS[change]["hatch"] if key == change else False}
                shown = gpd.GeoDataFrame(cells, geometry=parts.values, index=[str(at + 1) for at in range(len(parts))])
                yield MapLayer(
                    **self._described(name) | {"id": f"{name}:{key}", "title": title, "paint": paint},
                    frame=shown, label=label, ids_shown=False,
                )  # fmt: skip

    def _size(self, row: pd.Series) -> str:
        """Say how much was added or removed in all."""
        if row.get("area_m2", float("nan")) >= 0.0:
            return say("page.m2_mu", self.lang, m2=f"{row['area_m2']:,.1f}", mu=f"{row['area_mu']:,.2f}")
        return self._told(row["length_m"], "m") if row.get("length_m", -1.0) >= 0.0 else f"{row['count']:.0f}"

    def _described(self, name: str) -> dict[str, Any]:
        pack = self.new.pack
        if name in pack.layers:
            return described(pack, name, self.lang) | {"zone": False, "shown": True}
        return {"id": name, "status": "official", "source": self.titles[name], "zone": False, "shown": True}

    def _towns(self, name: str) -> Iterator[MapLayer]:
        """Give towns and units with what each gained and lost."""
        table, unit = next(
            (rows, UNIT[key]) for key, rows in self._measured() if name in set(rows["layer"])
        )  # fmt: skip
        rows = table[(table["layer"] == name) & (table["division"] != "") & (table["feature_id"] != OUTSIDE)]
        for number, (division, mine) in enumerate(rows.groupby("division", sort=False)):
            data = self.new.layer(str(division)).index
            at = pd.Index(mine["feature_id"])
            drawn = self.new.analysis.to_geographic(data.geometries[data.features.index.astype(str).get_indexer(at)])
            place = say("column.place", self.lang)
            cells = {place: [self._label(row, unit) for row in mine.to_dict("records")]}
            cells |= {
                say(f"page.{key}_{unit}", self.lang): [self._told(value, unit) for value in mine[f"{key}_{unit}"]]
                for key in ("added", "removed", "change")
            }
            shown = self.changed[0] == name and number == 0
            base = self._described(name) | described(self.new.pack, str(division), self.lang)
            title = say("page.change_by", self.lang, title=self.titles[str(division)])
            yield MapLayer(
                **base | {"id": f"{name}:{division}", "title": title, "paint": TOWNS, "shown": shown, "zone": False},
                frame=gpd.GeoDataFrame(cells, geometry=drawn, index=at, crs="EPSG:4490"), label=place, labelled=True,
            )  # fmt: skip

    def _measured(self) -> Iterator[tuple[str, pd.DataFrame]]:
        for key in MEASURED.values():
            yield key, getattr(self.found, key)

    def _label(self, row: Mapping[Hashable, Any], unit: str) -> str:
        """Write a town's name, with what was added and removed there if anything was."""
        name = str(row["name"] or row["feature_id"])
        parts = [
            f"{sign}{self._told(row[f'{key}_{unit}'], unit)}"
            for key, sign in (("added", "+"), ("removed", "−"))
            if float(str(row[f"{key}_{unit}"])) >= LEAST
        ]
        return " ".join([name, *parts])

    def _told(self, value: object, unit: str) -> str:
        """Write a figure with its unit."""
        return f"{_figure(value, unit)} {say(f'page.unit.{unit}', self.lang)}".strip()

    def absent(self) -> list[tuple[str, str, str]]:
        """Give the layers that are not on the page: id, title and why."""
        changed = self.found.layers[~self.found.layers["change"].isin(["same", "failed"])]["layer"]
        rows = self.new.pack.layers
        rasters = [name for name in changed if name in rows and rows[name].kind == "raster"]
        failed = [(name, self.titles.get(name, name), "failed") for name in self.found.failed]
        return [*failed, *((name, self.titles[name], "raster") for name in rasters)]

    # -- sites ------------------------------------------------------------------------------------

    def sites(self) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
        """Give the sites whose answer changes, with their new verdicts and findings."""
        after, verdicts = self.found.after, self.found.verdicts.set_index("site_id")
        if after is None or not len(verdicts):
            return NOBODY, pd.DataFrame(columns=["site_id", *FINDING])
        shapes = after.sites.loc[verdicts.index, ["geometry"]]
        sites = placed_sites(shapes, after.verdicts, self.new)
        before = [answer_of(row, "old", self.lang) for row in verdicts.to_dict("records")]
        sites = sites.assign(before=before, changed_by=verdicts["rules"].to_numpy())
        return sites, after.findings[after.findings["site_id"].isin(verdicts.index)]

    # -- tables -----------------------------------------------------------------------------------

    def tables(self) -> list[PageTable]:
        """Give what changed in words: sites, areas, lines, points, cover and targets."""
        out = [self._sites_table()] if self.found.screened is not None else []
        for key, rows in self._measured():
            if len(rows) or key == "areas":
                out.append(self._changes_table(key, rows))
        out += [self._covers_table()] if len(self.found.covers) else []
        return [*out, self._targets_table()]

    def _heads(self, *keys: str) -> list[str]:
        return [say(f"column.{key}", self.lang) for key in keys]

    def _sites_table(self) -> PageTable:
        verdicts = self.found.verdicts
        tally = {word: int((verdicts["change"] == word).sum()) for word in ("verdict", "range", "certainty")}
        counts = {"count": f"{self.found.screened:,}", "rejected": f"{len(self.found.rejected):,}"}
        rows = [
            PageRow(
                (f"{row['site_id']} {row['name'] or ''}".strip(), answer_of(row, "old", self.lang),
                 answer_of(row, "new", self.lang), row["rules"].replace(";", " ")),
                site=row["site_id"],
            )
            for row in verdicts.to_dict("records")
        ]  # fmt: skip
        notes = [say("compare.sites", self.lang, **counts, **tally), say("page.only_changed", self.lang)]
        return PageTable(say("page.sites", self.lang), self._heads("site", "before", "after", "rules"), rows, notes)

    def _changes_table(self, key: str, table: pd.DataFrame) -> PageTable:
        unit, rows = UNIT[key], []
        told = (table[[f"added_{unit}", f"removed_{unit}"]] >= LEAST).any(axis=1) | (table["division"] == "")
        for row in table[told & table["division"].isin(["", *self.new.pack.zone.divisions[:1]])].to_dict("records"):
            figures = [_figure(row[f"{name}_{unit}"], unit) if row[f"{name}_{unit}"] else "" for name in PAINTS]
            title = f"{self.titles[row['layer']]} · {place_of(row, self.titles, self.lang)}"
            rows.append(PageRow((title, *figures), *self._of_row(row)))
        notes = [say("page.choose_place" if rows else "compare.no_areas", self.lang)]
        heads = [say("page.layer_place", self.lang), *self._heads(*(f"{name}_{unit}" for name in PAINTS))]
        return PageTable(say(f"page.{key}", self.lang), heads, rows, notes)

    def _of_row(self, row: Mapping[Hashable, Any]) -> tuple[list[str], str | None]:
        """Give the layers that a row is about, its town's first, and the town."""
        name, division = str(row["layer"]), str(row["division"])
        shapes = [f"{name}:{key}" for key, frame in self.frames.items() if name in set(frame["layer"])]
        if not division:
            return shapes, None
        key = str(row["feature_id"])
        return [f"{name}:{division}", *shapes], None if key == OUTSIDE else key

    def _covers_table(self) -> PageTable:
        rows = []
        table = self.found.covers
        for row in table[table["division"].isin(["", *self.new.pack.zone.divisions[:1]])].to_dict("records"):
            title = " · ".join([self.titles[row["layer"]], row["class"], place_of(row, self.titles, self.lang)])
            rows.append(PageRow((title, *(hectares(row[f"{key}_m2"]) for key in ("old", "new", "change")))))
        heads = [say("page.layer_class_place", self.lang), *self._heads("before_ha", "after_ha", "difference_ha")]
        return PageTable(say("page.covers", self.lang), heads, rows, [say("page.covers_note", self.lang)])

    def _targets_table(self) -> PageTable:
        rows = [PageRow(cells) for cells in changed_targets(self.found.targets, self.lang)]
        notes = [] if rows else [say("compare.no_targets", self.lang)]
        heads = self._heads("target", "before", "after", "margin", "status")
        return PageTable(say("page.changed_targets", self.lang), heads, rows, notes)


def _figure(value: object, unit: str) -> str:
    return f"{value:,.0f}" if unit == "count" else f"{value:,.2f}"


def _quiet(layer: MapLayer) -> MapLayer:
    """Fill a layer weakly and without a pattern, so that what changed stands out."""
    strength = min(QUIET, float(str(layer.paint["opacity"])))
    return replace(layer, paint={**layer.paint, "hatch": False, "opacity": strength}, shown=True)
