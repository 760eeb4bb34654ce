"""Floor 12: a zone's map as figures for documents, for the same audiences and with the same refusals as its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from geojw import figures
from geojw.cartography import Box
from geojw.errors import Fault, OutputError
from geojw.figures import Drawing, Format
from geojw.maps import MapLayer
from geojw.overlay import Bools
from geojw.publish import Asked, Edition, described, notices, page_texts, rings_of
from geojw.sheet import Content
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
        See `figures.paper_of`.
    """

    formats: Sequence[Format]
    size: str = "A4"
    turn: str | None = None
    dpi: int = 300


def draw_plate(zone: Zone, asked: Asked, wanted: Print) -> Drawing:
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
    content = content_of(zone, asked)
    paper = figures.paper_of(wanted.size, content.extent_m, turn=wanted.turn, dpi=wanted.dpi)
    lang = asked.lang
    return figures.draw(content, zone.analysis, paper, page_texts(lang) | texts_of("figure", lang))


def print_plates(zone: Zone, asked: Asked, wanted: Print, out: Path) -> list[Path]:
    """Draw a zone for an audience and write the figures into a folder; give their paths."""
    drawing = draw_plate(zone, asked, wanted)
    files = {out / f"map-{asked.audience}.{form}": drawing.write(form) for form in wanted.formats}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            path.write_bytes(data)
    except OSError as error:
        raise OutputError([Fault("out_unwritable", out.name, {"error": error.strerror or error})]) from None
    return [*files]


def content_of(zone: Zone, asked: Asked) -> Content:
    """Prepare what a figure shows an audience: the very layers of the page."""
    edition, lang = Edition(zone, asked), asked.lang
    published = edition.layers()
    layers = [
        MapLayer(
            **described(zone.pack, layer.id, lang), **rings_of(zone.pack, layer.id, layer.data, asked.day),
            frame=layer.frame, label=layer.row.label if layer.row.label in layer.frame.columns else None,
        )
        for layer in published
    ]  # fmt: skip
    synthetic = any("synthetic" in {*layer.data.statuses, layer.row.status} for layer in published)
    return Content(
        title=say("map.title", lang, zone=zone.pack.zone.title.in_(lang)),
        subtitle=say("figure.subtitle", lang, day=asked.day.isoformat()),
        layers=layers,
        extent_m=_extent_m(zone, layers),
        notices=[*notices(edition, published)],
        badge=say(f"figure.audience.{asked.audience}", lang),
        review=_review(asked),
        day=asked.day.isoformat(),
        stamp=say("figure.stamp.synthetic" if synthetic else "figure.stamp.plain", lang) if asked.draft else None,
    )


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
