"""The chart of targets: value against threshold, a row each on its own scale, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geojw.figures import fonts
from geojw.texts import say, texts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_MM, MARGIN_MM, ROW_MM = 210.0, 8.0, 13.0
TITLE_PT, TEXT_PT, SMALL_PT = 13.0, 9.0, 7.5
LINE_MM = 4.2
"""Height of a line of the smaller text."""

DPI = 150
LEFT, RIGHT = 0.36, 0.62
"""Where the bars begin and end, as shares of the width: titles are to the left, words to the right."""

COLOUR = {"met": "#2f7d4f", "not_met": "#b3261e", "unknown": "#8a8a8a", "informative": "#4a6fa5"}
HATCH = {"met": "", "not_met": "////", "unknown": "....", "informative": ""}
"""Each status differs by more than its colour; its word stands beside it."""

OPS = {">=": "≥", "<=": "≤", "=": "=", "about": "≈"}
MM_AN_INCH = 25.4


def draw(targets: pd.DataFrame, paths: Sequence[Path], *, title: str, notices: Sequence[str], lang: str) -> None:
    """
    Draw the targets that have a value, and name the others.

    Parameters
    ----------
    targets
        The table of targets.
    paths
        Files to write; the suffix says what: ``.svg`` or ``.png``. The same table gives the same bytes.
    title
        Heading.
    notices
        What every output must say.
    lang
        ``zh`` or ``en``.

    Raises
    ------
    FontError
        No font here has Chinese letters.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and loaded only where something is drawn

    with fonts.typesetting():
        valued = targets["value"].notna()
        rows = targets[valued].to_dict("records")
        below = _below(targets[~valued], notices, lang)
        top_mm = 2.0 * MARGIN_MM + 6.0
        height_mm = top_mm + max(len(rows), 1) * ROW_MM + len(below) * LINE_MM + 2.0 * MARGIN_MM
        figure = Figure(figsize=(WIDTH_MM / MM_AN_INCH, height_mm / MM_AN_INCH), facecolor="white")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set(xlim=(0.0, WIDTH_MM), ylim=(height_mm, 0.0))
        axes.set_axis_off()
        heading = fonts.wrapped(title, WIDTH_MM - 2.0 * MARGIN_MM, TITLE_PT, 1)[0]
        axes.text(MARGIN_MM, MARGIN_MM, heading, fontsize=TITLE_PT, va="top", fontweight="normal")
        key = say("chart.key", lang)
        axes.text(MARGIN_MM, MARGIN_MM + 7.5, fonts.spelled(key), fontsize=SMALL_PT, va="top", color="#444444")
        for number, row in enumerate(rows):
            _draw_row(axes, row, top_mm + number * ROW_MM, lang)
        start = top_mm + max(len(rows), 1) * ROW_MM + MARGIN_MM / 2.0
        for number, (line, colour) in enumerate(below):
            axes.text(MARGIN_MM, start + number * LINE_MM, line, fontsize=SMALL_PT, va="top", color=colour)
        for path in paths:
            kind = path.suffix.removeprefix(".")
            nameless: dict[str, Any] = {"Date": None, "Creator": "geojw"} if kind == "svg" else {"Software": None}
            figure.savefig(path, dpi=DPI, metadata=nameless)


def _below(silent: pd.DataFrame, notices: Sequence[str], lang: str) -> list[tuple[str, str]]:
    """Give the lines under the bars: targets without a value by their reason, then the notices."""
    width = WIDTH_MM - 2.0 * MARGIN_MM
    lines: list[tuple[str, str]] = []
    for reason, group in silent.groupby("reason", sort=True):
        named = say(
            "chart.silent", lang, reason=reason, count=len(group), titles=say("format.join", lang).join(group["title"])
        )
        lines += [(line, "#333333") for line in fonts.wrapped(named, width, SMALL_PT)]
    for notice in notices:
        lines += [(line, "#8a4b00") for line in fonts.wrapped("! " + notice, width, SMALL_PT)]
    return lines


def _draw_row(axes: Axes, row: Mapping[Hashable, Any], top_mm: float, lang: str) -> None:
    """Draw one target: its title, the bar with the threshold across it, and what it means."""
    left, right, middle = LEFT * WIDTH_MM, RIGHT * WIDTH_MM, top_mm + ROW_MM / 2.0
    value, threshold, status = float(row["value"]), float(row["threshold"]), str(row["status"])
    worst = float(row["worst_case"]) if np.isfinite(row["worst_case"]) else 0.0
    whole = max(value + worst, threshold, 1e-12) * 1.06

    def at(figure: float) -> float:
        return left + (right - left) * max(figure, 0.0) / whole

    titles = fonts.wrapped(row["title"], left - MARGIN_MM - 4.0, TEXT_PT, 2)
    axes.text(MARGIN_MM, middle, "\n".join(titles), fontsize=TEXT_PT, va="center", linespacing=1.25)
    bar: dict[str, Any] = {"facecolor": COLOUR[status], "hatch": HATCH[status], "edgecolor": "white", "linewidth": 0.0}
    axes.barh(middle, right - left, left=left, height=4.4, color="#eeeeee")
    axes.barh(middle, at(value) - left, left=left, height=4.4, **bar)
    if worst > 0.0:
        ends = (at(value - worst), at(value + worst))
        axes.plot(ends, (middle, middle), color="#111111", linewidth=1.0)
        for end in ends:
            axes.plot((end, end), (middle - 1.0, middle + 1.0), color="#111111", linewidth=1.0)
    axes.plot((at(threshold), at(threshold)), (middle - 3.6, middle + 3.6), color="#111111", linewidth=1.8)
    for number, line in enumerate(words_of(row, lang)):
        size = TEXT_PT if number == 0 else SMALL_PT
        fitted = fonts.wrapped(line, WIDTH_MM - right - MARGIN_MM - 3.0, size, 1)[0]
        colour = COLOUR[status] if number == 0 else "#444444"
        axes.text(right + 3.0, middle - 2.2 + number * 4.3, fitted, fontsize=size, va="center", color=colour)


def words_of(row: Mapping[Hashable, Any], lang: str) -> tuple[str, str]:
    """Say what a target's row means: the comparison, then status, certainty and time."""
    threshold = f"{row['threshold']:g}"
    known = texts_of("target.unit", lang)
    compared = say(
        "target.compared", lang, value=figure_text(row["value"]), unit=known.get(row["unit"], row["unit"]),
        op=OPS[row["op"]], threshold=threshold,
    )  # fmt: skip
    words = [say(f"target.status.{row['status']}", lang)]
    words += [say(f"certainty.{row['certainty']}", lang)] if row["certainty"] else []
    words += [say(f"target.timing.{row['timing']}", lang)] if row["timing"] else []
    if np.isfinite(row["worst_case"]):
        words.append(say("chart.worst", lang, worst=figure_text(row["worst_case"])))
    return compared, " · ".join(words)


def figure_text(value: float) -> str:
    """
    Write a figure for reading: six digits, no noughts behind.

    Examples
    --------
    >>> figure_text(27.9000013), figure_text(50.0), figure_text(float("nan"))
    ('27.9', '50', '')
    """
    return f"{value:.6g}" if np.isfinite(value) else ""
