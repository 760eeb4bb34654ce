"""Which column of a file is which attribute: by name, by the aliases of the zone pack, by names cut short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import geopandas as gpd
import numpy as np

from geojw.errors import Fault
from geojw.intake.text_tables import cut_names
from geojw.law.access_list import texts

CONFLICTS = 20
"""Rows that are named where two columns contradict each other."""


def sources(fields: Sequence[str], wanted: Iterable[str]) -> dict[str, list[str]]:
    """
    Find the columns of a file that stand for each column that rules ask for.

    Parameters
    ----------
    fields
        The columns of the file.
    wanted
        The columns asked for; a mapping gives the other names by which each is known.

    Returns
    -------
    dict
        Column asked for -> columns of the file, that of its own name first; those without any are left out.
    """
    names = wanted if isinstance(wanted, Mapping) else dict.fromkeys(wanted, ())
    found = _sources(tuple(fields), tuple((key, tuple(others)) for key, others in names.items()))
    return {key: list(columns) for key, columns in found.items()}


@lru_cache(maxsize=16)
def _sources(fields: tuple[str, ...], wanted: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, list[str]]:
    """Do that once for files of the same columns, and for sites that come one by one."""
    names = dict(wanted)
    cut, plain = _cut(names), {field: field.strip().casefold() for field in fields}
    out: dict[str, list[str]] = {}
    for key, others in names.items():
        known = {name.casefold() for name in (key, *others)}
        found = [f for f in fields if f == key]
        found += [f for f in fields if f != key and (plain[f] in known or cut.get(f) == key)]
        if found:
            out[key] = found
    return out


def _cut(names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Give what a Shapefile leaves of each long name, where only one column can be meant."""
    whole: dict[str, set[str]] = {}
    for key, others in names.items():
        for name in (key, *others):
            for short in cut_names(name):
                whole.setdefault(short, set()).add(key)
    known = {name for key, others in names.items() for name in (key, *others)}
    return {short: keys.pop() for short, keys in whole.items() if len(keys) == 1 and short not in known}


def mapped(frame: gpd.GeoDataFrame, wanted: Iterable[str]) -> tuple[gpd.GeoDataFrame, tuple[Fault, ...]]:
    """
    Give the columns that rules ask for their own names.

    Parameters
    ----------
    frame
        Sites as read.
    wanted
        As in `sources`.

    Returns
    -------
    frame : GeoDataFrame
        With those columns added, row by row from whichever column says something; where two say different things, the
        row has none: it is unknown which is right.
    remarks : tuple of Fault
        What was taken for what, and which rows contradict themselves.
    """
    added: dict[str, object] = {}
    remarks: list[Fault] = []
    for key, columns in sources([str(c) for c in frame.columns], wanted).items():
        if columns == [key]:
            continue
        cells = frame[columns[0]].to_numpy(dtype=object).copy()
        said = texts(frame[columns[0]]).copy()
        odd = np.zeros(len(frame), dtype=bool)
        for column in columns[1:]:
            other, words = frame[column].to_numpy(dtype=object), texts(frame[column])
            odd |= (words != "") & (said != "") & (words != said)
            take = (said == "") & (words != "")
            cells[take], said[take] = other[take], words[take]
        cells[odd] = None
        added[key] = cells if len(columns) > 1 else frame[columns[0]]
        remarks += [_taken(column, key) for column in columns if column != key]
        fields = {"columns": ", ".join(columns), "key": key, "ids": ", ".join(map(str, frame.index[odd][:CONFLICTS]))}
        remarks += [Fault("column_conflict", key, {**fields, "count": int(odd.sum())})] if odd.any() else []
    return frame.assign(**added) if added else frame, tuple(remarks)


def _taken(column: str, key: str) -> Fault:
    return (
        Fault("name_cut", column, {"whole": key})
        if column in cut_names(key)
        else Fault("column_taken", column, {"key": key})
    )
