"""Tables of figures above a map's legend, whose rows point at what is drawn."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geojw.maps.mapdata import shown


@dataclass(frozen=True)
class PageRow:
    """
    One row of a table of figures.

    Parameters
    ----------
    cells
        In words.
    layers
        Ids of the layers that it is about: choosing the row shows these and hides those of the table's other rows.
    at
        Id of the feature of those layers that it is about.
    site
        Id of the site that it is about.
    """

    cells: Sequence[str]
    layers: Sequence[str] = ()
    at: Hashable | None = None
    site: str | None = None


@dataclass(frozen=True)
class PageTable:
    """
    A table of figures above the legend.

    Parameters
    ----------
    title
        Its heading.
    columns
        Headings of the columns; the first one's cell is what is chosen.
    rows
        In order.
    notes
        What its reader must know.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[PageRow]
    notes: Sequence[str] = ()


def packed_tables(
    tables: Sequence[PageTable], layers: Sequence[Mapping[str, Any]], site_ids: Sequence[object]
) -> list[dict[str, Any]]:
    """Prepare tables of figures; layers and sites by their numbers on the page, features by their place in a layer."""
    number = {layer["id"]: at for at, layer in enumerate(layers)}
    sites = {key: at for at, key in enumerate(site_ids)}

    def at(row: PageRow) -> list[int]:
        features = layers[number[row.layers[0]]]["features"] if row.layers and row.at is not None else []
        return [place for place, one in enumerate(features) if one["id"] == shown(row.at)]

    return [
        {
            "title": shown(table.title), "columns": [shown(text) for text in table.columns],
            "notes": [shown(text) for text in table.notes],
            "rows": [
                {"cells": [shown(text) for text in row.cells], "layers": [number[name] for name in row.layers],
                 "at": at(row), "site": sites.get(row.site)}
                for row in table.rows
            ],
        }
        for table in tables
    ]  # fmt: skip
