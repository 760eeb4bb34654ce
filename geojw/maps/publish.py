"""The page that shows a zone or a screening to an audience, and its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw.decide.screening import Screening
from geojw.errors import Fault, LayerError, OutputError
from geojw.intake.site_files import SiteFiles
from geojw.maps.editions import GRADES, Asked, Edition, Published, placed_sites
from geojw.maps.page import Drawn, Face, draw_screening
from geojw.texts import say, texts_of
from geojw.zone import Zone

AROUND = 0.01
"""Degrees that are shown around sites, or the centre, where there is no outline: a point is no view."""


@dataclass(frozen=True)
class Told:
    """What a run says of itself on its map: title, notices, facts, and the layers of its rules."""

    day: date
    lang: str
    title: str
    notices: Sequence[str]
    facts: Mapping[str, str]
    layers: Sequence[str]


def draw_zone(zone: Zone, asked: Asked, sites: SiteFiles | None = None) -> Drawn:
    """
    Draw a zone for an audience.

    Parameters
    ----------
    zone
        The zone.
    asked
        Audience, day, language and review number.
    sites
        Projects to show with their verdicts, as far as this audience may know what they rest on.

    Returns
    -------
    Drawn
        The page.

    Raises
    ------
    OutputError
        A public map has no review number and is no draft, or something is too heavy for one page.
    """
    asked.check()
    edition = Edition(zone, asked)
    published = edition.layers()
    lang, pack = asked.lang, zone.pack
    drawn = edition.in_order([edition.drawn(layer, published) for layer in published])
    shown, findings = edition.screened(sites)
    face = Face(
        audience=asked.audience, decimals=GRADES[asked.audience].decimals, mark=edition.mark(published),
        review=asked.review, centre=pack.zone.centre, rules=edition.rules(published), absent=edition.absent(),
        check=True, sliver_m2=pack.zone.sliver_m2, tianditu=asked.tianditu, gaode=asked.gaode,
        findings_file=asked.findings_file, split=asked.split,
    )  # fmt: skip
    return draw_screening(
        shown, findings, drawn, title=say("map.title", lang, zone=pack.zone.title.in_(lang)),
        notices=[*notices(edition, published)], facts=edition.facts(published), lang=lang, texts=page_texts(lang),
        bounds=extent(zone, shown), face=face,
    )  # fmt: skip


def publish(zone: Zone, asked: Asked, out: Path, sites: SiteFiles | None = None) -> Path:
    """
    Draw a zone for an audience and write the page into a folder.

    Returns
    -------
    Path
        The page; with ``split`` its scripts and styles are in ``assets`` beside it.

    Raises
    ------
    OutputError
        See `draw_zone`; or the folder cannot be written.
    """
    drawn = draw_zone(zone, asked, sites)
    path = out / f"map-{asked.audience}.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in drawn.assets.items():
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_bytes(content)
        path.write_text(drawn.page, "utf-8", newline="\n")
    except OSError as error:
        raise OutputError([Fault("out_unwritable", out.name, {"error": error.strerror or error})]) from None
    return path


def screening_page(zone: Zone, parts: Sequence[Screening], summary: Told) -> Drawn:
    """
    Draw the map of a screening, for the audience ``internal``.

    Parameters
    ----------
    zone
        The zone, its layers read.
    parts
        The screening, batch by batch.
    summary
        What the run says of itself.
    """
    lang, pack = summary.lang, zone.pack
    asked = Asked(day=summary.day, lang=lang)
    edition = Edition(zone, asked)
    verdicts = pd.concat([part.verdicts for part in parts], ignore_index=True)
    sites = placed_sites(pd.concat([part.sites[["geometry"]] for part in parts]), verdicts, zone)
    findings = pd.concat([part.findings for part in parts], ignore_index=True)
    published = edition.as_read([pack.zone.boundary, *summary.layers])
    face = Face(
        centre=pack.zone.centre, rules=edition.rules(published), absent=edition.absent(), findings_file="findings.csv"
    )
    layers = edition.in_order([edition.drawn(layer, published) for layer in published])
    return draw_screening(
        sites, findings, layers, title=summary.title,
        notices=summary.notices, facts=summary.facts, lang=lang, texts=page_texts(lang), bounds=extent(zone, sites),
        face=face,
    )  # fmt: skip


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
    lon, lat = zone.pack.zone.centre
    west, south, east, north = sites.total_bounds if len(sites) else (lon, lat, lon, lat)
    if not np.isfinite([west, south, east, north]).all():
        west, south, east, north = lon, lat, lon, lat
    return float(west) - AROUND, float(south) - AROUND, float(east) + AROUND, float(north) + AROUND


def page_texts(lang: str) -> dict[str, str]:
    """Give the page's own texts and the words that it shares with the tables."""
    words = {
        f"{family}.{word}": text
        for family in ("verdict", "outcome", "certainty", "status")
        for word, text in texts_of(family, lang).items()
    }
    return texts_of("map", lang) | words
