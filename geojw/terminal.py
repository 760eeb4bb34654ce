"""What the terminal shows: a user's text, progress, what a run did, what a file is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from geojw.texts import say

SHOWN, LINE = 60, 600
"""Characters of a name and of a sentence that the terminal shows; the tables keep the whole."""

_UNSEEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff]")


def console(*, stderr: bool = False, quiet: bool = False, soft_wrap: bool = False) -> Console:
    """Give a terminal that takes no text for markup and can print every letter, if need be as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    out = Console(stderr=stderr, quiet=quiet, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)
    if not out.is_terminal:
        out.width = 120  # a file or a pipe has no width of its own
    return out


def shown(text: str, most: int = SHOWN) -> str:
    """
    Give a user's text as a terminal may show it: no control or direction marks, not endless.

    Examples
    --------
    >>> shown("a" + chr(27) + "[31mred"), shown("x" * 99, 5)
    ('a[31mred', 'xxxx…')
    """
    seen = _UNSEEN.sub("", text)
    return seen if len(seen) <= most else seen[: most - 1] + "…"


LISTED = 15
"""Rows of a list that the terminal shows; `--json` has more."""


def print_inspection(out: Console, found: Any, lang: str) -> None:  # noqa: ANN401 - inspection.Inspection
    """Print what one file is."""
    out.print(Text(shown(found.source), "bold underline"))
    facts = Table(show_header=False, box=None)
    facts.add_column(no_wrap=True)
    for label, text in found.summary(lang):
        facts.add_row(Text(label, "bold"), Text(shown(text, LINE)))
    if found.facts:
        out.print(facts)
    if found.refused:
        out.print(Text(say("intake.refused", lang), "bold red"))
    for fault in found.refused:
        out.print(Text("  " + shown(fault.text(lang), LINE)))
    for title, columns, rows in found.lists(lang):
        _print_list(out, title, columns, rows, lang)
    if found.missing:
        out.print(Text(say("intake.missing", lang), "bold"))
        out.print(Text("  " + shown(", ".join(found.missing), 10 * LINE)))
    for fault in found.remarks[:LISTED]:
        out.print(Text("· " + shown(fault.text(lang), LINE), "dim"))


def _print_list(out: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], lang: str) -> None:
    out.print(Text(title, "bold"))
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(say(f"intake.column.{column}", lang), overflow="fold")
    for row in rows[:LISTED]:
        table.add_row(*(Text(shown(cell, LINE)) for cell in row))
    out.print(table)
    if len(rows) > LISTED:
        out.print(say("intake.more", lang, count=len(rows) - LISTED))


STYLE = {
    "prohibit": "bold red", "undetermined": "bold magenta", "approval": "dark_orange3", "condition": "yellow3",
    "supervise": "cyan", "inform": "blue", "clear": "green",
}  # fmt: skip


def progress(lang: str, *, quiet: bool) -> AbstractContextManager[Callable[[str, int, int], None]]:
    """Give a progress bar, or nothing where nobody is watching."""
    out = console(stderr=True)
    if quiet or not out.is_terminal:
        return nullcontext(lambda phase, done, of: None)  # noqa: ARG005 - nobody is watching
    return _Bar(out, lang)


class _Bar:
    """A progress bar that names the phase."""

    def __init__(self, out: Console, lang: str) -> None:
        self.lang = lang
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=out, transient=True,
        )  # fmt: skip

    def __enter__(self) -> Callable[[str, int, int], None]:
        self.bar.start()
        task = self.bar.add_task(say("run.reading", self.lang), total=None)

        def tell(phase: str, done: int, of: int) -> None:
            self.bar.update(task, description=say(f"run.{phase}", self.lang), completed=done, total=max(of, 1))

        return tell

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def print_summary(out: Console, summary: Any, lang: str) -> None:  # noqa: ANN401 - run.Summary
    """Print what a run did."""
    title = say("run.title", lang, zone=summary.pack.zone.title.in_(lang), day=summary.options.day)
    print_heading(out, title, summary.notices())
    if summary.resumed:
        out.print(say("run.resumed", lang, count=summary.resumed))
    for fault in summary.said:
        out.print(Text("· " + shown(fault.text(lang), LINE), "dim"))
    _print_remarks(out, summary, lang)
    out.print(_verdict_table(summary, lang))
    left = summary.screened - len(summary.worst)
    if left > 0:
        out.print(say("run.more_rows", lang, count=f"{left:,}"))
    tally = "  ".join(f"{say(f'verdict.{word}', lang)} {count:,}" for word, count in sorted(summary.verdicts.items()))
    rejected = summary.read - summary.screened
    out.print(
        say(
            "run.counts",
            lang,
            read=f"{summary.read:,}",
            screened=f"{summary.screened:,}",
            rejected=f"{rejected:,}",
        )
    )
    out.print(tally)


def print_heading(out: Console, title: str, notices: list[str]) -> None:
    """Print a title and what every output must say."""
    out.print(Text(title, "bold"))
    for notice in notices:
        out.print(Text("!\u00a0" + shown(notice, len(notice)), "yellow3"))


def _print_remarks(out: Console, summary: Any, lang: str) -> None:  # noqa: ANN401
    most = 10
    for fault in summary.remarks[:most]:
        out.print(Text("· " + shown(fault.text(lang), LINE), "dim"))
    if len(summary.remarks) > most:
        out.print(Text("· …", "dim"))
    if len(summary.rejected):
        out.print(Text(say("run.rejected", lang), "bold red"))
        for reason in summary.rejected["reason"][:most]:
            out.print(Text("· " + shown(reason, LINE)))


def _verdict_table(summary: Any, lang: str) -> Table:  # noqa: ANN401
    table = Table(show_lines=False, header_style="bold")
    for column in ("site", "name", "verdict", "certainty", "range", "decided_by", "area"):
        table.add_column(
            say(f"column.{column}", lang), justify="right" if column == "area" else "left", overflow="fold",
            no_wrap=column in ("site", "verdict", "certainty", "range", "area"),
        )  # fmt: skip
    for row in summary.worst.itertuples():
        span = (
            ""
            if row.at_least == row.at_most
            else f"{say(f'verdict.{row.at_least}', lang)} … {say(f'verdict.{row.at_most}', lang)}"
        )
        sure = say(f"certainty.{row.certainty}", lang) if row.certainty else ""
        area = f"{row.area_mu:,.2f}" if row.area_mu == row.area_mu else ""
        table.add_row(
            Text(shown(row.site_id)), Text(shown(row.name)), Text(row.verdict_text, STYLE[row.verdict]), sure, span,
            shown(row.decided_by.replace(";", " ")), area,
        )  # fmt: skip
    return table
