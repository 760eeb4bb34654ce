"""The terminal's tables of targets and of comparisons."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geojw.figures.charts import OPS, figure_text
from geojw.law.quantity_rows import AREA_UNITS
from geojw.runs.changes import OUTSIDE
from geojw.runs.comparison import Comparison
from geojw.texts import say, texts_of

REASONS_SHOWN = 10
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
        unit = units.get(row["unit"], row["unit"])
        worst = figure_text(row["worst_case"])
        table.add_row(
            Text(row["title"]), f"{figure_text(row['value'])} {unit}", f"{OPS[row['op']]} {row['threshold']:g}",
            signed(row["margin"]), f"±{worst}" if worst else "", Text(words_of(row, lang), STYLE[row["status"]]),
            row["as_of"], row["by"],
        )  # fmt: skip
    return table


def words_of(row: Mapping[Hashable, Any], lang: str) -> str:
    """Say a target's status, how sure it is and whether it is early or late."""
    words = [say(f"target.status.{row['status']}", lang)]
    words += [say(f"certainty.{row['certainty']}", lang)] if row["certainty"] else []
    words += [say(f"target.timing.{row['timing']}", lang)] if row["timing"] else []
    return " · ".join(words)


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
        text = say("format.join", lang).join(word.rstrip("。.") for word in said if word)
        if text:
            lines.append(say("target.about", lang, title=row["title"], text=text))
    return lines


COLUMNS = {
    "areas": ("added_m2", "removed_m2", "added_mu", "removed_mu"),
    "lengths": ("added_m", "removed_m"),
    "counts": ("added_count", "removed_count"),
}
"""Table of a comparison -> its figures in the terminal."""


def of_changes(table: pd.DataFrame, columns: Sequence[str], titles: Mapping[str, str], lang: str) -> Table:
    """Give what was added and removed, a row a layer and place where there is anything."""
    out = Table(header_style="bold")
    for column in ("layer", "place", *columns):
        out.add_column(say(f"column.{column}", lang), justify="right" if column in columns else "left")
    for row in table[(table[list(columns)] > 0.0).any(axis=1)].to_dict("records"):
        figures = [
            f"{row[column]:,.{0 if column.endswith('_count') else 2}f}" if row[column] else "" for column in columns
        ]
        out.add_row(Text(titles[row["layer"]]), Text(place_of(row, titles, lang)), *figures)
    return out


def of_covers(covers: pd.DataFrame, titles: Mapping[str, str], lang: str) -> Table:
    """Give what the classes of rasters cover before and after, in all."""
    out = Table(header_style="bold")
    for column in ("layer", "class", "before_ha", "after_ha", "difference_ha"):
        out.add_column(say(f"column.{column}", lang), justify="right" if column.endswith("_ha") else "left")
    for row in covers[covers["division"] == ""].to_dict("records"):
        figures = [hectares(row[f"{key}_m2"]) for key in ("old", "new", "change")]
        out.add_row(Text(titles[row["layer"]]), Text(row["class"]), *figures)
    return out


def place_of(row: Mapping[Hashable, Any], titles: Mapping[str, str], lang: str) -> str:
    """Name where a change is: all of it, a town or unit, or outside of them."""
    if not row["division"]:
        return say("compare.whole", lang)
    if row["feature_id"] == OUTSIDE:
        return say("compare.outside", lang, division=titles[row["division"]])
    return str(row["name"] or row["feature_id"])


def hectares(m2: float) -> str:
    """
    Write an area in hectares; what is not known is blank.

    Examples
    --------
    >>> hectares(12_345_678.0), hectares(float("nan"))
    ('1,234.57', '')
    """
    return f"{m2 / AREA_UNITS['ha']:,.2f}" if m2 == m2 else ""  # noqa: PLR0124 - NaN


def changed_targets(targets: pd.DataFrame, lang: str) -> list[tuple[str, str, str, str, str]]:
    """Give the targets whose value or status changed in words: title, before, after, margin and status."""
    units = texts_of("target.unit", lang)
    moved = (targets["change"].fillna(0.0) != 0.0) | (targets["status_old"] != targets["status_new"])
    rows = []
    for row in targets[moved].to_dict("records"):
        unit = units.get(row["unit"], row["unit"])
        status = [say(f"target.status.{row[key]}", lang) if row[key] else "" for key in ("status_old", "status_new")]
        rows.append((
            row["title"], f"{figure_text(row['value_old'])} {unit}", f"{figure_text(row['value_new'])} {unit}",
            f"{signed(row['margin_old'])} → {signed(row['margin_new'])}", " → ".join(status),
        ))  # fmt: skip
    return rows


def of_changed_targets(targets: pd.DataFrame, lang: str) -> Table:
    """Give the targets whose value or status changed, before and after."""
    table = Table(header_style="bold")
    for column in ("target", "before", "after", "margin", "status"):
        table.add_column(say(f"column.{column}", lang), justify="right" if column in ("before", "after") else "left")
    for title, *cells in changed_targets(targets, lang):
        table.add_row(Text(title), *cells)
    return table


def answer_of(row: Mapping[Hashable, Any], side: str, lang: str) -> str:
    """Say a site's verdict in one of two versions (``old`` or ``new``), and how sure it is."""
    sure = row[f"certainty_{side}"]
    words = [say(f"verdict.{row[f'verdict_{side}']}", lang), *([say(f"certainty.{sure}", lang)] if sure else [])]
    return " · ".join(words)


def of_changed_sites(verdicts: pd.DataFrame, lang: str) -> Table:
    """Give the sites whose answer changed, and by which rules."""
    table = Table(header_style="bold")
    for column in ("site", "name", "before", "after", "rules"):
        table.add_column(say(f"column.{column}", lang), overflow="fold")
    for row in verdicts.to_dict("records"):
        answers = [answer_of(row, side, lang) for side in ("old", "new")]
        table.add_row(Text(str(row["site_id"])), Text(str(row["name"])), *answers, Text(row["rules"].replace(";", " ")))
    return table


def show_targets(console: Console, targets: pd.DataFrame, lang: str) -> None:
    """Print the targets: those with a value as a table, the others by their reason."""
    console.print(of_targets(targets, lang))
    console.print(Text(say("target.worst", lang), "dim"))
    for line in silent(targets, lang):
        console.print(Text(line, "dim"))


def show_comparison(console: Console, found: Comparison, lang: str) -> None:
    """Print what differs between two versions."""
    counts = found.layers["change"].value_counts().sort_index()
    named = "  ".join(f"{say(f'compare.change.{word}', lang)} {count}" for word, count in counts.items())
    console.print(say("compare.layers", lang, text=named))
    titles = dict(zip(found.layers["layer"], found.layers["title"], strict=True))
    if not len(found.areas):
        console.print(say("compare.no_areas", lang))
    for name, columns in COLUMNS.items():
        if len(table := getattr(found, name)):
            console.print(of_changes(table, columns, titles, lang))
    if len(found.covers):
        console.print(of_covers(found.covers, titles, lang))
    changed = of_changed_targets(found.targets, lang)
    console.print(changed if changed.row_count else say("compare.no_targets", lang))
    if found.screened is not None:
        tally = {word: int((found.verdicts["change"] == word).sum()) for word in ("verdict", "range", "certainty")}
        rejected = f"{len(found.rejected):,}"
        console.print(say("compare.sites", lang, count=f"{found.screened:,}", rejected=rejected, **tally))
        for reason in found.rejected["reason"].iloc[:REASONS_SHOWN]:
            console.print(Text("· " + reason, "bold red"))
        if len(found.verdicts):
            console.print(of_changed_sites(found.verdicts, lang))


def signed(value: float) -> str:
    """
    Write a margin with its sign.

    Examples
    --------
    >>> signed(0.4), signed(-2.5), signed(float("nan"))
    ('+0.4', '-2.5', '')
    """
    return f"{value:+.6g}" if value == value else ""  # noqa: PLR0124 - NaN
