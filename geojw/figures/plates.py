"""A zone's map as figures for documents, for the same audiences and with the same refusals as its page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geojw.errors import Fault, OutputError
from geojw.figures.cartography import Box
from geojw.figures.figure import Drawing, Format, draw, paper_of
from geojw.figures.sheet import Content
from geojw.intake.site_files import SiteFiles
from geojw.maps.editions import Asked, Edition
from geojw.maps.mapdata import VERDICTS, Bools, MapLayer
from geojw.maps.publish import notices, page_texts
from geojw.texts import say, texts_of
from geojw.zone import Zone


@dataclass(frozen=True)
class Print:
    """
    How a figure is wanted.

    Parameters
    ----------
    formats
        Of the files.
    size, turn, dpi
        See `paper_of`.
    """

    formats: Sequence[Format]
    size: str = "A4"
    turn: str | None = None
    dpi: int = 300


def draw_plate(zone: Zone, asked: Asked, wanted: Print, sites: SiteFiles | None = None) -> Drawing:
    """
    Draw a zone for an audience as a figure.

    Parameters
    ----------
    zone
        The zone.
    asked
        Audience, day, language and review number.
    wanted
        Size and resolution.
    sites
        Projects to show with their verdicts, as far as this audience may know what they rest on.

    Returns
    -------
    Drawing
        To be written.

    Raises
    ------
    OutputError
        A public map has no review number and is no draft, or the sheet cannot be had.
    FontError
        There is no font with Chinese letters.
    """
    asked.check()
    content = content_of(zone, asked, sites)
    paper = paper_of(wanted.size, content.extent_m, turn=wanted.turn, dpi=wanted.dpi)
    return draw(content, zone.analysis, paper, page_texts(asked.lang) | texts_of("figure", asked.lang))


def print_plates(
    zone: Zone, asked: Asked, wanted: Print, out: Path, sites: SiteFiles | None = None
) -> list[Path]:  # fmt: skip
    """Draw a zone for an audience and write the figures into a folder; give their paths."""
    drawing = draw_plate(zone, asked, wanted, sites)
    files = {out / f"map-{asked.audience}.{form}": drawing.write(form) for form in dict.fromkeys(wanted.formats)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            path.write_bytes(data)
    except OSError as error:
        raise OutputError([Fault("out_unwritable", out.name, {"error": error.strerror or error})]) from None
    return [*files]


def content_of(zone: Zone, asked: Asked, files: SiteFiles | None = None) -> Content:
    """Prepare what a figure shows an audience: the very layers, sites, notices and mark of the page."""
    edition, lang = Edition(zone, asked), asked.lang
    published = edition.layers()
    layers = [edition.drawn(layer, published) for layer in published]
    sites, _ = edition.screened(files)
    return Content(
        title=say("map.title", lang, zone=zone.pack.zone.title.in_(lang)),
        subtitle=say("figure.subtitle", lang, day=asked.day.isoformat()),
        layers=[layer for layer in layers if layer.shown],
        extent_m=_extent_m(zone, layers),
        notices=[*notices(edition, published)],
        badge=say(f"map.audience.{asked.audience}", lang),
        review=_review(asked),
        day=asked.day.isoformat(),
        stamp=edition.mark(published),
        sites=None if files is None else _strictest_first(sites),
        lines=[*_lacking(edition, layers)],
    )


def _lacking(edition: Edition, layers: Sequence[MapLayer]) -> Iterable[str]:
    """Say which layers are not on the map, and why."""
    lang = edition.asked.lang
    named = {
        "not_published": [title for _, title, why in edition.absent() if why == "withheld"],
        "not_drawn": [layer.title for layer in layers if not layer.shown],
    }
    for key, titles in named.items():
        if titles:
            yield say(f"figure.{key}", lang, layers=("、" if lang == "zh" else ", ").join(titles))


def _strictest_first(sites: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Sort sites as the page lists them: by verdict, then by id."""
    order = {word: number for number, word in enumerate(VERDICTS)}
    keys = pd.DataFrame({"rank": sites["verdict"].map(order), "id": sites.index.astype(str)}, index=sites.index)
    return sites.loc[keys.sort_values(["rank", "id"]).index]


def _review(asked: Asked) -> str:
    """Give the line for 审图号: the number, or in words that there is none."""
    if asked.review:
        return say("figure.review.number", asked.lang, number=asked.review)
    return say("figure.review.draft" if asked.draft else "figure.review.none", asked.lang)


def _extent_m(zone: Zone, layers: Sequence[MapLayer]) -> Box:
    """Give what must be in sight: the zone as this audience sees it, else all its layers, else its centre."""
    frames = [layer.frame for layer in layers if layer.zone] or [layer.frame for layer in layers]
    shapes = [zone.analysis.project(frame[~_is_nothing(frame)].geometry.to_numpy(), frame.crs) for frame in frames]
    x0, y0, x1, y1 = shapely.total_bounds(np.concatenate([np.array([shapely.Point()], dtype=object), *shapes]))
    return (float(x0), float(y0), float(x1), float(y1)) if np.isfinite(x0) else (0.0, 0.0, 0.0, 0.0)


def _is_nothing(frame: gpd.GeoDataFrame) -> Bools:
    shapes = frame.geometry.to_numpy()
    return np.asarray(shapely.is_missing(shapes) | shapely.is_empty(shapes))
