"""What each audience may see of a zone: layers, attributes, rules, verdicts, and how fine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw.decide import screening
from geojw.decide.batch import LayerData
from geojw.errors import Fault, LayerError, OutputError
from geojw.intake.site_files import SiteFiles
from geojw.intake.sites import place
from geojw.law.access_list import FALSE, TRUE, Rule, match_features
from geojw.law.catalogue import UNLIMITED, Audience, Layer
from geojw.law.effects import EFFECTS
from geojw.law.pack import Pack
from geojw.maps.disclosure import disclosed
from geojw.maps.generalise import Generalised, Grade, generalise
from geojw.maps.mapdata import Coverage, MapLayer, MapRule
from geojw.maps.mapsites import FINDING, SITE
from geojw.measure.geodesy import Geometries
from geojw.texts import say
from geojw.zone import Zone

AUDIENCES: tuple[Audience, ...] = ("public", "department", "internal")
"""Each may see what those before it may see."""

GRADES: Mapping[Audience, Grade] = {"public": Grade(4, 10.0), "department": Grade(5, 4.0), "internal": Grade(6)}
"""How fine each audience may see: a grid of 0.0001° is about 10 m, of 0.00001° about 1 m."""

STEPS_M: Mapping[Audience, float] = {"public": 10.0, "department": 1.0, "internal": 0.0}
"""Distances of sites are rounded to this: finer ones would tell places finer than the map does."""

WIDE_M = 1_000.0
WORLD = "EPSG:4490"
NOBODY = gpd.GeoDataFrame({name: [] for name in SITE}, geometry=[], crs=WORLD)


@dataclass(frozen=True)
class Asked:
    """
    What a map is asked for.

    Parameters
    ----------
    day
        The day whose rules count.
    audience
        Who will see it.
    lang
        ``zh`` or ``en``.
    review
        审图号, the number of the map review.
    draft
        Without a number, print 未经审图 across the map.
    split
        Scripts and styles in files of a folder ``assets``.
    gaode
        Offer 高德 tiles.
    tianditu
        Key of 天地图; the page carries it.
    findings_file
        Name of the table of findings beside the page.
    """

    day: date
    audience: Audience = "internal"
    lang: str = "zh"
    review: str | None = None
    draft: bool = False
    split: bool = False
    gaode: bool = False
    tianditu: str | None = None
    findings_file: str | None = None

    def check(self) -> None:
        """Refuse a public map without a review number that is no draft either."""
        if self.audience == "public" and not self.review and not self.draft:
            raise OutputError([Fault("map_unreviewed", "geojw map")])


@dataclass(frozen=True, eq=False)
class Published:
    """
    A layer as an audience may see it.

    Parameters
    ----------
    id, row
        The layer and its row of the catalogue.
    frame
        EPSG:4490, index = feature id; the allowed columns only.
    precision_m
        See `Generalised`.
    data
        What it was made from.
    """

    id: str
    row: Layer
    frame: gpd.GeoDataFrame
    precision_m: float | None
    data: LayerData


@dataclass(eq=False)
class Edition:
    """
    A zone as one audience may see it.

    Parameters
    ----------
    zone
        The zone.
    asked
        Audience, day and language.
    """

    zone: Zone
    asked: Asked
    failed: dict[str, LayerError] = field(default_factory=dict)

    @property
    def pack(self) -> Pack:
        """The zone pack."""
        return self.zone.pack

    def may_see(self, name: str) -> bool:
        """Whether the layer is published to this audience."""
        return AUDIENCES.index(self.pack.layers[name].audience) <= AUDIENCES.index(self.asked.audience)

    def layers(self) -> list[Published]:
        """Give every layer of the catalogue that this audience may see; what cannot be read is in `failed`."""
        grade = GRADES[self.asked.audience]
        names = filter(self.may_see, self.pack.layers)
        return self._published(names, lambda shapes: generalise(shapes, self.zone.analysis, grade))

    def as_read(self, names: Iterable[str]) -> list[Published]:
        """Give layers ungeneralised, without the measuring that takes time; what failed is in `failed`."""
        return self._published(names, lambda shapes: Generalised(self.zone.analysis.to_geographic(shapes), None))

    def _published(self, names: Iterable[str], make: Callable[[Geometries], Generalised]) -> list[Published]:
        out = []
        for name in dict.fromkeys(names):
            row = self.pack.layers[name]
            if row.kind != "vector":
                continue
            try:
                data = self.zone.layer(name)
            except LayerError as error:
                self.failed[name] = error
                continue
            made = make(data.index.geometries)
            out.append(Published(name, row, self._frame(row, data, made), made.precision_m, data))
        return out

    def _frame(self, row: Layer, data: LayerData, made: Generalised) -> gpd.GeoDataFrame:
        """Give the allowed columns; ids that may not be seen are numbers instead."""
        features = data.index.features
        columns = allowed_columns(row, self.asked.audience, features)
        shapes = gpd.GeoSeries(made.shapes, features.index, crs=WORLD)
        frame = gpd.GeoDataFrame(features[columns], geometry=shapes)
        numbers = pd.Index([str(number) for number in range(1, len(frame) + 1)])
        return frame if row.id in columns or self.asked.audience == "internal" else frame.set_axis(numbers)

    def drawn(self, layer: Published, published: Sequence[Published]) -> MapLayer:
        """Give a layer as the page draws it."""
        pack, lang, row = self.pack, self.asked.lang, layer.row
        ids = layer.frame.index
        rings = rings_of(
            [rule for rule in pack.in_force(self.asked.day) if rule.layer == layer.id and self._may_filter(rule)],
            row,
            layer.data,
        )
        only = {limit: ids[layer.data.index.features.index.isin(keys)] for limit, keys in rings["ring_only"].items()}
        return MapLayer(
            **described(pack, layer.id, lang), frame=layer.frame, ring_m=rings["ring_m"], ring_only=only,
            label=row.label if row.label in layer.frame.columns else None,
            ids_shown=row.id in layer.frame.columns or self.asked.audience == "internal",
            release=self._release(row), names_en=row.names_en if lang == "en" else {},
            precision_m=layer.precision_m, accuracy_m=row.accuracy_m, adrift=ids[layer.data.adrift],
            coverage=self._coverage(layer, {each.id for each in published}),
        )  # fmt: skip

    def _release(self, row: Layer) -> str | None:
        """Say who let this audience see the layer: the latest release to it, or to a wider one, up to the day."""
        lang, asked = self.asked.lang, self.asked
        wide = AUDIENCES[: AUDIENCES.index(asked.audience) + 1]
        found = [each for each in row.release if each.audience in wide and each.date <= asked.day]
        if not found:
            return None if asked.audience == "internal" else say("map.release_none", lang)
        last = max(found, key=lambda each: each.date)
        parts = {"document": last.document, "review": last.review}
        more = "".join(say(f"map.release_{name}", lang, value=value) for name, value in parts.items() if value)
        to = say(f"map.release_to.{last.audience}", lang)
        return say("map.release", lang, date=last.date.isoformat(), approver=last.approver, to=to, more=more)

    def _coverage(self, layer: Published, seen: set[str]) -> Coverage:
        """Find where the page may say that a layer has nothing: within shapes that its reader may see."""
        name, data, boundary = layer.row.coverage, layer.data, self.pack.zone.boundary
        if data.unplaced.any() or len(data.coverage.holes):
            return Coverage(known=False)
        if name == UNLIMITED:
            return Coverage()
        if name in seen:
            return Coverage(name)
        beyond_m = self._reach_beyond_m(name) if boundary in seen else None
        return Coverage(known=False) if beyond_m is None else Coverage(boundary, beyond_m)

    def _reach_beyond_m(self, cover: str) -> float | None:
        """Tell of a coverage that is not published only how many whole kilometres it reaches beyond the outline."""
        try:
            wide = self.zone.layer(cover).index.everything.union
            outline = self.zone.layer(self.pack.zone.boundary).index.everything.union
        except LayerError:
            return None
        if not shapely.covers(wide, outline):
            return None
        return float(np.floor(shapely.distance(outline, shapely.boundary(wide)) / WIDE_M) * WIDE_M)

    def in_order(self, drawn: list[MapLayer]) -> list[MapLayer]:
        """Give layers in the order of the legend: the zone's group, then groups by the strictest of their rules."""
        strictest: dict[str | None, int] = {}
        for layer in drawn:
            ranks = [rule.rank for rule in self.pack.in_force(self.asked.day) if rule.layer == layer.id]
            rank = len(EFFECTS) if layer.zone else max(ranks, default=0)
            strictest[layer.group] = max(strictest.get(layer.group, 0), rank)
        return sorted(
            drawn, key=lambda layer: (-strictest[layer.group], layer.group or "", not layer.zone, layer.title)
        )

    def rules(self, published: Sequence[Published]) -> list[MapRule]:
        """Give the rules in force, with the features that each keeps of what is published."""
        layers = {layer.id: layer for layer in published}
        rules = sorted(self.pack.in_force(self.asked.day), key=lambda rule: (-rule.rank, rule.id))
        return [self._rule(rule, layers.get(rule.layer)) for rule in rules]

    def _rule(self, rule: Rule, layer: Published | None) -> MapRule:
        lang, kept, perhaps = self.asked.lang, None, ()
        if layer is not None:
            three, _ = match_features(layer.data.index.features, rule.where, layer.row.codes)
            sure = (three == TRUE) & (~layer.data.adrift | rule.test.is_distance)
            open_ = (three != FALSE) & ~sure
            if not self._may_filter(rule):  # which features it keeps would tell what the attribute says
                sure, open_ = np.zeros(len(sure), dtype=bool), np.ones(len(sure), dtype=bool)
            ids = layer.frame.index
            kept = None if sure.all() else tuple(ids[sure])
            perhaps = tuple(ids[open_])
        return MapRule(
            rule.id, rule.layer, rule.effect, rule.says.in_(lang), f"{rule.basis.title} {rule.basis.article}",
            rule.test.measure, rule.test.op, rule.test.value, self._who(rule), kept, perhaps,
        )  # fmt: skip

    def _may_filter(self, rule: Rule) -> bool:
        """Whether this audience may see every attribute that a rule filters by."""
        return self.asked.audience == "internal" or set(rule.where) <= {*self._columns(self.pack.layers[rule.layer])}

    def _who(self, rule: Rule) -> str:
        """Say in words which projects a rule governs."""
        lang = self.asked.lang
        titles = {key: row.title for key, row in self.pack.zone.attributes.items()}
        parts = []
        for key, values in rule.applies.items():
            title = titles.get(key)
            said = ("、" if lang == "zh" else ", ").join(_value(value, lang) for value in values)
            parts.append(say("map.governs", lang, key=title.in_(lang) if title else key, values=said))
        return ("；" if lang == "zh" else "; ").join(parts)

    def absent(self) -> list[tuple[str, str, str]]:
        """Give the layers of rules in force that are not on the page: id, title and why."""
        rules = self.pack.layers_in_force(self.asked.day)
        rows = {name: row.title.in_(self.asked.lang) for name, row in self.pack.layers.items()}
        hidden = [(name, title, "withheld") for name, title in rows.items() if name in rules and not self.may_see(name)]
        cells = [name for name in rules if self.may_see(name) and self.pack.layers[name].kind == "raster"]
        hidden += [(name, rows[name], "raster") for name in sorted(cells)]
        return hidden + [(name, rows[name], "failed") for name in self.failed]

    def mark(self, published: Sequence[Published]) -> str | None:
        """Give what is printed across the map while it has no review number."""
        if self.asked.review or (self.asked.audience == "internal" and not self.asked.draft):
            return None
        synthetic = any("synthetic" in {*layer.data.statuses, layer.row.status} for layer in published)
        return say("map.mark_synthetic" if synthetic else "map.mark", self.asked.lang)

    def facts(self, published: Sequence[Published]) -> dict[str, str]:
        """Give what the page says of itself."""
        from geojw import __version__  # noqa: PLC0415 - the package imports this module

        lang, dates = self.asked.lang, sorted(layer.row.source.date for layer in published)
        span = " … ".join(dict.fromkeys([dates[0].isoformat(), dates[-1].isoformat()])) if dates else ""
        contact = self.pack.zone.contact
        return {
            **({} if contact is None else {say("map.fact.contact", lang): contact.in_(lang)}),
            say("map.fact.day", lang): self.asked.day.isoformat(),
            say("map.fact.data", lang): span,
            say("map.fact.crs", lang): "CGCS2000 (EPSG:4490)",
            say("map.fact.version", lang): f"geojw {__version__}",
        }

    def screened(self, files: SiteFiles | None) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
        """Screen the sites; what rests on layers that this audience may not see is unknown to it."""
        if files is None:
            return NOBODY, pd.DataFrame(columns=["site_id", *FINDING])
        analysis, parts = self.zone.analysis, []
        for sites in files.batches(screening.BATCH):
            placed = place(sites, analysis, self.pack.site_columns)
            parts.append(screening.screen(placed.frame, self.zone, on=self.asked.day, lang=self.asked.lang))
        shapes = pd.concat([part.sites[["geometry"]] for part in parts])
        verdicts = pd.concat([part.verdicts for part in parts], ignore_index=True)
        findings = pd.concat([part.findings for part in parts], ignore_index=True)
        if self.asked.audience != "internal":
            rules = self.pack.in_force(self.asked.day)
            hidden = [rule.id for rule in rules if not (self.may_see(rule.layer) and self._may_filter(rule))]
            nameless = [name for name, row in self.pack.layers.items() if row.id not in self._columns(row)]
            verdicts, findings = disclosed(verdicts, findings, hidden, nameless, STEPS_M[self.asked.audience])
            away = findings["outcome"] == "withheld"
            findings.loc[away, "reason"] = say("map.withheld_reason", self.asked.lang)
        return placed_sites(shapes, verdicts, self.zone), findings

    def _columns(self, row: Layer) -> tuple[str, ...]:
        return row.audience_columns.get(self.asked.audience, ())


def placed_sites(shapes: gpd.GeoDataFrame, verdicts: pd.DataFrame, zone: Zone) -> gpd.GeoDataFrame:
    """Give screened sites with their verdicts in longitude and latitude, as the page draws them."""
    lonlat = zone.analysis.to_geographic(np.asarray(shapes.geometry.values, dtype=object))
    return shapes.set_geometry(lonlat, crs=WORLD).join(verdicts.set_index("site_id"))


def _value(value: str | bool, lang: str) -> str:  # noqa: FBT001 - a value of a rule
    if isinstance(value, bool):
        return say("map.yes" if value else "map.no", lang)
    return value


def allowed_columns(row: Layer, audience: Audience, features: gpd.GeoDataFrame) -> list[str]:
    """
    Give the attributes of a layer that an audience may see.

    Parameters
    ----------
    row
        The layer's row of the catalogue.
    audience
        Who asks.
    features
        The layer's features.

    Returns
    -------
    list of str
        What the catalogue allows. What it does not name is dropped; only ``internal`` sees all where it names nothing.
    """
    allowed = row.audience_columns.get(audience, () if audience != "internal" else tuple(features.columns))
    return [name for name in features.columns if name != features.geometry.name and name in allowed]


def described(pack: Pack, name: str, lang: str) -> dict[str, Any]:
    """Give what a map says of a layer: title, paint, status and source."""
    row = pack.layers[name]
    source = row.source
    return {
        "id": name,
        "title": row.title.in_(lang),
        "paint": {key: getattr(row.paint, key) for key in ("colour", "opacity", "weight", "dash", "hatch", "names")},
        "status": row.status,
        "source": f"{source.publisher} · {source.date.isoformat()} · {source.licence}",
        "zone": name == pack.zone.boundary,
        "note": None if source.note is None else source.note.in_(lang),
        "group": None if row.group is None else row.group.in_(lang),
        "shown": row.paint.shown,
    }


def rings_of(rules: Iterable[Rule], row: Layer, data: LayerData) -> dict[str, Any]:
    """Give the limits of distance rules, and which features each is drawn round."""
    near = [rule for rule in rules if rule.test.is_distance]
    plain = {rule.test.value for rule in near if not rule.where}
    only: dict[float, set[str]] = {}
    for rule in near:
        if rule.test.value not in plain:
            kept, _ = match_features(data.index.features, rule.where, row.codes)
            only.setdefault(rule.test.value, set()).update(data.ids[kept != FALSE])
    return {"ring_m": tuple(sorted(plain)), "ring_only": {limit: sorted(ids) for limit, ids in sorted(only.items())}}
