"""Floor 7: what the terminal shows of a user's text, and of a file that was looked at."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
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
