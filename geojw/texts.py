"""Every sentence that a user reads, Chinese and English, from one catalogue (``texts.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

Lang = Literal["zh", "en"]
LANGS: tuple[Lang, ...] = ("zh", "en")


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Read the catalogue: dotted key -> language -> template."""
    text = resources.files("geojw").joinpath("texts.toml").read_text("utf-8")
    flat: dict[str, Mapping[str, str]] = {}

    def walk(prefix: str, node: Mapping[str, object]) -> None:
        for key, value in node.items():
            if not isinstance(value, dict):
                msg = f"texts.toml: {prefix}{key} is not a table of languages"
                raise TypeError(msg)
            if set(value) == set(LANGS):
                flat[prefix + key] = value
            else:
                walk(f"{prefix}{key}.", value)

    walk("", tomllib.loads(text))
    return flat


def say(key: str, lang: str, /, **fields: object) -> str:
    """
    Give one text of the catalogue.

    Parameters
    ----------
    key
        Dotted key, as in ``fault.unknown_key``.
    lang
        ``zh`` or ``en``.
    **fields
        What the template's braces take.

    Returns
    -------
    str
        The sentence.

    Raises
    ------
    KeyError
        The key or the language is not in the catalogue (a programming error, never shown to a user).

    Examples
    --------
    >>> say("verdict.clear", "en")
    'clear'
    """
    return catalogue()[key][lang].format(**fields)


def template(key: str, lang: str) -> str:
    """Give a text of the catalogue with its braces, to be filled for a whole column."""
    return catalogue()[key][lang]


def texts_of(prefix: str, lang: str) -> dict[str, str]:
    """Give all texts below a dotted prefix, keyed without it (for the page of a map)."""
    head = prefix + "."
    return {key.removeprefix(head): value[lang] for key, value in catalogue().items() if key.startswith(head)}
