"""The pages that show where a zone stands against its plan: what counts, and its share by town and unit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from geojw.decide.targets import Evaluation
from geojw.figures.charts import OPS, figure_text
from geojw.law.catalogue import Target
from geojw.law.quantity_rows import AREA_UNITS, SHARE_UNITS
from geojw.maps.editions import NOBODY, Asked, Edition, described
from geojw.maps.mapdata import MapLayer
from geojw.maps.mapsites import FINDING
from geojw.maps.page import Drawn, Face, draw_screening
from geojw.maps.pagetables import PageRow, PageTable
from geojw.maps.publish import Told, extent, page_texts
from geojw.measure.geodesy import Floats
from geojw.runs.target_tables import signed, silent, words_of
from geojw.texts import say, texts_of
from geojw.zone import Zone

SHADE_COLOUR = "#3d4a5c"
"""Of shares by town: a grey, on which the colours of layers stand out."""
SHADE_LEAST, SHADE_MOST = 0.05, 0.5
SHADES_ABOUT = 4
UNSHADED = 0.0
"""How strongly a town without a figure is filled."""

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Class limits are whole multiples of these, or of powers of ten of them."""

SHOWN_FIRST = ("met", "not_met", "informative", "unknown")
"""The first target of the first of these is shown when the page opens."""


def targets_page(zone: Zone, found: Evaluation, frames: Mapping[str, gpd.GeoDataFrame], told: Told) -> Drawn:
    """
    Draw the page of a zone's targets, for the audience ``internal``.

    Parameters
    ----------
    zone
        The zone, its layers read.
    found
        Where it stands.
    frames
        From `target_run.map_layers`.
    told
        What the run says of itself, and the layers that the targets ask for.

    Returns
    -------
    Drawn
        The page.

    Raises
    ------
    OutputError
        What counts has more vertices than a page can hold.
    """
    work = _Page(zone, found, frames, told)
    edition = Edition(zone, Asked(day=told.day, lang=told.lang))
    published = edition.as_read([zone.pack.zone.boundary])
    outline = [edition.drawn(layer, published) for layer in published]
    layers = work.layers()
    face = Face(centre=zone.pack.zone.centre, absent=work.absent(), tables=[work.table(layers)])
    return draw_screening(
        NOBODY, pd.DataFrame(columns=["site_id", *FINDING]), [*outline, *layers], title=told.title,
        notices=told.notices, facts={**told.facts, **edition.facts(published)}, lang=told.lang,
        texts=page_texts(told.lang), bounds=extent(zone, NOBODY), face=face,
    )  # fmt: skip


class _Page:
    """What a page of targets shows."""

    def __init__(self, zone: Zone, found: Evaluation, frames: Mapping[str, gpd.GeoDataFrame], told: Told) -> None:
        self.zone, self.found, self.frames, self.told = zone, found, frames, told
        self.lang = told.lang
        self.rows = {str(row["id"]): row for row in found.targets.to_dict("records")}
        self.valued = [name for name, row in self.rows.items() if not np.isnan(row["value"])]
        self.targets = {target.id: target for target in zone.pack.targets}
        self.units = texts_of("target.unit", told.lang)

    def layers(self) -> list[MapLayer]:
        """Give for each measured target what counts, and its share by each division, under the target's title."""
        order = sorted(self.valued, key=lambda name: SHOWN_FIRST.index(self.rows[name]["status"]))
        out = []
        for name in order:
            mine = [*self._counted(name), *self._divisions(name)]
            out += [replace(layer, shown=name == order[0] and at < 2) for at, layer in enumerate(mine)]  # noqa: PLR2004
        return out

    def _counted(self, name: str) -> Iterator[MapLayer]:
        """Give the area that counts for a target: hatched, so that shares are seen through it."""
        counted = self.frames.get("counted")
        if counted is None or name not in set(counted["id"]):
            return
        shape = counted.set_index("id").geometry.loc[[name]]
        row, lang = self.rows[name], self.lang
        columns = {
            say("column.value", lang): self.figure(name, row["value"]), say("column.goal", lang): self.goal(row),
            say("column.margin", lang): signed(row["margin"]), say("column.status", lang): words_of(row, lang),
            say("column.as_of", lang): row["as_of"], say("column.by", lang): row["by"],
            say("page.basis", lang): row["basis"],
        }  # fmt: skip
        title = say("column.target", lang)
        frame = gpd.GeoDataFrame({title: row["title"], **columns}, geometry=shape.values, index=[name], crs=shape.crs)
        base = self._base(name)
        paint = base["paint"] | {"hatch": True, "weight": max(1.0, base["paint"]["weight"])}
        yield MapLayer(
            **base | {"id": name, "title": say("page.counted", lang, layer=base["title"]), "paint": paint},
            frame=frame, label=title, ids_shown=False,
        )  # fmt: skip

    def _divisions(self, name: str) -> Iterator[MapLayer]:
        """Give towns and units shaded by a target's share."""
        rows = self.found.divisions[self.found.divisions["target_id"] == name]
        for division, mine in rows.groupby("layer", sort=False):
            yield self._shaded(name, str(division), mine)

    def _shaded(self, name: str, division: str, rows: pd.DataFrame) -> MapLayer:
        target, lang = self.targets[name], self.lang
        row = self.zone.pack.layers[division]
        figures, unit = shown_figures(target, rows)
        limits = class_limits(figures)
        shade = [class_of(value, limits) for value in figures]
        texts = [f"{low:g}–{high:g} {unit}".strip() for low, high in pairwise(limits)]
        fills = np.linspace(SHADE_LEAST, SHADE_MOST, max(1, len(texts)))
        shades = [*zip(texts, map(float, fills), strict=False)]
        if np.isnan(figures).any():
            shades.append((say("page.no_figure", lang), UNSHADED))
        key = say("page.by", lang, title=row.title.in_(lang), figure=self._what(target))
        base = self._base(name)
        paint = {"colour": SHADE_COLOUR, "opacity": SHADE_LEAST, "weight": 1.0, "dash": None, "hatch": False}
        frame = self._division_frame(name, division, rows, figures, unit)
        return MapLayer(
            **base | {"id": f"{name}:{division}", "title": key, "paint": paint, "note": say("page.whole_zone", lang)},
            frame=frame, label=say("column.place", lang), shades=shades, labelled=True,
            shade=dict(zip(frame.index, [len(shades) - 1 if at is None else at for at in shade], strict=True)),
        )  # fmt: skip

    def _division_frame(
        self, name: str, division: str, rows: pd.DataFrame, figures: Floats, unit: str
    ) -> gpd.GeoDataFrame:
        lang = self.lang
        shapes = self.frames["divisions"].set_index(["layer", "feature_id"]).geometry.loc[division]
        named = rows["name"].where(rows["name"] != "", rows["feature_id"])
        shares = ["—" if np.isnan(value) else f"{value:,.1f} {unit}".strip() for value in figures]
        columns = {
            say("column.place", lang): [f"{title} {share}" for title, share in zip(named, shares, strict=True)],
            say("column.value", lang): [self.figure(name, value) for value in rows["value"]],
            say("page.area", lang): [area_text(value, lang) for value in rows["area_m2"]],
            say("page.size", lang): [area_text(value, lang) for value in rows["division_area_m2"]],
            say("page.data_share", lang): ["" if value != value else f"{value:.1%}" for value in rows["data_share"]],  # noqa: PLR0124 - NaN
        }
        at = pd.Index(rows["feature_id"])
        return gpd.GeoDataFrame(columns, geometry=shapes.loc[at].values, index=at, crs=shapes.crs)

    def _what(self, target: Target) -> str:
        return say("page.share_of_place" if target.unit in AREA_UNITS else "page.figure_of_place", self.lang)

    def _base(self, name: str) -> dict[str, Any]:
        """Give what a map says of the layer that a target is measured on, under the target's title."""
        layer = str(self.targets[name].quantity.layer)
        base = described(self.zone.pack, layer, self.lang)
        words = self.rows[name]["data"].split(";")
        status = "synthetic" if "synthetic" in words else base["status"]
        return base | {"group": self.rows[name]["title"], "zone": False, "status": status}

    def figure(self, name: str, value: float) -> str:
        """Write a value with its unit."""
        unit = self.rows[name]["unit"]
        return "" if np.isnan(value) else f"{figure_text(value)} {self.units.get(unit, unit)}".strip()

    @staticmethod
    def goal(row: Mapping[Hashable, Any]) -> str:
        """Write a threshold."""
        return f"{OPS[row['op']]} {row['threshold']:g}"

    def table(self, layers: Sequence[MapLayer]) -> PageTable:
        """Give the targets in words, those with a value first; the others by their reason."""
        lang, rows = self.lang, []
        for name in self.valued:
            row = self.rows[name]
            mine = [layer.id for layer in layers if layer.id == name or layer.id.startswith(f"{name}:")]
            by = say("page.by_year", lang, year=row["by"]) if row["by"] else ""
            value = self.figure(name, row["value"])
            cells = (row["title"], value, f"{self.goal(row)}{by}", words_of(row, lang))
            rows.append(PageRow(cells, mine[:2]))
        columns = [say(f"column.{key}", lang) for key in ("target", "value", "goal", "status")]
        notes = [say(f"page.{key}", lang) for key in ("choose_target", "whole_zone") if rows]
        notes += silent(self.found.targets, lang)
        return PageTable(say("page.targets", lang), columns, rows, notes)

    def absent(self) -> list[tuple[str, str, str]]:
        """Give the layers of targets that are not on the page: id, title and why."""
        layers = self.zone.pack.layers
        failed = [(name, layers[name].title.in_(self.lang), "failed") for name in self.found.failed]
        names = [name for name in self.told.layers if layers[name].kind == "raster" and name not in self.found.failed]
        return [*failed, *((name, layers[name].title.in_(self.lang), "raster") for name in names)]


def shown_figures(target: Target, rows: pd.DataFrame) -> tuple[Floats, str]:
    """
    Give what towns are shaded by: areas as shares of the town, so that a large town is not dark for its size.

    Returns
    -------
    figures : ndarray
        In the order of `rows`.
    unit : str
        As it is written.
    """
    if target.unit in AREA_UNITS:
        return 100.0 * rows["area_m2"].to_numpy(dtype=float) / rows["division_area_m2"].to_numpy(dtype=float), "%"
    if target.unit in SHARE_UNITS:
        return 100.0 * SHARE_UNITS[target.unit] * rows["value"].to_numpy(dtype=float), "%"
    return rows["value"].to_numpy(dtype=float), ""


def class_limits(values: Sequence[float] | Floats) -> list[float]:
    """
    Choose the limits of about four classes of one width that hold all values.

    Examples
    --------
    >>> class_limits([23.5, 54.0, float("nan")])
    [20.0, 30.0, 40.0, 50.0, 60.0]
    >>> class_limits([0.0, 0.0]), class_limits([])
    ([0.0, 1.0], [])
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if not known.size:
        return []
    low, high = float(known.min()), float(known.max())
    if low == high:
        return [float(np.floor(low)), float(np.floor(low)) + 1.0]
    rough = (high - low) / SHADES_ABOUT
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in STEPS if power * factor >= rough * (1.0 - 1e-9))
    first, last = np.floor(low / step), max(np.ceil(high / step), np.floor(low / step) + 1.0)
    return [round(float(step * number), 9) for number in np.arange(first, last + 1.0)]


def class_of(value: float, limits: Sequence[float]) -> int | None:
    """Give the class of a value: a limit belongs to the class above it, the last one to the class below."""
    if np.isnan(value):
        return None
    return min(bisect_right(limits, value) - 1, len(limits) - 2)


def area_text(m2: float, lang: str) -> str:
    """Write an area in hectares and 亩."""
    if np.isnan(m2):
        return ""
    return say("page.ha_mu", lang, ha=f"{m2 / AREA_UNITS['ha']:,.2f}", mu=f"{m2 / AREA_UNITS['mu']:,.1f}")
