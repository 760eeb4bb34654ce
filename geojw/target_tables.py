"""Floor 11: the terminal's tables of targets and of comparisons."""

from __future__ import annotations

import pandas as pd
from rich.table import Table
from rich.text import Text

from geojw.charts import OPS, figure_text
from geojw.texts import say, texts_of

STYLE = {"met": "green", "not_met": "bold red", "unknown": "magenta", "informative": "blue"}


def of_targets(targets: pd.DataFrame, lang: str) -> Table:
    """Give the targets that have a value, a row each."""
    table = Table(header_style="bold")
    for column in ("target", "value", "goal", "margin", "worst", "status", "as_of", "by"):
        table.add_column(
            say(f"column.{column}", lang), justify="right" if column in ("value", "margin", "worst") else "left",
            overflow="fold", no_wrap=column != "target",
        )  # fmt: skip
    units = texts_of("target.unit", lang)
    for row in targets[targets["value"].notna()].to_dict("records"):
        words = [say(f"target.status.{row['status']}", lang)]
        words += [say(f"certainty.{row['certainty']}", lang)] if row["certainty"] else []
        words += [say(f"target.timing.{row['timing']}", lang)] if row["timing"] else []
        unit = units.get(row["unit"], row["unit"])
        worst = figure_text(row["worst_case"])
        table.add_row(
            Text(row["title"]), f"{figure_text(row['value'])} {unit}", f"{OPS[row['op']]} {row['threshold']:g}",
            signed(row["margin"]), f"±{worst}" if worst else "", Text(" · ".join(words), STYLE[row["status"]]),
            row["as_of"], row["by"],
        )  # fmt: skip
    return table


def silent(targets: pd.DataFrame, lang: str) -> list[str]:
    """Name the targets without a value by their reason, and say what is to be known of the others."""
    lines = []
    for reason, group in targets[targets["value"].isna()].groupby("reason", sort=True):
        titles = say("format.join", lang).join(group["title"])
        lines.append(say("chart.silent", lang, reason=reason, count=len(group), titles=titles))
    for row in targets[targets["value"].notna()].to_dict("records"):
        said = [
            row["reason"],
            row["note"],
            row["denominator"] and say("target.share_of", lang, whole=row["denominator"]),
        ]
        text = say("format.join", lang).join(word for word in said if word)
        if text:
            lines.append(say("target.about", lang, title=row["title"], text=text))
    return lines


def signed(value: float) -> str:
    """
    Write a margin with its sign.

    Examples
    --------
    >>> signed(0.4), signed(-2.5), signed(float("nan"))
    ('+0.4', '-2.5', '')
    """
    return f"{value:+.6g}" if value == value else ""  # noqa: PLR0124 - NaN
