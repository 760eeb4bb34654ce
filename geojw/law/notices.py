"""What every output must say of the layers behind it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from geojw.law.pack import Pack
from geojw.texts import say


def of_layers(pack: Pack, statuses: Mapping[str, Collection[str]], day: date, lang: str) -> list[str]:
    """
    Say which layers are made up or unverified, and which are of a later day than the one asked for.

    Parameters
    ----------
    pack
        The zone pack.
    statuses
        Layer -> every status that its features have.
    day
        The day asked for.
    lang
        ``zh`` or ``en``.

    Returns
    -------
    list of str
        Sentences.
    """
    titles = {name: pack.layers[name].title.in_(lang) for name in statuses}
    out = []
    for status in ("synthetic", "open"):
        named = [titles[name] for name, words in statuses.items() if status in words]
        if named:
            out.append(say(f"notice.{status}", lang, layers=listed(named, lang)))
    newer = [titles[name] for name in statuses if pack.layers[name].source.date > day]
    if newer:
        out.append(say("notice.newer", lang, day=day, layers=listed(newer, lang)))
    return out


def listed(words: Sequence[str], lang: str) -> str:
    """Join words as the language does."""
    return ("、" if lang == "zh" else ", ").join(words)
