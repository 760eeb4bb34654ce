"""Floor 10: what each audience may see of a zone: layers, attributes and precision; and the page that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw import maps
from geojw.access_list import FALSE, match_features
from geojw.answers import LayerData
from geojw.catalogue import Audience, Layer
from geojw.errors import Fault, LayerError, OutputError
from geojw.generalise import Generalised, Grade, generalise
from geojw.pack import Pack
from geojw.texts import say, texts_of
from geojw.zone import Zone

AUDIENCES: tuple[Audience, ...] = ("public", "department", "internal")
"""Each may see what those before it may see."""

GRADES: Mapping[Audience, Grade] = {"public": Grade(4, 10.0), "department": Grade(5, 2.0), "internal": Grade(6)}
"""How fine each audience may see: a grid of 0.0001° is about 10 m, of 0.00001° about 1 m."""

WORLD = "EPSG:4490"


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
    """

    day: date
    audience: Audience = "internal"
    lang: str = "zh"
    review: str | None = None
    draft: bool = False

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
    precision_m: float
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
        return [found for name in self.pack.layers if self.may_see(name) and (found := self._layer(name)) is not None]

    def _layer(self, name: str) -> Published | None:
        row = self.pack.layers[name]
        try:
            data = self.zone.layer(name)
        except LayerError as error:
            self.failed[name] = error
            return None
        made = generalise(data.index.geometries, self.zone.analysis, GRADES[self.asked.audience])
        return Published(name, row, self._frame(row, data, made), made.precision_m, data)

    def _frame(self, row: Layer, data: LayerData, made: Generalised) -> gpd.GeoDataFrame:
        features = data.index.features
        columns = allowed_columns(row, self.asked.audience, features)
        shapes = gpd.GeoSeries(made.shapes, features.index, crs=WORLD)
        return gpd.GeoDataFrame(features[columns], geometry=shapes)


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


def draw_zone(zone: Zone, asked: Asked) -> str:
    """
    Draw a zone for an audience.

    Parameters
    ----------
    zone
        The zone.
    asked
        Audience, day, language and review number.

    Returns
    -------
    str
        One HTML page.

    Raises
    ------
    OutputError
        A public map has no review number and is no draft, or a layer is too heavy.
    """
    asked.check()
    edition = Edition(zone, asked)
    published = edition.layers()
    lang = asked.lang
    drawn = [
        maps.MapLayer(
            **described(zone.pack, layer.id, lang), **rings_of(zone.pack, layer.id, layer.data, asked.day),
            frame=layer.frame, label=layer.row.label if layer.row.label in layer.frame.columns else None,
        )
        for layer in published
    ]  # fmt: skip
    nobody = gpd.GeoDataFrame({name: [] for name in maps.SITE}, geometry=[], crs=WORLD)
    findings = pd.DataFrame(columns=["site_id", *maps.FINDING])
    title = say("map.title", lang, zone=zone.pack.zone.title.in_(lang))
    return maps.draw_screening(
        nobody, findings, drawn, title=title, notices=[*notices(edition, published)], facts={}, lang=lang,
        texts=page_texts(lang), bounds=extent(zone, nobody),
    )  # fmt: skip


def publish(zone: Zone, asked: Asked, out: Path, sites: Path | None = None) -> Path:
    """Draw a zone for an audience and write the page into a folder; give its path."""
    page = draw_zone(zone, asked)
    path = out / f"map-{asked.audience}.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")
    except OSError as error:
        raise OutputError([Fault("out_unwritable", out.name, {"error": error.strerror or error})]) from None
    return path


def notices(edition: Edition, published: Sequence[Published]) -> Iterable[str]:
    """Give what a map must say: what failed, the zone's notice, what is synthetic."""
    lang, pack = edition.asked.lang, edition.pack
    for error in edition.failed.values():
        yield say("notice.failed", lang, layer=error.text(lang).replace("\n", "; "))
    if pack.zone.notice is not None:
        yield pack.zone.notice.in_(lang)
    for status in ("synthetic", "open"):
        named = [layer.row.title.in_(lang) for layer in published if status in {*layer.data.statuses, layer.row.status}]
        if named:
            yield say(f"notice.{status}", lang, layers=("、" if lang == "zh" else ", ").join(named))


def extent(zone: Zone, sites: gpd.GeoDataFrame) -> tuple[float, float, float, float]:
    """Give the first view: the zone's outline, else the sites, else its centre; west, south, east, north."""
    with suppress(LayerError):
        outline = zone.layer(zone.pack.zone.boundary).index.everything.union
        bounds = shapely.bounds(zone.analysis.to_geographic(np.array([outline], dtype=object)))[0]
        return tuple(float(value) for value in bounds)  # type: ignore[return-value]
    bounds = sites.total_bounds
    lon, lat = zone.pack.zone.centre
    return tuple(map(float, bounds)) if np.isfinite(bounds).all() else (lon, lat, lon, lat)  # type: ignore[return-value]


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
    }


def rings_of(pack: Pack, name: str, data: LayerData, day: date) -> dict[str, Any]:
    """Give the limits of distance rules, and which features each is drawn round."""
    rules = [rule for rule in pack.in_force(day) if rule.layer == name and rule.test.is_distance]
    plain = {rule.test.value for rule in rules if not rule.where}
    only: dict[float, set[str]] = {}
    for rule in rules:
        if rule.test.value not in plain:
            kept, _ = match_features(data.index.features, rule.where, pack.layers[name].codes)
            only.setdefault(rule.test.value, set()).update(data.ids[kept != FALSE])
    return {"ring_m": tuple(sorted(plain)), "ring_only": {limit: sorted(ids) for limit, ids in sorted(only.items())}}


def page_texts(lang: str) -> dict[str, str]:
    """Give the page's own texts and the words that it shares with the tables."""
    words = {
        f"{family}.{word}": text
        for family in ("verdict", "outcome", "certainty", "status")
        for word, text in texts_of(family, lang).items()
    }
    return texts_of("map", lang) | words
