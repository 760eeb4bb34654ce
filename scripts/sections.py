"""Write one part of a page of Markdown and leave the others as they are: benchmarks share docs/performance.md."""

from __future__ import annotations

import re
from pathlib import Path


def merged(old: str, new: str) -> str:
    """
    Put sections into a page.

    Parameters
    ----------
    old
        The page as it is.
    new
        Sections (``## Title``), perhaps with what stands above the first: they take the place of those of the same
        title, in their own order; titles that the page has not come last. All else stays.

    Returns
    -------
    str
        The page.
    """
    head, sections = _split(old)
    new_head, news = _split(new)
    order = [*sections] + [title for title in news if title not in sections]
    body = [news.get(title, sections.get(title, "")) for title in order]
    return "\n\n".join(part for part in (new_head or head, *body) if part) + "\n"


def write(path: Path, new: str) -> None:
    """Put sections into a file."""
    path.write_text(merged(path.read_text("utf-8") if path.exists() else "", new), "utf-8")


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Give what stands above the first section, and the sections by title."""
    head, *parts = re.split(r"(?m)^(?=## )", text)
    return head.strip(), {part.splitlines()[0]: part.strip() for part in parts}
