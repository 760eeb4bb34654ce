"""A figure for documents, PNG, SVG or PDF, of layers prepared for an audience, without a browser."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

from geojw.errors import Fault, OutputError
from geojw.figures import fonts, mapface, signs
from geojw.figures.cartography import Box, Frame
from geojw.figures.sheet import Content, Entry, Paper, Sheet
from geojw.measure.geodesy import AnalysisCRS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = ("png", "svg", "pdf")
SIZES_MM = {"A5": (148.0, 210.0), "A4": (210.0, 297.0), "A3": (297.0, 420.0), "A2": (420.0, 594.0)}
"""Width and height of the sheets of ISO 216, upright."""
MIN_MM, MAX_MM = 60.0, 1_200.0
MAX_PIXELS = 250_000_000
"""More take over a gigabyte of memory."""
SMALLEST_PT, LARGEST_PT = 5.5, 14.0
"""Least and greatest size of the plain letters: notes are smaller by a sixth, and below 4.5 points nobody reads."""
SHRINKS = ((1.0, 0.94, 0.88, 0.82), (0.76, 0.7))
"""Sizes of letters that are tried, as shares of what suits the sheet: the second ones only if the first do not do."""
TITLE_MM = 42.0
"""Length of the title within a file: some 110 Chinese letters of a point."""
LIST_COST = 1.6
"""Sites are listed if the map becomes no more than so many times smaller by it."""


@dataclass(eq=False)
class Drawing:
    """
    A figure that was drawn.

    Parameters
    ----------
    figure
        matplotlib's.
    title
        What the files are called within, for search and screen readers.
    frame
        Where the map lies on the sheet, and its scale.
    legend
        What the legend says.
    size_pt
        Size of its plain letters.
    paper
        The sheet.
    """

    figure: Figure
    title: str
    frame: Frame
    legend: list[Entry]
    size_pt: float
    paper: Paper

    def write(self, form: Format) -> bytes:
        """Write it as a file of a format; the same content gives the same bytes."""
        out = io.BytesIO()
        with fonts.typesetting():
            title = " ".join(fonts.wrapped(self.title, TITLE_MM, 1.0, 1))
            metadata: dict[Format, dict[str, str | None]] = {
                "png": {"Title": title, "Software": "geojw"},
                "svg": {"Title": title, "Creator": "geojw", "Date": None},
                "pdf": {"Title": title, "Creator": "geojw", "Producer": None, "CreationDate": None},
            }
            with fonts.embeddable(self.figure.axes[0].texts if form == "pdf" else ()):
                self.figure.savefig(out, format=form, dpi=self.paper.dpi, metadata=metadata[form])
        return out.getvalue()


def paper_of(size: str, extent_m: Box, *, turn: str | None = None, dpi: int = 300) -> Paper:
    """
    Read the size of a sheet.

    Parameters
    ----------
    size
        ``A5`` to ``A2``, or ``160x120`` (millimetres).
    extent_m
        What it is to show.
    turn
        ``portrait`` or ``landscape``; by default a sheet of a named size is turned as suits the extent.
    dpi
        Pixels an inch.

    Returns
    -------
    Paper

    Raises
    ------
    OutputError
        No such size, or too many pixels.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*[xX×*]\s*(\d+(?:\.\d+)?)\s*(?:mm)?", size.strip())
    sides = (float(found[1]), float(found[2])) if found else SIZES_MM.get(size.strip().upper())
    if sides is None or not MIN_MM <= min(sides) <= max(sides) <= MAX_MM:
        known = ", ".join(SIZES_MM)
        raise OutputError(
            [
                Fault(
                    "figure_size",
                    "--size",
                    {"got": size, "known": known, "least": f"{MIN_MM:g}", "most": f"{MAX_MM:g}"},
                )
            ]
        )
    width, height = sides
    wide = extent_m[2] - extent_m[0] > extent_m[3] - extent_m[1]
    if turn == "landscape" or (turn is None and not found and wide):
        width, height = max(sides), min(sides)
    elif turn == "portrait":
        width, height = min(sides), max(sides)
    if width * height / 25.4**2 * dpi**2 > MAX_PIXELS:
        raise OutputError([Fault("figure_pixels", "--dpi", {"dpi": dpi, "size": size})])
    return Paper(width, height, dpi)


def draw(content: Content, analysis: AnalysisCRS, paper: Paper, texts: Mapping[str, str]) -> Drawing:
    """
    Draw a figure: the map in the zone's own equal-area plane, and around it all that a reader needs.

    Parameters
    ----------
    content
        What it shows.
    analysis
        The plane.
    paper
        The sheet.
    texts
        In one language: the table ``figure`` of ``texts.toml``, and of others ``verdict.*``, ``status.*``,
        ``short.*``, ``unit.*`` and ``north_letter``.

    Returns
    -------
    Drawing
        To be written.

    Raises
    ------
    OutputError
        The sheet is too small for what must stand on it.
    FontError
        There is no font with Chinese letters.
    """
    with fonts.typesetting():
        size_pt = min(max(0.03 * (paper.width_mm * paper.height_mm) ** 0.5, SMALLEST_PT), LARGEST_PT)
        layers = mapface.planar(content.layers, analysis)
        count = 0 if content.sites is None else len(content.sites)
        for shrinks in SHRINKS:
            sizes = [size_pt * shrink for shrink in shrinks if size_pt * shrink >= SMALLEST_PT]
            tried = [Sheet(content, layers, analysis, paper, texts, *each) for each in product(sizes, (1, 2, 3))]
            ranked = sorted((one for one in tried if one.has_room), key=Sheet.rank)
            plain = next((one for one in ranked if one.fitted(listed=False)), None)
            if plain is not None:
                most = LIST_COST * plain.frame.scale if 0 < count <= signs.LISTED else 0.0
                listed = next((one for one in ranked if one.frame.scale <= most and one.fitted(listed=True)), None)
                best = listed or plain
                figure = best.drawn(listed=listed is not None)
                return Drawing(figure, content.title, best.frame, best.legend, best.size_pt, paper)
        raise OutputError(
            [Fault("figure_small", "--size", {"width": f"{paper.width_mm:g}", "height": f"{paper.height_mm:g}"})]
        )
